"""Whole runs and every command on a GPU that is not there: they end well, and tensors of two devices never meet."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith import cli, registry
from gansmith.bench import measure
from gansmith.files.run import Run
from gansmith.generation import Generation
from gansmith.toy import stacked
from helpers import gpu
from helpers.phantom import Watch, phantom_cuda
from helpers.pictures import pictures, write_folder


@pytest.fixture(autouse=True)
def there() -> Iterator[Watch | None]:
    if gpu.REAL:
        yield None
        return
    with phantom_cuda() as watch:
        yield watch
        assert not watch.doubles, "float64, which Apple's GPUs do not have"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Pictures of every kind that families train on."""
    root = tmp_path_factory.mktemp("data")
    np.savez(root / "digits.npz", x=pictures(240, 28, 1)[..., 0], y=np.arange(240) % 3)
    np.savez(root / "labelled.npz", x=pictures(48, 16), y=np.arange(48) % 3)
    np.savez(root / "larger.npz", x=pictures(24, 32))
    sides = [str(write_folder(root / side, 24, first=first)) for side, first in (("a", 0), ("b", 40))]
    return {
        "images": [str(root / "labelled.npz")], "digits": [str(root / "digits.npz")], "larger": [str(root / "larger.npz")], "crops": sides[:1],
        "paired": sides, "unpaired": sides,
    }  # fmt: skip


def run(*argv: Any) -> None:
    assert cli.main([str(word) for word in argv]) == 0


def train(family: str, names: list[str], out: Path, *more: str) -> None:
    tiny = registry.family(family).tiny.items()
    words = [word for name, value in tiny for word in ("--" + name.replace("_", "-"), str(value))]
    words += ["--size", "32"] if registry.family(family).data == "crops" else []
    run("train", family, "--data", *names, "--out", out, "--batch", "8", "--snapshots", "1", *words, *more)


def usual(family: str, data: dict[str, list[str]]) -> list[str]:
    """Data that suits a family's smallest networks."""
    kind = registry.family(family)
    return data["larger" if kind.data == "images" and not issubclass(kind, Generation) else kind.data]


@pytest.mark.parametrize("family", registry.families())
def test_runs_are_saved_shown_resumed_and_used(family: str, data: dict[str, list[str]], tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(family, usual(family, data), out, "--steps", "2")
    train(family, usual(family, data), out, "--steps", "3", "--resume")
    found = Run.open(out)
    records = list(found.records())
    assert found.facts["device"] == "cuda:0"
    assert found.facts["precision"] in (("bf16", "fp16", "fp32") if gpu.REAL else ("bf16",))
    assert records[-1]["step"] == 3
    assert (found.samples / "film.png").is_file()
    if issubclass(registry.family(family), Generation):
        assert any("diversity" in record for record in records)
        return
    large = write_folder(tmp_path / "large", 1, 100)
    more = {"inpaint": ["--box", "20,20,60,60"], "sketch": ["--draw-edges"]}.get(family, [])
    tiles = ["--tile", 64] if family in ("cyclegan", "inpaint", "upscale") else []
    run("apply", out, large, "--out", tmp_path / "repaired", *tiles, *more)
    assert Image.open(next((tmp_path / "repaired").iterdir())).width == (200 if family == "upscale" else 100)
    if family == "inpaint":
        run("evaluate", out, "--data", *usual(family, data), "--metrics", "swd", "--n", "20")


def test_a_run_is_measured_as_it_goes(data: dict[str, list[str]], tmp_path: Path) -> None:
    more = ["--conditional", "--class-fade", "0.5", "--augment", "ada", "--clip-grad", "1", "--eval-every", "8"]
    train("dcgan", data["digits"], tmp_path / "run", "--steps", "2", *more)
    records = list(Run.open(tmp_path / "run").records())
    assert any("score/FD[mnist-cnn]" in record for record in records)
    assert any("memorising" in record or "diversity" in record for record in records)
    assert (tmp_path / "run" / "model-best").is_dir()


def test_what_people_do_with_styles(data: dict[str, list[str]], tmp_path: Path) -> None:
    model, out = tmp_path / "run", tmp_path
    train(
        "stylegan2", data["images"], model, "--steps", "1", "--conditional", "--augment", "ada", "--class-fade", "0.9"
    )
    run("sample", model, "--n", "4", "--out", out / "grid.png")
    run("sample", model, "--n", "4", "--class", "2", "--truncation", "0.5", "--out", out / "some.npz")
    assert np.load(out / "some.npz")["x"].shape == (4, 16, 16, 3)
    for space in ("z", "w"):
        run(
            "walk",
            model,
            "--space",
            space,
            "--seconds",
            "0.4",
            "--fps",
            "5",
            "--points",
            "2",
            "--out",
            out / f"{space}.gif",
        )
    run("mix", model, "--rows", "0-1", "--columns", "2-3", "--out", out / "mix.png")
    run("edit", model, "--directions", "2", "--steps", "2", "--out", out / "edit.png")
    Image.fromarray(pictures(1, 16)[0]).save(out / "face.png")
    run("invert", model, out / "face.png", "--steps", "2", "--out", out / "inverted")
    run(
        "edit",
        model,
        "--styles",
        next((out / "inverted").glob("*.npz")),
        "--directions",
        "1",
        "--steps",
        "2",
        "--out",
        out / "own.png",
    )
    run("export", model, "--to", "exported", "--out", out / "model.pt2")


def test_scores_and_copies(data: dict[str, list[str]], tmp_path: Path) -> None:
    train("gan", data["digits"], tmp_path / "run", "--steps", "1")
    run("evaluate", tmp_path / "run", "--data", *data["digits"], "--n", "120", "--metrics", "fid,kid,prdc", "--memorisation",
        tmp_path / "copies.png")  # fmt: skip
    assert (tmp_path / "copies.png").is_file()


def test_synthetic_pictures_and_their_study(data: dict[str, list[str]], tmp_path: Path) -> None:
    run("augment", "--data", *data["images"], "--out", tmp_path / "made", "--per-class", "4", "--width", "32", "--steps", "2", "--batch",
        "4", "--no-agreement", "--no-outliers", "--study", "--seeds", "2", "--classifier", "tiny", "--classifier-steps", "2")  # fmt: skip
    assert len(list((tmp_path / "made").rglob("*.png"))) >= 12


def test_toy_worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run("toy", "ring", "--family", "gan", "--seeds", "1", "--images", "200", "--json")
    assert json.loads(capsys.readouterr().out)["world"] == "ring"
    monkeypatch.setattr(stacked, "count", functools.partial(stacked.count, n=100))
    run("toy", "stacked-mnist", "--family", "gan", "--seeds", "1", "--images", "128", "--width", "8", "--json")


def test_bench_and_doctor(
    data: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "gemm_peak", lambda *_: 1.0)
    run("bench", "gan", "inpaint", "--tiny", "--batch", "4", "--rounds", "1", "--json")
    capsys.readouterr()
    run("doctor", "gan", "--data", *data["images"], "--width", "8")
    assert torch.cuda.get_device_name() in capsys.readouterr().out
