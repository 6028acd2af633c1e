"""Two sides in one folder: the layouts in which people have them, told apart by names, and refused where they could be two things."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from gansmith.data.files import Source
from gansmith.data.formats import suffix
from gansmith.data.layouts import PARTS, normal
from gansmith.data.pages import ENDINGS
from gansmith.data.threads import in_parallel
from gansmith.errors import DataError

_SIDE = re.compile(r"(?:(?P<part>[a-z]+)[_ -]?)?(?P<side>[ab])", re.IGNORECASE)
_SUFFIX = re.compile(r"(?P<base>.+)[_. -](?P<side>[ab])", re.IGNORECASE)
_CANONICAL = {"training": "train", "testing": "test", "valid": "val", "validation": "val"}
_ORDER = {"train": ("train",), "test": ("test", "val", "train")}

HALVES = "halves:"
"""Before a spec: every picture is two, side by side."""
_LOOKED_AT = 24
_SMOOTH, _VISIBLE, _CONTINUOUS, _TEXTURED = 0.5, 4.0, 2.0, 0.75


@dataclass(frozen=True)
class Sides:
    """Two sides of one set.

    Attributes:
        a, b: the sides.
        keys_a, keys_b: the same for pictures that are a pair.
        words: which layout it is, for a person.
    """

    a: Source
    b: Source
    keys_a: list[str]
    keys_b: list[str]
    words: str


@dataclass
class _Place:
    """What a picture's path says: its side, its part of the set, and the rest, which its partner shares."""

    side: str
    part: str
    key: str
    folders: str


@dataclass
class _Sorted:
    places: dict[int, _Place] = field(default_factory=dict)
    loose: list[int] = field(default_factory=list)


def stem_of(name: str) -> str:
    """A picture's path without its ending; of a page, with its number. Accents are compared as Unicode's NFC."""
    head, mark, page = name.rpartition("#")
    if mark and page.isdecimal():
        if suffix(head) not in ENDINGS:
            return page  # rows of arrays and tables are called set#row
        return normal(f"{PurePosixPath(head).with_suffix('')}#{page}")
    return normal(str(PurePosixPath(name).with_suffix("")))


def find_sides(source: Source, part: str = "train") -> Sides | None:
    """The two sides of a set, where its names tell them: None where they do not.

    Known are folders A and B, trainA, trainB, testA, testB, A/train, B/train, train/A, train/B, and files x_A and x_B, beside
    each other or below ``train`` and ``test``; large and small letters alike.

    Args:
        part: of a set that is divided into parts: ``train``, or ``test`` (else ``val``, else ``train``).

    Raises:
        DataError: the names fit a layout in part only, or two of them.
    """
    for found, what in (
        (_by_folders(source.names), "folders"),
        (_by_suffixes(source.names), "names that end in _A and _B"),
    ):
        sides = {place.side for place in found.places.values()}
        if sides != {"a", "b"} or len(found.places) < len(found.loose):
            continue
        if found.loose:
            raise DataError(
                f"'{source.name}' holds two sides by {what}, and {len(found.loose):,} pictures that belong to neither, such as "
                f"{source.names[found.loose[0]]}. Move those away, or name the two sides: --data FOLDER_A FOLDER_B."
            )
        return _chosen(source, found.places, part, what)
    return None


def _by_folders(names: Sequence[str]) -> _Sorted:
    found = _Sorted()
    for i, name in enumerate(names):
        folders = PurePosixPath(name).parts[:-1]
        at = next((k for k, folder in enumerate(folders) if _side_of(folder) is not None), None)
        if at is None:
            found.loose.append(i)
            continue
        side, part = _side_of(folders[at]) or ("", "")
        rest = [folder for k, folder in enumerate(folders) if k != at]
        parts = [folder for folder in rest if folder.lower() in PARTS]
        rest = [folder for folder in rest if folder.lower() not in PARTS]
        part = part or (_canonical(parts[0]) if parts else "")
        found.places[i] = _Place(side, part, stem_of("/".join([*rest, name.rpartition("/")[2]])), "/".join(folders))
    return found


def _side_of(folder: str) -> tuple[str, str] | None:
    """(side, part) of a folder called A, trainA, test_b or the like."""
    match = _SIDE.fullmatch(folder)
    part = (match["part"] or "").lower() if match else ""
    if match is None or (part and part not in PARTS):
        return None
    return match["side"].lower(), _canonical(part) if part else ""


def _canonical(part: str) -> str:
    return _CANONICAL.get(part.lower(), part.lower())


def _by_suffixes(names: Sequence[str]) -> _Sorted:
    found = _Sorted()
    for i, name in enumerate(names):
        folders, stem = PurePosixPath(name).parts[:-1], stem_of(name.rpartition("/")[2])
        stem, _, page = stem.partition("#")
        match = _SUFFIX.fullmatch(stem)
        if match is None:
            found.loose.append(i)
            continue
        part = next((_canonical(folder) for folder in folders if folder.lower() in PARTS), "")
        rest = [folder for folder in folders if folder.lower() not in PARTS]
        key = "/".join([*rest, normal(f"{match['base']}#{page}")])
        found.places[i] = _Place(match["side"].lower(), part, key, "/".join(folders))
    return found


