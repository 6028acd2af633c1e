"""Files of several pictures: pages of a TIFF, frames of an animation. Each is a picture of its own."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from gansmith.data.decode import Header, header_of, open_image, picture_of
from gansmith.data.threads import Broken, in_parallel

MOST_PAGES = 10_000
"""Pictures that are taken from one file."""
ENDINGS = frozenset({".tif", ".tiff", ".gif", ".webp", ".png", ".apng", ".avif", ".avifs"})
"""Endings of files that may hold several pictures. What HEIF and MPO hold beside the first are previews and depth maps."""

_SUBFILE, _SMALLER, _MASK = 254, 1, 4  # TIFF 6.0, NewSubfileType


def pages_of(file: BinaryIO) -> tuple[list[int], int]:
    """The numbers of a file's pictures, at most ``MOST_PAGES``, and how many there are.

    The smaller copies and masks that a TIFF holds beside a picture are none. A file that cannot be read has one: reading it
    will say why.
    """
    try:
        if not _may_have_several(file):
            return [0], 1
        file.seek(0)
        image = open_image(file)
        total = _count(file, image)
        if image.format != "TIFF":
            return list(range(min(total, MOST_PAGES))), total
        found = [0]
        for page in range(1, total):
            image.seek(page)
            tags: Any = image.tag_v2  # type: ignore[attr-defined]
            if not int(tags.get(_SUBFILE, 0)) & (_SMALLER | _MASK):
                found.append(page)
        return found[:MOST_PAGES], len(found)
    except Exception:  # damaged files raise anything here
        return [0], 1


def left_out(contents: Sequence[bytes], place: str) -> list[str]:
    """A note where files that are read as their first picture hold more, by a look at a few of them.

    Args:
        place: where they lie, such as 'tables'.
    """
    several = sum(pages_of(BytesIO(content))[1] > 1 for content in contents)
    if not several:
        return []
    return [
        f"{several} of the first {len(contents)} files hold several pages or frames; of files in {place} the first is taken: write the "
        "files into a folder or a zip to get all"
    ]


def several_in(content: bytes, whole: Callable[[], bytes]) -> tuple[list[int], int]:
    """:func:`pages_of` for a file of which the first 4,096 bytes are there; the rest is asked for where they may matter."""
    return pages_of(BytesIO(whole())) if _may_have_several(BytesIO(content)) else ([0], 1)


def _count(file: BinaryIO, image: Image.Image) -> int:
    """How many pictures a file says that it holds; of one that is damaged, those before the damage and the damaged one."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # decoders raise anything on bad bytes
        file.seek(0)
        image = open_image(file)
    for page in range(MOST_PAGES):
        try:
            image.seek(page)
        except EOFError:
            return page
        except Exception:
            return page + 1
    return MOST_PAGES


def _may_have_several(file: BinaryIO) -> bool:
    """By the first bytes: most files have one picture, and are not looked at any further."""
    file.seek(0)
    head = file.read(32)
    if head[:4] == b"\x89PNG":
        return _is_animated_png(file)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return head[12:16] == b"VP8X" and bool(head[20] & 2)
    tiff = head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    return tiff or head[:4] == b"GIF8" or head[4:12] == b"ftypavis"


def _is_animated_png(file: BinaryIO) -> bool:
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"acTL", b"IDAT"):
            return kind == b"acTL"
        file.seek(length + 4, 1)
    return False


def expanded(
    names: list[str], opener: Callable[[str], BinaryIO]
) -> tuple[list[str], dict[str, tuple[str, int]], list[str]]:
    """Every picture in these files by a name of its own: ``stack.tif#0``, ``stack.tif#1``, ...

    Returns:
        The names; for those that are pages (file, number); and notes for a person.
    """
    asked = [name for name in names if name[name.rfind(".") :].lower() in ENDINGS]

    def look(index: int) -> tuple[list[int], int]:
        try:
            with opener(asked[index]) as file:
                return pages_of(file)
        except (Broken, OSError, ValueError, RuntimeError, NotImplementedError):
            return [0], 1  # reading it will say why

    found = dict(zip(asked, in_parallel(look, len(asked)), strict=True))
    several = {name: p for name, p in found.items() if not isinstance(p, Broken) and p[1] > 1}
    places: dict[str, tuple[str, int]] = {}
    made, notes = [], []
    for name in names:
        if name not in several:
            made.append(name)
            continue
        pages, total = several[name]
        own = {f"{name}#{page}": (name, page) for page in pages}
        places |= own
        made += own
        if total > len(pages):
            notes.append(f"'{name}' holds {total:,} pictures, of which the first {len(pages):,} are taken")
    if several:
        count = len(places)
        notes.insert(
            0, f"{count:,} pictures are pages or frames of {len(several):,} file(s), such as {next(iter(several))}"
        )
    return made, places, notes


def page_header(image: Image.Image, digest: bytes) -> Header:
    """The header of a page or frame. Frames are decoded: later ones are RGB whatever their colours are. Raises ``Broken``."""
    found = header_of(image, digest)
    if image.format == "TIFF" or not found.colour:
        return found
    pixels = np.asarray(picture_of(BytesIO(), image).convert("RGB"))
    return replace(found, colour=bool((pixels != pixels[..., :1]).any()))


class Reader:
    """Pages one after the other without opening the file anew: each thread keeps the file that it read last."""

    def __init__(self, opener: Callable[[str], BinaryIO]) -> None:
        self._opener, self._kept = opener, threading.local()

    @contextmanager
    def at(self, name: str, page: int) -> Iterator[tuple[BinaryIO, Image.Image]]:
        """The file, and the picture at a page, not decoded yet. Raises ``Broken``."""
        kept = getattr(self._kept, "last", None)
        self._kept.last = None
        if kept is None or kept[0] != name or page < kept[1]:  # going back is what decoders do worst
            file = self._opener(name)
            kept = name, page, file, open_image(file)
        _, _, file, image = kept
        try:
            image.seek(page)
        except Exception as error:  # decoders raise anything on bad bytes
            raise Broken(f"page {page} cannot be read: {error or type(error).__name__}") from None
        yield file, image
        self._kept.last = name, page, file, image
