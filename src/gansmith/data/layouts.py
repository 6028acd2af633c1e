"""What the names and folders of a set mean: classes, parts, shards, and the labels of a dataset.json."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gansmith.errors import DataError
from gansmith.files.paths import as_text

PARTS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
"""Folders that divide a set into parts, and are no classes."""
LABELS_FILE = "dataset.json"
"""StyleGAN's file of labels, beside the pictures or above them."""
MOST_LABEL_BYTES = 1 << 29

_SHARD = re.compile(r"\d{5,}")


@dataclass(frozen=True)
class Classes:
    """Which class each picture is of.

    Attributes:
        labels: [N] int64 class numbers, or None.
        names: of the classes.
        notes: what a person should know of how they were found.
        files: those that say it.
    """

    labels: np.ndarray | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def normal(name: str) -> str:
    """A name as it is compared: Unicode writes an accent in two ways (NFC and NFD), which look the same."""
    return unicodedata.normalize("NFC", name)


def classes_of(names: Sequence[str], others: Iterable[str], read: Callable[[str], bytes], where: str) -> Classes:
    """Classes by a ``dataset.json`` where there is one, else by sub-folders.

    Args:
        names: of the pictures, '/' between folders.
        others: files that are no pictures, ``dataset.json`` among them.
        read: gives the content of one of them.
        where: the set, for messages.

    Raises:
        DataError: a ``dataset.json`` of StyleGAN's kind that is damaged, lacks pictures, or gives several labels to one.
    """
    lists = [other for other in others if other.rpartition("/")[2] == LABELS_FILE]
    known: dict[str, Any] = {}
    used: list[str] = []
    for file in lists:
        labels = _listed(read(file), f"'{where}' ({file})")
        if labels is _NONE:
            continue
        used.append(file)
        folder = file.rpartition("/")[0]
        known |= {f"{folder}/{name}" if folder else name: label for name, label in (labels or {}).items()}
    if not used:
        return classes_from_folders(names)
    if not known:
        return Classes(notes=(f"{LABELS_FILE} says that there are no labels",), files=tuple(used))
    return replace(_labelled(names, known, where), files=tuple(used))


_NONE: Any = object()
"""A ``dataset.json`` that is of another program."""


