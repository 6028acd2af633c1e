"""Checkpoints that survive anything: written beside the last good one, verified by checksum, then switched to by a rename.

A checkpoint is a folder ``checkpoint/<images seen>`` with ``state.safetensors`` (tensors) and ``state.json`` (plain values
and the checksum). No pickle is written or read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from gansmith.errors import RunError
from gansmith.files.atomic import sync_folder, temporary_beside
from gansmith.files.documents import Unreadable, read_json
from gansmith.files.trees import flatten, unflatten

KEEP = 2
MAX_STATE = 2**24
"""Bytes of a state.json; the largest family's has 300 KB."""


def save(folder: Path, name: str, tree: dict[str, Any]) -> Path:
    """Write ``tree`` as ``folder/name`` and drop all but the newest checkpoints.

    Raises:
        RunError: the disk is full or not writable; what was there before is untouched.
    """
    skeleton, tensors = flatten(tree)
    final = folder / name
    temporary = temporary_beside(final)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clean(folder)
        temporary.mkdir()
        content = safetensors.torch.save(_on_cpu(tensors))
        digest = hashlib.blake2b(content).hexdigest()
        _write(temporary / "state.safetensors", content)
        _write(temporary / "state.json", json.dumps({"blake2b": digest, "state": skeleton}).encode())
        sync_folder(temporary)
        if final.exists():  # saved twice at the same moment: the newer replaces it
            shutil.rmtree(final)
        os.replace(temporary, final)
        sync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise RunError(
            f"The checkpoint could not be written to {folder} ({error.strerror or error}). The last good one is still there; "
            "make room or choose another --out, then go on with --resume."
        ) from None
    for old in _names(folder)[:-KEEP]:
        shutil.rmtree(folder / old, ignore_errors=True)
    return final


def load(folder: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest checkpoint that is whole, or None if there is none. Says which broken ones it passed over.

    Raises:
        RunError: there are checkpoints and every one of them is broken.
    """
    names = _names(folder)
    for name in reversed(names):
        try:
            return read(folder / name)
        except (Unreadable, OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            warn(f"The checkpoint {folder / name} is damaged ({error}); trying the one before it.")
    if names:
        raise RunError(
            f"Every checkpoint in {folder} is damaged. Start again with another --out, or restore the folder from a backup."
        )
    return None


def read(checkpoint: Path) -> dict[str, Any]:
    """One checkpoint's tree.

    Raises:
        Unreadable, OSError, ValueError, KeyError, TypeError: it is incomplete or does not match its checksum.
    """
    document = read_json(checkpoint / "state.json", MAX_STATE)
    content = (checkpoint / "state.safetensors").read_bytes()
    if hashlib.blake2b(content).hexdigest() != document["blake2b"]:
        raise ValueError("its checksum does not match")
    return unflatten(document["state"], safetensors.torch.load(content))


def clean(folder: Path) -> None:
    """Remove what interrupted saves left behind."""
    for leftover in folder.glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, one tensor after the other: a GPU that is nearly full has no room for copies of its own."""
    return {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
