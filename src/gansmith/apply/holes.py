"""Where the holes of a large picture lie, and how deep they are."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import max_pool2d

REACH = 64
"""The network fills a hole at full size up to this many pixels from its edge; the rest is filled on a smaller picture first."""
_CELL = 8


def around(mask: np.ndarray, margin: int, align: int, least: int = 0) -> tuple[slice, slice]:
    """The part of a picture that the holes lie in, and what a tile would see around them.

    Args:
        margin: pixels around the holes.
        align: the part starts at multiples of this.
        least: its sides are no shorter, where the picture's are not.
    """
    part = []
    for axis in (1, 0):
        lost, length = np.flatnonzero(mask.any(axis)), mask.shape[1 - axis]
        first, last = (lost[0], lost[-1]) if len(lost) else (0, 0)
        start, stop = max(0, first - margin), min(length, last + 1 + margin)
        start = max(0, min(start, (start + stop - least) // 2))
        stop = min(length, max(stop, start + least))
        part.append(slice(max(0, min(start, stop - least)) // align * align, stop))
    return part[0], part[1]


def depth(mask: np.ndarray, reach: int = 0) -> np.ndarray:
    """Where a hole is farther than ``reach`` (0 takes ``REACH``) from what is known, by cells of a few pixels: bool [H, W]."""
    height, width = mask.shape
    lost = np.pad(mask, ((0, -height % _CELL), (0, -width % _CELL)), constant_values=True)
    known = ~lost.reshape(lost.shape[0] // _CELL, _CELL, lost.shape[1] // _CELL, _CELL).all((1, 3))
    cells = max(1, (reach or REACH) // _CELL)
    near = max_pool2d(torch.from_numpy(known)[None, None].float(), 2 * cells + 1, 1, cells)[0, 0].numpy() > 0
    return ~np.repeat(np.repeat(near, _CELL, 0), _CELL, 1)[:height, :width]


def halved(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half as large: means of what is known of every 2x2 pixels, and where nothing is."""
    more = (0, mask.shape[0] % 2), (0, mask.shape[1] % 2)
    pixels, mask = np.pad(pixels, (*more, (0, 0)), mode="edge"), np.pad(mask, more, mode="edge")
    total = np.zeros((mask.shape[0] // 2, mask.shape[1] // 2, pixels.shape[2]), np.uint32)
    count = np.zeros(total.shape[:2], np.uint16)
    for top in (0, 1):
        for left in (0, 1):
            known = ~mask[top::2, left::2]
            total += pixels[top::2, left::2] * known[..., None]
            count += known
    return (total // np.maximum(count, 1)[..., None]).astype(pixels.dtype), count == 0
