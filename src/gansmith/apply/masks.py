"""Which mask belongs to which picture, in the layouts that people have."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gansmith.apply.finding import Item
from gansmith.apply.mask_files import HOW, Hole, read_mask
from gansmith.data.decode import open_file
from gansmith.data.formats import EXTENSIONS
from gansmith.data.threads import Broken
from gansmith.errors import GansmithError

_MASK_NAME = re.compile(r"(?:(?P<before>.+?)[-_. ]mask[-_. ]?\d*|masks?[-_. ](?P<after>.+))", re.IGNORECASE)
"""``name_mask``, ``name_mask001``, ``name-mask``, ``name.mask``, ``mask_name``."""


class Masks:
    """The masks of pictures.

    Args:
        place: a mask picture for all, a folder with one for each picture, or None.
        boxes: rectangles (x, y, width, height) that are filled too.
        above: a mask means to fill what is brighter than this, 0 to 255, whatever its colours; None wants black and white.
        invert: fill what the mask keeps and keep what it fills.
    """

    def __init__(
        self,
        place: Path | None = None,
        boxes: Sequence[tuple[int, int, int, int]] = (),
        above: int | None = None,
        invert: bool = False,
    ) -> None:
        self.place, self.boxes, self.above, self.invert = place, boxes, above, invert
        self._listed = functools.cache(_by_stem)

    @property
    def given(self) -> bool:
        """Does anything say what to fill?"""
        return self.place is not None or bool(self.boxes)

    def of(self, item: Item, size: tuple[int, int]) -> Hole:
        """What to fill of a picture of this (width, height).

        Raises:
            GansmithError: no mask of it, no mask at all, of another size, or a box outside of it; says what was found.
        """
        mask, note = np.zeros(size[::-1], bool), ""
        if self.place is not None:
            drawn = self._drawn(item)
            if drawn.mask.shape != mask.shape:
                height, width = drawn.mask.shape
                raise GansmithError(
                    f"the mask is {width}x{height} and the picture {size[0]}x{size[1]}; they must be the same size"
                )
            mask, note = drawn.mask.copy(), drawn.note
        for x, y, width, height in self.boxes:
            if x < 0 or y < 0 or width < 1 or height < 1 or x + width > size[0] or y + height > size[1]:
                raise GansmithError(
                    f"the box {x},{y},{width},{height} does not lie in the picture of {size[0]}x{size[1]} px"
                )
            mask[y : y + height, x : x + width] = True
        if not self.given:
            raise GansmithError("this model fills holes: give --mask PICTURE (white where to fill) or --box x,y,w,h")
        if mask.all():
            raise GansmithError("all of the picture is to be filled, and nothing is left to fill it from")
        return Hole(mask, note)

    def pictures_among(self, items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
        """(pictures, masks): the items without those that are masks of others, which lie beside the pictures."""
        if self.place is None:
            return list(items), []
        masks = [item for item in items if self._is_mask(item, items)]
        taken = set(map(id, masks))
        return [item for item in items if id(item) not in taken], masks

    def _is_mask(self, item: Item, items: Sequence[Item]) -> bool:
        assert self.place is not None
        if item.path is None:
            return False
        if not self.place.is_dir():
            return len(items) > 1 and _same_file(self.place, item.path)
        root = self.place.resolve()
        if root not in item.path.resolve().parents:
            return False
        if any(other.path is None or root not in other.path.resolve().parents for other in items):
            return True  # a folder of masks below that of the pictures
        beside = self._listed(item.path.parent)
        stem = _stem_of_mask(item.path.stem)
        if stem is not None and stem in beside:
            return True
        twins = [file for file in beside.get(item.path.stem, []) if file.name != item.path.name]
        return bool(twins) and _can_be_read(item.path) and not any(map(_can_be_read, twins))

    # --- the mask of one picture --------------------------------------------------------------------------------------

    def _drawn(self, item: Item) -> Hole:
        assert self.place is not None
        file = self._file(item) if self.place.is_dir() else self.place
        own = item.path is not None and _same_file(file, item.path)
        if own or _same_bytes(file, item):
            raise GansmithError(
                f"the mask {file} is the picture itself, whose light parts would be painted over. {HOW}"
            )
        try:
            with open_file(lambda: open(file, "rb")) as opened:
                return read_mask(opened, str(file), self.above, self.invert)
        except Broken as reason:
            raise GansmithError(f"the mask {file} cannot be used: {reason}") from None

    def _file(self, item: Item) -> Path:
        """The picture's mask: in the same sub-folder below the masks' folder, or right in that."""
        assert self.place is not None
        stem, itself = item.relative.stem, False
        for place in dict.fromkeys((self.place / item.relative.parent, self.place)):
            listed = self._listed(place)
            found = [file for file in listed.get(stem, []) if item.path is None or not _same_file(file, item.path)]
            itself = itself or len(found) < len(listed.get(stem, []))
            found = found or [f for name, files in listed.items() if _stem_of_mask(name) == stem for f in files]
            if len(found) > 1:
                names = " and ".join(file.name for file in found[:3])
                raise GansmithError(
                    f"{place} has {len(found)} masks of it ({names}); leave one, or name one with --mask"
                )
            if found:
                return found[0]
        hint = f"a mask of it is named {stem}_mask.png or {stem}_mask001.png there, or {stem}.png in a folder of masks"
        raise GansmithError(
            f"the folder {self.place} has no mask named {stem}{', but the picture itself' if itself else ''}: {hint}"
        )


def masks_beside(items: Sequence[Item]) -> str:
    """The name of a mask that lies beside its picture among these, or ''."""
    stems = {item.relative.with_suffix("") for item in items}
    for item in items:
        stem = _stem_of_mask(item.relative.stem)
        if stem is not None and item.relative.with_name(stem) in stems:
            return item.name
    return ""


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    listed: dict[str, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in EXTENSIONS:
            listed.setdefault(file.stem, []).append(file)
    return listed


def _stem_of_mask(stem: str) -> str | None:
    found = _MASK_NAME.fullmatch(stem)
    return None if found is None else found["before"] or found["after"]


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:  # one of them is gone; reading it raises the error
        return False


def _same_bytes(file: Path, item: Item) -> bool:
    try:
        with item.open() as opened:
            return opened.read() == file.read_bytes()
    except (OSError, Broken):
        return False


def _can_be_read(file: Path) -> bool:
    """Does this picture look like a mask?"""
    try:
        with open_file(lambda: open(file, "rb")) as opened:
            read_mask(opened, file.name)
    except (Broken, GansmithError, OSError):
        return False
    return True
