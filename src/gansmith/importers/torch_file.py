"""Files of ``torch.save`` read as data: its zips, its format of before 2020, and ``.safetensors``, by one interface.

torch's own reader with ``weights_only`` runs nothing either, but it builds what a pickle asks for: a file of some hundred
bytes can ask it for gigabytes. This one makes no tensor before its size is compared with the file's.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.files.documents import Unreadable, parse_json
from gansmith.importers.archive import Archive
from gansmith.importers.names import CHECKPOINT
from gansmith.importers.notes import Call, Reference, mapping, printable
from gansmith.importers.pickled_tensors import MAGIC, Form, Stored, Tensors, check_header, flat_of, storage_of
from gansmith.importers.safe_pickle import read_notes
from gansmith.importers.torch_script import tensors_of_modules

LEGACY = MAGIC.to_bytes(10, "little")
"""How torch's number for its files of before 2020 stands in a pickle."""

MAX_HEADER = 2**22
"""Bytes of a .safetensors file's header; ten thousand tensors take about one million."""
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


def open_weights(path: Path) -> Weights:
    """Read a ``.pth``, ``.pt``, ``.ckpt`` or ``.safetensors``: everything but the numbers of its tensors.

    Of a TorchScript program the tensors of its modules are read, by their names; its code is not looked at.

    Raises:
        ModelError: missing, damaged, of another kind, or asking for anything but numbers and names.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
            if is_safetensors(start):
                return _safetensors(path, file)
            if zipfile.is_zipfile(path):
                return _zipped(path)
            if LEGACY in start:
                return _legacy(path, file)
    except FileNotFoundError:
        raise ModelError(f"There is no file '{path}'.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from None
    raise ModelError(f"{path.name} is no file that torch wrote, or it is damaged.")


def is_safetensors(start: bytes) -> bool:
    """Whether a file that starts with these bytes is a ``.safetensors``."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32


# --- torch's zips -----------------------------------------------------------------------------------------------------


class _Zipped(Tensors):
    """Storages that are members of a zip, read when asked for."""

    def __init__(self, archive: Archive, prefix: str) -> None:
        super().__init__(archive.source, archive.file.size)
        self.archive, self.prefix = archive, prefix
        self._read: dict[str, Tensor] = {}

    def storage(self, held: Any) -> Tensor:
        found = storage_of(held)
        if found is None:
            raise self.broken()
        if found.key not in self._read:
            content = self.archive.read(f"{self.prefix}data/{found.key}")
            if len(content) != found.count * found.dtype.itemsize:
                raise self.broken()
            self._read[found.key] = flat_of(content, found.dtype)
        if self._read[found.key].dtype != found.dtype:
            raise self.broken()
        return self._read[found.key]


def _zipped(path: Path) -> Weights:
    archive = Archive(path)
    pickles = [name for name in archive.members if name.rpartition("/")[2] == "data.pkl"]
    if not pickles:
        raise ModelError(_other_zip(path.name, list(archive.members)))
    prefix = min(pickles, key=len).removesuffix("data.pkl")
    if archive.members.get(f"{prefix}byteorder") and archive.read(f"{prefix}byteorder") == b"big":
        raise ModelError(f"{path.name} was written on a big-endian machine; such files are not read.")
    tensors = _Zipped(archive, prefix)
    root = read_notes(
        io.BytesIO(archive.read(f"{prefix}data.pkl")),
        path.name,
        references=True,
        policy=CHECKPOINT,
        steps=tensors.steps,
    )
    if (
        any(name.startswith(f"{prefix}code/") for name in archive.members)
        or f"{prefix}constants.pkl" in archive.members
    ):
        root = tensors_of_modules(root, lambda note: tensors.form(note) is not None)
        if not root:
            raise ModelError(
                f"{path.name} is a TorchScript program without tensors under names of their own (a frozen one): its network is code, which is "
                "never run here. Ask for the file of weights that it was made from, or write one where it was made: "
                "torch.save(model.state_dict(), 'weights.pth')."
            )
    return Weights(path, root, tensors)


def _other_zip(name: str, members: list[str]) -> str:
    """What a zip is that torch did not write, and what to do."""
    last = [member.rpartition("/")[2] for member in members]
    if any(file.startswith("serialized_") or file == "archive_format" for file in last):
        return f"{name} is a program of torch.export, whose network is code. Give the file of weights that it was made from."
    if any(file.endswith((".pth", ".pt", ".pkl", ".ckpt", ".safetensors")) for file in last):
        return f"{name} is a zip with files of weights in it. Unpack it and import one of them."
    if "model.weights.h5" in last or any(file.endswith(".h5") for file in last):
        return f"{name} holds a network of Keras, which is not read. Only weights of PyTorch are."
    if members and all(file.endswith(".npy") for file in last):
        return f"{name} holds arrays of NumPy, not a network. Only weights of PyTorch are read."
    return f"{name} is a zip without weights of torch. Unpack it and import a file inside."


# --- torch's format of before 2020 ------------------------------------------------------------------------------------


class _Legacy(Tensors):
    """Storages that lie behind a file's pickles, one after another."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, path.stat().st_size)
        self.path = path
        self.places: dict[str, tuple[int, Stored]] = {}
        self._read: dict[str, Tensor] = {}

    def storage(self, held: Any) -> Tensor:
        asked = storage_of(held)
        if asked is None or asked.key not in self.places:
            raise self.broken()
        place, found = self.places[asked.key]
        if found != asked:
            raise self.broken()
        if asked.key not in self._read:
            with self.path.open("rb") as file:
                file.seek(place)
                content = file.read(found.count * found.dtype.itemsize)
            self._read[asked.key] = flat_of(content, found.dtype)
        return self._read[asked.key]


def _legacy(path: Path, file: BinaryIO) -> Weights:
    file.seek(0)
    tensors = _Legacy(path)
    magic, version, system = (read_notes(file, path.name, policy=CHECKPOINT, steps=tensors.steps) for _ in range(3))
    check_header(magic, version, system, path.name)
    root = read_notes(file, path.name, references=True, policy=CHECKPOINT, steps=tensors.steps)
    keys = read_notes(file, path.name, policy=CHECKPOINT, steps=tensors.steps)
    place, size = file.tell(), path.stat().st_size
    stored = {found.key: found for found in _storages(root)}
    for key in keys if isinstance(keys, list) else []:
        found = stored.get(key) if isinstance(key, str) else None
        if found is None:
            raise tensors.broken()
        file.seek(place)
        count, after = file.read(8), place + 8 + found.count * found.dtype.itemsize
        if int.from_bytes(count, "little") != found.count or after > size:
            raise tensors.broken()
        tensors.places[key] = (place + 8, found)
        place = after
    return Weights(path, root, tensors)


def _storages(root: Any) -> Iterator[Stored]:
    """Every storage that notes point at."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        note = waiting.pop()
        if id(note) in seen:
            continue
        if isinstance(note, (dict, list, tuple, Call)):
            seen.add(id(note))
        if isinstance(note, Reference):
            if found := storage_of(note):
                yield found
        elif isinstance(note, dict):
            waiting += note.values()
        elif isinstance(note, (list, tuple)):
            waiting += note
        elif isinstance(note, Call):
            waiting += [*note.arguments, note.state, *note.elements, *(value for _, value in note.items)]


# --- safetensors ------------------------------------------------------------------------------------------------------

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


def _safetensors(path: Path, file: BinaryIO) -> Weights:
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
