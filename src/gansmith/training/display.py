"""What a person sees while training: a live panel in a terminal, plain lines elsewhere. And TensorBoard."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gansmith.errors import shown
from gansmith.files.text import clock_text
from gansmith.training.state import State

PLAIN, LIVE = 5.0, 2.0
"""Seconds between two lines of a log, and between two rates on a terminal."""


class Display:
    """Shows progress: in a terminal one live line, otherwise a line every few seconds.

    Args:
        quiet: show nothing but warnings.
    """

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console

        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.health = "healthy"
        self._live: Any = None
        self._task: Any = None
        self._first = True
        self._rate = 0.0
        self._shown = 0, time.monotonic()

    def begin(self, images: int) -> None:
        """Training begins now, at so many images seen."""
        self._shown = images, time.monotonic()

    def __enter__(self) -> Display:
        if self.console.is_terminal and not self.quiet:
            from rich.progress import BarColumn, Progress, TextColumn

            self._live = Progress(
                TextColumn("[bold]{task.percentage:>3.0f}%"),
                BarColumn(20),
                TextColumn("{task.description}"),
                console=self.console,
            )
            self._live.start()
            self._task = self._live.add_task("starting", total=1.0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, message: str) -> None:
        """A message for the person."""
        if not self.quiet:
            self.console.print(shown(message), markup=False)

    def warn(self, message: str) -> None:
        """A warning, shown even when quiet."""
        self.console.print(f"warning: {shown(message)}", style="yellow", markup=False)

    def show(self, record: dict[str, Any]) -> None:
        """Show a log record."""
        if self.quiet:
            return
        progress = record["progress"]
        left = record["seconds"] * (1 - progress) / progress if progress else 0.0
        losses = "  ".join(
            f"{name.removeprefix('loss/')} {record[name]:.3f}" for name in record if name.startswith("loss/")
        )
        memory = f"{record['memory_mb'] / 1024:.1f} GB  " if "memory_mb" in record else ""
        images, now = record["images"], time.monotonic()
        due = now - self._shown[1] > (LIVE if self._live is not None else PLAIN)
        if due or self._rate == 0:  # over the time between two lines, for single records are too short
            self._rate = (images - self._shown[0]) / max(now - self._shown[1], 1e-9)
            self._shown = (images, now) if due else self._shown
        line = f"{images:,} images  {self._rate:.0f}/s  {clock_text(left)} left  {losses}  {memory}{self.health}"
        if self._live is not None:
            self._live.update(self._task, completed=progress, description=line)
        elif due or self._first or progress >= 1:
            self._first = False
            print(f"{100 * progress:3.0f}%  {line}", file=sys.stderr, flush=True)


class TensorBoard:
    """Writes ``tb/``: every number of the log, and the sample grids.

    TensorBoard's own writer leaves the disk to a thread, whose errors cannot be caught; this one writes each record at once. Where
    that fails, the person is told once, and training goes on without these files.

    Args:
        folder: where the events go.
        warn: told once when they cannot be written.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self.folder, self.warn = folder, warn
        self._file: BinaryIO | None = None
        self._try(self._open)

    def show(self, record: dict[str, Any]) -> None:
        """Add a log record; images seen is the x axis."""
        from torch.utils.tensorboard.summary import scalar

        numbers = {n: v for n, v in record.items() if n not in ("images", "step", "progress", "seconds")}
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self._try(lambda n=name, v=value: self._write(summary=scalar(n, v), step=record["images"]))

    def grid(self, array: np.ndarray, state: State) -> None:
        """Add a sample grid, uint8 [H, W] or [H, W, C]."""
        from torch.utils.tensorboard.summary import image

        kind = "HW" if array.ndim == 2 else "HWC"
        self._try(lambda: self._write(summary=image("samples", array, dataformats=kind), step=state.clock.images))

    def close(self) -> None:
        """Close the file."""
        self._try(lambda: self._file.close() if self._file is not None else None)
        self._file = None

    def _open(self) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._file = (self.folder / name).open("wb")
        self._writer = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")

    def _write(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

        self._writer.write(Event(wall_time=time.time(), **content).SerializeToString())
        self._writer.flush()

    def _try(self, write: Callable[[], Any]) -> None:
        if self._file is None and write != self._open:
            return
        try:
            write()
        except OSError as error:
            with contextlib.suppress(OSError):  # what is buffered cannot be written either
                self._file.close() if self._file is not None else None
            self._file = None
            self.warn(
                f"TensorBoard's files in {self.folder} cannot be written ({error.strerror or error}). Training goes on without them."
            )
