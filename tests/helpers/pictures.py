"""Small pictures that tests train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def picture(index: int, size: int, channels: int) -> np.ndarray:
    """A disc whose place, size and colour depend on ``index``; uint8 [H, W, C]."""
    y, x = np.mgrid[:size, :size] / size
    centre = 0.3 + 0.4 * np.array([np.sin(index), np.cos(2.3 * index)]) ** 2
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (0.1 + 0.03 * (index % 5)) ** 2
    colour = 100 + 155 * np.abs(np.sin(index + np.arange(channels)))
    return np.where(inside[..., None], colour, 20.0).astype(np.uint8)


def pictures(count: int, size: int = 32, channels: int = 3) -> np.ndarray:
    """uint8 [N, H, W, C]"""
    return np.stack([picture(i, size, channels) for i in range(count)])


def write_folder(
    folder: Path, count: int, size: int = 32, channels: int = 3, first: int = 0, suffix: str = "png"
) -> Path:
    """Write pictures 000.png, 001.png, ..."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        array = picture(first + i, size, channels)
        Image.fromarray(array[..., 0] if channels == 1 else array).save(folder / f"{i:03d}.{suffix}")
    return folder
