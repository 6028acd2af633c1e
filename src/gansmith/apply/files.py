"""Picture files through a translation model: found, read, translated, written back as the kind of file they were."""

from __future__ import annotations

import glob
import itertools
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from gansmith.apply import stacks
from gansmith.apply.deep import KINDS, Deep, range_of
from gansmith.apply.finding import STRIPS, Item, find_pictures
from gansmith.apply.labels import borders_for
from gansmith.apply.masks import Hole, Masks
from gansmith.apply.options import Options
from gansmith.apply.picture import network_input, resized, translate_deep, translate_image, translate_labels
from gansmith.apply.storing import (
    Stored,
    check_size,
    comparison,
    content,
    deep_content,
    read_stored,
    store,
    store_bytes,
    store_deep,
    write,
)
from gansmith.apply.tiles import Progress
from gansmith.data.decode import Header, open_file, read_deep, read_header, read_picture, read_unconverted
from gansmith.data.planning import default_memory_limit
from gansmith.data.threads import Broken
from gansmith.errors import GansmithError, first_line
from gansmith.files.paths import check_writable
from gansmith.translation import Translation

__all__ = [
    "Item",
    "Options",
    "Report",
    "apply_to_pictures",
    "check_out",
    "comparison",
    "find_pictures",
    "network_input",
    "translate_image",
]

_USUAL_PIXELS = 89_478_485
"""Pillow takes larger pictures for attacks. A panorama is none, so they are taken where they fit into memory."""
MOST_PIXELS = 1 << 29
"""Still larger pictures are refused before they are decoded."""


@dataclass
class Report:
    """What became of the pictures: results written, and (name, words) of those that failed or lost something."""

    written: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def check_out(out: Path) -> None:
    """Raise a GansmithError unless results can be written below this folder, which need not exist."""
    if os.path.lexists(out) and not out.is_dir():
        raise GansmithError(f"Results go into a folder, and '{out}' is none. Choose another --out.")
    check_writable(out)


