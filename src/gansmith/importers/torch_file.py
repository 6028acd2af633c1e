"""Files of ``torch.save`` read as data: its zips, its format of before 2020, and ``.safetensors``, by one interface.

torch's own reader with ``weights_only`` runs nothing either, but it builds what a pickle asks for: a file of some hundred
bytes can ask it for gigabytes. This one makes no tensor before its size is compared with the file's.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from gansmith.errors import ModelError
from gansmith.importers.archive import Archive
from gansmith.importers.names import CHECKPOINT
from gansmith.importers.notes import Call, Reference
from gansmith.importers.pickled_tensors import MAGIC, Stored, Tensors, check_header, flat_of, storage_of
from gansmith.importers.safe_pickle import read_notes
from gansmith.importers.safetensors_file import is_safetensors, open_safetensors
from gansmith.importers.torch_script import tensors_of_modules
from gansmith.importers.weights import Weights

LEGACY = MAGIC.to_bytes(10, "little")
"""How torch's number for its files of before 2020 stands in a pickle."""


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
                return open_safetensors(path, file)
            if zipfile.is_zipfile(path):
                return _zipped(path)
            if LEGACY in start:
                return _legacy(path, file)
    except FileNotFoundError:
        raise ModelError(f"There is no file '{path}'.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from None
    raise ModelError(f"{path.name} is no file that torch wrote, or it is damaged.")


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
