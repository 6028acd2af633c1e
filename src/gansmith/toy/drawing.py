"""Toy runs as pictures: samples over the data, and the discriminator's landscape, with plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gansmith.files import pictures
from gansmith.toy.points import Frame, Played
from gansmith.toy.worlds import World

SIDE = 384
"""Pixels a side of one panel."""
_LOW, _HIGH = np.array([38.0, 84, 160]), np.array([198.0, 74, 50])
_DATA, _SAMPLE, _INK = (150, 150, 150), (20, 110, 60), (20, 20, 20)


def landscape(logits: np.ndarray) -> np.ndarray:
    """Logits [S, S] as colours [SIDE, SIDE, 3]: blue where D says fake, red where it says real, white in the middle.

    Logits mean nothing by themselves for some losses, so the middle is their median and the range their quartiles'.
    """
    finite = np.nan_to_num(logits.astype(np.float64))
    low, middle, high = np.percentile(finite, [2, 50, 98])
    t = np.tanh(2 * (finite - middle) / max(high - low, 1e-12))[..., None]
    colours = 255 + np.where(t < 0, -t * (_LOW - 255), t * (_HIGH - 255))
    rows = np.arange(SIDE) * len(logits) // SIDE
    return colours[rows][:, rows].astype(np.uint8)


def dots(canvas: np.ndarray, points: np.ndarray, world: World, colour: tuple[int, int, int], size: int = 1) -> None:
    """Put points [N, 2] on a panel, in place."""
    place = (points / (2 * world.extent) + 0.5) * [1, -1] + [0, 1]
    x, y = (np.nan_to_num(place, nan=-1.0).clip(-1, 2) * SIDE).astype(int).T
    for dx in range(size):
        for dy in range(size):
            inside = (x + dx >= 0) & (x + dx < SIDE) & (y + dy >= 0) & (y + dy < SIDE)
            canvas[y[inside] + dy, x[inside] + dx] = colour


def _write(canvas: np.ndarray, text: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.fromarray(canvas)
    ImageDraw.Draw(image).text((6, 4), text, fill=_INK)
    return np.asarray(image)


def frame_picture(frame: Frame, world: World, title: str) -> np.ndarray:
    """A moment: samples over the data on the left, over D's landscape on the right; uint8 [SIDE, 2 SIDE, 3]."""
    left = np.full((SIDE, SIDE, 3), 255, np.uint8)
    dots(left, world.points[:5000].numpy(), world, _DATA)
    dots(left, frame.samples, world, _SAMPLE, 2)
    right = landscape(frame.landscape)
    dots(right, frame.samples, world, _INK)
    found = frame.score
    text = f"{title}   {frame.images:,} points   {found.modes}/{found.of} modes   {found.good:.1%} good"
    return np.concatenate([_write(left, text), right], 1)


def save(runs: Sequence[Played], world: World, family: str, folder: Path) -> tuple[Path, Path]:
    """Write ``WORLD-FAMILY.png`` (the end of every seed) and ``WORLD-FAMILY.mp4`` (the first seed's run)."""
    picture = folder / f"{world.name}-{family}.png"
    rows = [frame_picture(run.frames[-1], world, f"{family}, seed {run.seed}") for run in runs]
    pictures.save(picture, np.concatenate(rows, 0))
    film = folder / f"{world.name}-{family}.mp4"
    frames = [frame_picture(frame, world, f"{family}, seed {runs[0].seed}") for frame in runs[0].frames]
    pictures.save_video(film, [f for f in frames for _ in range(3)] + [frames[-1]] * 45)
    return picture, film