def apply_to_pictures(
    game: Translation,
    items: Sequence[Item],
    out: Path,
    options: Options,
    *,
    on_picture: Callable[[int, Item, str], None] = lambda number, item, reason: None,
    progress: Progress = lambda done, of: None,
) -> Report:
    """Translate pictures and write the results; a picture that fails is reported and the rest go on.

    Args:
        on_picture: called after each with (number done, item, reason it failed or '').
        progress: called after each tile of the current picture.
    """
    report, masks = Report(), options.masks
    taken: dict[Path, str] = {}
    with _large_pictures():
        for number, item in enumerate(items):
            target, reason = out / item.relative, ""
            try:
                _check_free(target, taken, options.overwrite)
                done = _apply(game, item, target, options, masks, progress)
                taken[target] = item.name
                report.written.append(target)
                notes = [
                    *done.notes,
                    _write_strip(done, item, out, taken, options.overwrite) if options.compare else "",
                ]
                report.notes += [(item.name, note) for note in notes if note]
            except (Broken, GansmithError, OSError, MemoryError, zipfile.BadZipFile, RuntimeError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                report.failed.append((item.name, reason))
            on_picture(number + 1, item, reason)
    return report


@contextmanager
def _large_pictures() -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # odd metadata
        Image.MAX_IMAGE_PIXELS = MOST_PIXELS
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@dataclass(frozen=True)
class _Done:
    """A picture before and after, what was filled, and what a person should know."""

    upright: Image.Image
    result: Image.Image
    mask: np.ndarray | None
    notes: list[str]


def _check_free(path: Path, taken: dict[Path, str], overwrite: bool) -> None:
    if path in taken:
        raise GansmithError(f"its result would have the same name as that of {taken[path]}")
    if path.is_dir():
        raise GansmithError(f"{path} is a folder, and its result would have that name")
    if not _is_free(path, overwrite):
        raise GansmithError(f"{path} exists; --overwrite replaces it")


def _is_free(path: Path, overwrite: bool) -> bool:
    return overwrite or not os.path.lexists(path)


def _apply(game: Translation, item: Item, target: Path, options: Options, masks: Masks, progress: Progress) -> _Done:
    """Translate one picture and write the result."""
    with open_file(item.open) as file:
        header = read_header(file)
        stored = read_stored(file)
        check_size(stored, header.width * game.scale, header.height * game.scale)
        _check_memory(game, header)
        if game.label_maps:
            return _apply_to_labels(game, item, file, target, stored, options, progress)
        numbers, total = stacks.numbers_of(file, stored)
        if total > 1:
            done = _apply_to_stack(game, item, target, options, masks, progress, numbers)
            left = f"the first {len(numbers):,} of its {total:,} pages were done; the rest was left out"
            return done if total == len(numbers) else replace(done, notes=[*done.notes, left])
        deep = _deep(file, header, stored, options)
        upright = read_picture(file) if deep is None else deep.image
    hole = hole_for(game, item, upright.size, masks)
    mask = None if hole is None else hole.mask
    if deep is None:
        result = resized(translate_image(game, upright, options, mask, progress), upright, options)
        store(result, target, stored)
    else:
        made = translate_deep(game, deep, options, mask, progress)
        store_deep(made, target, stored)
        result = made.image
    notes = [*_notes(header, hole, options)]
    if stored.frames > 1:
        notes.append(f"the first of its {stored.frames} pictures was taken; {stored.frames - 1} were left out")
    return _Done(upright, result, mask, notes)


def _apply_to_stack(
    game: Translation, item: Item, target: Path, options: Options, masks: Masks, progress: Progress, numbers: list[int]
) -> _Done:
    """Translate every page of a TIFF and write the results as the pages of one."""
    files: list[bytes] = []
    first: _Done | None = None
    for page in stacks.pages(lambda: open_file(item.open), numbers, options.trained, options.scale is None):
        check_size(page.stored, page.header.width * game.scale, page.header.height * game.scale)
        _check_memory(game, page.header)
        hole = hole_for(game, item, page.upright.size, masks)
        mask = None if hole is None else hole.mask
        if page.deep is None:
            made = translate_image(game, page.upright, options, mask, progress)
            result = resized(made, page.upright, options)
            files.append(content(result, page.stored))
        else:
            deep = translate_deep(game, page.deep, options, mask, progress)
            result = deep.image
            files.append(deep_content(deep, page.stored))
        first = first or _Done(page.upright, result, mask, _notes(page.header, hole, options))
    assert first is not None
    store_bytes(stacks.merged(files), target)
    done = f"each of its {len(numbers)} pages was done"
    if first.mask is not None:
        done = f"each of its {len(numbers)} pages was done, with the same mask"
    return replace(first, notes=[*first.notes, done])


def _notes(header: Header, hole: Hole | None, options: Options) -> list[str]:
    notes = [] if hole is None else [hole.note]
    notes += ["its CMYK colours became sRGB"] if header.mode == "CMYK" else []
    return notes + (
        ["it was written with 8 bits, because of --scale"] if options.scale is not None and header.bits > 8 else []
    )


def _apply_to_labels(
    game: Translation, item: Item, file: BinaryIO, target: Path, stored: Stored, options: Options, progress: Progress
) -> _Done:
    """Draw the picture of a label map and write it."""
    maps = read_unconverted(file)
    found = None if options.instances is None else borders_for(options.instances, item, maps.size)
    result = translate_labels(game, maps, options, found, progress)
    store(result, target, stored)
    wanting = game.config.instances and found is None
    notes = ["the borders between labels stand for those of instances; --instances gives these"] if wanting else []
    return _Done(maps.convert("RGB"), result, None, notes)


def _deep(file: BinaryIO, header: Header, stored: Stored, options: Options) -> Deep | None:
    """The picture with all its bits, where it has more than 8 and its kind of file takes them back."""
    # Pillow resizes 8 bits only
    pixels = read_deep(file) if header.bits > 8 and stored.kind in KINDS and options.scale is None else None
    return None if pixels is None else Deep(pixels, range_of(pixels, header.tagged, options.trained))


def hole_for(game: Translation, item: Item, size: tuple[int, int], masks: Masks) -> Hole | None:
    """What to fill of a picture of this (width, height); None for models that fill no holes.

    Raises:
        GansmithError: a mask for a model that takes none, or whatever :meth:`Masks.of` finds.
    """
    if game.takes_mask:
        return masks.of(item, size)
    if masks.given:
        raise GansmithError("this model takes no mask; --mask and --box are for models that fill holes")
    return None


def _strip_names(item: Item, out: Path) -> Iterator[Path]:
    """Names for a strip, best first: the picture's, and where others have its stem, with its ending and with numbers."""
    strip, full = out / STRIPS / item.relative.with_suffix(".png"), item.relative.name
    others = (out / item.relative).parent.glob(f"{glob.escape(item.relative.stem)}.*")
    if all(other.name == full for other in others):
        yield strip
    yield strip.with_name(f"{full}.png")
    for number in itertools.count(2):
        yield strip.with_name(f"{full}-{number}.png")


def _write_strip(done: _Done, item: Item, out: Path, taken: dict[Path, str], overwrite: bool) -> str:
    """Write the before/after strip under a name that nothing has; returns why it could not be written, or ''.

    A strip never stops a result, and never replaces that of another picture whose name differs in its ending only.
    """
    strip = next(
        path
        for path in _strip_names(item, out)
        if path not in taken and _is_free(path, overwrite) and not path.is_dir()
    )
    taken[strip] = item.name
    try:
        write(comparison(done.upright, done.result, done.mask), strip, "PNG", {})
    except (GansmithError, OSError, MemoryError) as error:
        return f"its before/after strip could not be written: {first_line(error)}"
    return ""


def _check_memory(game: Translation, header: Header) -> None:
    """Raise a GansmithError where a picture and its result, as bytes, would not fit into the memory that is free."""
    pixels = header.width * header.height * (1 + (header.bits > 8))
    needed, free = pixels * (8 + 9 * game.scale**2), 2 * default_memory_limit()
    if pixels > _USUAL_PIXELS and needed > free:
        raise GansmithError(
            f"{header.width}x{header.height} pixels and their result need about {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free; cut the picture into parts"
        )
