"""Runs followed by trackers: what arrives there, and that training never stops for them."""

from __future__ import annotations

import json
import sqlite3
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import gansmith
from gansmith.files.run import Run
from gansmith.game import Clock
from gansmith.training.state import State
from gansmith.training.trackers import Tracker

TINY = {"data": "mnist10k", "steps": 4, "batch": 8, "width": 8, "snapshots": 2, "log_images": 8}


def test_trackio_gets_the_numbers_and_the_grids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path / "trackio", raising=False)
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path / "trackio", raising=False)
    run = tmp_path / "run"
    gansmith.train("gan", out=run, track="trackio", **TINY)
    (database,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = [
            (step, json.loads(content)) for step, content in connection.execute("SELECT step, metrics FROM metrics")
        ]
    losses = {step: content["loss/generator"] for step, content in rows if "loss/generator" in content}
    logged = {record["images"]: record["loss/generator"] for record in Run.open(run).records()}
    assert losses == logged
    assert any("samples" in content for _, content in rows)


def test_wandb_keeps_a_run_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tmp_path / "run"
    gansmith.train("gan", out=run, track="wandb", **TINY)
    (kept,) = run.glob("wandb/offline-run-*")
    assert kept.name.endswith(f"run-{Run.open(run).facts['tracked_as']}")
    assert next(iter(kept.glob("run-*.wandb"))).stat().st_size > 1000
    assert list(kept.glob("files/media/images/samples_*.png"))


class Fake(types.ModuleType):
    """A tracker that remembers, or fails, as it is told."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.__spec__ = types.SimpleNamespace(name="wandb")  # type: ignore[assignment]
        self.asked: list[dict] = []
        self.logged: list[tuple[dict, int]] = []
        self.refuses = self.breaks = False

    def init(self, **asked):
        self.asked.append(asked)
        if self.refuses:
            raise RuntimeError("no API key\nconfigured")
        return self

    def log(self, values, step):
        if self.breaks:
            raise ConnectionError("gone")
        self.logged.append((values, step))

    def finish(self):
        self.logged.append(({}, -1))

    def Image(self, array):
        return array


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    module = Fake()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_a_resumed_run_is_the_same_run_there(fake: Fake, tmp_path: Path):
    run = tmp_path / "run"
    gansmith.train("gan", out=run, track="wandb", **TINY)
    gansmith.train("gan", out=run, resume=True, track="wandb", **TINY | {"steps": 6})
    assert [asked["resume"] for asked in fake.asked] == ["allow", "allow"]
    assert fake.asked[0]["id"] == fake.asked[1]["id"]
    assert fake.asked[0]["config"]["width"] == 8
    steps = [step for values, step in fake.logged if "loss/generator" in values]
    assert steps == [8, 16, 24, 32, 40, 48]


def test_a_tracker_that_will_not_start_is_said(fake: Fake, tmp_path: Path):
    fake.refuses = True
    with pytest.raises(
        gansmith.GansmithError, match=r"wandb could not start: no API key configured.*WANDB_MODE=offline"
    ):
        gansmith.train("gan", out=tmp_path / "run", track="wandb", **TINY)
    gansmith.train("gan", out=tmp_path / "run", resume=True, **TINY)  # as the message says


def test_a_tracker_that_breaks_is_left_alone(fake: Fake, tmp_path: Path):
    fake.breaks, said = True, []
    run = Run(tmp_path, "gan", {}, {}, {})
    tracker = Tracker("wandb", run, said.append)
    tracker.show({"images": 8, "loss": 1.0})
    tracker.grid(np.zeros((4, 4), np.uint8), State(0, Clock(8, 1)))
    tracker.close()
    assert len(said) == 1
    assert "gone" in said[0]
    assert fake.logged == []


def test_a_missing_package_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(gansmith.GansmithError, match=r"pip install 'gansmith\[track\]'"):
        gansmith.train("gan", out=tmp_path / "run", track="wandb", **TINY)
    assert not (tmp_path / "run").exists()
