"""The weights of a foreign file: its notes, and its tensors read when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from gansmith.errors import ModelError
from gansmith.importers.notes import mapping
from gansmith.importers.pickled_tensors import Tensors

MAX_TENSORS = 20_000
MAX_NAME = 300
"""Tensors in a table, and letters of a name; real ones stay far below."""


class Weights:
    """What a file of weights holds.

    Attributes:
        path: the file.
        root: all of it as notes; tables are dicts, or notes that :func:`gansmith.importers.notes.mapping` reads.
        tensors: reads its tensors.
    """

    def __init__(self, path: Path, root: Any, tensors: Tensors) -> None:
        self.path, self.root, self.tensors = path, root, tensors

    @property
    def name(self) -> str:
        """What to call the file in messages."""
        return self.path.name

    def is_tensor(self, note: Any) -> bool:
        """Is a note a tensor or a parameter?

        Raises:
            ModelError: it is one of a form that is not read.
        """
        return self.tensors.form(note) is not None

    def shape(self, note: Any) -> tuple[int, ...]:
        """A tensor's shape, without reading it."""
        form = self.tensors.form(note)
        return () if form is None else form.shape

    def tensor(self, note: Any) -> Tensor:
        """A tensor, read.

        Raises:
            ModelError: it is damaged, or the tensors read so far are larger than what the file holds.
        """
        return self.tensors.read(note)

    def table(self, note: Any) -> dict[str, Any]:
        """The tensors of a table, by name, as notes; what else it has is left out.

        Raises:
            ModelError: they are more, or have longer names, than any network's.
        """
        found = {str(name): value for name, value in (mapping(note) or {}).items() if self.is_tensor(value)}
        if len(found) > MAX_TENSORS or any(len(name) > MAX_NAME for name in found):
            raise ModelError(f"{self.name} was not read: it has more tensors, or longer names, than any network has.")
        return found
