"""Pictures that come as arrays: .npz files, IDX files, and what standard sets load to."""

from __future__ import annotations

import contextlib
import copy
import gzip
import hashlib
import io
import math
import re
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from gansmith.data.archives import Counted
from gansmith.data.decode import Header
from gansmith.data.depth import eight_bits, stretched
from gansmith.data.files import Source
from gansmith.errors import DataError, first_line

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
MOST_ARRAYS = 10_000
"""Most arrays of an .npz; three of them mean anything."""
_IDX_NAME = re.compile(r"idx[34]-ubyte(\.gz)?$")


class ArraySource(Source):
    """Pictures held as one array.

    Args:
        x: uint8 or uint16 [N, H, W] or [N, H, W, C] with C = 1, 3 or 4.
        y: [N] (or [N, 1]) whole numbers from 0, or None.
        class_names: a name for each class; numbers if left out.

    Raises:
        DataError: another type or shape; says which and what to do.
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray | None = None, *, name: str = "arrays", class_names: tuple[str, ...] = ()
    ) -> None:
        self.x = _checked_pictures(np.asarray(x), name)
        self.name, self.ignored = name, []
        self.names = [f"{name}#{i}" for i in range(len(self.x))]
        if y is not None:
            self.labels, self.class_names = _checked_labels(np.asarray(y), len(self.x), name, tuple(class_names))

    @property
    def channels(self) -> int:
        return self.x.shape[3]

    def header(self, index: int) -> Header:
        digest = hashlib.blake2b(np.ascontiguousarray(self.x[index]).data, digest_size=16).digest()
        bits = 8 * self.x.itemsize
        mode = "I;16" if bits == 16 and self.channels == 1 else _MODES[self.channels]
        return Header(self.x.shape[2], self.x.shape[1], mode, self.channels > 1, digest, bits)

    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        pixels = self.x[index]
        if pixels.dtype != np.uint8:
            pixels = eight_bits(stretched(pixels, self.known_range))
        return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if self.channels == 1 else pixels))

    def deep(self, index: int) -> np.ndarray | None:
        return None if self.x.dtype == np.uint8 else self.x[index]

    def select(self, rows: np.ndarray) -> ArraySource:
        chosen = copy.copy(self)
        chosen.x = self.x[rows]
        chosen.names = [self.names[i] for i in rows]
        chosen.labels = None if self.labels is None else self.labels[rows]
        return chosen


def open_npz(path: Path) -> ArraySource:
    """An .npz with ``x``, and ``y`` and ``class_names`` if it has them. Never unpickles.

    Raises:
        DataError: damaged, no array ``x``, pickled objects, or arrays that are not pictures.
    """
    held_names, arrays = _read_npz(path)
    if "x" not in arrays:
        held = ", ".join(f"'{name}'" for name in held_names) or "nothing"
        raise DataError(
            f"'{path}' has no array 'x'; it holds {held}. Save it with numpy.savez(path, x=pictures, y=labels), "
            "x as uint8 [N, H, W] or [N, H, W, C]."
        )
    names = np.ravel(arrays.get("class_names", ()))
    return ArraySource(arrays["x"], arrays.get("y"), name=path.stem, class_names=tuple(str(n) for n in names))


def open_npy(path: Path) -> ArraySource:
    """An .npy that is an array of pictures. Never unpickles.

    Raises:
        DataError: damaged, pickled objects, or an array that is not pictures.
    """
    try:
        x = np.load(path, allow_pickle=False)
    except Exception as error:  # numpy's headers raise anything on bad bytes
        raise DataError(f"'{path}' cannot be read as an .npy of plain numbers: {first_line(error)}") from None
    return ArraySource(x, name=path.stem)


def _read_npz(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """The names of all arrays, and those arrays that mean something to us."""
    try:
        file = Counted(path, MOST_ARRAYS) if zipfile.is_zipfile(path) else path
        found = np.load(file, allow_pickle=False)  # type: ignore[arg-type]
        if isinstance(file, Counted):
            file.free = True
        if isinstance(found, np.ndarray):
            raise DataError(f"'{path}' holds one array without a name, as an .npy does. Give it that ending.")
        with found as arrays, contextlib.closing(file) if isinstance(file, Counted) else contextlib.nullcontext():
            return arrays.files, {name: arrays[name] for name in ("x", "y", "class_names") if name in arrays.files}
    except DataError:
        raise
    except Exception as error:  # zips, deflate and numpy's headers raise anything on bad bytes
        raise DataError(f"'{path}' cannot be read as an .npz of plain arrays: {first_line(error)}") from None


def is_idx(path: Path) -> bool:
    """Whether a file begins like IDX pictures (three or four dimensions of bytes)."""
    try:
        with _unpacked(path) as file:
            return file.read(4) in (b"\0\0\x08\x03", b"\0\0\x08\x04")
    except (OSError, EOFError, zlib.error):
        return False


def idx_files(folder: Path) -> list[Path]:
    """The IDX files of pictures in a folder (not below it)."""
    return sorted(f for f in folder.iterdir() if _IDX_NAME.search(f.name) and f.is_file() and is_idx(f))


def open_idx(path: Path, name: str | None = None, class_names: tuple[str, ...] = ()) -> ArraySource:
    """IDX pictures with the labels file beside them, if there is one; either may be gzipped.

    Source: the format of the MNIST files, http://yann.lecun.com/exdb/mnist.

    Raises:
        DataError: not an IDX file, or shorter than its header says.
    """
    x = read_idx(path)
    labels = _labels_beside(path)
    y = None if labels is None else read_idx(labels)
    stem = path.name.removesuffix(".gz")
    short = re.sub(r"[-.]?(images)?[-.]?idx[34]-ubyte$", "", stem) or stem
    return ArraySource(x, y, name=name or short, class_names=class_names)


def read_idx(path: Path) -> np.ndarray:
    """The bytes of an IDX file as an array of its shape.

    Raises:
        DataError: not an IDX file of bytes, or shorter than its header says.
    """
    try:
        with _unpacked(path) as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:3] != b"\0\0\x08":
                raise DataError(f"'{path}' is not an IDX file of bytes (it begins with {magic.hex(' ')}).")
            shape = tuple(np.frombuffer(file.read(4 * magic[3]), dtype=">u4").astype(int).tolist())
            size = math.prod(shape)
            data = file.read(min(size, sys.maxsize))
    except (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read: {first_line(error)}") from None
    if len(data) < size:
        raise DataError(f"'{path}' is cut short: {len(data):,} of {size:,} bytes. Download it again.")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _unpacked(path: Path) -> gzip.GzipFile | io.BufferedReader:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")


def _labels_beside(path: Path) -> Path | None:
    if "images" not in path.name:
        return None
    name = re.sub(r"idx[34]", "idx1", path.name.replace("images", "labels")).removesuffix(".gz")
    beside = (path.with_name(name), path.with_name(name + ".gz"))
    return next((b for b in beside if b.is_file()), None)


def _checked_pictures(x: np.ndarray, name: str) -> np.ndarray:
    wanted = "Pictures are uint8 or uint16 [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels."
    if x.dtype == np.dtype(">u2"):
        x = x.astype(np.uint16)
    if x.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"'{name}' holds {x.dtype} numbers. {wanted} Scale to 0..255 and convert with .astype('uint8')."
        )
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim == 4 and x.shape[3] not in _MODES and x.shape[1] in _MODES:
        raise DataError(
            f"'{name}' has the shape {list(x.shape)}, channels first. {wanted} Use x.transpose(0, 2, 3, 1)."
        )
    if x.ndim != 4 or x.shape[3] not in _MODES:
        raise DataError(f"'{name}' has the shape {list(x.shape)}. {wanted}")
    if len(x) == 0:
        raise DataError(f"'{name}' is empty: it has no pictures.")
    return x


def _checked_labels(y: np.ndarray, n: int, name: str, given: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    y = y.reshape(n) if y.shape == (n, 1) else y
    if y.shape != (n,):
        raise DataError(f"'{name}' has {n} pictures but labels of the shape {list(y.shape)}; they must be [{n}].")
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"The labels of '{name}' must be whole numbers, 0 for the first class; they are {y.dtype}.")
    if y.min() < 0:
        raise DataError(f"The labels of '{name}' must be whole numbers from 0; the least is {y.min()}.")
    labels, count = y.astype(np.int64), max(int(y.max()) + 1, len(given))
    if count > n and count > 1000 and not given:
        raise DataError(f"The labels of '{name}' go up to {count - 1} for {n} pictures; number the classes from 0.")
    return labels, given + tuple(str(i) for i in range(len(given), count))
