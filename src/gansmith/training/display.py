"""What a person sees while training: a live panel in a terminal, plain lines elsewhere. And TensorBoard."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from gansmith.errors import shown
from gansmith.files.text import clock_text
from gansmith.training.engine import State


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
        self._printed = 0.0

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
        line = f"{record['images']:,} images  {record['images_per_second']:.0f}/s  {clock_text(left)} left  {losses}  {memory}{self.health}"
        if self._live is not None:
            self._live.update(self._task, completed=progress, description=line)
        elif time.monotonic() - self._printed > 5 or progress >= 1:
            self._printed = time.monotonic()
            print(f"{100 * progress:3.0f}%  {line}", file=sys.stderr, flush=True)


class TensorBoard:
    """Writes ``tb/``: every number of the log, and the sample grids."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self.writer = SummaryWriter(str(folder), flush_secs=30)

    def show(self, record: dict[str, Any]) -> None:
        """Add a log record; images seen is the x axis."""
        for name, value in record.items():
            if name not in ("images", "step", "progress", "seconds") and isinstance(value, (int, float)):
                self.writer.add_scalar(name, value, record["images"])

    def grid(self, array: np.ndarray, state: State) -> None:
        """Add a sample grid, uint8 [H, W] or [H, W, C]."""
        self.writer.add_image("samples", array, state.clock.images, dataformats="HW" if array.ndim == 2 else "HWC")

    def close(self) -> None:
        self.writer.close()
