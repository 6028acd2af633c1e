"""Weights in safetensors files: a header of JSON and the numbers behind it, every bound checked before anything is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.files.documents import Unreadable, parse_json
from gansmith.importers.notes import printable
from gansmith.importers.pickled_tensors import Form, Tensors, flat_of
from gansmith.importers.weights import Weights

MAX_HEADER = 2**22
"""Bytes of a .safetensors file's header; ten thousand tensors take about one million."""


def is_safetensors(start: bytes) -> bool:
    """Whether a file that starts with these bytes is a ``.safetensors``."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32


_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class _Plain(Tensors):
    """Tensors of a ``.safetensors`` file: each has its own bytes."""

    def __init__(self, path: Path, start: int) -> None:
        super().__init__(path.name, path.stat().st_size)
        self.path, self.start = path, start

    def form(self, note: Any) -> Form | None:
        return note.form if isinstance(note, _Piece) else None

    def storage(self, held: Any) -> Tensor:
        with self.path.open("rb") as file:
            file.seek(self.start + held.begin)
            content = file.read(held.end - held.begin)
        return flat_of(content, held.dtype)


class _Piece:
    """A tensor of a ``.safetensors`` file: its shape, and where its bytes lie behind the header."""

    def __init__(self, dtype: torch.dtype, shape: tuple[int, ...], begin: int, end: int) -> None:
        self.dtype, self.begin, self.end = dtype, begin, end
        stride = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        self.form = Form(self, 0, shape, tuple(stride))


def open_safetensors(path: Path, file: BinaryIO) -> Weights:
    """The weights of a safetensors file, read when they are asked for."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    size = path.stat().st_size
    damaged = ModelError(f"{path.name} is damaged: its header does not fit the file. Copy or download it again.")
    if length > min(MAX_HEADER, size - 8):
        raise damaged
    try:
        header = parse_json(file.read(length).decode("utf-8"))
    except (Unreadable, UnicodeError):
        raise damaged from None
    if not isinstance(header, dict):
        raise damaged
    root: dict[str, Any] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            try:
                piece = _piece(entry, size - 8 - length)
            except ModelError as error:
                raise ModelError(f"{path.name} cannot be read: {error}.") from None
            if piece is None:
                raise damaged
            root[name] = piece
    return Weights(path, root, _Plain(path, 8 + length))


def _piece(entry: Any, room: int) -> _Piece | None:
    """A tensor's entry in a header, or None where it is none, or reaches beyond the file."""
    kind = entry.get("dtype") if isinstance(entry, dict) else None
    if not isinstance(kind, str):
        return None
    if kind not in _DTYPES:
        raise ModelError(f"a tensor has numbers of the kind '{printable(kind)}'; {', '.join(_DTYPES)} are read")
    dtype, shape, places = _DTYPES[kind], entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or len(shape) > 8 or not all(isinstance(s, int) and 0 <= s < 2**40 for s in shape):
        return None
    if not isinstance(places, list) or len(places) != 2 or not all(isinstance(p, int) for p in places):
        return None
    begin, end = places
    whole = 0 <= begin <= end <= room and end - begin == math.prod(shape) * dtype.itemsize
    return _Piece(dtype, tuple(shape), begin, end) if whole else None
