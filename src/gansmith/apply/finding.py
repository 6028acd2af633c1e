"""Which pictures are meant: files, folders, globs and zips as one list."""

from __future__ import annotations

import glob
import itertools
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from gansmith.data.folders import hidden, list_folder, read_member
from gansmith.data.formats import EXTENSIONS, KNOWN, UNREAD, suffix
from gansmith.data.zips import open_members
from gansmith.errors import DataError

STRIPS = "compare"
"""Folder below the output folder for before/after strips."""


@dataclass(frozen=True)
class Item:
    """One picture to translate.

    Attributes:
        name: how to call it in messages.
        relative: where its result goes below the output folder.
        open: opens its bytes.
        path: the file, where it is one of its own and no member of a zip.
    """

    name: str
    relative: PurePosixPath
    open: Callable[[], BinaryIO]
    path: Path | None = None


def find_pictures(specs: Sequence[str], out: Path | None = None) -> list[Item]:
    """Files, folders (recursive), globs and zips as a list of pictures, each once.

    Results of earlier runs are left out: what lies in ``out`` is taken only where it is named itself.

    Raises:
        DataError: something named is not there, or holds no pictures.
    """
    results = None if out is None else out.resolve()
    items: dict[tuple[str, PurePosixPath], Item] = {}
    for spec in specs:
        path = Path(os.path.expanduser(spec))
        if _exists(path):
            folder = path.resolve() if path.is_dir() else None
            if folder is not None and folder == results and len(specs) > 1:
                continue  # a shell's * also names the output folder
            found = list(_items(path, results, named=True))
        else:
            found = [item for match in _globbed(path, spec, results) for item in _items(match, results, named=False)]
        if not found:
            raise DataError(
                f"'{spec}' has no pictures, or none but earlier results. {KNOWN} are read, in sub-folders too."
            )
        items |= {(item.name, item.relative): item for item in found}
    return list(items.values())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have, or a folder that may not be looked into
        return False


def _globbed(path: Path, spec: str, results: Path | None) -> list[Path]:
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    if not matches:
        raise DataError(f"There is no picture, folder or zip '{spec}'.")
    fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)).resolve()
    if results is None or results in (fixed, *fixed.parents):
        return matches
    return [match for match in matches if results not in (match.resolve(), *match.resolve().parents)]


def _items(path: Path, results: Path | None, named: bool) -> Iterator[Item]:
    if path.is_dir():
        yield from _in_folder(path, results, named)
    elif path.suffix.lower() == ".zip":
        yield from _members(path)
    elif named or path.suffix.lower() in EXTENSIONS:
        yield Item(str(path), PurePosixPath(path.name), _opener(path), path)


def _in_folder(path: Path, results: Path | None, named: bool) -> Iterator[Item]:
    root, own = path.resolve(), None
    if root == results:
        own = (STRIPS,)
    elif results is not None and root in results.parents:
        own = results.relative_to(root).parts
    try:
        found = list_folder(path)
    except DataError:
        if named:
            raise
        return
    for name in sorted([*found.pictures, *(name for name, _ in found.unread)]):  # those fail, and are said to
        relative = PurePosixPath(name)
        if own is None or relative.parts[: len(own)] != own:
            yield Item(str(path / name), relative, _opener(path / name), path / name)


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: open(path, "rb")


def _members(path: Path) -> Iterator[Item]:
    members = open_members(path, lambda name: suffix(name) in EXTENSIONS or suffix(name) in UNREAD, hidden)
    for name, info in sorted(members.infos.items()):
        yield Item(f"{path}:{name}", PurePosixPath(name), _member_opener(members.archive, info))


def _member_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    return lambda: read_member(archive, info)
