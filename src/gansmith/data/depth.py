"""Pictures with more than 8 bits a channel: their pixels as they are in the file, and the range that they use.

X-ray detectors and microscopes put 10, 12 or 14 bits into files of 16. Taken as 16 bits such a picture is nearly black, and 8
bits of it have 16 grey levels. So a set's range is found first, and its black and white are the ends of that range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from gansmith.files.alpha import fit_by_alpha

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that detectors and cameras have. The range of data is taken for the least of them that holds it."""
FULL = 65535
"""White of 16 bits."""

_BITS, _PHOTOMETRIC, _PLANAR = 258, 262, 284
_LEAST, _MOST = (340, 280), (341, 281)  # SMinSampleValue before MinSampleValue, and so on
_GREY_OR_RGB = (0, 1, 2)


class Unreadable(Exception):
    """A picture's full depth cannot be read; the message is the reason."""


@dataclass(frozen=True)
class Range:
    """The numbers in a file that stand for black and white.

    Attributes:
        low, high: black and white.
        origin: where they come from, for messages: 'the data', 'tags', 'the model'.
    """

    low: int
    high: int
    origin: str = "the data"

    def __str__(self) -> str:
        bits = (self.high + 1).bit_length() - 1
        plain = self.low == 0 and self.high + 1 == 1 << bits
        return f"{self.low} to {self.high}" + (f", {bits} bits" if plain else "")

    def holds(self, low: int, high: int) -> bool:
        """Whether all numbers from ``low`` to ``high`` are within."""
        return self.low <= low and high <= self.high


def bits_of(image: Image.Image) -> int:
    """Bits a channel of a picture that was opened and not decoded: 8, 16, or 32 for floats."""
    if image.mode == "F":
        return 32
    if image.mode.startswith("I"):
        return 16
    kind = image.format
    if kind == "PNG":
        return 16 if ";16" in raw_mode(image) else 8
    if kind == "TIFF" and image.mode in ("RGB", "RGBA", "RGBX", "LA"):
        bits = _tag(image, _BITS)
        deep = isinstance(bits, tuple) and bits[:1] == (16,) and _tag(image, _PHOTOMETRIC) in _GREY_OR_RGB
        return 16 if deep else 8
    return 8


def raw_mode(image: Image.Image) -> str:
    """How Pillow's decoder is told to read the pixels of a picture that was not decoded yet, such as ``RGB;16B``."""
    return str(getattr(image, "tile", ""))


def tagged_range(image: Image.Image) -> tuple[int, int] | None:
    """The least and the largest number of a picture, as the tags of its file say it; None where they do not.

    Source: TIFF 6.0, MinSampleValue, MaxSampleValue and BitsPerSample; the samples of a 12-bit file are 12 bits.
    """
    if image.format != "TIFF" or bits_of(image) != 16:
        return (0, FULL) if image.format == "PPM" else None  # whose largest number is in its head; Pillow scales by it
    bits = _first(_tag(image, _BITS))
    if bits is not None and 8 < bits < 16:
        return 0, (1 << bits) - 1
    most = next((m for m in (_first(_tag(image, tag)) for tag in _MOST) if m is not None), None)
    least = next((m for m in (_first(_tag(image, tag)) for tag in _LEAST) if m is not None), 0)
    if most is None or most >= FULL or most <= least:  # what the format itself would allow tells nothing
        return None
    return least, most


def _tag(image: Image.Image, number: int) -> Any:
    tags: Any = getattr(image, "tag_v2", None)
    try:
        return None if tags is None else tags.get(number)
    except Exception:  # a damaged tag says nothing
        return None


def _first(value: Any) -> int | None:
    value = value[0] if isinstance(value, tuple) and value else value
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def deep_pixels(file: BinaryIO, image: Image.Image) -> np.ndarray:
    """All that a deep picture holds, as it lies in the file: uint16, int16 or float32 [H, W, C].

    Args:
        file: where ``image`` was opened from.
        image: at its page; it is decoded here.

    Raises:
        Unreadable: numbers of 32 bits, floats outside [0, 1], or a kind of file that nothing here decodes.
    """
    if image.mode == "F":
        real = np.asarray(image)
        if not (np.isfinite(real).all() and real.min() >= 0 and real.max() <= 1):
            raise Unreadable("its pixels are floats outside [0, 1]; save it with 8 or 16 bits")
        return real[..., None]
    if image.mode.startswith("I"):
        return _whole_numbers(image)[..., None]
    return _colours(file, image)


def _whole_numbers(image: Image.Image) -> np.ndarray:
    numbers = np.asarray(image)
    if numbers.dtype == np.uint16 or numbers.dtype == np.dtype(">u2"):
        return numbers.astype(np.uint16)
    wide = image.format == "TIFF" and _first(_tag(image, _BITS)) != 16
    low, high = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, 0)
    if not wide and low >= 0 and high <= FULL:
        return numbers.astype(np.uint16)
    if not wide and low >= -32768 and high <= 32767:
        return numbers.astype(np.int16)
    raise Unreadable("its pixels are 32-bit integers; save it with 8 or 16 bits")


