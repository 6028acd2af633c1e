"""Going on with a run: schedules that move with the goal are named, and so is a run with nothing left to do; data is found again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from gansmith import registry
from gansmith.cli import main
from gansmith.errors import RunError
from gansmith.files.run import Run
from gansmith.game import Clock, ImageSpec
from gansmith.training.session import train
from gansmith.training.settings import found_again, settings_from


def start(family: str, out: Path, npz: Path, **given):
    kind = registry.family(family)
    settings, config = settings_from(kind, out, **{"data": str(npz), "steps": 4, "batch": 4, "size": 16, "snapshots": 1, **kind.tiny, **given})  # fmt: skip
    return train(kind, settings=settings, family_config=config, quiet=True)


def resumed(out: Path, capsys, *words: str) -> str:
    capsys.readouterr()
    assert main(["train", "--resume", "--out", str(out), *words]) == 0
    return " ".join(capsys.readouterr().err.split())


def test_schedules_that_jump_are_said_and_burn_in_keeps_them(npz, tmp_path, capsys):
    out = tmp_path / "run"
    start("r3gan", out, npz)
    said = resumed(out, capsys, "--steps", "16")
    assert "progress goes from 100% to 25%" in said
    assert "the discriminator's learning rate goes from 0.0001 to 0.00172" in said
    assert "--burn-in 16" in said
    start("r3gan", tmp_path / "other", npz)
    said = resumed(tmp_path / "other", capsys, "--steps", "16", "--burn-in", "16")
    assert "learning rate goes" not in said
    assert Run.open(tmp_path / "other").settings["burn_in"] == 16
    kind = registry.family("r3gan")
    game = kind(kind.Config(**{**kind.tiny, "burn_in": 16}), ImageSpec(16, 16, 3))
    end = game.optimizer("generator", Clock(16, 4, 0.25))
    assert end.lr == pytest.approx(game.optimizer("generator", Clock(16, 4, 1.0)).lr) == pytest.approx(1e-4)
    assert "nothing is left" not in said


@pytest.mark.parametrize(("family", "words"), [("wgan-gp", "learning rate goes from 0 to"), ("gan", "")])
def test_only_families_whose_rates_move_say_so(family, words, npz, tmp_path, capsys):
    start(family, tmp_path / "run", npz)
    said = resumed(tmp_path / "run", capsys, "--steps", "8")
    assert (words in said) if words else ("goes from" not in said)
    assert "--burn-in" not in said


def test_a_killed_run_goes_on_without_words(npz, tmp_path, capsys):
    start("r3gan", tmp_path / "run", npz, save_minutes=1e-9)
    shutil.rmtree(max((tmp_path / "run" / "checkpoint").iterdir()))
    said = resumed(tmp_path / "run", capsys)
    assert "goes from" not in said
    assert "nothing is left" not in said


@pytest.mark.parametrize(("given", "words"), [({}, "--steps 8"), ({"steps": 0, "images": 16}, "--images 32")])
def test_a_finished_run_says_that_nothing_is_left_and_how_to_ask_for_more(given, words, npz, tmp_path, capsys):
    out = tmp_path / "run"
    start("gan", out, npz, **given)
    said = resumed(out, capsys)
    assert "nothing is left to do" in said
    assert words in said
    assert Run.open(out).facts["status"] == "finished"
    flag, number = words.split()
    assert "nothing is left" not in resumed(out, capsys, flag, number)
    assert Run.open(out).facts["images"] == 32


def test_other_settings_still_may_not_change(npz, tmp_path):
    start("r3gan", tmp_path / "run", npz)
    with pytest.raises(RunError, match="gamma"):
        start("r3gan", tmp_path / "run", npz, gamma=9.0, resume=True)


# --- data by a relative path ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["pictures.npz", "./pictures.npz", "pictures.npz[:40]"])
def test_relative_data_is_found_from_another_folder(spec, npz, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(npz.parent)
    assert (
        main(
            [
                "train",
                "gan",
                "--data",
                spec,
                "--steps",
                "2",
                "--batch",
                "4",
                "--width",
                "8",
                "--out",
                "run",
                "--snapshots",
                "1",
            ]
        )
        == 0
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    out = npz.parent / "run"
    resumed(out, capsys, "--steps", "4")
    assert Run.open(out).facts["images"] == 16
    assert Run.open(out).train["data"] == [spec]


def test_data_that_is_gone_names_the_folder_it_was_relative_to(npz, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(npz.parent)
    assert (
        main(["train", "gan", "--data", npz.name, "--steps", "2", "--batch", "4", "--width", "8", "--out", "run"]) == 0
    )
    npz.rename(npz.with_name("renamed.npz"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["train", "--resume", "--out", str(npz.parent / "run"), "--steps", "4"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"was started in {npz.parent}" in said


def test_what_is_here_wins_and_other_kinds_of_data_stay(tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
    (there / "tars").mkdir()
    (there / "tars" / "a-0.tar").touch()
    (there / "digits").mkdir()
    np.savez(there / "a.npz", x=np.zeros((2, 8, 8), np.uint8))
    monkeypatch.chdir(here)
    assert found_again("a.npz", str(there)) == str(there / "a.npz")
    assert found_again("a.npz[::2]", str(there)) == str(there / "a.npz[::2]")
    assert found_again("shards:tars/a-*.tar", str(there)) == f"shards:{there / 'tars/a-*.tar'}"
    assert found_again("digits:test", str(there)) == str(there / "digits:test")
    for spec in ("hf:user/a.npz", str(there / "a.npz"), "mnist10k", "nothing.zip"):
        assert found_again(spec, str(there)) == spec
    assert found_again("a.npz", "") == "a.npz"
    (here / "a.npz").touch()
    assert found_again("a.npz", str(there)) == "a.npz"
    assert Path.cwd() == here
    assert os.sep in str(there)


def test_a_run_that_cannot_go_on_stays_as_it_was(npz, tmp_path):
    out = tmp_path / "run"
    words = [
        "--data",
        str(npz),
        "--batch",
        "4",
        "--width",
        "8",
        "--latent-dim",
        "8",
        "--snapshots",
        "1",
        "--out",
        str(out),
    ]
    assert main(["train", "gan", *words, "--steps", "2"]) == 0
    for file in (out / "checkpoint").rglob("*.json"):
        file.write_text("{")
    before = (out / "config.yaml").read_bytes()
    assert main(["train", "--resume", "--out", str(out), "--steps", "6"]) == 2
    assert (out / "config.yaml").read_bytes() == before
