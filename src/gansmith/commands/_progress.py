"""How far a measurement is: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import Any

from gansmith.commands._parse import say


class Progress:
    """What is being done and how long it will take: bars on a terminal, a line every few seconds elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, float] = {}
        self._printed = time.monotonic()

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._bars.disable:
            self._print(what, done, total)
            return
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)

    def _print(self, what: str, done: int, total: int) -> None:
        from gansmith.files.text import clock_text

        now = time.monotonic()
        began = self._began.setdefault(what, now)
        if now - self._printed > 5:
            self._printed = now
            left = clock_text((now - began) * (total - done) / max(done, 1))
            count = f": {done:,} of {total:,}, {left} left" if total > 1 else ""
            say(f"{what}{count}")
