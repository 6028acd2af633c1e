"""What ``make gpu`` plays, on a GPU that is not there: its parts in this process, with tiny settings."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gansmith import cli
from helpers import gpu
from helpers.docs import ROOT


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def task(folder: Path, seconds: float = 100) -> Any:
    return importlib.import_module("gpu").Task(True, time.monotonic() + seconds, folder)


def test_rows_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = importlib.import_module("gpu_table")
    rows = [("gan", "bf16", "off"), ("gan", "tf32", "graphs"), ("dcgan", "fp32", "plain"), ("nobody", "fp32", "off")]
    monkeypatch.setattr(table, "wanted", lambda rehearse: iter(rows))
    with gpu.cuda():
        off, graphs, plain, unknown = table.rows(True, time.monotonic() + 100)
    assert all(row["ms"] > 0 and row["images/s"] > 0 for row in (off, graphs, plain))
    assert off["waits"] == 0
    assert plain["waits"] >= 3  # it reads its losses
    assert "CUDA graphs" in graphs["note"]
    assert "nobody" in unknown["why not"]
    assert [row["why not"] for row in table.rows(True, time.monotonic() - 1)] == ["no time left"] * 4


def test_every_family_and_plain_loop_has_its_rows() -> None:
    from gansmith import registry

    wanted = list(importlib.import_module("gpu_table").wanted(False))
    assert {(name, precision) for name, precision, way in wanted if way == "off"} == {
        (name, precision) for name in registry.families() for precision in ("fp32", "tf32", "bf16", "fp16")
    }
    assert {name for name, _, way in wanted if way == "plain"} == {"dcgan", "wgan-gp", "stylegan2", "cyclegan"}
    assert {way for _, _, way in wanted} == {"off", "auto", "graphs", "plain"}


@pytest.mark.parametrize("part", ["r3gan", "stylegan2"])
def test_trainings_end_with_scores(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(self: Any, *argv: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert cli.main(list(argv)) == 0
        return printed.getvalue()

    module = importlib.import_module("gpu")
    monkeypatch.setattr(module.Task, "call", call)
    with module.there():
        (row,) = module.PARTS[part][0](task(tmp_path))
    assert row["images"] == 24
    assert any("mnist-cnn" in name for name in row), row


def test_a_run_is_killed_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part's own steps, with a process that only writes what a run writes."""
    module = importlib.import_module("gpu")
    run = tmp_path / "killed"
    script = f"""
import pathlib, time
run = pathlib.Path({str(run)!r})
(run / "checkpoint" / "1").mkdir(parents=True)
(run / "log.jsonl").write_text('{{"step": 5}}\\n{{"st')
(run / "checkpoint" / "1" / "state.json").write_text("")
time.sleep(60)
"""
    monkeypatch.setattr(module.Task, "command", lambda self, *argv: [sys.executable, "-c", script])
    monkeypatch.setattr(module.Task, "call", lambda self, *argv: (run / "log.jsonl").write_text('{"step": 17}\n'))
    start = time.monotonic()
    assert list(module.resume(task(tmp_path))) == [{"killed after step": 5, "went on to step": 17}]
    assert time.monotonic() - start < 50


def test_a_part_that_fails_or_takes_too_long_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("gpu")
    original = module.subprocess.Popen

    def instead(code: str) -> None:
        monkeypatch.setattr(
            module.subprocess, "Popen", lambda command, **more: original([sys.executable, "-c", code], **more)
        )

    (tmp_path / "table.jsonl").write_text('{"family": "gan"}\n', encoding="utf-8")
    instead("raise RuntimeError('no kernel image')")
    failed = module.play("table", True, 20, tmp_path)
    assert failed["why not"] == "RuntimeError: no kernel image"
    assert failed["rows"] == [{"family": "gan"}]
    instead("import time; time.sleep(60)")
    assert "longer than its -4 seconds" in module.play("table", True, -4, tmp_path)["why not"]


def test_without_a_gpu_nothing_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    if gpu.REAL:
        pytest.skip("a real GPU is here")
    assert importlib.import_module("gpu").main([]) == 2
    assert "--rehearse" in capsys.readouterr().err


def test_pages_show_what_was_found_on_a_real_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    build = importlib.import_module("build")
    file = tmp_path / "gpu.json"
    assert build.gpu_tables(file) == "*Not run yet.*\n"
    parts = [
        {"part": "table", "seconds": 3, "rows": [{"family": "gan", "ms": 2.5}]},
        {"part": "tests", "seconds": 1, "rows": [], "why not": "no driver"},
    ]
    file.write_text(json.dumps({"rehearsed": True, "parts": parts}), encoding="utf-8")
    assert build.gpu_tables(file) == "*Not run yet.*\n"
    file.write_text(json.dumps({"rehearsed": False, "parts": parts}), encoding="utf-8")
    text = build.gpu_tables(file)
    assert "| gan | 2.5 |" in text
    assert "no driver" in text


def test_the_parts_take_ten_minutes_at_most() -> None:
    assert sum(seconds + 5 for _, seconds in importlib.import_module("gpu").PARTS.values()) <= 600
