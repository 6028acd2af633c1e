"""Notes of what a pickle would do, and words about it. Notes are inert: nothing that they name is imported or called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gansmith.errors import ModelError


class Refused(ModelError):
    """The file asks for something that a file of weights has no use for."""


@dataclass(frozen=True, slots=True)
class Name:
    """Something the pickle would import."""

    name: str


@dataclass(eq=False, slots=True)
class Call:
    """Something the pickle would call or construct, what it would set on it, and items it would put into it."""

    function: Name
    arguments: tuple[Any, ...]
    state: Any = None
    pairs: list[tuple[Any, Any]] | None = None
    added: list[Any] | None = None

    @property
    def items(self) -> list[tuple[Any, Any]]:
        """Keys and values that it would set, as ``target[key] = value``."""
        return self.pairs or []

    @property
    def elements(self) -> list[Any]:
        """Values that it would append."""
        return self.added or []


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """A persistent id: data that lies elsewhere in the file."""

    key: Any


def printable(text: str) -> str:
    """Words out of a file, for a message: short, and without characters that a terminal would obey."""
    return re.sub(r"[^\x20-\x7e]", "?", text[:120])


_DICTS = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "dnnlib.util.EasyDict",
    "builtins.dict",
)


def mapping(note: Any) -> dict[Any, Any] | None:
    """A dict, OrderedDict or the like as a dict; None where the note is something else."""
    if isinstance(note, dict):
        return note
    if isinstance(note, Call) and note.function.name in _DICTS:
        if note.arguments and note.function.name == "collections.OrderedDict" and isinstance(note.arguments[0], list):
            pairs = note.arguments[0]  # as Python 2 wrote them
            if not all(isinstance(p, (list, tuple)) and len(p) == 2 and isinstance(p[0], str) for p in pairs):
                return None
            return dict([tuple(p) for p in pairs])
        return dict(note.items)
    return None


def class_of_module(note: Any) -> str:
    """The class's name where a note is a whole ``torch.nn.Module``, pickled with its structure; else empty."""
    if not isinstance(note, Call):
        return ""
    state = mapping(note.state)
    if state is None or not {"_modules", "_parameters"} & state.keys():
        return ""
    if note.function.name == "copyreg._reconstructor" and note.arguments and isinstance(note.arguments[0], Name):
        return note.arguments[0].name
    return note.function.name
