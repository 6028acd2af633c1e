"""One picture file to one array of bytes: header, decoding, colour, size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gansmith.data import depth
from gansmith.data.colours import to_rgb
from gansmith.data.formats import FORMATS, reason_for
from gansmith.data.threads import Broken
from gansmith.files.alpha import fit_by_alpha, on_white

_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation -> what sets a picture upright."""
_TURNED = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""The same for arrays [H, W, C]."""
_WHOLE = 65536
_WINDOW = 16384


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's first bytes tell.

    Attributes:
        width, height: upright size.
        mode: Pillow's.
        colour: whether it has any.
        digest: a hash of its content.
        bits: of a channel: 8, 16, or 32 for floats.
        tagged: the least and the largest of its numbers, where its file says so.
    """

    width: int
    height: int
    mode: str
    colour: bool
    digest: bytes = b""
    bits: int = 8
    tagged: tuple[int, int] | None = None


def fingerprint(file: BinaryIO) -> bytes:
    """A hash of a file: all of it up to 64 KiB, else its length and 16 KiB from its start, middle and end."""
    length = file.seek(0, os.SEEK_END)
    digest = hashlib.blake2b(str(length).encode(), digest_size=16)
    windows = [(0, length)] if length <= _WHOLE else [(p, _WINDOW) for p in (0, length // 2, length - _WINDOW)]
    for start, size in windows:
        file.seek(start)
        digest.update(file.read(size))
    file.seek(0)
    return digest.digest()


def read_header(file: BinaryIO, digest: bytes = b"") -> Header:
    """Read size and mode without decoding the pixels.

    Raises:
        Broken: not a picture, empty, or more pixels than Pillow's limit against decompression bombs.
    """
    with opened(file) as image:
        return header_of(image, digest)


def header_of(image: Image.Image, digest: bytes = b"") -> Header:
    """:func:`read_header` of a picture that was opened, at its page. Raises ``Broken``."""
    with _reasons():
        bits, tagged, colour = depth.bits_of(image), depth.tagged_range(image), _has_colour(image)
        # Asking a PNG for its EXIF decodes all of it unless it came before the pixels.
        turned = (image.format != "PNG" or "exif" in image.info) and _orientation(image) >= 5
        if turned and image.format == "TIFF":
            image.load()  # Pillow turns these itself, and its versions differ in what the size says before
            turned = False
        width, height = image.size[::-1] if turned else image.size
        return Header(width, height, image.mode, colour, digest, bits, tagged)


def read_picture(file: BinaryIO, at_least: int | None = None, known: depth.Range | None = None) -> Image.Image:
    """Decode a picture: upright, first page, 8 bits, in mode L, LA, RGB or RGBA.

    Args:
        at_least: both sides need no more pixels than this; large JPEGs then decode at 1/2, 1/4 or 1/8, much faster.
        known: black and white of pictures with more than 8 bits; None takes each picture's own.

    Raises:
        Broken: it cannot be decoded; says why.
    """
    with opened(file) as image:
        return picture_of(file, image, at_least, known)


def picture_of(
    file: BinaryIO, image: Image.Image, at_least: int | None = None, known: depth.Range | None = None
) -> Image.Image:
    """:func:`read_picture` of a picture that was opened, at its page. Raises ``Broken``."""
    deep = deep_of(file, image)
    if deep is not None:
        eight = depth.eight_bits(depth.stretched(deep, known))
        return Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight)
    with _reasons():
        if at_least is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, (at_least, at_least))
        image.load()
        turn = UPRIGHT.get(_orientation(image))
        return _eight_bits(image if turn is None else image.transpose(turn))


def read_deep(file: BinaryIO) -> np.ndarray | None:
    """All that a picture of more than 8 bits a channel holds, upright, or None for one of 8 bits; see :func:`depth.deep_pixels`.

    Raises:
        Broken: it cannot be decoded; says why.
    """
    with opened(file) as image:
        return deep_of(file, image)


def deep_of(file: BinaryIO, image: Image.Image) -> np.ndarray | None:
    """:func:`read_deep` of a picture that was opened, at its page. Raises ``Broken``."""
    with _reasons():
        if depth.bits_of(image) == 8:
            return None
        orientation = 1 if image.format == "TIFF" else _orientation(image)  # Pillow turns TIFFs as it decodes them
        pixels = depth.deep_pixels(file, image)
        return np.ascontiguousarray(_TURNED[orientation](pixels)) if orientation in _TURNED else pixels


