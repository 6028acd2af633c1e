"""Pictures of more than 8 bits a channel through a translation model, and written to files that keep every bit."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from gansmith.data.depth import (
    FULL,
    Range,
    eight_bits,
    extremes,
    likely_range,
    scaled,
    stretched,
    unstretched,
    with_channels,
)
from gansmith.data.png16 import png16
from gansmith.errors import GansmithError
from gansmith.translation import Translation

KINDS = ("PNG", "TIFF", "JPEG2000", "PPM")
"""Formats, by Pillow's names, that hold 16 bits."""
_TURNED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""EXIF's orientation -> how an upright picture lies in its file."""


@dataclass(frozen=True)
class Deep:
    """A picture of more than 8 bits a channel.

    Attributes:
        pixels: upright, as in the file: uint16, int16 or float32 in [0, 1], [H, W, C].
        known: black and white.
    """

    pixels: np.ndarray
    known: Range

    @property
    def image(self) -> Image.Image:
        """The picture in 8 bits."""
        eight = eight_bits(stretched(self.pixels, self.known))
        return Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight)

    @property
    def alpha(self) -> np.ndarray | None:
        """[H, W, 1], or None."""
        return self.pixels[..., -1:] if self.pixels.shape[2] in (2, 4) else None


def range_of(pixels: np.ndarray, tagged: tuple[int, int] | None, trained: Range | None) -> Range:
    """Black and white of one picture: those of the model's training where the picture keeps to them, else its tags', else its own."""
    if pixels.dtype == np.float32:
        return Range(0, FULL, "the format")
    found = extremes(pixels)
    if trained is not None and trained.holds(*found):
        return trained
    if tagged is not None and Range(*tagged).holds(*found):
        return likely_range(*tagged, "tags")
    return likely_range(*found)


def trained_range(info: Mapping[str, Any]) -> Range | None:
    """Black and white of the pictures that a model was trained on, by what it says of them; None where they had 8 bits."""
    data = info.get("data")
    found = data.get("range") if isinstance(data, Mapping) else None
    whole = isinstance(found, (list, tuple)) and len(found) == 2 and all(isinstance(n, int) for n in found)
    return Range(found[0], found[1], "the model") if whole and found[0] < found[1] else None  # type: ignore[index]


def network_pixels(deep: Deep, seen: np.ndarray) -> np.ndarray:
    """What the model takes, uint16 [H, W, C].

    Args:
        seen: the same in 8 bits, uint8 [H, W, C]; it has the colours that stand where alpha hides the picture's own.
    """
    wide, channels = stretched(deep.pixels, deep.known), seen.shape[2]
    colours = wide if channels == 4 else wide[..., : 3 if wide.shape[2] > 2 else 1]
    pixels = with_channels(colours, channels)
    return pixels if deep.alpha is None else np.where(deep.alpha == 0, seen.astype(np.uint16) * 257, pixels)


def result_of(game: Translation, made: np.ndarray, deep: Deep, mask: np.ndarray | None) -> Deep:
    """What the model made, uint16 [H', W', C'], as a picture like the one that was given.

    Models that repair keep its numbers, its range, and grey where it is grey; outside of the mask nothing changes. Others
    make 16 bits from black to white. Alpha stays; what was filled is opaque.
    """
    own = made[..., 3:] if made.shape[2] == 4 else None
    colours, known = made[..., :3], Range(0, FULL, "the model")
    kept = deep.pixels if deep.alpha is None else deep.pixels[..., :-1]
    if game.repairs:
        known = deep.known
        if kept.shape[2] == 1:
            colours = with_channels(colours, 1)
        colours = unstretched(colours, kept, known)
        if mask is not None:
            colours = np.where(mask[..., None], colours, kept)
    if deep.alpha is None:
        return Deep(colours, known)
    alpha = own if game.repairs and own is not None else deep.alpha
    alpha = scaled(alpha, (colours.shape[1], colours.shape[0]))
    if mask is not None and own is None:
        alpha = np.where(mask[..., None], FULL, alpha)
    elif mask is not None:
        alpha = np.where(mask[..., None], alpha, deep.alpha)
    return Deep(np.concatenate([colours, alpha.astype(colours.dtype)], 2), known)


def encoded(deep: Deep, kind: str, orientation: int, metadata: Mapping[str, Any]) -> bytes:
    """The file of a picture, every bit of it.

    Args:
        kind: Pillow's name of the format, one of ``KINDS``.
        orientation: EXIF's, of how the picture is to lie.
        metadata: what Pillow's ``save`` takes for this format.

    Raises:
        GansmithError: the format cannot hold such numbers.
    """
    turned = _TURNED[orientation](deep.pixels) if orientation in _TURNED else deep.pixels
    pixels = np.ascontiguousarray(turned)
    if (pixels.shape[2] == 1 and pixels.dtype == np.uint16) or (kind == "TIFF" and pixels.dtype == np.float32):
        buffer = io.BytesIO()
        Image.fromarray(pixels[..., 0]).save(buffer, kind, **metadata)
        return buffer.getvalue()
    if kind == "PNG" and pixels.dtype == np.uint16:
        return png16(pixels, metadata)
    if kind == "TIFF":
        return _tiff(pixels, orientation, metadata)
    raise GansmithError(f"{kind} cannot hold its result in 16 bits; save the picture as PNG or TIFF first")


def _tiff(pixels: np.ndarray, orientation: int, metadata: Mapping[str, Any]) -> bytes:
    import tifffile

    colour, buffer = pixels.shape[2] > 2, io.BytesIO()
    options: dict[str, Any] = {}
    if pixels.shape[2] in (2, 4):
        options["extrasamples"] = ["unassalpha"]
    if dpi := metadata.get("dpi"):
        options |= {"resolution": dpi, "resolutionunit": 2}
    if orientation in _TURNED:
        options["extratags"] = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(
        buffer,
        pixels[..., 0] if pixels.shape[2] == 1 else pixels,
        photometric="rgb" if colour else "minisblack",
        planarconfig=None if pixels.shape[2] == 1 else "contig",
        compression="zlib",
        iccprofile=metadata.get("icc_profile"),
        metadata=None,
        **options,
    )
    return buffer.getvalue()
