"""Which files of the workspace look like pictures: a quick look. The data check is the thorough one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from gansmith.studio.core import Studio

ARCHIVES = (".zip", ".npz")


def found(studio: Studio) -> list[dict[str, Any]]:
    """Folders with pictures, zips and npz files: in the workspace itself, and in its ``data/`` a level deeper."""
    from gansmith.data.formats import EXTENSIONS

    rows: list[dict[str, Any]] = []
    runs = set(studio.workspace.all_runs())

    def look(folder: Path, levels: int) -> None:
        try:
            entries = sorted(folder.iterdir(), key=lambda path: path.name.lower())[:2000]
        except OSError:
            return
        for path in entries:
            if path.name.startswith(".") or path.is_symlink() or len(rows) >= 200:
                continue
            with contextlib.suppress(OSError):  # one that may not be read hides no other
                spec, kind = studio.workspace.set_name(path), path.suffix[1:].lower()
                if path.is_file() and path.suffix.lower() in ARCHIVES:
                    rows.append({"spec": spec, "kind": kind, "bytes": path.stat().st_size})
                elif path.is_dir() and path not in runs and path != studio.workspace.runs:
                    pictures, folders = _glance(path, EXTENSIONS)
                    classes = folders if not pictures else 0
                    if pictures or folders:
                        rows.append({"spec": spec, "kind": "folder", "pictures": pictures, "classes": classes})
                    if levels and not folders:
                        look(path, levels - 1)

    look(studio.workspace.root, 0)
    if studio.workspace.data.is_dir():
        rows = [row for row in rows if row["spec"] != "data"]
        look(studio.workspace.data, 1)
    unique = {row["spec"]: row for row in rows}
    return list(unique.values())


def _glance(folder: Path, endings: frozenset[str]) -> tuple[int, int]:
    """Pictures directly in a folder, and sub-folders that hold some; looks at the first few thousand entries only."""
    pictures = folders = 0
    for number, path in enumerate(folder.iterdir()):
        if number > 3000:
            break
        if path.suffix.lower() in endings:
            pictures += 1
        elif path.is_dir() and not path.name.startswith(".") and folders < 1000:
            folders += any(p.suffix.lower() in endings for _, p in zip(range(20), path.iterdir(), strict=False))
    return pictures, folders