def _listed(content: bytes, where: str) -> dict[str, Any] | None:
    """StyleGAN's list of [name, label]; None for none, ``_NONE`` where the file is of another kind."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise DataError(
            f"The {LABELS_FILE} in {where} is no JSON. Make it again, or remove it to do without labels."
        ) from None
    if not isinstance(document, dict) or "labels" not in document:
        return _NONE
    rows = document["labels"]
    if rows is None:
        return None
    pairs = isinstance(rows, list) and all(isinstance(r, list) and len(r) == 2 and isinstance(r[0], str) for r in rows)
    if not pairs:
        raise DataError(
            f"The labels in {where} are no list of [file name, label]. Make {LABELS_FILE} again, or remove it."
        )
    return {normal(name.replace("\\", "/").removeprefix("./")): label for name, label in rows}


def _labelled(names: Sequence[str], known: dict[str, Any], where: str) -> Classes:
    files = [normal(name) for name in names]
    files = [file if file in known else file.rpartition("#")[0] or file for file in files]  # pages of one file
    missing = [name for name, file in zip(names, files, strict=True) if file not in known]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(names):,} pictures in '{where}' are not in its {LABELS_FILE}, such as {missing[0]}. Give all a "
            f"label, or remove {LABELS_FILE} to do without labels."
        )
    given = [known[file] for file in files]
    if any(isinstance(label, list) for label in given):
        given = _from_vectors(given, where)
    if not all(isinstance(label, int) and not isinstance(label, bool) and label >= 0 for label in given):
        wrong = next(label for label in given if not isinstance(label, int) or isinstance(label, bool) or label < 0)
        raise DataError(
            f"The labels in {LABELS_FILE} of '{where}' must be whole numbers from 0; one is {str(wrong)[:60]}."
        )
    count = max(given) + 1
    if count > 1000 and count > len(given):
        raise DataError(f"The labels in {LABELS_FILE} of '{where}' go up to {count - 1} for {len(given)} pictures.")
    notes = (f"labels come from {LABELS_FILE}",)
    return Classes(np.array(given, np.int64), tuple(str(number) for number in range(count)), notes)


def _from_vectors(given: list[Any], where: str) -> list[int]:
    """Vectors with one 1 and otherwise 0, as class numbers."""
    lengths = {len(label) if isinstance(label, list) else -1 for label in given}
    single = len(lengths) == 1 and all(set(label) <= {0, 1} and sum(label) == 1 for label in given if _flat(label))
    if not single or not all(map(_flat, given)):
        raise DataError(
            f"The labels in {LABELS_FILE} of '{where}' are vectors, several labels or measurements for a picture. A class is one whole "
            f'number a picture: write those, or set "labels": null to train without classes.'
        )
    return [label.index(1) for label in given]


def _flat(label: Any) -> bool:
    return isinstance(label, list) and all(isinstance(part, (int, float)) for part in label)


def classes_from_folders(names: Sequence[str]) -> Classes:
    """Labels from the first level of sub-folders, below folders that hold everything and below ``train`` and ``test``.

    No classes unless every picture is in one of two or more sub-folders, and none where those are the shards of one set
    (:func:`shards`). Classes are in the order of their names; of their numbers, where all are numbers. Names that differ
    in how Unicode writes their accents are one class.
    """
    parts = [name.split("/") for name in names]
    depth = class_level(parts)
    if any(len(p) <= depth + 1 for p in parts):
        return Classes()
    written = {p[depth] for p in parts}
    folders = {normal(folder) for folder in written}
    if len(folders) < 2:
        return Classes()
    if shards(parts, depth):
        note = f"the folders {min(folders)} to {max(folders)} are shards of one set, whose files are numbered through, and no classes"
        return Classes(notes=(note,))
    numeric = all(f.isdecimal() for f in folders)
    ordered = sorted(folders, key=lambda f: (int(f), f)) if numeric else sorted(folders)
    number = {folder: i for i, folder in enumerate(ordered)}
    notes = ()
    if len(written) > len(folders):
        same = sorted(f for f in folders if sum(normal(w) == f for w in written) > 1)
        notes = (f"folders whose names differ only in how their accents are encoded are one class: {', '.join(same)}",)
    labels = np.array([number[normal(p[depth])] for p in parts], dtype=np.int64)
    return Classes(labels, tuple(map(as_text, ordered)), tuple(map(as_text, notes)))


def shards(parts: Sequence[Sequence[str]], depth: int) -> bool:
    """Whether folders such as 00000, 00001 only divide a set into parts of a handy size.

    That is how StyleGAN's tools and FFHQ write sets: folders are numbers of five digits, and the numbers of the files go
    on from one folder to the next. In folders that are classes they begin anew.
    """
    spans: dict[str, list[int]] = {}
    for p in parts:
        folder, file = p[depth], re.findall(r"\d+", p[-1].rpartition(".")[0])
        if not _SHARD.fullmatch(folder) or not file:
            return False
        number = int(file[-1][-18:])
        span = spans.setdefault(folder, [number, number])
        span[0], span[1] = min(span[0], number), max(span[1], number)
    if len({len(folder) for folder in spans}) != 1:
        return False
    ordered = [spans[folder] for folder in sorted(spans)]
    return all(one[1] < other[0] for one, other in itertools.pairwise(ordered))


def outside_of_classes(names: Sequence[str]) -> list[str]:
    """The pictures beside the sub-folders: they keep all others from having labels. None where there are no sub-folders."""
    parts = [name.split("/") for name in names]
    depth = class_level(parts)
    loose = [name for name, p in zip(names, parts, strict=True) if len(p) == depth + 1]
    return loose if len(loose) < len(names) else []


def class_level(parts: Sequence[Sequence[str]]) -> int:
    """How far down the folders are that differ and do not just divide the set into parts."""
    depth = 0
    while all(len(p) > depth + 1 for p in parts):
        folders = {normal(p[depth]) for p in parts}
        if len(folders) > 1 and not {folder.lower() for folder in folders} <= PARTS:
            break
        depth += 1
    return depth
