"""Files and folders that appear whole or not at all, and what a killed process leaves of them."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psutil

_HALF_WRITTEN = re.compile(r"\.(.+)\.(\d{1,10})(-\d+-\d+)?\.(tmp|old)(?(3)(\.\w+)?)")
_LONGEST = 255
"""Bytes of a file's name that file systems take."""
_count = itertools.count()


def temporary_beside(path: Path, kind: Literal["tmp", "old"] = "tmp", *, ending: bool = False) -> Path:
    """A new name in the folder of ``path`` for what is to become it: ``.NAME.PID-THREAD-COUNT.tmp``.

    No two calls return the same name, neither in two processes nor in two threads. :func:`clear_leftovers` knows these names.
    A name that would be too long is cut.

    Args:
        kind: ``old`` for the version that a new one replaces.
        ending: keep the suffix of ``path`` at the end, for programs that choose a format by it.
    """
    name, suffix = (path.stem, path.suffix) if ending else (path.name, "")
    unique = f".{os.getpid()}-{threading.get_native_id()}-{next(_count)}.{kind}{suffix}"
    fits = os.fsencode(name)[: _LONGEST - 1 - len(os.fsencode(unique))]
    return path.with_name(f".{fits.decode(errors='ignore')}{unique}")


@contextlib.contextmanager
def replacing(path: Path, *, ending: bool = False) -> Iterator[Path]:
    """A temporary name to write a file or a folder to. It takes the place of ``path`` at the end of the block.

    After an error nothing of it is left, and ``path`` is as it was.

    Args:
        ending: keep the suffix of ``path`` at the end.
    """
    temporary = temporary_beside(path, ending=ending)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):  # moved, or never made
            temporary.unlink()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old one or the new one, whole, even after a power cut."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable (a no-op where folders cannot be opened)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear_leftovers(folder: Path, name: str = "") -> None:
    """Remove what killed processes left half-written in a folder: ``.NAME.PID-THREAD-COUNT.tmp`` and ``....old``.

    Where the old version is whole and the new one never took its place, the old one goes back to it. What a process that still
    runs may be writing is left alone, and so is what cannot be removed.

    Args:
        name: only what was to become this file or folder; by default all.
    """
    try:
        found = sorted(folder.glob(f".{glob.escape(Path(name).stem)}*"))
    except OSError:
        return
    for path in found:
        match = _HALF_WRITTEN.fullmatch(path.name)
        if match is None or (name and match[1] + (match[5] or "") != name) or psutil.pid_exists(int(match[2])):
            continue
        with contextlib.suppress(OSError):
            if match[4] == "old" and not (folder / match[1]).exists():
                path.replace(folder / match[1])
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
