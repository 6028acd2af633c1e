"""What ``gansmith apply`` does with films and animations: the same as with pictures, frame after frame."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from gansmith.apply.animations import apply_to_animation, is_animation
from gansmith.apply.files import Item, Report, hole_for
from gansmith.apply.films import Work, apply_to_film
from gansmith.apply.options import Options
from gansmith.apply.picture import resized, translate_image
from gansmith.data.decode import Broken, open_file
from gansmith.errors import GansmithError, shown
from gansmith.translation import Translation


def animations_among(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Animated pictures, and the others."""
    moving, still = [], []
    for item in items:
        (
            moving if item.relative.suffix.lower() in (".gif", ".webp", ".png", ".apng") and _animated(item) else still
        ).append(item)
    return moving, still


def _animated(item: Item) -> bool:
    try:
        with open_file(item.open) as file:
            return is_animation(file)
    except (Broken, OSError, RuntimeError):
        return False


def apply_to_moving(
    game: Translation,
    films: Sequence[Path],
    animated: Sequence[Item],
    out: Path,
    options: Options,
    steady: bool,
    report: Report,
) -> None:
    """Translate films and animations; what became of them is added to the report."""
    entries = [Item(str(path), PurePosixPath(path.name), lambda path=path: path.open("rb")) for path in films]
    taken: set[Path] = set()
    for item in [*entries, *animated]:
        shown = _Shown(item.name)
        try:
            work = _work(game, item, options, steady)
            target = out / item.relative
            if target in taken:
                raise GansmithError("its result would have the same name as another's")
            taken.add(target)
            if item in animated:
                with open_file(item.open) as file:
                    apply_to_animation(work, file, target, progress=shown)
                report.written.append(target)
            else:
                notes: list[str] = []
                report.written.append(apply_to_film(work, Path(item.name), out, progress=shown, say=notes.append))
                report.notes += [(item.name, note) for note in notes]
            if options.compare:
                report.notes.append((item.name, "strips of before and after are made of pictures only"))
        except (Broken, GansmithError, OSError, MemoryError, RuntimeError) as error:
            report.failed.append((item.name, " ".join(str(error).split()) or type(error).__name__))
        finally:
            shown.close()


def _work(game: Translation, item: Item, options: Options, steady: bool) -> Work:
    def translate(frame: Image.Image, mask: np.ndarray | None) -> Image.Image:
        return resized(translate_image(game, frame, options, mask), frame, options)

    def mask_of(size: tuple[int, int]) -> np.ndarray | None:
        hole = hole_for(game, item, size, options.masks)
        return None if hole is None else hole.mask

    settings = repr((options.direction, str(options.mask), options.boxes, options.mask_above, options.mask_invert,
                     options.before is not None, options.tile or 0, options.scale or 0.0))  # fmt: skip
    return Work(game, translate, mask_of, settings, steady, options.overwrite)


class _Shown:
    """How far a film is, and how long it will take: a bar in a terminal, a line every ten seconds elsewhere."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames"),
            TimeRemainingColumn(),
        )
        self.name, self.live, self.task = (
            name,
            Progress(*columns, console=console) if console.is_terminal else None,
            None,
        )
        self.began: tuple[float, int] | None = None
        self.said = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        if self.live is not None:
            self._bar(self.live, done, of)
            return
        now = time.monotonic()
        self.began = self.began or (now, done)
        if now - self.said > 10 or done == of:
            self.said = now
            since, first = self.began
            from gansmith.files.text import clock_text

            left = clock_text((now - since) / max(1, done - first) * (of - done))
            print(f"{shown(self.name)}: {done:,} of {of:,} frames, {left} left", file=sys.stderr, flush=True)

    def _bar(self, live: Any, done: int, of: int) -> None:
        if self.task is None:
            live.start()
            self.task = live.add_task(self.name, total=of)
        live.update(self.task, completed=done, total=of)

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()