def _chosen(source: Source, places: dict[int, _Place], wanted: str, what: str) -> Sides:
    parts = {place.part for place in places.values()}
    if "" in parts and len(parts) > 1:
        named = ", ".join(sorted({place.folders for place in places.values()})[:6])
        raise DataError(
            f"'{source.name}' holds two sides, divided into parts and not ({named}). Name the two sides: --data FOLDER_A FOLDER_B."
        )
    part = next((p for p in _ORDER[wanted] if p in parts), "" if "" in parts else sorted(parts)[0])
    rows = {side: [i for i, p in places.items() if p.side == side and p.part == part] for side in "ab"}
    if not rows["a"] or not rows["b"]:
        lacking = "A" if not rows["a"] else "B"
        raise DataError(f"'{source.name}' holds two sides, but in its part '{part}' side {lacking} has no pictures.")
    a, b = (source.select(np.array(rows[side])) for side in "ab")
    homes = [sorted({places[i].folders for i in rows[side]}) for side in "ab"]
    if what == "folders":
        a.name, b.name = (f"{source.name}/{home[0]}" for home in homes)
        what = f"{homes[0][0]}/ and {homes[1][0]}/"
    words = f"two sides in one set: {what}, {len(a):,} + {len(b):,} pictures"
    others = sorted(parts - {part})
    if others:
        left = sum(place.part in others for place in places.values())
        words += f"; {left:,} pictures of {' and '.join(others)} are left out"
    return Sides(a, b, [places[i].key for i in rows["a"]], [places[i].key for i in rows["b"]], words)


def of_part(source: Source, part: str) -> tuple[Source, str]:
    """The pictures below ``train`` of a set that is divided into parts (``test`` likewise), and words on what is left out."""
    parts = [next((_canonical(f) for f in PurePosixPath(n).parts[:-1] if f.lower() in PARTS), "") for n in source.names]
    chosen = next((p for p in _ORDER[part] if p in parts), "")
    rows = [i for i, p in enumerate(parts) if p == chosen]
    if not chosen or len(rows) == len(parts) or "" in parts:
        return source, ""
    others = sorted(set(parts) - {chosen})
    return source.select(
        np.array(rows)
    ), f"; {len(parts) - len(rows):,} pictures of {' and '.join(others)} are left out"


def no_sides(source: Source, family_needs: str) -> str:
    """What to say of a set in which no two sides are found."""
    folders = sorted({PurePosixPath(name).parts[0] for name in source.names if "/" in name})
    known = (
        "Two folders are --data FOLDER_A FOLDER_B; one folder holds both sides as A and B, trainA and trainB, A/train and "
        "B/train, or files x_A and x_B."
    )
    if len(folders) == 2:
        return (
            f"{family_needs}, and '{source.name}' has the sub-folders {folders[0]} and {folders[1]}, which do not say which is A. Name "
            f"them in that order, the pictures to start from first: --data .../{folders[0]} .../{folders[1]}."
        )
    return f"{family_needs}, and '{source.name}' holds one. {known}"


def check_halves(source: Source, sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse to cut pictures in half that are not two side by side.

    Two are seen by the edge between them. Where pictures are too rough or too plain to tell, two squares are taken for two.

    Args:
        sizes: (width, height) of the pictures that can be read.

    Raises:
        DataError: they are single pictures, or could be.
    """
    found = in_parallel(lambda i: _seam(source, i), len(source)) if len(source) <= _LOOKED_AT else None
    if found is None:
        rows = np.linspace(0, len(source) - 1, _LOOKED_AT).round().astype(int)
        found = in_parallel(lambda i: _seam(source, int(rows[i])), len(rows))
    told = [seam for seam in found if isinstance(seam, bool)]
    squares = all(width == 2 * height for width, height in sizes)
    if (told and sum(told) > len(told) / 2) or (not told and squares):
        return
    width, height = sizes[0]
    why = (
        "their left and right halves run into each other"
        if told
        else "they are not two squares, and nothing tells where"
    )
    raise DataError(
        f"Pairs are wanted, and the pictures in '{source.name}' ({width}x{height}) look like single ones: {why}. For pairs in two folders: "
        f"--data FOLDER_A FOLDER_B, with the same file names. If each is two pictures side by side all the same: --data {HALVES}FOLDER."
    )


def _seam(source: Source, index: int) -> bool | None:
    """Whether there is an edge in the middle of a picture, all the way down; None where that cannot be told.

    Neighbouring columns of a photograph are alike, distant ones are not. Where that holds left and right of the middle, the
    columns next to it are compared in the same way.
    """
    pixels = np.asarray(source.picture(index, 256).convert("L"), np.float32)
    middle, reach = pixels.shape[1] // 2, max(3, pixels.shape[1] // 16)
    if middle < 8:
        return None
    steps = np.abs(np.diff(pixels[:, middle - reach : middle + reach], axis=1)).mean(0)
    across = steps[reach - 1]
    usual = float(np.median(np.delete(steps, reach - 1)))
    far = np.abs(pixels[:, [middle - 1, middle]] - pixels[:, [middle // 2, middle + middle // 2]]).mean()
    if far < _VISIBLE or usual > _SMOOTH * far:
        return None
    if across > _CONTINUOUS * usual + 1:
        return True
    beside = min(steps[reach - 3 : reach - 1].max(), steps[reach : reach + 2].max())
    # where two drawings meet in blank margins, the middle is plainer than what lies around it; a single picture's is not
    return None if beside < _TEXTURED or across < _SMOOTH * usual else False