def read_unconverted(file: BinaryIO) -> Image.Image:
    """Decode a picture: upright, first page, with the values, palette and transparency that are in the file.

    Raises:
        Broken: it cannot be decoded; says why.
    """
    with opened(file) as image, _reasons():
        orientation = 1 if image.format == "TIFF" else _orientation(image)  # Pillow turns TIFFs as it decodes them
        image.load()
        turn = UPRIGHT.get(orientation)
        upright = image.copy() if turn is None else image.transpose(turn)
        upright.info = dict(image.info)
        return upright


def fit(image: Image.Image, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """Colours and size: any picture from :func:`read_picture` to uint8 [H, W, C].

    Args:
        channels: 1 (grey), 3 (RGB) or 4 (RGBA). Transparent pixels lie on white unless 4 channels keep the alpha.
        size: (height, width) to resize to with antialiasing, the middle cut out; None keeps the picture's own. Colours are
            resized by their alpha, and what is wholly transparent then takes the colours that lie near.
    """
    if channels == 4:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
    else:
        if image.mode in ("LA", "RGBA"):
            image = on_white(image)
        mode = "L" if channels == 1 else "RGB"
        image = image if image.mode == mode else image.convert(mode)
    if size is not None and image.size != (size[1], size[0]):
        if channels == 4 and image.getchannel("A").getextrema() != (255, 255):
            return np.rint(fit_by_alpha(np.asarray(image), size, 255).clip(0, 255)).astype(np.uint8)
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS)
    array = np.asarray(image)
    return array if array.ndim == 3 else array[:, :, None]


def size_range(headers: Sequence[Header]) -> str:
    """'640x480', or '20x30 to 640x480', by area, width first."""
    sizes = sorted({(h.width * h.height, h.width, h.height) for h in headers})
    ends = [f"{w}x{h}" for _, w, h in (sizes[0], sizes[-1])]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


@contextmanager
def opened(file: BinaryIO) -> Iterator[Image.Image]:
    """A picture, not decoded yet. Raises ``Broken`` where it is none, or has too many pixels."""
    with _reasons():
        file.seek(0)
        image = open_image(file)
    yield image


def open_image(file: BinaryIO) -> Image.Image:
    """A picture of one of the formats that are read, not decoded yet.

    Raises:
        Broken: not a picture, or more pixels than Pillow's limit against decompression bombs.
    """
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        raise Broken(reason_for(file.read(256))) from None
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Broken(f"{image.width}x{image.height} pixels are over the limit of {limit / 1e6:.0f} megapixels")
    return image


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever a decoder raises on bad bytes into a reason."""
    try:
        yield
    except (Broken, MemoryError):
        raise
    except depth.Unreadable as reason:
        raise Broken(str(reason)) from None
    except Image.DecompressionBombError as error:
        raise Broken(f"far too many pixels, perhaps a decompression bomb: {error}") from None
    except FileNotFoundError:
        raise Broken("the file is gone") from None
    except PermissionError:
        raise Broken("no permission to read it") from None
    except Exception as error:  # decoders raise anything on bad bytes: OSError, SyntaxError, struct.error, ValueError
        raise Broken(f"cannot be decoded: {error or type(error).__name__}") from None


def open_file(opener: Callable[[], BinaryIO]) -> BinaryIO:
    """Open a picture file, refusing an empty one.

    Raises:
        Broken: empty, gone or not readable.
    """
    with _reasons():
        file = opener()
        if not file.read(1):
            file.close()
            raise Broken("empty file (0 bytes)")
        file.seek(0)
        return file


def _orientation(image: Image.Image) -> int:
    """How the picture lies, 1 to 8; 1 where its metadata are damaged, which says nothing about its pixels."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # whatever the parser stumbles over
        return 1
    return found if found in UPRIGHT else 1


def _has_colour(image: Image.Image) -> bool:
    if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;"):
        return False
    if image.mode == "RGBA" and image.format == "PNG" and "LA;16" in depth.raw_mode(image):
        return False  # grey with alpha at 16 bits, of which Pillow makes colours
    if image.mode in ("P", "PA"):
        entries = np.asarray(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
        return bool((entries != entries[:, :1]).any())
    return True


def _eight_bits(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in ("L", "LA", "RGB", "RGBA") and "transparency" not in image.info:
        return image
    if mode == "1":
        return image.convert("L")
    if mode in ("LA", "La", "PA", "RGBa", "RGBA") or "transparency" in image.info:
        return image.convert("RGBA")
    if mode == "P":
        return image.convert("RGB" if _has_colour(image) else "L")
    return to_rgb(image)
