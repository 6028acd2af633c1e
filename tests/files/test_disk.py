"""Full disks, kills and what they leave behind: nothing is lost, nothing stays half-written, and it is called what it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from gansmith.cli import main
from gansmith.errors import Diverged, GansmithError, RunError
from gansmith.files import pictures
from gansmith.files.atomic import clear_leftovers
from gansmith.files.run import Run
from gansmith.game import Clock
from gansmith.gans.gan import GAN
from gansmith.models.bundle import Model, averaged_copy
from gansmith.training import checkpoint, outputs
from gansmith.training.display import TensorBoard
from gansmith.training.session import train
from gansmith.training.settings import settings_from
from gansmith.training.state import State

resource = pytest.importorskip("resource")
DEAD = 2**22 + 5
"""No process has this number: it is above what systems give."""


@contextlib.contextmanager
def no_file_above(size: int):
    """As on a full disk: the system refuses to let any file grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run_of(out: Path, npz: Path, **given):
    settings, config = settings_from(GAN, out, **{"data": str(npz), "steps": 6, "batch": 4, "width": 8, "latent_dim": 8, "snapshots": 2, "device": "cpu", **given})  # fmt: skip
    return train(GAN, settings=settings, family_config=config, quiet=True)


def test_tensorboard_warns_once_and_training_goes_on(tmp_path, npz):
    threads, said = threading.active_count(), []
    with no_file_above(2000):
        board = TensorBoard(tmp_path / "tb", said.append)
        for i in range(60):
            board.show({"images": i, "loss/generator": 0.5, "health": "healthy"})
        board.grid(np.zeros((64, 64), np.uint8), State(0, Clock(60, 1)))
        board.close()
    assert threading.active_count() == threads
    (told,) = said
    assert "Training goes on" in told


def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path / "tb", pytest.fail)
    for i in range(5):
        board.show({"images": 10 * i, "step": i, "loss/generator": 0.5 * i, "health": "healthy"})
    board.grid(np.full((8, 12), 200, np.uint8), State(0, Clock(40, 5)))
    board.grid(np.zeros((8, 12, 3), np.uint8), State(0, Clock(50, 6)))
    board.close()
    found = EventAccumulator(str(tmp_path / "tb")).Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss/generator")] == [(10 * i, 0.5 * i) for i in range(5)]
    assert [(e.step, e.width, e.height) for e in found.Images("samples")] == [(40, 12, 8), (50, 12, 8)]
    assert found.Tags()["scalars"] == ["loss/generator"]


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webm"])
def test_a_film_that_does_not_fit_is_no_film(tmp_path, suffix):
    random = np.random.default_rng(0)
    frames = [random.integers(0, 255, (48, 48, 3), np.uint8) for _ in range(12)]
    with no_file_above(3000), pytest.raises((GansmithError, OSError)):
        pictures.save_video(tmp_path / f"film{suffix}", frames, 10)
    assert not list(tmp_path.iterdir())
    with pytest.raises(GansmithError, match="at least one frame"):
        pictures.save_video(tmp_path / f"film{suffix}", [])
    pictures.save_video(tmp_path / f"film{suffix}", frames, 10)
    assert [path.name for path in tmp_path.iterdir()] == [f"film{suffix}"]


