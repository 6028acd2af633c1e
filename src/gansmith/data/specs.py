"""What ``--data`` takes, told apart by its look and its content."""

from __future__ import annotations

import difflib
import re
import zipfile
from pathlib import Path

import numpy as np

from gansmith.data import standard
from gansmith.data.arrays import ArraySource, idx_files, is_idx, open_idx, open_npy, open_npz
from gansmith.data.files import Source
from gansmith.data.folders import any_picture, open_folder, open_single, open_zip
from gansmith.data.formats import EXTENSIONS
from gansmith.data.shards import open_shards
from gansmith.data.tars import INDEX
from gansmith.errors import DataError

_END = r"(?:-?\d+)?%?"
_SLICE = re.compile(rf"^(?P<rest>.+)\[(?P<start>{_END}):(?P<stop>{_END})(?::(?P<step>\d*))?\]$", re.DOTALL)
_KINDS = "a folder, a zip, an .npz or .npy file, IDX files, shards:TARS, parquet:FILES, hf:NAME, hf-stream:NAME, or a standard set"


def open_source(spec: str) -> Source:
    """Find the pictures a spec string means, without decoding any.

    ``SPEC[start:stop:step]`` takes a part, as Python slices do. ``SPEC[:90%]`` and ``SPEC[90%:]`` are two parts with
    nothing in common, drawn at random but always the same, each class in proportion: for training and held out.
    Where the working directory holds pictures under the name of a standard set, ``mnist`` could be either: ``./mnist`` is the
    folder and ``standard:mnist`` the set.

    Raises:
        DataError: nothing there, nothing that can be read, or one of two things; says what to do.
        MissingExtra: ``hf:`` without the package ``datasets``.
    """
    part = None if _is_there(spec) else _SLICE.match(spec)
    source = _open(part["rest"] if part else spec)
    if part is None:
        return source
    start, stop, step = part["start"], part["stop"], part["step"]
    if "%" in (start + stop):
        rows = _share(source, _percent(start, 0, spec), _percent(stop, 100, spec))
    else:
        if step and int(step) == 0:
            raise DataError(f"The step of '{spec}' is 0; [start:stop:step] takes every step-th picture.")
        rows = np.arange(len(source))[slice(*(int(n) if n else None for n in (start, stop, step)))]
    if not len(rows):
        raise DataError(f"'{spec}' leaves no picture: there are {len(source)}.")
    chosen = source.select(rows)
    chosen.name = source.name + spec[len(part["rest"]) :]
    return chosen


def _percent(text: str, default: int, spec: str) -> int:
    number = text.removesuffix("%") or str(default)
    if (text and not text.endswith("%")) or not number.isdecimal() or int(number) > 100:
        raise DataError(f"'{spec}': both ends of a share are percentages from 0% to 100%, as in [:90%] or [90%:].")
    return int(number)


def _share(source: Source, start: int, stop: int) -> np.ndarray:
    """Rows of a share of every class, by a shuffle that no version of anything changes."""
    labels = np.zeros(len(source), np.int64) if source.labels is None else source.labels
    shuffled = np.random.RandomState(0).permutation(len(source))  # RandomState's stream is frozen
    shuffled = shuffled[np.argsort(labels[shuffled], kind="stable")]  # class after class
    ends = np.searchsorted(labels[shuffled], np.unique(labels), side="right")
    groups = np.split(shuffled, ends[:-1])
    return np.sort(np.concatenate([g[len(g) * start // 100 : len(g) * stop // 100] for g in groups]))


def _open(spec: str) -> Source:
    if not spec.strip():
        raise DataError(f"The name of the data is empty. Give {_KINDS}.")
    if spec.startswith("hf:"):
        from gansmith.data.hub import open_hub

        return open_hub(spec.removeprefix("hf:"))
    if spec.startswith(("hf-stream:", "parquet:")):
        from gansmith.data.parquet import open_hub_stream, open_parquet

        kind, _, place = spec.partition(":")
        return open_hub_stream(place) if kind == "hf-stream" else open_parquet(place)
    if spec.startswith("shards:"):
        return open_shards(spec.removeprefix("shards:"))
    sure = spec.startswith(standard.STANDARD)
    name, _, split = spec.removeprefix(standard.STANDARD).partition(":")
    if name in standard.NAMES:
        if not sure and _holds_pictures(Path(name)):
            raise DataError(
                f"'{name}' is a standard set, and also something in this folder that holds pictures. Write './{name}' for what lies "
                f"here, or '{standard.STANDARD}{spec}' for the standard set."
            )
        return standard.open_standard(name, split)
    if sure:
        raise DataError(f"There is no standard set '{name}'. There are: {', '.join(standard.NAMES)}.")
    try:
        return _open_path(spec)
    except OSError as error:
        raise DataError(
            f"'{spec[:200]}' cannot be read ({error.strerror or error}). Look at the path and its permissions."
        ) from None


def _open_path(spec: str) -> Source:
    path = Path(spec).expanduser()
    if path.is_dir():
        if (path / INDEX).is_file():
            return open_shards(str(path))
        return _open_idx_folder(path, "") or open_folder(path)
    if path.is_file():
        return _open_file(path)
    folder, colon, split = spec.rpartition(":")
    if colon and Path(folder).expanduser().is_dir():
        found = _open_idx_folder(Path(folder).expanduser(), split)
        if found:
            return found
    raise DataError(_not_found(spec, path))


def _open_file(path: Path) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return open_npz(path)
    if suffix == ".npy":
        return open_npy(path)
    if suffix == ".zip" or zipfile.is_zipfile(path):
        return open_zip(path)
    if suffix in EXTENSIONS:
        return open_single(path)
    if is_idx(path):
        return open_idx(path)
    raise DataError(f"'{path}' is a file of an unknown type. Give {_KINDS}.")


def _open_idx_folder(folder: Path, split: str) -> ArraySource | None:
    """The IDX pictures of a folder: all there are, else those of a split, 'train' where none is named."""
    files = idx_files(folder)
    if not files:
        return None
    prefixes = ("t10k", "test") if split == "test" else (split or "train",)
    chosen = files if len(files) == 1 and not split else [f for f in files if f.name.startswith(prefixes)]
    if len(chosen) != 1:
        listed = ", ".join(f.name for f in files)
        raise DataError(f"'{folder}' has several sets of IDX pictures: {listed}. Give the path of the one to use.")
    return open_idx(chosen[0], name=folder.resolve().name + (f":{split}" if split else ""))


def _holds_pictures(path: Path) -> bool:
    """Whether a file or folder looks like pictures to train on."""
    try:
        if path.is_dir():
            return (path / INDEX).is_file() or bool(idx_files(path)) or any_picture(path)
        return path.is_file()
    except OSError:
        return False


def _is_there(spec: str) -> bool:
    try:
        return Path(spec).exists()
    except OSError:  # a name too long for a file, or a folder that may not be looked into
        return False


def _not_found(spec: str, path: Path) -> str:
    close = difflib.get_close_matches(spec.partition(":")[0].lower().replace("_", "-"), standard.NAMES, n=2)
    if path.parent.is_dir():
        close += [str(path.parent / n) for n in difflib.get_close_matches(path.name, _siblings(path.parent), n=1)]
    hint = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    names = ", ".join(standard.NAMES)
    return f"There are no pictures called '{spec}': no such file or folder.{hint} Give {_KINDS} ({names})."


def _siblings(folder: Path) -> list[str]:
    try:
        return [f.name for f in folder.iterdir()]
    except OSError:
        return []
