"""Tensors and dicts from the notes of :mod:`gansmith.importers.safe_pickle`, every size and bound checked."""

from __future__ import annotations

import io
import math
from typing import Any

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.importers.safe_pickle import Call, Name, Reference, read_notes

_STORAGES = {
    "torch.DoubleStorage": torch.float64, "torch.FloatStorage": torch.float32, "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16, "torch.LongStorage": torch.int64, "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16, "torch.CharStorage": torch.int8, "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}  # fmt: skip
_SHARED = 2**20  # numbers that any storage may be read into, however often it is shared


class Tensors:
    """The tensors of one file.

    A storage is decoded once, and may be shared by tensors as views of one array are, but not repeated: a small file
    could otherwise ask for any amount of memory.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._decoded: dict[int, Tensor] = {}  # by the identity of the bytes' note, which the file's notes keep alive
        self._used: dict[int, int] = {}

    def broken(self) -> ModelError:
        return ModelError(f"{self.source} holds a tensor that is damaged or of an unknown format. Download it again.")

    def read(self, note: Any) -> Tensor:
        """The tensor or parameter that a note describes, bounds checked, contiguous.

        Raises:
            ModelError: the note is no tensor, or reaches beyond its storage.
        """
        for _ in range(4):
            if isinstance(note, Call) and note.function.name == "torch._utils._rebuild_parameter" and note.arguments:
                note = note.arguments[0]
        rebuilds = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
        if not isinstance(note, Call) or note.function.name not in rebuilds or len(note.arguments) < 4:
            raise self.broken()
        held, offset, *shape_and_stride = note.arguments[:4]
        size, stride = (_sizes(values) for values in shape_and_stride)
        if not isinstance(offset, int) or offset < 0 or size is None or stride is None or len(size) != len(stride):
            raise self.broken()
        flat, key = self._storage(held)
        count = math.prod(size)
        last = offset + sum((s - 1) * t for s, t in zip(size, stride, strict=True))
        self._used[key] = self._used.get(key, 0) + count
        if count == 0 or last >= len(flat) or count > len(flat) or self._used[key] > max(len(flat), _SHARED):
            raise self.broken()
        return torch.as_strided(flat, size, stride, offset).contiguous()

    def _storage(self, held: Any) -> tuple[Tensor, int]:
        """The flat tensor of a storage, and which one of the file it is."""
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
        return self._decoded[key], key

    def _decode(self, data: bytes) -> Tensor:
        """The flat tensor in the bytes that ``torch.save`` made of a storage (its format before 2020)."""
        stream = io.BytesIO(data)
        magic, version, system = (read_notes(stream, self.source) for _ in range(3))
        root, keys = read_notes(stream, self.source, references=True), read_notes(stream, self.source)
        if magic != 0x1950A86A20F9469CFC6C or version != 1001 or not isinstance(system, dict):
            raise self.broken()
        if not system.get("little_endian", True):
            raise ModelError(f"{self.source} was written on a big-endian machine; such files are not read.")
        if not isinstance(root, Reference) or not isinstance(root.key, tuple) or len(root.key) < 5:
            raise self.broken()
        kind, storage, key, _, count, *view = root.key
        if kind != "storage" or not isinstance(storage, Name) or storage.name not in _STORAGES:
            raise self.broken()
        if not isinstance(key, str) or not isinstance(keys, list) or len(keys) != 1 or keys[0] != key:
            raise self.broken()
        if not isinstance(count, int) or count < 0 or view not in ([], [None]):
            raise self.broken()
        dtype = _STORAGES[storage.name]
        body = stream.read()
        if int.from_bytes(body[:8], "little") != count or len(body) - 8 != count * dtype.itemsize:
            raise self.broken()
        if count == 0:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(bytearray(memoryview(body)[8:]), dtype=dtype)


def _sizes(values: Any) -> list[int] | None:
    if isinstance(values, Call) and values.function.name == "torch.Size" and len(values.arguments) == 1:
        values = values.arguments[0]
    if not isinstance(values, (tuple, list)) or len(values) > 8:
        return None
    return [int(v) for v in values] if all(isinstance(v, int) and 0 <= v < 2**40 for v in values) else None


def mapping(note: Any) -> dict[Any, Any] | None:
    """A dict, OrderedDict or EasyDict as a dict; None where the note is something else."""
    if isinstance(note, dict):
        return note
    if isinstance(note, Call) and note.function.name in (
        "collections.OrderedDict",
        "dnnlib.util.EasyDict",
        "builtins.dict",
    ):
        if note.arguments and note.function.name == "collections.OrderedDict" and isinstance(note.arguments[0], list):
            pairs = note.arguments[0]  # as Python 2 wrote them
            if not all(isinstance(p, (list, tuple)) and len(p) == 2 and isinstance(p[0], str) for p in pairs):
                return None
            return dict([tuple(p) for p in pairs])
        return dict(note.items)
    return None
