"""One picture file to one array of bytes: header, decoding, colour, size. All that touches Pillow is here."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with (done, total) from the calling thread."""

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
"""Endings of files that are taken for pictures, in lower case."""

# Only raster decoders: a file's content decides its format, and Pillow would run Ghostscript on an EPS named .png.
_PLUGINS = (TiffImagePlugin, WebPImagePlugin)  # registered by their import; the others always are
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")

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
_WHOLE = 65536
_WINDOW = 16384


class Broken(Exception):
    """This one picture cannot be used; the message is the reason, for a list."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's first bytes tell: upright size, Pillow's mode, whether it has colours, a hash of its content."""

    width: int
    height: int
    mode: str
    colour: bool
    digest: bytes = b""


def threads() -> int:
    """Decoding threads: Pillow releases the interpreter's lock while it decodes."""
    return max(2, min(8, os.cpu_count() or 2))


def in_parallel(
    function: Callable[[int], T], count: int, progress: Progress | None = None, *, quiet: bool = True
) -> list[T | Broken]:
    """``[function(0), ..., function(count - 1)]`` by threads; a ``Broken`` raised by one stands in its place.

    Where the first few take under a millisecond, all are done by this thread: others would only wait for the
    interpreter's lock. ``quiet`` silences Pillow's warnings, which changes a setting of the whole process meanwhile.
    """

    def guarded(index: int) -> T | Broken:
        try:
            return function(index)
        except Broken as reason:
            return reason

    def collect(part: Iterable[T | Broken]) -> None:
        for result in part:
            results.append(result)
            if progress is not None and (len(results) % 16 == 0 or len(results) == count):
                progress(len(results), count)

    results: list[T | Broken] = []
    with _quiet_pillow() if quiet else nullcontext():
        start, first = perf_counter(), min(4, count)
        collect(map(guarded, range(first)))
        if perf_counter() - start < 1e-3 * first:
            collect(map(guarded, range(first, count)))
            return results
        pool = ThreadPoolExecutor(threads())
        try:
            for begin in range(first, count, 1024):  # in blocks, so that a million futures never exist at once
                collect(pool.map(guarded, range(begin, min(begin + 1024, count))))
        finally:
            pool.shutdown(cancel_futures=True)
    return results


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keep Pillow from printing what we report ourselves, with the file's name (too large, odd metadata)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


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
    with _reasons(), _opened(file) as image:
        # Asking a PNG for its EXIF decodes all of it unless it came before the pixels.
        turned = (image.format != "PNG" or "exif" in image.info) and _orientation(image) >= 5
        if turned and image.format == "TIFF":
            image.load()  # Pillow turns these itself, and its versions differ in what the size says before
            turned = False
        width, height = image.size[::-1] if turned else image.size
        return Header(width, height, image.mode, _has_colour(image), digest)


def read_picture(file: BinaryIO, at_least: int | None = None) -> Image.Image:
    """Decode a picture: upright, first frame, 8 bits, in mode L, LA, RGB or RGBA.

    Args:
        at_least: both sides need no more pixels than this; large JPEGs then decode at 1/2, 1/4 or 1/8, much faster.

    Raises:
        Broken: it cannot be decoded; says why.
    """
    with _reasons(), _opened(file) as image:
        if at_least is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, (at_least, at_least))
        image.load()
        turn = UPRIGHT.get(_orientation(image))
        return _eight_bits(image if turn is None else image.transpose(turn))


def fit(image: Image.Image, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """Colours and size: any picture from :func:`read_picture` to uint8 [H, W, C].

    Args:
        channels: 1 (grey), 3 (RGB) or 4 (RGBA). Transparent pixels lie on white unless 4 channels keep the alpha.
        size: (height, width) to resize to with antialiasing, the middle cut out; None keeps the picture's own.
    """
    if channels == 4:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
    else:
        if image.mode in ("LA", "RGBA"):
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        mode = "L" if channels == 1 else "RGB"
        image = image if image.mode == mode else image.convert(mode)
    if size is not None and image.size != (size[1], size[0]):
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS)
    array = np.asarray(image)
    return array if array.ndim == 3 else array[:, :, None]


def size_range(headers: Sequence[Header]) -> str:
    """'640x480', or '20x30 to 640x480', by area, width first."""
    sizes = sorted({(h.width * h.height, h.width, h.height) for h in headers})
    ends = [f"{w}x{h}" for _, w, h in (sizes[0], sizes[-1])]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


@contextmanager
def _opened(file: BinaryIO) -> Iterator[Image.Image]:
    image = Image.open(file, formats=FORMATS)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Broken(f"{image.width}x{image.height} pixels are over the limit of {limit / 1e6:.0f} megapixels")
    yield image


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever a decoder raises on bad bytes into a reason."""
    try:
        yield
    except (Broken, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Broken("its content is not a picture of a known format") from None
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
    if image.mode in ("P", "PA"):
        entries = np.asarray(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
        return bool((entries != entries[:, :1]).any())
    return True


def _eight_bits(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in ("L", "LA", "RGB", "RGBA") and "transparency" not in image.info:
        return image
    if mode.startswith("I"):
        if mode == "I" and image.format == "TIFF":  # whose 16 bits are I;16; how far up 32 bits reach nobody says
            raise Broken("its pixels are 32-bit integers; save it with 8 or 16 bits")
        deep = np.asarray(image).astype(np.int64)
        if deep.size and (deep.min() < 0 or deep.max() > 65535):
            raise Broken("its pixels are 32-bit integers; save it with 8 or 16 bits")
        return Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    if mode == "F":
        real = np.asarray(image)
        if not (np.isfinite(real).all() and real.min() >= 0 and real.max() <= 1):
            raise Broken("its pixels are floats outside [0, 1]; save it with 8 or 16 bits")
        return Image.fromarray(np.rint(real * 255).astype(np.uint8))
    if mode == "1":
        return image.convert("L")
    if mode in ("LA", "La", "PA", "RGBa", "RGBA") or "transparency" in image.info:
        return image.convert("RGBA")
    if mode == "P":
        return image.convert("RGB" if _has_colour(image) else "L")
    return image.convert("RGB")
