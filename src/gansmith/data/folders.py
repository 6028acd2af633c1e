"""Folders and zips of picture files: what is in them, and what is passed over."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gansmith.data import archives
from gansmith.data.files import FileSource
from gansmith.data.formats import EXTENSIONS, KNOWN, UNREAD, suffix, why_unread
from gansmith.data.layouts import MOST_LABEL_BYTES, classes_of
from gansmith.data.threads import Broken
from gansmith.data.zips import open_members
from gansmith.errors import DataError

_MAX_MEMBER = 1 << 30


@dataclass
class Listing:
    """The files below a folder: pictures, (name, reason) of pictures of kinds that cannot be read here, and other files."""

    pictures: list[str]
    unread: list[tuple[str, str]]
    others: list[str]


def list_folder(path: Path) -> Listing:
    """Every file below a folder by its ending, sorted by name.

    Raises:
        DataError: no pictures in it, or a folder that cannot be read.
    """
    found = Listing([], [], [])
    for name in sorted(_walk(path)):
        _sort(name, found)
    if not found.pictures:
        raise DataError(nothing_in(f"The folder '{path}'", found))
    return found


def any_picture(path: Path) -> bool:
    """Whether there is a picture anywhere below a folder."""
    return any(suffix(name) in EXTENSIONS for name in _walk(path))


def _sort(name: str, found: Listing) -> None:
    ending = suffix(name)
    if ending in EXTENSIONS:
        found.pictures.append(name)
    elif ending in UNREAD:
        found.unread.append((name, UNREAD[ending]))
    else:
        found.others.append(name)


def open_folder(path: Path) -> FileSource:
    """Every picture below a folder, sorted by name; a ``dataset.json`` or class sub-folders give labels.

    Raises:
        DataError: no pictures in it, or a ``dataset.json`` that cannot be used.
    """
    found, root = list_folder(path), str(path)

    def opener(name: str) -> BinaryIO:
        return open(os.path.join(root, name), "rb")  # pathlib takes as long as opening does

    def read(name: str) -> bytes:
        with opener(name) as file:
            return file.read(MOST_LABEL_BYTES)

    return _with_classes(path.resolve().name or str(path), found, opener, read)


def open_zip(path: Path) -> FileSource:
    """Every picture in a zip, read in place: nothing is written to disk.

    Raises:
        DataError: not a zip, damaged, no pictures in it, or a ``dataset.json`` that cannot be used.
    """
    members = open_members(path, lambda name: suffix(name) in EXTENSIONS, hidden)
    found = Listing([], [], [])
    for name in sorted((*members.infos, *members.others)):
        _sort(name, found)
    if not found.pictures:
        raise DataError(nothing_in(f"The zip '{path}'", found))

    def opener(name: str) -> BinaryIO:
        return read_member(members.archive, members.infos[name])

    def digest(name: str) -> bytes:  # the archive's own checksum and length cover all bytes and cost nothing
        info = members.infos[name]
        return hashlib.blake2b(f"{info.CRC} {info.file_size}".encode(), digest_size=16).digest()

    def read(name: str) -> bytes:
        try:
            with members.archive.open(members.others[name]) as file:
                return file.read(MOST_LABEL_BYTES)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{name} in '{path}' cannot be read: {error}. Make the zip again.") from None

    found.others += sorted(members.unsafe)
    source = _with_classes(path.stem, found, opener, read, digest)
    source.notes = [*members.notes, *source.notes]
    return source


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """A member of a zip, in memory. Raises ``Broken``."""
    if info.file_size > _MAX_MEMBER:
        raise Broken(f"unpacks to {info.file_size >> 20} MiB, too large for a picture")
    if info.flag_bits & 1:
        raise Broken("encrypted: make the zip without a password")
    return io.BytesIO(archives.read_member(archive, info))


def _with_classes(
    name: str,
    found: Listing,
    opener: Callable[[str], BinaryIO],
    read: Callable[[str], bytes],
    digest: Callable[[str], bytes] | None = None,
) -> FileSource:
    source = FileSource(
        name, found.pictures, opener, ignored=found.others, unread=found.unread, digest=digest, several=True
    )
    classes = classes_of(source.names, found.others, read, name)
    source.labels, source.class_names = classes.labels, classes.names
    source.ignored = [file for file in source.ignored if file not in classes.files]
    source.notes = [*classes.notes, *source.notes]
    return source


def open_single(path: Path) -> FileSource:
    """A set of one picture, or of the pages of one file."""
    return FileSource(path.stem, [path.name], lambda name: open(path.parent / name, "rb"), several=True)


def hidden(parts: list[str]) -> bool:
    """Whether a file, by the parts of its path, is one that systems hide or leave behind."""
    return any(
        (p.startswith(".") and p != "..") or p == "__MACOSX" or p.lower() in ("thumbs.db", "desktop.ini") for p in parts
    )


def _walk(root: Path) -> Iterator[str]:
    """Files below a folder as relative names with '/'; follows links, but no folder twice.

    Raises:
        DataError: a folder that cannot be read: its pictures must not be missing without a word.
    """

    def refuse(error: OSError) -> None:
        raise DataError(
            f"The folder '{error.filename}' cannot be read ({error.strerror}). Change its permissions, or take it out."
        )

    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=refuse):
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(f for f in folders if not hidden([f]))
        relative = Path(folder).relative_to(root)
        for file in files:
            if not hidden([file]):
                yield (relative / file).as_posix()


def nothing_in(what: str, found: Listing) -> str:
    """What to say of a folder or zip without a picture that can be read."""
    if found.unread:
        return f"{what} has no pictures that can be read here: {why_unread(found.unread)}."
    known = f"{KNOWN} are read, in sub-folders too."
    if not found.others:
        return f"{what} is empty: it has no pictures. {known}"
    kinds = sorted({suffix(name) or "no ending" for name in found.others})
    inside = [name for name in found.others if suffix(name) in (".npz", ".npy", ".zip", ".parquet")]
    hint = f" Give a file of many pictures by its own path, such as that of {inside[0]}." if inside else ""
    return f"{what} has no pictures among its {len(found.others)} files ({', '.join(kinds[:6])}). {known}{hint}"
