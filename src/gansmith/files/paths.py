"""Where things are to be written: names for folders, and what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gansmith.errors import GansmithError, first_line


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


def check_writable(out: Path) -> None:
    """Before any work: could ``out`` be made, with the folders it lies in?

    Raises:
        GansmithError: what it lies in is a file, or nothing may be written there.
    """
    with writing(out):
        found = obstacle(out / "it" if out.is_dir() else out)
    if found:
        raise GansmithError(f"--out {out} cannot be written below {found[0]}: {found[1]}. Choose another --out.")


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
