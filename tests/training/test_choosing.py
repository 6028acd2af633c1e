"""``gansmith train`` without a family: one that suits the pictures, and one line that says why."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import gansmith
from gansmith import cli
from gansmith.errors import DataError
from gansmith.files.run import Run
from gansmith.nn import efficientnet
from gansmith.training.choosing import FEW, choose, for_pictures
from helpers.pictures import write_folder

TINY = ["--steps", "1", "--batch", "8", "--width", "16", "--snapshots", "0", "--device", "cpu", "--precision", "fp32"]


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra ``features`` were installed."""
    monkeypatch.setattr(efficientnet, "weights_file", lambda: Path("weights"))


def folder(path: Path, channels: int, names: list[str] | None = None) -> str:
    """Twelve pictures in a folder, under names of their own or as they come."""
    write_folder(path, 12, 16, channels)
    for old, new in zip(sorted(path.iterdir()), names or [], strict=False):
        shutil.move(old, path / f"{new}.png")
    return str(path)


@pytest.mark.usefixtures("weights")
def test_few_colour_pictures_are_for_projected(tmp_path: Path) -> None:
    family, why = choose([folder(tmp_path / "few", 3)])
    assert family == "projected"
    assert "12" in why
    assert choose([folder(tmp_path / "grey", 1)])[0] == "r3gan"
    assert for_pictures(FEW, colour=True)[0] == "r3gan"
    assert choose(["hf-stream:somebody/many"])[0] == "r3gan"


def test_without_the_extra_the_line_says_what_it_would_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "weights_file", lambda: None)
    family, why = choose([folder(tmp_path / "few", 3)])
    assert family == "r3gan"
    assert "gansmith[features]" in why


def test_two_sides_are_told_apart_by_their_names(tmp_path: Path) -> None:
    words = [f"street{i}" for i in range(12)]
    a = folder(tmp_path / "a", 3, words)
    assert choose([a, folder(tmp_path / "same", 3, words)])[0] == "pix2pix"
    assert choose([a, folder(tmp_path / "other", 3, [f"field{i}" for i in range(12)])])[0] == "cyclegan"
    numbers = [f"{i:04d}" for i in range(12)]
    for other in (words[:6] + [f"field{i}" for i in range(6)], numbers):
        first = folder(tmp_path / f"first{other[-1]}", 3, numbers) if other is numbers else a
        with pytest.raises(DataError, match=r"pix2pix .* cyclegan"):
            choose([first, folder(tmp_path / f"second{other[-1]}", 3, other)])
    both = tmp_path / "both"
    folder(both / "trainA", 3, words)
    folder(both / "trainB", 3, [f"field{i}" for i in range(12)])
    assert choose([str(both)])[0] == "cyclegan"
    with pytest.raises(DataError, match="names 3 sets"):
        choose([a, a, a])


def test_the_command_takes_it_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "grey.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).integers(0, 255, (40, 16, 16)).astype(np.uint8))
    for number, words in enumerate((["--data", str(path)], ["auto", f"--data={path}"])):
        out = tmp_path / f"run{number}"
        assert cli.main(["train", *words, *TINY, "--out", str(out)]) == 0
        assert "family: r3gan" in capsys.readouterr().err
        assert Run.open(out).family == "r3gan"
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"data: {path}\nsteps: 1\nbatch: 8\nwidth: 16\n")
    assert cli.main(["train", "--config", str(settings), "--out", str(tmp_path / "file")]) == 0
    assert Run.open(tmp_path / "file").family == "r3gan"
    assert cli.main(["train", "auto", "--resume", "--out", str(tmp_path / "file"), "--steps", "2"]) == 0
    model = gansmith.train(
        "auto", data=path, out=tmp_path / "python", steps=1, batch=8, width=16, device="cpu", quiet=True
    )
    assert model.family == "r3gan"


def test_what_is_not_there_is_said_before_any_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--data", "nowhere", "--steps", "1"]) == 2
    assert "nowhere" in capsys.readouterr().err
