"""The studio's trash: runs, sets and single files, each of which can come back until it is emptied."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

from gansmith.studio.errors import Refused
from gansmith.studio.jobs import is_stamp
from gansmith.studio.workspace import Workspace


def folder(workspace: Workspace) -> Path:
    """Where it lies."""
    return workspace.state.parent / "trash"


def put(workspace: Workspace, path: Path) -> str:
    """Move a run or a set into the trash; returns its key there."""
    place = _new(workspace, workspace.relative(path))
    try:
        move(path, place / "run")
    except Refused:
        shutil.rmtree(place)
        raise
    return place.name


def put_files(workspace: Workspace, root: Path, names: list[str]) -> tuple[str, int]:
    """Move some files of a set into the trash, as one; returns its key there and how many there were."""
    place = _new(workspace, workspace.relative(root))
    moved = 0
    for name in names:
        path = root / name
        if not path.is_file() or not path.resolve().is_relative_to(root):
            continue  # gone meanwhile, or a link to elsewhere
        target = place / "files" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        move(path, target)
        moved += 1
    if not moved:
        shutil.rmtree(place)
        raise Refused("None of these files is there any more. Look at the set again.", 404)
    return place.name, moved


def _new(workspace: Workspace, name: str) -> Path:
    place = folder(workspace) / f"{time.time_ns():020d}"
    place.mkdir(parents=True)
    (place / "from.txt").write_text(name, encoding="utf-8")
    return place


def move(path: Path, target: Path) -> None:
    """Rename a file or folder, or say why not."""
    try:
        path.rename(target)
    except OSError as error:
        raise Refused(f"'{path.name}' cannot be moved: {error.strerror}.", 409) from None


def listed(workspace: Workspace) -> list[dict[str, Any]]:
    """What lies there, newest first: id, run (its name), kind (run, set or files), bytes."""
    rows = []
    for note in sorted(folder(workspace).glob("*/from.txt"), reverse=True):
        with contextlib.suppress(FileNotFoundError):  # another request puts it there or takes it out this moment
            place = note.parent
            files = (place / "files").is_dir()
            if not files and not (place / "run").exists():
                continue
            kind = "files" if files else "run" if (place / "run" / "config.yaml").is_file() else "set"
            row = {"id": place.name, "run": note.read_text("utf-8"), "kind": kind, "bytes": _bytes_below(place)}
            rows.append(row)
    return rows


def _bytes_below(place: Path) -> int:
    """What the files below a folder take; those that go while they are counted do not count."""
    size = 0
    for path, _, names in os.walk(place):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(path, name)).st_size
    return size


def restore(workspace: Workspace, key: str, taken: set[str]) -> str:
    """Take something out of the trash; returns its name.

    Args:
        taken: names of runs that wait in the queue.
    """
    place = folder(workspace) / key
    if not is_stamp(key) or not (place / "from.txt").is_file():
        raise Refused("That is not in the trash any more.", 404)
    name = (place / "from.txt").read_text("utf-8")
    target = workspace.inside(name)
    if (place / "files").is_dir():
        for file in [f for f in (place / "files").rglob("*") if f.is_file()]:
            back = target / file.relative_to(place / "files")
            if not back.exists():
                back.parent.mkdir(parents=True, exist_ok=True)
                move(file, back)
    else:
        if target.exists() or name in taken:
            raise Refused(f"There is something called '{name}' again. Rename it first.", 409)
        target.parent.mkdir(parents=True, exist_ok=True)
        move(place / "run", target)
    shutil.rmtree(place)
    return name


def empty(workspace: Workspace) -> None:
    """Delete all of it, for good."""
    shutil.rmtree(folder(workspace), ignore_errors=True)