def _colours(file: BinaryIO, image: Image.Image) -> np.ndarray:
    """16 bits of grey with alpha, RGB or RGBA, which Pillow reads as 8."""
    import cv2

    page = image.tell() if image.format == "TIFF" else 0
    file.seek(0)
    content = file.read()
    array: Any = None
    if image.format == "TIFF" and (page or _tag(image, _PLANAR) == 2):
        array = _by_tifffile(content, page)
    else:
        array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if array is not None and array.ndim == 3:
            array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    if array is None or array.dtype != np.uint16 or array.shape[:2] != image.size[::-1]:
        raise Unreadable("its 16-bit colours cannot be decoded; save it with 8 bits, or with another compression")
    array = array if array.ndim == 3 else array[..., None]
    grey_with_alpha = image.mode == "LA" or "LA;16" in raw_mode(image)
    return array[..., [0, -1]] if grey_with_alpha and array.shape[2] > 2 else array


def _by_tifffile(content: bytes, page: int) -> np.ndarray | None:
    import io

    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            found = tiff.pages[page]
            array = found.asarray()  # pyright: ignore[reportAttributeAccessIssue]
            return array.transpose(1, 2, 0) if found.planarconfig == 2 else array  # pyright: ignore[reportAttributeAccessIssue]
    except Exception:  # whatever it stumbles over
        return None


def likely_range(low: int, high: int, origin: str = "the data") -> Range:
    """The range of data whose least and largest numbers are these.

    The fewest bits of ``DEPTHS`` that hold them; where the data use less than a quarter of that, exactly what they use.
    """
    if low < 0:
        return Range(low, max(high, low + 1), origin)
    whole = next((1 << bits) - 1 for bits in DEPTHS if high < 1 << bits)
    narrow = high > low and 4 * (high - low) < whole
    return Range(low, high, origin) if narrow else Range(0, whole, origin)


def extremes(pixels: np.ndarray) -> tuple[int, int]:
    """The least and the largest colour of deep pixels, alpha left out."""
    colours = pixels[..., : pixels.shape[2] - (pixels.shape[2] in (2, 4))]
    return int(colours.min()), int(colours.max())


def joined(ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The least and the largest of several ranges."""
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def stretched(pixels: np.ndarray, known: Range | None) -> np.ndarray:
    """Deep pixels with black at 0 and white at 65535; what lies outside the range is cut off.

    Args:
        pixels: uint16, int16 or float32 in [0, 1], [H, W, C]; 2 or 4 channels end with alpha, which keeps its own range.
        known: what black and white are; None takes the pixels' own. Floats need none.

    Returns:
        uint16 [H, W, C].
    """
    if pixels.dtype == np.float32:
        return np.rint(pixels * FULL).astype(np.uint16)
    known = known or likely_range(*extremes(pixels))
    if (known.low, known.high) == (0, FULL):
        return pixels.astype(np.uint16)
    scaled = (pixels.astype(np.float32) - known.low) * (FULL / (known.high - known.low))
    made = np.rint(scaled.clip(0, FULL)).astype(np.uint16)
    if pixels.shape[2] in (2, 4):
        made[..., -1] = pixels[..., -1]
    return made


def unstretched(pixels: np.ndarray, like: np.ndarray, known: Range) -> np.ndarray:
    """The inverse of :func:`stretched`, as numbers of the kind of ``like``; colours only."""
    if like.dtype == np.float32:
        return pixels.astype(np.float32) / FULL
    numbers = pixels.astype(np.float64) * ((known.high - known.low) / FULL) + known.low
    return np.rint(numbers).astype(like.dtype)


def centred(pixels: np.ndarray) -> np.ndarray:
    """uint16 -> int16 around 0, which torch can compute with."""
    return (pixels.astype(np.int32) - 32768).astype(np.int16)


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """uint16 -> uint8, rounded."""
    return ((pixels.astype(np.uint32) * 255 + FULL // 2) // FULL).astype(np.uint8)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint16 [H, W, C] to (height, width) with antialiasing, the middle cut out; RGBA by its alpha."""
    if pixels.shape[:2] == size:
        return pixels
    return np.rint(fit_by_alpha(pixels, size, FULL).clip(0, FULL)).astype(np.uint16)


def scaled(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Deep pixels [H, W, C] of any kind to (width, height) with antialiasing, nothing cut off."""
    if pixels.shape[1::-1] == size:
        return pixels
    planes = [Image.fromarray(np.ascontiguousarray(pixels[..., c], np.float32)) for c in range(pixels.shape[2])]
    made = np.stack([np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes], 2)
    if pixels.dtype == np.float32:
        return made.clip(0, 1)
    limits = np.iinfo(pixels.dtype)
    return np.rint(made.clip(limits.min, limits.max)).astype(pixels.dtype)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint16 [H, W, C] of 1 to 4 channels to 1 (grey), 3 (RGB) or 4 (RGBA); what is transparent lies on white unless 4 are asked for.

    Grey is that of ITU-R BT.601, as everywhere in Pillow.
    """
    alpha = pixels[..., -1:] if pixels.shape[2] in (2, 4) else None
    colours = pixels[..., : pixels.shape[2] - (alpha is not None)]
    if channels == 4:
        alpha = np.full_like(pixels[..., :1], FULL) if alpha is None else alpha
        return np.concatenate([np.broadcast_to(colours, (*pixels.shape[:2], 3)), alpha], 2)
    if alpha is not None and alpha.min() < FULL:
        share = alpha.astype(np.float32) / FULL
        colours = np.rint(colours * share + FULL * (1 - share)).astype(np.uint16)
    if channels == 1 and colours.shape[2] == 3:
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        return np.rint(colours.astype(np.float32) @ weights)[..., None].astype(np.uint16)
    return np.ascontiguousarray(np.broadcast_to(colours, (*pixels.shape[:2], channels)))
