"""Where things are to be written: names for folders, and what stands in the way."""

from __future__ import annotations

import os
from pathlib import Path


def named(path: Path) -> Path:
    """The same place by a path that has a name; '.' and '..' have none to make another from."""
    return path if path.name not in ("", "..") else path.resolve()


def obstacle(path: Path) -> tuple[Path, str] | None:
    """Why nothing can be made at ``path``: the nearest thing above that exists, and what is wrong with it."""
    above = next(place for place in path.absolute().parents if place.exists())
    if not above.is_dir():
        return above, "it is a file, not a folder"
    return None if os.access(above, os.W_OK | os.X_OK) else (above, "nothing may be written into it")
