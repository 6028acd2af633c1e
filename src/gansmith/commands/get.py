"""Fetch a well-known public model; its name then stands wherever a model is expected."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from gansmith.commands._parse import parse, say
from gansmith.errors import GansmithError, shown


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith get``."""

    names: tyro.conf.Positional[tuple[str, ...]]
    """Names of the catalogue; gansmith models lists them."""
    yes: bool = False
    """Accept licences that forbid commercial use, without being asked."""
    offline: bool = False
    """Ask no network: take what an installed package or --file brings, or fail."""
    file: Path | None = None
    """The model's file, where you have it already; its checksum is compared."""


def main(argv: list[str]) -> int:
    """Run ``gansmith get``."""
    options = parse(Options, argv, "get", __doc__ or "")
    from gansmith.models.catalogue.entries import require
    from gansmith.models.catalogue.store import get, is_here

    if not options.names:
        raise GansmithError("Name a model. gansmith models lists them.")
    if options.file is not None and len(options.names) > 1:
        raise GansmithError("--file is one model's file: name one model.")
    chosen = [require(name) for name in options.names]
    for entry in chosen:
        if not is_here(entry):
            accept(entry, options.yes)
    for entry in chosen:
        with Bar(entry.name) as bar:
            folder = get(entry, offline=options.offline, file=options.file, progress=bar, say=bar.say)
        use = {"sample": f"gansmith sample {entry.name} --n 16 --out grid.png"}
        print(shown(folder))
        say(f"use it: {use.get(entry.task, f'gansmith apply {entry.name} picture.jpg --out fixed')}")
    return 0


def accept(entry: Any, yes: bool) -> None:
    """Say what a licence allows before anything is downloaded; one that forbids commercial use must be accepted.

    Raises:
        GansmithError: it was not.
    """
    size = f", {entry.bytes / 1e6:.1f} MB" if entry.bytes else ""
    say(f"{entry.name}: {entry.about}{size}")
    say(f"licence: {entry.licence.title}: {entry.licence.allows} ({entry.source})")
    if entry.licence.commercial or yes:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write("Do you accept this licence? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise GansmithError(
        f"The licence of {entry.name} was not accepted, so nothing was downloaded. Read it ({entry.source}) and add --yes to accept it."
    )


class Bar:
    """How much of a download is here: a bar in a terminal, a line every few seconds elsewhere."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self.name, self.said = name, time.monotonic()
        self.live = Progress(*columns, console=console) if console.is_terminal else None
        self.task: Any = None

    def __enter__(self) -> Bar:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def say(self, text: str) -> None:
        say(text)

    def __call__(self, done: int, total: int) -> None:
        if self.live is not None:
            if self.task is None:
                self.task = self.live.add_task(self.name, total=total or None)
            self.live.update(self.task, completed=done, total=total or None)
        elif time.monotonic() - self.said > 5:
            self.said = time.monotonic()
            of = f" of {total / 1e6:.1f} MB, {done / max(total, 1):.0%}" if total else " MB"
            print(f"{shown(self.name)}: {done / 1e6:.1f}{of}", file=sys.stderr, flush=True)
