"""Labelled pictures of three shapes in noise, which a small classifier tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gansmith.data import MemoryPictures

NAMES = ("disc", "box", "kite")


def shapes(count: int, seed: int, size: int = 12, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A disc, a box or a kite somewhere in noise: uint8 [N, H, W, C] and labels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    labels = np.arange(count) % 3
    made = []
    for label in labels:
        dx, dy = np.abs(x - random.uniform(0.35, 0.65)), np.abs(y - random.uniform(0.35, 0.65))
        inside = (dx**2 + dy**2 < 0.05, np.maximum(dx, dy) < 0.3, dx + dy < 0.15)[label]
        made.append(np.where(inside, 190, 60)[..., None] + random.normal(0, 35, (size, size, channels)))
    return np.stack(made).clip(0, 255).astype(np.uint8), labels


def write_npz(path: Path, x: np.ndarray, y: np.ndarray) -> Path:
    np.savez(path, x=x, y=y, class_names=np.array(NAMES))
    return path


def memory(x: np.ndarray, y: np.ndarray) -> MemoryPictures:
    return MemoryPictures.from_arrays(x, y, name="shapes", class_names=NAMES)
