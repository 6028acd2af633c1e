"""Animated GIF, WebP and PNG through a translation model: every frame, with its duration, and the number of loops."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageSequence

from gansmith.apply.films import Work
from gansmith.apply.steady import Steady
from gansmith.data.planning import default_memory_limit
from gansmith.errors import GansmithError
from gansmith.files.atomic import write_atomically

KINDS = {"GIF": ".gif", "WEBP": ".webp", "PNG": ".png"}
_USUAL = 100
"""Milliseconds of a frame that says none."""


def is_animation(file: BinaryIO) -> bool:
    """Whether a picture file has several frames that are shown one after another; leaves the file at its beginning."""
    try:
        with Image.open(file) as image:
            return image.format in KINDS and int(getattr(image, "n_frames", 1)) > 1
    except Exception:  # reading it later raises the error with its reason
        return False
    finally:
        file.seek(0)


def apply_to_animation(
    work: Work, file: BinaryIO, target: Path, *, progress: Callable[[int, int], None] = lambda done, of: None
) -> None:
    """Translate every frame of an animation and write one of the same kind, whole or not at all.

    Raises:
        GansmithError: the result exists, would not fit into memory, or cannot be written.
    """
    if target.is_dir() or (os.path.lexists(target) and not work.overwrite):
        raise GansmithError(f"{target} exists; --overwrite replaces it")
    with Image.open(file) as image:
        kind, count, size = image.format or "GIF", int(getattr(image, "n_frames", 1)), image.size
        needed = count * size[0] * size[1] * 4 * (work.game.scale**2 + 1)
        if needed > 2 * default_memory_limit():
            raise GansmithError(
                f"its {count} frames and their results need {needed / 1e9:.1f} GB of memory; make it a film first (.mp4)"
            )
        loop = image.info.get("loop")
        mask, damp = work.mask_of(size), work.damper()
        made, durations = [], []
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            frame.load()  # only then do all kinds know a frame's duration
            durations.append(frame.info.get("duration") or _USUAL)
            made.append(_frame(work, frame, mask, damp))
            progress(number + 1, count)
    write_animation(made, durations, loop, kind, target)


def _frame(work: Work, frame: Image.Image, mask: np.ndarray | None, damp: Steady | None) -> Image.Image:
    clear = frame.mode in ("LA", "RGBA", "PA") or "transparency" in frame.info
    upright = frame.convert("RGBA" if clear else "RGB")
    result = work.translate(upright, mask)
    if damp is None:
        return result
    alpha = result.getchannel("A") if result.mode in ("LA", "RGBA") else None
    steady = Image.fromarray(damp(np.asarray(upright.convert("RGB")), np.asarray(result.convert("RGB")), mask))
    if alpha is not None:
        steady.putalpha(alpha)
    return steady


def write_animation(made: list[Image.Image], durations: list[int], loop: Any, kind: str, target: Path) -> None:
    """Write frames as one animation."""
    words: dict[str, Any] = {"save_all": True, "append_images": made[1:], "duration": durations}
    if loop is not None:
        words["loop"] = int(loop)
    if kind == "GIF":
        words |= {"disposal": 2, "optimize": False}
    elif kind == "WEBP":
        words |= {"quality": 90, "method": 2, "exact": True}
    buffer = io.BytesIO()
    try:
        made[0].save(buffer, kind, **words)
    except (ValueError, OSError, KeyError) as error:
        raise GansmithError(f"its result cannot be written as {kind}: {error}") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, buffer.getvalue())
