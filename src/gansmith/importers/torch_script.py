"""The tensors of a TorchScript program, by the names of the modules that hold them; its code is not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gansmith.importers.notes import Call

MOST = 20_000
"""Modules of a program; Big LaMa has about a thousand."""
_DEEPEST = 40
_PLACE = "__torch__."


def tensors_of_modules(root: Any, is_tensor: Callable[[Any], bool]) -> dict[str, Any]:
    """Parameters and buffers of a program's modules, as notes by their names in a state dict.

    A module that stands in several places is listed where it is met first.

    Args:
        root: the note of the program's own module.
        is_tensor: whether a note is a tensor.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()
    waiting = [("", root, 0)]
    while waiting and len(seen) < MOST:
        prefix, note, depth = waiting.pop()
        if id(note) in seen or not _is_module(note) or depth > _DEEPEST:
            continue
        seen.add(id(note))
        for name, value in note.state.items():
            if not isinstance(name, str):
                continue
            if is_tensor(value):
                found[prefix + name] = value
            elif isinstance(value, Call):
                waiting.append((f"{prefix}{name}.", value, depth + 1))
    return found


def _is_module(note: Any) -> bool:
    return isinstance(note, Call) and note.function.name.startswith(_PLACE) and isinstance(note.state, dict)
