"""Where pictures lie before anything is decided about them: folders and zips of files."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from gansmith.data.decode import EXTENSIONS, Broken, Header, fingerprint, fit, open_file, read_header, read_picture
from gansmith.errors import DataError

_MAX_MEMBER = 1 << 30
_PARTS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
"""Folders that divide a set into parts, and are no classes."""


class Source(ABC):
    """Pictures of any size and mode, read one by one.

    Attributes:
        name: what to call the set.
        names: a name for every picture, unique within the set.
        labels: [N] int64 class numbers, or None.
        class_names: a name for each class.
        ignored: files that were found and are no pictures.
    """

    name: str
    names: list[str]
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    ignored: list[str]

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def header(self, index: int) -> Header:
        """Size, mode and content hash of a picture, without decoding it. Raises ``Broken``."""

    @abstractmethod
    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        """A picture in mode L, LA, RGB or RGBA, upright; see :func:`read_picture`. Raises ``Broken``."""

    @abstractmethod
    def select(self, rows: np.ndarray) -> Source:
        """The same set with these pictures only, in this order."""

    def pixels(self, index: int, channels: int, size: tuple[int, int] | None) -> np.ndarray:
        """A picture as uint8 [H, W, C]. Raises ``Broken``."""
        return fit(self.picture(index, None if size is None else 2 * max(size)), channels, size)


class FileSource(Source):
    """Picture files that an opener gives by key: paths, members of a zip, cells of a table."""

    def __init__(
        self,
        name: str,
        names: list[str],
        opener: Callable[[str], BinaryIO],
        *,
        labels: np.ndarray | None = None,
        class_names: tuple[str, ...] = (),
        ignored: list[str] | None = None,
        digest: Callable[[str], bytes] | None = None,
    ) -> None:
        self.name, self.names, self.ignored = name, names, ignored or []
        self.labels, self.class_names = labels, class_names
        self._opener, self._digest = opener, digest

    def _open(self, index: int) -> BinaryIO:
        return open_file(lambda: self._opener(self.names[index]))

    def header(self, index: int) -> Header:
        with self._open(index) as file:
            digest = self._digest(self.names[index]) if self._digest else fingerprint(file)
            return read_header(file, digest)

    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        with self._open(index) as file:
            return read_picture(file, at_least)

    def select(self, rows: np.ndarray) -> FileSource:
        return FileSource(
            self.name,
            [self.names[i] for i in rows],
            self._opener,
            labels=None if self.labels is None else self.labels[rows],
            class_names=self.class_names,
            ignored=self.ignored,
            digest=self._digest,
        )


def open_folder(path: Path) -> FileSource:
    """Every picture below a folder, sorted by name; class sub-folders give labels.

    Raises:
        DataError: no pictures in it.
    """
    found, ignored = [], []
    for name in sorted(_walk(path)):
        (found if PurePosixPath(name).suffix.lower() in EXTENSIONS else ignored).append(name)
    if not found:
        raise DataError(_nothing_in(f"The folder '{path}'", ignored))
    labels, class_names = classes_from_folders(found)
    return FileSource(
        path.resolve().name or str(path),
        found,
        lambda name: open(path / name, "rb"),
        labels=labels,
        class_names=class_names,
        ignored=ignored,
    )


def open_zip(path: Path) -> FileSource:
    """Every picture in a zip, read in place: nothing is written to disk.

    Raises:
        DataError: not a zip, damaged, or no pictures in it.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"'{path}' cannot be read as a zip: {error}. Make the zip again, or give the folder.") from None
    members, ignored = {}, []
    for info in archive.infolist():
        parts = info.filename.replace("\\", "/").split("/")
        parts = [part for part in parts if part != "."]  # some programs write './cats/1.jpg'
        if info.is_dir() or _hidden(parts):
            continue
        unsafe = ".." in parts or parts[0] == "" or ":" in parts[0]
        wanted = PurePosixPath(parts[-1]).suffix.lower() in EXTENSIONS
        if unsafe or not wanted:
            ignored.append(info.filename)
        else:
            members["/".join(parts)] = info
    if not members:
        raise DataError(_nothing_in(f"The zip '{path}'", ignored))

    def opener(name: str) -> BinaryIO:
        info = members[name]
        if info.file_size > _MAX_MEMBER:
            raise Broken(f"unpacks to {info.file_size >> 20} MiB, too large for a picture")
        if info.flag_bits & 1:
            raise Broken("encrypted: make the zip without a password")
        return io.BytesIO(archive.read(info))

    def digest(name: str) -> bytes:  # the archive's own checksum and length cover all bytes and cost nothing
        return hashlib.blake2b(f"{members[name].CRC} {members[name].file_size}".encode(), digest_size=16).digest()

    names = sorted(members)
    labels, class_names = classes_from_folders(names)
    return FileSource(
        path.stem, names, opener, labels=labels, class_names=class_names, ignored=sorted(ignored), digest=digest
    )


def open_single(path: Path) -> FileSource:
    """A set of one picture."""
    return FileSource(path.stem, [path.name], lambda name: open(path.parent / name, "rb"))


def classes_from_folders(names: list[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels from the first level of sub-folders, below folders that hold everything and below ``train`` and ``test``.

    Returns ``(None, ())`` unless every picture is in one of two or more sub-folders. Classes are in the order of
    their names; of their numbers, where all are numbers.
    """
    parts = [name.split("/") for name in names]
    depth = _class_level(parts)
    folders = {p[depth] for p in parts}
    if len(folders) < 2 or any(len(p) <= depth + 1 for p in parts):
        return None, ()
    numeric = all(f.isdecimal() for f in folders)
    ordered = sorted(folders, key=lambda f: (int(f), f)) if numeric else sorted(folders)
    number = {folder: i for i, folder in enumerate(ordered)}
    return np.array([number[p[depth]] for p in parts], dtype=np.int64), tuple(ordered)


def outside_of_classes(names: list[str]) -> list[str]:
    """The pictures beside the sub-folders: they keep all others from having labels. None where there are no sub-folders."""
    parts = [name.split("/") for name in names]
    depth = _class_level(parts)
    loose = [name for name, p in zip(names, parts, strict=True) if len(p) == depth + 1]
    return loose if len(loose) < len(names) else []


def _class_level(parts: list[list[str]]) -> int:
    """How far down the folders are that differ and do not just divide the set into parts."""
    depth = 0
    while all(len(p) > depth + 1 for p in parts):
        folders = {p[depth] for p in parts}
        if len(folders) > 1 and not {folder.lower() for folder in folders} <= _PARTS:
            break
        depth += 1
    return depth


def _hidden(parts: list[str]) -> bool:
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
        folders[:] = sorted(f for f in folders if not _hidden([f]))
        relative = Path(folder).relative_to(root)
        for file in files:
            if not _hidden([file]):
                yield (relative / file).as_posix()


def _nothing_in(what: str, ignored: list[str]) -> str:
    known = "JPEG, PNG, WebP, BMP, TIFF and GIF files are read, in sub-folders too."
    if not ignored:
        return f"{what} is empty: it has no pictures. {known}"
    kinds = sorted({PurePosixPath(name).suffix.lower() or "no ending" for name in ignored})
    inside = [name for name in ignored if PurePosixPath(name).suffix.lower() in (".npz", ".npy", ".zip", ".parquet")]
    hint = f" Give a file of many pictures by its own path, such as that of {inside[0]}." if inside else ""
    return f"{what} has no pictures among its {len(ignored)} files ({', '.join(kinds[:6])}). {known}{hint}"
