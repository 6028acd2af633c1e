"""State as files: nested dicts of tensors and plain values <-> one safetensors file and one json document."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from torch import Tensor

_TENSOR = "\0tensor"
_HALF_WRITTEN = re.compile(r"\.(.+)\.(\d{1,10})\.(tmp|old)")


def flatten(tree: Any, prefix: str = "") -> tuple[Any, dict[str, Tensor]]:
    """Split a tree of dicts, lists, plain values and tensors into its json-able skeleton and its tensors by path.

    The tensors are those of the tree, not copies.
    """
    if isinstance(tree, Tensor):
        return {_TENSOR: prefix}, {prefix: tree.detach()}
    if isinstance(tree, Mapping):
        skeleton, tensors = {}, {}
        for key, value in tree.items():
            # json knows only text keys; optimizers number their parameters
            name = f"\0int{key}" if isinstance(key, int) else str(key)
            skeleton[name], more = flatten(value, f"{prefix}/{key}" if prefix else str(key))
            tensors |= more
        return skeleton, tensors
    if isinstance(tree, (list, tuple)):
        parts = [flatten(value, f"{prefix}/{index}") for index, value in enumerate(tree)]
        return [part[0] for part in parts], {k: v for part in parts for k, v in part[1].items()}
    return tree, {}


def unflatten(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of :func:`flatten` (tuples come back as lists)."""
    if isinstance(skeleton, dict):
        if _TENSOR in skeleton:
            return tensors[skeleton[_TENSOR]]
        return {_key(key): unflatten(value, tensors) for key, value in skeleton.items()}
    if isinstance(skeleton, list):
        return [unflatten(value, tensors) for value in skeleton]
    return skeleton


def _key(name: str) -> int | str:
    if not name.startswith("\0int"):
        return name
    if len(name) > 16:  # optimizers count parameters; larger numbers could be chosen to have equal hashes
        raise ValueError("a key is too large")
    return int(name[4:])


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old one or the new one, whole, even after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
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
    """Remove what killed processes left half-written in a folder: ``.NAME.PID.tmp`` and ``.NAME.PID.old``.

    Where the old version is whole and the new one never took its place, the old one goes back to it. What a process that still
    runs may be writing is left alone, and so is what cannot be removed.

    Args:
        name: only what was to become this file or folder; by default all.
    """
    try:
        found = sorted(folder.glob(f".{name}*" if name and not re.search(r"[*?\[]", name) else ".*"))
    except OSError:
        return
    for path in found:
        match = _HALF_WRITTEN.fullmatch(path.name)
        if match is None or (name and match[1] != name) or psutil.pid_exists(int(match[2])):
            continue
        with contextlib.suppress(OSError):
            if match[3] == "old" and not (folder / match[1]).exists():
                path.replace(folder / match[1])
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
