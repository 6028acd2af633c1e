"""What a mask picture means: black and white, opaque and transparent, and what else people give."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image
from scipy.ndimage import minimum_filter

from gansmith.data.decode import read_unconverted
from gansmith.errors import GansmithError

_DARK, _LIGHT = 25, 230
"""Values up to the first count as black and those from the second on as white, of 255."""
_MOST_BETWEEN, _MOST_DEEP = 0.25, 0.05
"""Largest shares of pixels that are neither black nor white, and of those of them that are far from both."""
_SOFT_EDGE = 3
"""Pixels: so near to black or white lie the greys of smooth edges and of JPEG."""
_COLOURED = 40
"""Channels that differ by more make a colour."""
HOW = "A mask is a picture of the same size, black where to keep and white where to fill."


@dataclass(frozen=True)
class Hole:
    """What to fill: bool [H, W], True there; and what a person should know about it, or ''."""

    mask: np.ndarray
    note: str = ""


def read_mask(file: BinaryIO, name: str, above: int | None = None, invert: bool = False) -> Hole:
    """What a mask picture says: white means to fill; where it has transparency, what is opaque means to fill.

    Args:
        name: what to call it in messages.
        above, invert: as for :class:`Masks`.

    Raises:
        Broken: it cannot be decoded.
        GansmithError: it is not black and white (or opaque and transparent), or of one colour; says what was found.
    """
    image = read_unconverted(file)
    transparent = "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    pixels = image.convert("RGBA") if transparent else image
    alpha = np.asarray(pixels.getchannel("A")) if transparent else None
    note = ""
    if alpha is not None and alpha.min() != alpha.max():
        mask = alpha > (127 if above is None else above)
        if above is None:
            note = _check_alpha(np.asarray(pixels)[..., :3], alpha, name)
    elif alpha is not None and alpha.max() == 0:
        raise GansmithError(f"the mask {name} is transparent everywhere, so nothing is drawn on it. {HOW}")
    else:
        values, full = _values(pixels.convert("RGB") if transparent else image)
        if above is None:
            _check_values(values, full, image, name, invert)
            mask = _grey(values) * (255 / full) > 127
        else:
            mask = values.max(2) * (255 / full) > above
    mask = ~mask if invert else mask
    if not mask.any():
        other = "white" if invert else "black"
        raise GansmithError(f"the mask {name} is {other} everywhere, so nothing is to be filled. {HOW}")
    return Hole(mask, note and f"{note} ({mask.mean():.0%} of the picture)")


def _values(image: Image.Image) -> tuple[np.ndarray, float]:
    """A picture without transparency as numbers [H, W, 1 or 3], and what full brightness is among them."""
    if image.mode == "1":
        return np.asarray(image)[..., None].astype(np.float32), 1
    if image.mode.startswith("I"):
        return np.asarray(image)[..., None].astype(np.float32), 65535
    if image.mode == "F":
        values = np.asarray(image)[..., None]
        return values, 1 if values.size == 0 or values.max() <= 1 else 255
    array = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return array[..., None] if array.ndim == 2 else array, 255


def _grey(values: np.ndarray) -> np.ndarray:
    return values[..., 0] if values.shape[2] == 1 else values @ np.array([0.299, 0.587, 0.114], np.float32)


def _check_values(values: np.ndarray, full: float, image: Image.Image, name: str, invert: bool) -> None:
    """Raise a GansmithError unless these are black and white."""
    brightest = float(values.max())
    anything = "--mask-above 0 fills all that is not black."
    if brightest == 0:
        if invert:
            raise GansmithError(f"the mask {name} is black everywhere, and --mask-invert would fill all of the picture")
        raise GansmithError(f"the mask {name} is black everywhere; white is what gets filled")
    if brightest * 255 / full <= _DARK:
        kinds = len(np.unique(values[..., 0]))
        raise GansmithError(
            f"the mask {name} has the values 0 to {brightest:g} of {full:g} ({kinds} different), which are all black. {HOW} "
            f"{anything} Or write it again with its values times {full / brightest:.0f}."
        )
    spread = values.max(2) - values.min(2)
    lit = values.max(2) * (255 / full) > _DARK
    if values.shape[2] == 3 and (spread > _COLOURED).sum() > max(0.005 * lit.sum(), 0):
        kind = (
            f"a picture with a palette of {len(image.getcolors(256) or [])} colours"
            if image.mode == "P"
            else "coloured"
        )
        raise GansmithError(
            f"the mask {name} is {kind}, not black and white: {_commonest(values)}. {HOW} {anything} Or choose the part to fill "
            "in a picture editor and save it as black and white."
        )
    _check_two_valued(_grey(values) * (255 / full), name, "black", "white")


def _check_two_valued(grey: np.ndarray, name: str, low: str, high: str) -> None:
    """Raise a GansmithError where much lies between both ends of 0 to 255, other than at edges."""
    between = (grey > _DARK) & (grey < _LIGHT)
    deep = minimum_filter(between.astype(np.uint8), 2 * _SOFT_EDGE + 1)
    if between.mean() > _MOST_BETWEEN or deep.mean() > _MOST_DEEP:
        raise GansmithError(
            f"the mask {name} looks like a photograph or a soft mask: {between.mean():.0%} of its pixels are neither {low} nor "
            f"{high}. {HOW} --mask-above 127 takes it as it is and fills what is nearer to {high}."
        )


def _check_alpha(colours: np.ndarray, alpha: np.ndarray, name: str) -> str:
    """Raise a GansmithError where transparency does not say what to fill; returns what a person should know, or ''."""
    _check_two_valued(alpha, name, "transparent", "opaque")
    grey = _grey(colours[alpha > 127][:, None])
    dark, light = (grey <= _DARK).mean(), (grey >= _LIGHT).mean()
    if dark > 0.01 and light > 0.01 and dark + light > 0.9:
        raise GansmithError(
            f"the mask {name} is black, white and transparent, so it has two meanings. Flatten it (save it without "
            f"transparency). {HOW}"
        )
    if grey.std() < 8:
        return ""
    return f"what is opaque in the mask {name} was filled; --mask-invert fills what is transparent instead"


def _commonest(values: np.ndarray) -> str:
    """The commonest colours with their shares, most first."""
    flat = values.reshape(-1, 3).astype(np.uint32)
    codes, counts = np.unique(flat @ np.array([65536, 256, 1], np.uint32), return_counts=True)
    found = Counter(dict(zip(codes.tolist(), counts.tolist(), strict=True))).most_common(3)
    return ", ".join(f"{count / len(flat):.0%} of it is #{code:06x}" for code, count in found)
