"""What a person sees while a run is played: rates that mean something."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from gansmith.game import Clock
from gansmith.training import display, hooks
from gansmith.training.state import State


@pytest.fixture
def watch(monkeypatch):
    """A watch that a test moves."""
    now = SimpleNamespace(time=100.0)
    fake = SimpleNamespace(monotonic=lambda: now.time)
    monkeypatch.setattr(display, "time", fake)
    monkeypatch.setattr(hooks, "time", fake)
    return now


def record(images: int, seconds: float, total: int = 60_000) -> dict:
    # single records: steps of very different length, as checks and saves fall between them
    return {"images": images, "progress": images / total, "seconds": seconds, "images_per_second": images % 7 * 500.0}


def test_the_plain_log_shows_the_rate_between_two_lines(watch, capsys):
    shown = display.Display()
    watch.time += 60  # data are read, networks built
    shown.begin(0)
    for i in range(
        1, 601
    ):  # a steady 1,000 images per second, a record every tenth of one; every 50th waits for a save
        watch.time += 0.1 + (1.0 if i % 50 == 0 else 0.0)
        shown.show(record(100 * i, watch.time - 160))
    lines = capsys.readouterr().err.splitlines()
    rates = [int(re.search(r" (\d+)/s", line)[1]) for line in lines]  # type: ignore[index]
    assert 10 <= len(lines) <= 14
    assert rates[0] == 1000
    assert all(780 <= rate <= 1000 for rate in rates), rates
    assert lines[-1].startswith("100%")


def test_a_resumed_run_counts_from_where_it_begins(watch, capsys):
    shown = display.Display()
    shown.begin(50_000)
    watch.time += 1
    shown.show(record(50_500, 100))
    assert " 500/s" in capsys.readouterr().err


def test_a_records_rate_covers_all_the_time_since_the_one_before(watch):
    written: list[dict] = []

    def write(record: dict) -> None:
        watch.time += 0.5  # writing takes time too
        written.append(record)

    log = hooks.Log(write, lambda state: True)
    state = State(0, Clock(0, 0, 0.0))
    log.begin(state)
    import torch

    for step in range(1, 5):
        watch.time += 0.5
        state.clock = Clock(100 * step, step, step / 10)
        log(None, state, {"loss": torch.ones(())})  # type: ignore[arg-type]
    assert [r["images_per_second"] for r in written] == [200.0, 100.0, 100.0, 100.0]
