"""Tensors from the notes of :mod:`gansmith.importers.safe_pickle`, every size and bound checked."""

from __future__ import annotations

import io
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.importers.names import STORAGES
from gansmith.importers.notes import Call, Name, Reference
from gansmith.importers.safe_pickle import budget, read_notes

__all__ = ["SPARE", "Form", "Tensors", "flat_of"]

SPARE = 2**24
"""Bytes that the tensors of any file may take, however small it is."""
_REBUILDS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")


class Form(NamedTuple):
    """What a tensor's note says: where its numbers lie, and in which order."""

    held: Any
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Tensors:
    """The tensors of one file.

    Storages may be shared by tensors, as views of one array are, but not repeated: a small file could otherwise ask for
    any amount of memory. So all tensors together may take as many bytes as ``size`` and ``SPARE`` allow.

    Args:
        source: what to call the file in messages.
        size: bytes of the file.
    """

    def __init__(self, source: str, size: int) -> None:
        self.source, self.left = source, 2 * size + SPARE
        self.steps = budget()
        self._decoded: dict[int, Tensor] = {}  # by the identity of the bytes' note, which the file's notes keep alive

    def broken(self) -> ModelError:
        return ModelError(f"{self.source} holds a tensor that is damaged or of an unknown format. Download it again.")

    def form(self, note: Any) -> Form | None:
        """What a note says of a tensor or a parameter; None where it is something else.

        Raises:
            ModelError: it is a tensor, but of no shape that a tensor has.
        """
        for _ in range(4):
            if not isinstance(note, Call):
                return None
            if note.function.name in _PARAMETERS and note.arguments:
                note = note.arguments[0]
            elif note.function.name == "torch._tensor._rebuild_from_type_v2" and len(note.arguments) > 2:
                function, _, arguments = note.arguments[:3]
                if not isinstance(function, Name) or not isinstance(arguments, tuple):
                    return None
                note = Call(function, arguments)
        if not isinstance(note, Call):
            return None
        if note.function.name not in _REBUILDS:
            if note.function.name.startswith(("torch._utils._rebuild_", "torch._tensor._rebuild_")):
                raise ModelError(
                    f"{self.source} holds a tensor that is sparse, quantised or otherwise of a form that no file of weights "
                    "needs; only plain ones are read."
                )
            return None
        if len(note.arguments) < 4:
            raise self.broken()
        held, offset, *shape_and_stride = note.arguments[:4]
        size, stride = (_sizes(values) for values in shape_and_stride)
        if not isinstance(offset, int) or offset < 0 or size is None or stride is None or len(size) != len(stride):
            raise self.broken()
        return Form(held, offset, size, stride)

    def read(self, note: Any) -> Tensor:
        """The tensor or parameter that a note describes, bounds checked, contiguous.

        Raises:
            ModelError: the note is no tensor, reaches beyond its storage, or the tensors read so far and this one are
                larger than what the file holds.
        """
        form = self.form(note)
        if form is None:
            raise self.broken()
        flat = self.storage(form.held)
        count = math.prod(form.shape)
        last = form.offset + sum((s - 1) * t for s, t in zip(form.shape, form.stride, strict=True))
        if count == 0 or last >= len(flat) or count > len(flat):
            raise self.broken()
        self.left -= count * flat.dtype.itemsize
        if self.left < 0:
            raise ModelError(
                f"{self.source} holds tensors that are larger than the numbers in it. It is damaged, or made to attack "
                "whoever opens it."
            )
        return torch.as_strided(flat, form.shape, form.stride, form.offset).contiguous()

    def storage(self, held: Any) -> Tensor:
        """The flat tensor of a storage whose bytes stand in the pickle itself."""
        loads = isinstance(held, Call) and held.function.name == "torch.storage._load_from_bytes"
        if not loads or len(held.arguments) != 1:
            raise self.broken()
        data = held.arguments[0]
        if isinstance(data, Call):  # bytes as pickle protocol 2 wrote them: _codecs.encode(text, "latin1")
            if data.function.name != "_codecs.encode" or len(data.arguments) != 2 or data.arguments[1] != "latin1":
                raise self.broken()
            data = data.arguments[0]
        key = id(data)
        if key not in self._decoded:
            try:
                content = data.encode("latin1") if isinstance(data, str) else data
            except UnicodeError:
                raise self.broken() from None
            if not isinstance(content, (bytes, bytearray)):
                raise self.broken()
            self._decoded[key] = self._decode(bytes(content))
        return self._decoded[key]

    def _decode(self, data: bytes) -> Tensor:
        """The flat tensor in the bytes that ``torch.save`` made of a storage (its format before 2020)."""
        stream = io.BytesIO(data)
        magic, version, system = (read_notes(stream, self.source, steps=self.steps) for _ in range(3))
        root = read_notes(stream, self.source, references=True, steps=self.steps)
        keys = read_notes(stream, self.source, steps=self.steps)
        check_header(magic, version, system, self.source)
        found = storage_of(root)
        if found is None or not isinstance(keys, list) or len(keys) != 1 or keys[0] != found.key:
            raise self.broken()
        body = stream.read()
        if int.from_bytes(body[:8], "little") != found.count or len(body) - 8 != found.count * found.dtype.itemsize:
            raise self.broken()
        return flat_of(body[8:], found.dtype)


class Stored(NamedTuple):
    """What a reference says of a storage: its dtype, its key in the file, and how many numbers it has."""

    dtype: torch.dtype
    key: str
    count: int


MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""With which numbers ``torch.save`` began its files before 2020."""


def check_header(magic: Any, version: Any, system: Any, source: str) -> None:
    """Check the first three pickles of torch's format of before 2020.

    Raises:
        ModelError: they are something else, or say that the numbers are in another order of bytes.
    """
    known = isinstance(magic, int) and isinstance(version, int) and (magic, version) == (MAGIC, PROTOCOL)
    if not known or not isinstance(system, dict):
        raise ModelError(f"{source} holds a tensor that is damaged or of an unknown format. Download it again.")
    if not system.get("little_endian", True):
        raise ModelError(f"{source} was written on a big-endian machine; such files are not read.")


def storage_of(note: Any) -> Stored | None:
    """The storage that a persistent id points at; None where it is something else, or a view as torch before 0.4 wrote it."""
    if not isinstance(note, Reference) or not isinstance(note.key, tuple) or not 5 <= len(note.key) <= 6:
        return None
    kind, storage, key, _, count = note.key[:5]
    if not isinstance(kind, str) or kind != "storage" or not isinstance(storage, Name) or storage.name not in STORAGES:
        return None
    whole = len(note.key) == 5 or note.key[5] is None
    if not whole or not isinstance(key, str) or not isinstance(count, int) or count < 0:
        return None
    return Stored(getattr(torch, STORAGES[storage.name]), key, count)


def flat_of(content: bytes | bytearray, dtype: torch.dtype) -> Tensor:
    """The numbers in these bytes, [count]; their length is a multiple of the dtype's."""
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


def _sizes(values: Any) -> tuple[int, ...] | None:
    if isinstance(values, Call) and values.function.name == "torch.Size" and len(values.arguments) == 1:
        values = values.arguments[0]
    if not isinstance(values, (tuple, list)) or len(values) > 8:
        return None
    return tuple(int(v) for v in values) if all(isinstance(v, int) and 0 <= v < 2**40 for v in values) else None
