"""Where things are to be written: names for folders, and what stands in the way."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gansmith.errors import GansmithError, first_line

_RESERVED = {"CON", "PRN", "AUX", "NUL", "__MACOSX", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}
"""Names that Windows keeps for devices, and one that readers of pictures pass over."""


def named(path: Path) -> Path:
    """The same place by a path that has a name; '.' and '..' have none to make another from."""
    return path if path.name not in ("", "..") else path.resolve()


def check_is_text(out: Path | str) -> None:
    """Raise a GansmithError unless a name for results is text: it is written into configurations, logs and reports."""
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise GansmithError(
            f"--out {as_text(str(out))} has a byte that is no UTF-8. Choose a name that is text."
        ) from None


def as_text(name: str) -> str:
    """A name that can be written down: bytes that are no UTF-8 become ``\\udce9`` and the like."""
    return name.encode("utf-8", "backslashreplace").decode()


def obstacle(path: Path) -> tuple[Path, str] | None:
    """Why nothing can be made at ``path``: the nearest thing above that exists, and what is wrong with it."""
    above = next(place for place in path.absolute().parents if place.exists() or place.is_symlink())
    if not above.is_dir():
        return above, "it is a file, not a folder"
    return None if os.access(above, os.W_OK | os.X_OK) else (above, "nothing may be written into it")


def check_free(out: Path, overwrite: bool, flag: str = "--out") -> None:
    """Before any work: is there nothing that would be lost? An empty folder is nothing.

    Args:
        flag: what the place was given with, for the message.

    Raises:
        GansmithError: a file or a link, or a folder with something in it, is there, and ``overwrite`` is False.
    """
    with writing(out):
        there = any(out.iterdir()) if out.is_dir() else os.path.lexists(out)
    if there and not overwrite:
        if out.is_dir():
            raise GansmithError(f"{out} exists and is not empty. Choose another {flag}, or add --overwrite.")
        raise GansmithError(f"{out} exists. Choose another {flag}, or add --overwrite.")


def folder_names(names: Sequence[str]) -> list[str]:
    """A folder name for every class name: the class's own as far as a folder can have it on any system, each one once.

    What cannot stand in a name becomes '-'. A name that is empty, reserved or hidden becomes ``class-NUMBER``, and one that
    differs from an earlier one in its case or its Unicode form only gets its number at the end.
    """
    folders: list[str] = []
    taken: set[str] = set()
    for number, name in enumerate(names):
        folder = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "-", name).encode("utf-8", "replace").decode()
        folder = _shortened(folder, 200).strip(". ")
        if not folder or folder.split(".")[0].upper() in _RESERVED:
            folder = f"class-{number}"
        while _same(folder) in taken:
            folder = f"{folder}-{number}"
        taken.add(_same(folder))
        folders.append(folder)
    return folders


def _same(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shortened(name: str, most: int) -> str:
    """The first characters, at most ``most`` bytes of UTF-8: names have at most 255."""
    return name.encode()[:most].decode("utf-8", "ignore")


def check_writable(out: Path, flag: str = "--out") -> None:
    """Before any work: could ``out`` be made, with the folders it lies in?

    Args:
        flag: what the place was given with, for the message.

    Raises:
        GansmithError: what it lies in is a file, or nothing may be written there.
    """
    with writing(out):
        found = obstacle(out / "it" if out.is_dir() else out)
    if found:
        raise GansmithError(f"{flag} {out} cannot be written below {found[0]}: {found[1]}. Choose another {flag}.")


def nearest_folder(out: Path) -> Path:
    """``out`` itself where it is a folder, else the nearest thing above it that exists."""
    with writing(out):
        folder = out.absolute() if out.is_dir() else out.absolute().parent
        while not folder.exists():
            folder = folder.parent
    return folder


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """What the system says against writing ``out``, as a sentence."""
    try:
        yield
    except OSError as error:
        raise GansmithError(f"{out} could not be written: {error.strerror or first_line(error)}.") from None
