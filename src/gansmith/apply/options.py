"""How pictures are to be translated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gansmith.apply.masks import Masks
from gansmith.data.depth import Range


@dataclass(frozen=True)
class Options:
    """How to translate.

    Attributes:
        direction: of the model's directions.
        mask: a mask picture for all (white where to fill), or a folder with one for each picture (:class:`Masks`).
        boxes: rectangles (x, y, width, height) to fill, in pixels of the upright picture.
        overwrite: replace results that are already there.
        compare: also write before/after strips, to ``compare/``.
        tile: pixels of a tile's side; None takes what suits the model.
        before: applied to the uint8 [H, W, C] pixels first.
        trained: black and white of the pictures that the model was trained on, where they had more than 8 bits.
        mask_above: a mask means to fill what is brighter than this, 0 to 255; None wants it black and white.
        mask_invert: fill what the mask keeps and keep what it fills.
        instances: maps of instances for models that draw pictures of label maps: one for all, or a folder with one for each.
        scale: make the result this many times larger than the picture, by Lanczos from what the model makes; None keeps that.
    """

    direction: str = "ab"
    mask: Path | None = None
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    overwrite: bool = False
    compare: bool = False
    tile: int | None = None
    before: Callable[[np.ndarray], np.ndarray] | None = None
    trained: Range | None = None
    mask_above: int | None = None
    mask_invert: bool = False
    scale: float | None = None
    instances: Path | None = None

    @property
    def masks(self) -> Masks:
        """What to fill."""
        return Masks(self.mask, self.boxes, self.mask_above, self.mask_invert)