@pytest.mark.parametrize("suffix", ["mp4", "gif", "webm", "png"])
def test_commands_say_that_there_is_no_room(tmp_path, suffix, capsys):
    model = tmp_path / "model"
    Model("gan", averaged_copy(GAN(GAN.Config(width=8), _spec()))).save(model)
    out = tmp_path / "out" / f"x.{suffix}"
    words = ["sample", str(model)] if suffix == "png" else ["walk", str(model), "--seconds", "2", "--tiles", "4"]
    with no_file_above(2000):
        assert main([*words, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "could not be written" in said
    assert not out.parent.exists() or not list(out.parent.iterdir())


def _spec():
    from gansmith.game import ImageSpec

    return ImageSpec(32, 32, 3)


def failed(out: Path) -> None:
    facts, report = Run.open(out).facts, (out / "report.md").read_text()
    assert facts["status"] == "failed"
    assert "could not be written" in facts["failure"]
    assert facts["failure"] in report
    assert "NaN" not in report
    assert "Nothing was wrong" not in report


def test_a_full_disk_is_not_called_diverged(tmp_path, npz, capsys):
    """The run has failed, says why, and can go on once there is room."""
    out = tmp_path / "run"
    run_of(out, npz, steps=2)
    with no_file_above(30_000):
        assert main(["train", "--resume", "--out", str(out), "--steps", "5", "--save-minutes", "1e-9"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    failed(out)
    assert main(["train", "--resume", "--out", str(out), "--steps", "5"]) == 0
    facts = Run.open(out).facts
    assert facts["status"] == "finished"
    assert "failure" not in facts


def test_a_log_line_that_does_not_fit_ends_the_run_in_words(tmp_path, npz, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Run, "log", full)
    with pytest.raises(RunError, match="No space left on device"):
        run_of(tmp_path / "run", npz)
    failed(tmp_path / "run")


def test_what_ended_a_run_is_told_apart(tmp_path, npz, monkeypatch):
    original = GAN.discriminator_loss
    errors = {
        "diverged": Diverged("the loss became NaN"),
        "failed": RunError("the sky fell"),
        "stopped": KeyboardInterrupt(),
    }
    for status, error in errors.items():

        def losing(self, batch, error=error):
            if batch.clock.step == 3:
                raise error
            return original(self, batch)

        monkeypatch.setattr(GAN, "discriminator_loss", losing)
        with pytest.raises(type(error)):
            run_of(tmp_path / status, npz)
        facts = Run.open(tmp_path / status).facts
        assert facts["status"] == status
        assert facts.get("failure", "") == str(error)
        report = (tmp_path / status / "report.md").read_text()
        assert f"The run {status}" in report
        assert str(error) in report


def test_a_film_that_cannot_be_made_does_not_undo_the_run(tmp_path, npz, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gansmith.files.pictures.save_video", full)
    run_of(tmp_path / "run", npz)
    assert Run.open(tmp_path / "run").facts["status"] == "finished"
    assert "film" in capsys.readouterr().err


# --- leftovers --------------------------------------------------------------------------------------------------------


def test_leftovers_of_killed_processes_are_cleared_and_those_of_living_ones_are_not(tmp_path):
    (tmp_path / f".config.yaml.{DEAD}.tmp").write_text("half")
    (tmp_path / f".model.{DEAD}.tmp").mkdir()
    (tmp_path / f".model.{DEAD}.tmp" / "x").touch()
    (tmp_path / f".config.yaml.{os.getpid()}.tmp").write_text("being written")
    (tmp_path / ".hidden.tmp").write_text("somebody's own")
    (tmp_path / f"kept.{DEAD}.tmp").write_text("somebody's own")
    clear_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [f".config.yaml.{os.getpid()}.tmp", ".hidden.tmp", f"kept.{DEAD}.tmp"]
    )
    clear_leftovers(tmp_path / "nothing")


def test_the_old_version_goes_back_where_the_new_one_never_came(tmp_path):
    old = tmp_path / f".model.{DEAD}.old"
    old.mkdir()
    (old / "config.json").write_text("{}")
    clear_leftovers(tmp_path, "other")
    assert old.is_dir()
    clear_leftovers(tmp_path, "model")
    assert (tmp_path / "model" / "config.json").is_file()
    old.mkdir()
    clear_leftovers(tmp_path, "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_resumed_run_clears_what_a_kill_left(tmp_path, npz):
    out = tmp_path / "run"
    run_of(out, npz, steps=3)
    left = [
        f".model.{DEAD}.tmp",
        f".model.{DEAD}.old",
        f".config.yaml.{DEAD}.tmp",
        f"samples/.0000000012.png.{DEAD}.tmp",
    ]
    left += [f"checkpoint/.000000000012.{DEAD}.tmp"]
    for name in left:
        (out / name).mkdir() if "model" in name or "checkpoint" in name else (out / name).touch()
    run_of(out, npz, steps=6, resume=True)
    assert not list(out.rglob(".*"))


def test_saving_again_clears_what_a_kill_left(tmp_path):
    model = Model("gan", averaged_copy(GAN(GAN.Config(width=8), _spec())))
    (tmp_path / f".m.{DEAD}.tmp").mkdir()
    (tmp_path / f".gansmith.{DEAD}.tmp").mkdir()
    (tmp_path / f".walk.gif.{DEAD}.tmp").touch()
    model.save(tmp_path / "m")
    assert main(["sample", str(tmp_path / "m"), "--n", "2", "--out", str(tmp_path / "some")]) == 0
    assert (
        main(["walk", str(tmp_path / "m"), "--seconds", "0.5", "--fps", "4", "--out", str(tmp_path / "walk.gif")]) == 0
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "some", "walk.gif"]


# --- the film is a function of the clock ------------------------------------------------------------------------------


def test_wherever_a_run_was_killed_it_has_the_same_grids_and_the_same_film(tmp_path, npz, monkeypatch):
    monkeypatch.setattr(checkpoint, "KEEP", 100)
    given = {"steps": 9, "snapshots": 3, "save_minutes": 1e-9}
    run_of(tmp_path / "whole", npz, **given)
    grids = {p.name: p.read_bytes() for p in (tmp_path / "whole" / "samples").glob("*.png")}
    assert len(grids) == 4  # three, and the film strip
    checks = [r["images"] for r in Run.open(tmp_path / "whole").records() if "diversity" in r]
    for images in (8, 12, 32):  # before a grid, with one, after the last but one
        out = tmp_path / f"killed{images}"
        shutil.copytree(tmp_path / "whole", out)
        for kept in (out / "checkpoint").iterdir():
            if int(kept.name) > images:
                shutil.rmtree(kept)
        run_of(out, npz, **given, resume=True)
        found = {p.name: p.read_bytes() for p in (out / "samples").glob("*.png")}
        assert found == grids, images
        assert [r["images"] for r in Run.open(out).records() if "diversity" in r] == checks


# --- one source of truth for what the coach has said ------------------------------------------------------------------


def test_the_coach_remembers_what_it_said_before_a_resume(tmp_path, npz, monkeypatch, capsys):
    from gansmith.health.coach import Finding

    sick = Finding("collapse", 8, "mode collapse: all alike", "Take r3gan.")
    monkeypatch.setattr(outputs.coach, "diagnose", lambda records: [sick] if len(records) == 2 else [])
    run_of(tmp_path / "run", npz, steps=3)
    run_of(tmp_path / "run", npz, steps=6, resume=True)
    report = (tmp_path / "run" / "report.md").read_text()
    assert "mode collapse: all alike" in report
    assert "Nothing was wrong" not in report
    assert Run.open(tmp_path / "run").facts["coach"] == ["only 48 pictures", "mode collapse: all alike"]
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "8"]) == 0
    assert "The coach: mode collapse: all alike" in capsys.readouterr().err


def test_the_studio_says_what_the_report_says(tmp_path, npz):
    from gansmith.studio.logs import Logs

    root = tmp_path / "run"
    run_of(root, npz)
    run = Run.open(root)
    run.facts["coach"] = ["mode collapse: all alike"]
    run.write_config()
    assert Logs().summary(root, "run", None)["health"] == "mode collapse: all alike"
    run.facts["coach"] = []
    run.write_config()
    assert Logs().summary(root, "run", None)["health"] == "healthy"
