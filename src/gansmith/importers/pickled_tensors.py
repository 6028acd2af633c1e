"""Tensors from the notes of :mod:`gansmith.importers.safe_pickle`, every size and bound checked."""

from __future__ import annotations

import io
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


def _storage(data: bytes, source: str) -> Tensor:
    """The flat tensor in the bytes that ``torch.save`` made of a storage (its format before 2020)."""
    stream = io.BytesIO(data)
    broken = ModelError(f"{source} holds a tensor that is damaged or of an unknown format. Download it again.")
    magic, version, system = (read_notes(stream, source) for _ in range(3))
    root, keys = read_notes(stream, source), read_notes(stream, source)
    if magic != 0x1950A86A20F9469CFC6C or version != 1001 or not isinstance(system, dict):
        raise broken
    if not system.get("little_endian", True):
        raise ModelError(f"{source} was written on a big-endian machine; such files are not read.")
    if not isinstance(root, Reference) or not isinstance(root.key, tuple) or len(root.key) < 5:
        raise broken
    kind, storage, key, _, count = root.key[:5]
    if kind != "storage" or not isinstance(storage, Name) or storage.name not in _STORAGES:
        raise broken
    if (
        not isinstance(key, str)
        or not isinstance(keys, list)
        or len(keys) != 1
        or (keys[0] is not key and keys[0] != key)
    ):
        raise broken
    if not isinstance(count, int) or count < 0 or (len(root.key) > 5 and root.key[5] is not None):
        raise broken
    dtype = _STORAGES[storage.name]
    body = stream.read()
    if int.from_bytes(body[:8], "little") != count or len(body) - 8 != count * dtype.itemsize:
        raise broken
    if count == 0:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(memoryview(body)[8:]), dtype=dtype)


def _sizes(values: Any) -> list[int] | None:
    if isinstance(values, Call) and values.function.name == "torch.Size" and len(values.arguments) == 1:
        values = values.arguments[0]
    if not isinstance(values, (tuple, list)) or len(values) > 8:
        return None
    return [int(v) for v in values] if all(isinstance(v, int) and 0 <= v < 2**40 for v in values) else None


def tensor(note: Any, source: str) -> Tensor:
    """The tensor or parameter that a note describes, bounds checked, contiguous.

    Raises:
        ModelError: the note is no tensor, or reaches beyond its storage.
    """
    broken = ModelError(f"{source} holds a tensor that is damaged or of an unknown format. Download it again.")
    for _ in range(4):
        if isinstance(note, Call) and note.function.name == "torch._utils._rebuild_parameter" and note.arguments:
            note = note.arguments[0]
    if not isinstance(note, Call) or note.function.name not in (
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
    ):
        raise broken
    if len(note.arguments) < 4:
        raise broken
    held, offset, *shape_and_stride = note.arguments[:4]
    size, stride = (_sizes(values) for values in shape_and_stride)
    loads = (
        isinstance(held, Call) and held.function.name == "torch.storage._load_from_bytes" and len(held.arguments) == 1
    )
    if (
        not loads
        or not isinstance(offset, int)
        or offset < 0
        or size is None
        or stride is None
        or len(size) != len(stride)
    ):
        raise broken
    data = held.arguments[0]
    if isinstance(data, Call):  # bytes as pickle protocol 2 wrote them: _codecs.encode(text, "latin1")
        if data.function.name != "_codecs.encode" or len(data.arguments) != 2 or not isinstance(data.arguments[0], str):
            raise broken
        try:
            data = data.arguments[0].encode("latin1")
        except UnicodeError:
            raise broken from None
    if not isinstance(data, (bytes, bytearray)):
        raise broken
    flat = _storage(bytes(data), source)
    count = 1
    for s in size:
        count *= s
    if count == 0:
        return torch.empty(size, dtype=flat.dtype)
    last = offset + sum((s - 1) * t for s, t in zip(size, stride, strict=True))
    if last >= len(flat) or count > len(flat):
        raise broken
    return torch.as_strided(flat, size, stride, offset).contiguous()
