"""A repair's files: linked, set upright, made small."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

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


def thumbnail(folder: Path, number: int, out: Path) -> Path:
    """A small picture of a result, or of what it is to be made from; drawn once."""
    from PIL import Image, ImageOps

    made = folder / "thumbs" / f"{number}{'.after' if out.is_file() else ''}.jpg"
    if not made.is_file():
        shown = folder / "after" / f"{number}.png"
        source = shown if shown.is_file() else out if out.is_file() else folder / "seen" / f"{number}.png"
        made.parent.mkdir(exist_ok=True)
        temporary = made.with_name(f".{made.name}.{time.time_ns()}.part")
        with Image.open(source) as image:
            image.draft("RGB", (THUMB, THUMB))
            image.thumbnail((THUMB, THUMB))
            small = ImageOps.exif_transpose(image).convert("RGBA")
            Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB").save(temporary, "JPEG")
        temporary.replace(made)
    return made
