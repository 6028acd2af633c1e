"""How a picture is stored in its file, and how its result is written to a file of the same kind, wholly or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gansmith.apply.deep import Deep, encoded
from gansmith.data.decode import UPRIGHT
from gansmith.data.formats import FORMATS, writable
from gansmith.errors import GansmithError, first_line
from gansmith.files.alpha import on_white
from gansmith.files.atomic import replacing
from gansmith.files.pictures import LONGEST as _LONGEST

_ORIENTATION, _DETAILS = 0x0112, 0x8769
_SIZE_TAGS = 0xA002, 0xA003
_UPRIGHT_TO_STORED = {**UPRIGHT, 6: UPRIGHT[8], 8: UPRIGHT[6]}
"""The inverse of what sets a picture upright: two are turns, which undo each other, and the rest undo themselves."""
_SAVE: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
_JPEG_SEGMENT = 65533
_STRIP = 1024


@dataclass(frozen=True)
class Stored:
    """How a picture lay in its file.

    Attributes:
        kind: Pillow's name of the format.
        info, exif: what else was in the file.
        frames: pictures in it; the first is the one that is read.
        lossless: a WebP that keeps every bit.
    """

    kind: str
    info: Mapping[Any, Any]
    exif: Image.Exif
    frames: int
    lossless: bool


def read_stored(file: BinaryIO) -> Stored:
    """The facts about a picture file that has been found readable."""
    with Image.open(file, formats=FORMATS) as image:
        return stored_at(file, image)


def stored_at(file: BinaryIO, image: Image.Image) -> Stored:
    """:func:`read_stored` of a picture that was opened, at its page."""
    kind = {"MPO": "JPEG", "DIB": "BMP"}.get(image.format or "PNG", image.format or "PNG")
    info, exif, frames = dict(image.info), Image.Exif(), 1
    with contextlib.suppress(Exception):  # damaged EXIF is reported by the reader, or left out
        exif = image.getexif()
    if image.format != "MPO":  # its other pictures are previews and depth maps
        with contextlib.suppress(Exception):  # the first picture is all that is needed
            frames = int(getattr(image, "n_frames", 1))
    return Stored(kind, info, exif, frames, kind == "WEBP" and _lossless_webp(file))


def _lossless_webp(file: BinaryIO) -> bool:
    file.seek(12)
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8L", b"VP8 "):
            return head[:4] == b"VP8L"
        length = int.from_bytes(head[4:], "little")
        file.seek(length + length % 2, os.SEEK_CUR)
    return False


def check_size(stored: Stored, width: int, height: int) -> None:
    """Raise a GansmithError where a result of this size cannot be a file of the picture's kind."""
    if not writable(stored.kind):
        raise GansmithError(f"{stored.kind} files can be read and not written; save the picture as PNG or TIFF first")
    most = _LONGEST.get(stored.kind)
    if most is not None and max(width, height) > most:
        raise GansmithError(
            f"its result would be {width}x{height}, and {stored.kind} holds {most} px a side at most; save the picture as "
            "PNG or TIFF first"
        )


def store(result: Image.Image, target: Path, stored: Stored) -> None:
    """Write a result the way its picture was: format, turned pixels, EXIF, colour profile, resolution."""
    turned, options = _as_stored(result, stored)
    write(turned, target, stored.kind, options)


def store_deep(result: Deep, target: Path, stored: Stored) -> None:
    """:func:`store` for a result of more than 8 bits a channel."""
    store_bytes(deep_content(result, stored), target)


def content(result: Image.Image, stored: Stored) -> bytes:
    """The file that :func:`store` writes."""
    turned, options = _as_stored(result, stored)
    buffer = io.BytesIO()
    _save(turned, buffer, stored.kind, options)
    return buffer.getvalue()


def deep_content(result: Deep, stored: Stored) -> bytes:
    """The file that :func:`store_deep` writes."""
    eight = result.image
    orientation = stored.exif.get(_ORIENTATION, 1)
    if orientation in (5, 6, 7, 8):
        eight = eight.transpose(Image.Transpose.TRANSPOSE)  # for its size and mode, which the metadata tell
    options = {**_SAVE.get(stored.kind, {}), **_metadata(stored, eight)}
    return encoded(result, stored.kind, orientation, options)


def store_bytes(whole: bytes, target: Path) -> None:
    """Write a file so that there is never half a one."""
    with _whole(target) as file:
        file.write(whole)


def _as_stored(result: Image.Image, stored: Stored) -> tuple[Image.Image, dict[str, Any]]:
    """A result turned as its picture was, and what Pillow's ``save`` takes beside it."""
    orientation = stored.exif.get(_ORIENTATION, 1)
    if orientation in _UPRIGHT_TO_STORED:  # the file turns its pixels; the result does the same
        result = result.transpose(_UPRIGHT_TO_STORED[orientation])
    options = {"lossless": True, "exact": True} if stored.lossless else _SAVE.get(stored.kind, {})
    return result, {**options, **_metadata(stored, result)}


