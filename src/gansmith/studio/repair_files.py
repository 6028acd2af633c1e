"""A repair's files: linked, set upright, made small."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gansmith.files.atomic import replacing

if TYPE_CHECKING:
    from PIL import Image

SHOWN_AS_THEY_ARE = frozenset((".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif"))
"""Files that every browser shows."""
OPAQUE = [0] * 128 + [255] * 128
"""For Pillow's ``point``: what is more than half opaque counts as painted."""
THUMB = 112
"""Longest side of the small pictures in lists."""


def link(source: Path, target: Path) -> None:
    """The same file in another place, without a copy where the system allows it."""
    try:
        os.link(source, target)
    except OSError:  # another disk, or a system without links
        shutil.copyfile(source, target)


def upright(source: Path, target: Path) -> tuple[int, int]:
    """Write a picture file upright as PNG; returns (width, height).

    Raises:
        Broken: it is none.
    """
    from gansmith.data.decode import open_file, read_picture

    with open_file(lambda: source.open("rb")) as file:
        picture = read_picture(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target, compress_level=1)
    return picture.size


def seen(result: Path, given: Path | None) -> tuple[Image.Image, bool]:
    """A result upright in 8 bits, and whether it has more than 8, which browsers show too dark where not all are in use.

    Args:
        given: what it was made from, where that tells the result's black and white; None takes the whole range of its numbers.
    """
    from PIL import Image

    from gansmith.data import depth
    from gansmith.data.decode import open_file, read_deep, read_picture

    with open_file(lambda: result.open("rb")) as file:
        if (deep := read_deep(file)) is None:
            return read_picture(file), False
    known = depth.Range(0, depth.FULL, "the model")
    if given is not None:
        with open_file(lambda: given.open("rb")) as file:
            before = read_deep(file)
        known = None if before is None or before.dtype != deep.dtype else depth.likely_range(*depth.extremes(before))
    eight = depth.eight_bits(depth.stretched(deep, known))
    return Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight), True


def thumbnail(folder: Path, number: int, out: Path) -> Path:
    """A small picture of a result, or of what it is to be made from; drawn once."""
    from PIL import Image, ImageOps

    made = folder / "thumbs" / f"{number}{'.after' if out.is_file() else ''}.jpg"
    if not made.is_file():
        shown = folder / "after" / f"{number}.png"
        source = shown if shown.is_file() else out if out.is_file() else folder / "seen" / f"{number}.png"
        made.parent.mkdir(exist_ok=True)
        with replacing(made) as temporary, Image.open(source) as image:
            image.draft("RGB", (THUMB, THUMB))
            image.thumbnail((THUMB, THUMB))
            small = ImageOps.exif_transpose(image).convert("RGBA")
            Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB").save(temporary, "JPEG")
    return made
