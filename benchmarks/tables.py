"""Tables of measured rows: results/NAME.json beside this file, which ``docs/build.py`` turns into tables of pages."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from gansmith import cli
from gansmith.training import engine

RESULTS = Path(__file__).parent / "results"


class Table:
    """Rows under a key, kept from one run of a benchmark to the next, and between processes that add rows side by side.

    Args:
        name: of the file.
        columns: those that tell rows apart.
        order: keys in the order of the page; a key is the tuple of a row's values in ``columns``.
    """

    def __init__(self, name: str, columns: Sequence[str], order: Sequence[tuple[str, ...]]) -> None:
        self.path = RESULTS / f"{name}.json"
        self.columns, self.order = tuple(columns), list(order)

    def rows(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """The rows measured so far."""
        rows = json.loads(self.path.read_text(encoding="utf-8"))["rows"] if self.path.exists() else []
        return {tuple(row[column] for column in self.columns): row for row in rows}

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, in place of the one with its key."""
        rows = self.rows() | {tuple(row[column] for column in self.columns): row}
        self.path.parent.mkdir(exist_ok=True)
        content = {"rows": [rows[key] for key in self.order if key in rows]}
        self.path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def count_processor_time() -> None:
    """Let the minutes of runs be those of processor time, shared evenly by torch's threads: fair on a busy machine."""
    threads = torch.get_num_threads()
    engine.time = SimpleNamespace(monotonic=lambda: time.process_time() / threads)  # type: ignore[assignment]


def gansmith(*argv: str) -> str:
    """What a command prints to stdout; ends the benchmark where it fails."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = cli.main(list(argv))
    if code:
        raise SystemExit(f"gansmith {' '.join(argv)} ended with code {code}.")
    return printed.getvalue()