def _metadata(stored: Stored, result: Image.Image) -> dict[str, Any]:
    """EXIF, colour profile and resolution to write again, as far as they are still true."""
    kept: dict[str, Any] = {}
    kind, info = stored.kind, stored.info
    profile = info.get("icc_profile")
    space = b"GRAY" if result.mode in ("L", "LA") else b"RGB "
    if profile and profile[16:20] == space:
        kept["icc_profile"] = profile
    if kind in ("JPEG", "PNG", "TIFF", "BMP") and (dpi := _resolution(info.get("dpi"))):
        kept["dpi"] = dpi
    if kind == "PNG":
        kept["pnginfo"] = _colour_chunks(info)
    if kind in ("JPEG", "PNG", "WEBP") and len(stored.exif):
        kept["exif"] = _exif_bytes(stored, result)
    if kind == "TIFF" and stored.exif.get(_ORIENTATION) in _UPRIGHT_TO_STORED:
        kept["exif"] = _orientation_only(stored.exif)  # the other tags describe how the old file was stored
    return kept


def _resolution(dpi: Any) -> tuple[float, float] | None:
    """Dots per inch, where they are two numbers that a file can hold."""
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        across, down = (float(value) for value in dpi)
        if 0 < across < 65535 and 0 < down < 65535:
            return across, down
    return None


def _colour_chunks(info: Mapping[Any, Any]) -> PngInfo:
    """What a PNG says about its colours without a profile: gamma and primaries."""
    chunks = PngInfo()
    gamma, primaries = info.get("gamma"), info.get("chromaticity")
    if isinstance(gamma, float) and 0 < gamma < 1000:
        chunks.add(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    if isinstance(primaries, tuple) and len(primaries) == 8:
        chunks.add(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in primaries)))
    return chunks


def _exif_bytes(stored: Stored, result: Image.Image) -> bytes:
    """EXIF with the result's size in it. Cameras write what Pillow cannot write again; that is kept byte by byte."""
    exif, raw = stored.exif, stored.info.get("exif")
    try:
        details = exif.get_ifd(_DETAILS) if _DETAILS in exif else {}
        for tag, pixels in zip(_SIZE_TAGS, result.size, strict=True):
            if tag in details:
                details[tag] = pixels
        kept = exif.tobytes()
    except Exception:  # struct.error, TypeError, ValueError, ... by the tag that is wrong
        kept = raw if isinstance(raw, bytes) else _orientation_only(exif).tobytes()
    too_long = stored.kind == "JPEG" and len(kept) > _JPEG_SEGMENT
    return _orientation_only(exif).tobytes() if too_long else kept


def _orientation_only(exif: Image.Exif) -> Image.Exif:
    fresh, orientation = Image.Exif(), exif.get(_ORIENTATION)
    if orientation in _UPRIGHT_TO_STORED:
        fresh[_ORIENTATION] = orientation
    return fresh


def write(image: Image.Image, target: Path, kind: str, options: Mapping[str, Any]) -> None:
    """Write a picture so that there is never half a one; the format need not match the name.

    Raises:
        GansmithError: Pillow cannot put it into such a file.
        OSError: no place, or no permission.
    """
    with _whole(target) as file:
        _save(image, file, kind, options)


def _save(image: Image.Image, file: BinaryIO, kind: str, options: Mapping[str, Any]) -> None:
    try:
        _storable(image, kind).save(file, kind, **options)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # encoders raise ValueError, struct.error, TypeError, ...
        raise GansmithError(f"its result cannot be written as {kind}: {first_line(error)}") from None


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the target's place once all is written to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary, temporary.open("wb") as file:
        yield file


def _storable(image: Image.Image, kind: str) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    if kind == "BMP":  # whose alpha few programs believe
        return image.convert("RGB" if image.mode == "RGBA" else "L")
    if kind in ("JPEG", "PPM"):
        return on_white(image).convert("RGB" if image.mode == "RGBA" else "L")
    return image.convert("RGBA") if kind == "GIF" else image


def comparison(before: Image.Image, after: Image.Image, mask: np.ndarray | None = None) -> Image.Image:
    """Before and after side by side, each at most 1024 px; the hole is grey in the first."""
    scale = min(1.0, _STRIP / max(after.size))
    size = max(1, round(after.width * scale)), max(1, round(after.height * scale))
    if mask is not None:
        before = before.convert("RGBA")
        before.paste((128, 128, 128, 255), (0, 0), Image.fromarray(mask.astype(np.uint8) * 255))
    strip = Image.new("RGB", (2 * size[0] + 8, size[1]), "white")
    for number, image in enumerate((before, after)):  # made small first, for the result may be enormous
        image = image.resize(size, Image.Resampling.BICUBIC) if image.size != size else image
        strip.paste(on_white(image), (number * (size[0] + 8), 0))
    return strip
