"""An axis of a picture as overlapping tiles that blend into one another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gansmith.errors import GansmithError


@dataclass(frozen=True)
class Span:
    """A tile's extent along one axis of the input, and its share of every pixel there (the shares of all tiles are 1)."""

    start: int
    stop: int
    share: Tensor


def spans(length: int, tile: int, overlap: int, align: int, scale: int = 1) -> list[Span]:
    """Cut an axis into overlapping tiles.

    Args:
        length: pixels of the axis.
        tile: pixels of a tile; the last may be a little longer.
        overlap: pixels that neighbours share.
        align: tiles start at multiples of this.
        scale: output pixels per input pixel; shares are [(stop - start) * scale].
    """
    tile, overlap = max(align, tile // align * align), -(-overlap // align) * align
    if length <= tile:
        return [Span(0, length, torch.ones(length * scale))]
    step = tile - overlap
    if step < align:
        raise GansmithError(f"Tiles of {tile} px are too small for an overlap of {overlap} px. Use larger tiles.")
    last = (length - tile) // align * align
    starts = [*range(0, last, step), last]
    ends = [start + tile for start in starts[:-1]] + [length]
    total = torch.zeros(length * scale)
    raw = []
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        position = (torch.arange((end - start) * scale) + 0.5) / scale
        margin = overlap / 4
        weight = torch.ones_like(position)
        if i > 0:
            weight = torch.minimum(weight, (position - margin) / max(overlap - 2 * margin, 1e-6))
        if i < len(starts) - 1:
            weight = torch.minimum(weight, ((end - start) - position - margin) / max(overlap - 2 * margin, 1e-6))
        weight = weight.clamp(0, 1)
        total[start * scale : end * scale] += weight
        raw.append((start, end, weight))
    return [Span(start, end, weight / total[start * scale : end * scale].clamp(min=1e-6)) for start, end, weight in raw]
