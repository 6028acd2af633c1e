"""Pictures in Parquet files, as sets on the Hugging Face Hub are kept: read file after file, never fetched whole.

``hf-stream:OWNER/NAME[/CONFIG][:SPLIT]`` takes the Parquet form that the Hub makes of every public set;
``parquet:PLACE`` a file, a folder or a pattern, on this disk or wherever fsspec reads (``https://``, ``s3://``, ``hf://``).
At the start only the tables' footers, the labels and a few pictures are read. A file's pictures are fetched when its turn
comes, into the cache of :class:`gansmith.data.cache.CachedFiles`, laid out so that each can be read by itself; the order is that of
tars, so a run resumes to the sample.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from gansmith.data.cache import CachedFiles
from gansmith.data.decode import Header, read_header
from gansmith.data.pages import left_out
from gansmith.data.shards import ShardSource, names_for
from gansmith.data.threads import Broken, in_parallel
from gansmith.errors import DataError, MissingExtra, first_line

LOOKED_AT = 8
"""Pictures of the first file whose size and mode stand for all: give --size where they differ."""
AT_ONCE = 64
"""Pictures that are in memory at once while a file is fetched."""
_LABELS = ("label", "labels", "class", "cls", "fine_label")


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold pictures and labels, and the names of the classes where the table knows them."""

    picture: str
    label: str | None
    class_names: tuple[str, ...]


def open_hub_stream(spec: str) -> ParquetSource:
    """``OWNER/NAME[/CONFIG][:SPLIT]`` on the Hub; the split is ``train`` by default.

    Raises:
        DataError: no such set, configuration or split, no connection, or no column of pictures.
    """
    name, _, split = spec.partition(":")
    parts = name.split("/")
    if len(parts) not in (2, 3):
        raise DataError(f"'hf-stream:{spec}' is not OWNER/NAME, OWNER/NAME/CONFIG or either with :SPLIT.")
    base = f"hf://datasets/{parts[0]}/{parts[1]}@refs%2Fconvert%2Fparquet"
    config = parts[2] if len(parts) == 3 else _only_config(base, spec)
    return open_parquet(f"{base}/{config}/{split or 'train'}/*.parquet", f"hf-stream:{spec}")


def _only_config(base: str, spec: str) -> str:
    found = sorted(PurePosixPath(path).name for path in _list(base, f"hf-stream:{spec}"))
    found = [name for name in found if not name.startswith(".")]
    if len(found) != 1:
        raise DataError(
            f"'hf-stream:{spec}' has several configurations: {', '.join(found)}. Name one: hf-stream:OWNER/NAME/CONFIG."
        )
    return found[0]


def open_parquet(place: str, name: str = "") -> ParquetSource:
    """A Parquet file, a folder of them, or a pattern.

    Raises:
        MissingExtra: the package ``pyarrow`` is not installed.
        DataError: nothing there, unreadable, or no column of pictures.
    """
    try:
        import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra("pyarrow", "hub", "Reading Parquet files") from None
    name = name or f"parquet:{place}"
    paths = _list(place, name)
    columns: Columns | None = None
    counts, labels, digests, first = [], [], [], []
    for path in paths:
        file, digest = _open(path, name)
        with file:
            try:
                table = pq.ParquetFile(file)
                if columns is None:
                    columns = _columns(table.schema_arrow, name)
                    first = _first(table, columns.picture)
                counts.append(table.metadata.num_rows)
                if columns.label is not None:
                    labels.append(table.read(columns=[columns.label]).column(0).to_numpy().astype(np.int64))
            except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are these
                raise DataError(f"{path} of '{name}' cannot be read as Parquet: {first_line(error)}") from None
        digests.append(digest)
    if columns is None or not sum(counts):
        raise DataError(f"'{name}' has no pictures: its tables are empty.")
    known = np.concatenate(labels) if labels else None
    if known is not None and known.min() < 0:  # a split whose labels are withheld
        known = None
    return ParquetSource(name, ParquetFiles(paths, columns.picture, name, digests), counts, first, known, columns)


def _first(table: Any, column: str) -> list[bytes]:
    for batch in table.iter_batches(batch_size=LOOKED_AT, columns=[column]):
        return [_content(cell) for cell in batch.column(0).to_pylist()]
    return []


def _content(cell: Any) -> bytes:
    """The file in a cell: bytes, or {"bytes": ..., "path": ...}."""
    return (cell.get("bytes") if isinstance(cell, dict) else cell) or b""


def _columns(schema: Any, name: str) -> Columns:
    """By what the Hub's own metadata says, else by type and name."""
    import pyarrow as pa  # pyright: ignore[reportMissingImports]

    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    except (TypeError, KeyError, ValueError):
        features = {}
    kinds = {key: value.get("_type") for key, value in features.items() if isinstance(value, dict)}
    pictures = [key for key, kind in kinds.items() if kind == "Image"]
    for field in schema:
        files = pa.types.is_struct(field.type) and "bytes" in {inner.name for inner in field.type}
        if files or pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            pictures.append(field.name)
    if not pictures:
        raise DataError(f"'{name}' has no column of pictures; its columns are: {', '.join(schema.names)}.")
    classes = [key for key, kind in kinds.items() if kind == "ClassLabel"]
    plain = [n for n in _LABELS if n in schema.names and pa.types.is_integer(schema.field(n).type)]
    label = next(iter(classes or plain), None)
    names = tuple(map(str, features[label].get("names", ()))) if label in classes else ()
    return Columns(pictures[0], label, names)


def _list(place: str, name: str) -> list[str]:
    """Every file (or folder) that a place names, as fsspec writes it."""
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(place)
        if "*" in path:
            found = system.glob(path)
        elif place.startswith("hf://"):
            found = system.ls(path, detail=False)
        else:
            found = system.glob(f"{path}/**/*.parquet") if system.isdir(path) else [path] * system.exists(path)
        found = sorted(system.unstrip_protocol(entry) for entry in found)
    except Exception as error:  # connection, no such set, no right to read it: their errors share no class
        raise DataError(
            f"'{name}' cannot be reached ({first_line(error)}). Check the name and the connection."
        ) from None
    if not found:
        raise DataError(f"'{name}' has no Parquet files at {place}. Check the configuration and the split.")
    return found


def _open(path: str, name: str) -> tuple[Any, bytes]:
    """A file, read piece by piece as it is asked for, and a digest that changes with its content."""
    from fsspec.core import url_to_fs

    try:
        system, inner = url_to_fs(path)
        facts = system.info(inner)
        stored = facts.get("lfs") or {}
        identity = stored.get("sha256") or facts.get("blob_id") or (facts.get("size"), facts.get("mtime"), inner)
        return system.open(inner, "rb"), hashlib.blake2b(repr(identity).encode(), digest_size=16).digest()
    except Exception as error:
        raise DataError(f"{path} of '{name}' cannot be fetched ({first_line(error)}). Check the connection.") from None


class ParquetFiles(CachedFiles):
    """Parquet files far away, and in the cache a file for each in which every picture can be found.

    That is: the number of pictures n, n + 1 places where they begin and the last ends, all little-endian 64-bit numbers;
    then the pictures.
    """

    def __init__(self, paths: Sequence[str], column: str, name: str, digests: Sequence[bytes]) -> None:
        self._sources = dict(zip(_cache_names(digests), paths, strict=True))
        super().__init__([f"parquet://{place}" for place in self._sources])
        self._column, self._name = column, name

    def picture(self, shard: int, row: int) -> bytes:
        """The file of one picture. Raises ``Broken``."""
        places = self.read(shard, 8 * (1 + row), 16)
        if len(places) < 16:
            raise Broken("its file in the cache is cut short")
        start, end = struct.unpack("<qq", places)
        return self.read(shard, start, end - start)

    def fetch(self, place: str, target: BinaryIO) -> None:
        import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

        path = self._sources[PurePosixPath(place).name]
        file, _ = _open(path, self._name)
        with file:
            try:
                table = pq.ParquetFile(file)
                count, sizes = table.metadata.num_rows, [0]
                target.seek(8 * (count + 2))
                for group in range(table.num_row_groups):  # all at once, pyarrow would hold all of them
                    for batch in table.iter_batches(AT_ONCE, row_groups=[group], columns=[self._column]):
                        sizes += [target.write(_content(cell.as_py())) for cell in batch.column(0)]
            except (OSError, ValueError) as error:
                raise DataError(f"{path} of '{self._name}' cannot be fetched ({first_line(error)}).") from None
        target.seek(0)
        target.write(struct.pack("<q", count) + (8 * (count + 2) + np.cumsum(sizes)).astype("<i8").tobytes())


def _cache_names(digests: Sequence[bytes]) -> list[str]:
    """Names in the cache: by place in the set and by content, so that a changed file is fetched again."""
    return [f"{number:05d}-{digest.hex()[:16]}.pictures" for number, digest in enumerate(digests)]


class ParquetSource(ShardSource):
    """Pictures inside Parquet files.

    Sizes and modes are those of the first few pictures; whatever differs is brought to the size of the run as it is read.
    """

    def __init__(
        self,
        name: str,
        files: ParquetFiles,
        counts: Sequence[int],
        first: Sequence[bytes],
        labels: np.ndarray | None,
        columns: Columns,
    ) -> None:
        self.name, self.files, self.ignored = name, files, []
        self.shard_of = np.repeat(np.arange(len(counts)), counts)
        self._rows = np.concatenate([np.arange(count) for count in counts])
        stem = PurePosixPath(name).name
        self.names = [f"{stem}/{shard}#{row}" for shard, row in zip(self.shard_of, self._rows, strict=True)]
        self._like = _headers(first, name)
        self.notes = left_out(first, "tables")
        if labels is not None:
            self.labels = labels
            self.class_names = names_for(labels, columns.class_names)

    def header(self, index: int) -> Header:
        like = self._like[index % len(self._like)]
        place = self.files.places[self.shard_of[index]], int(self._rows[index])
        digest = hashlib.blake2b(repr(place).encode(), digest_size=16).digest()
        return replace(like, digest=digest)

    def encoded(self, index: int) -> bytes:
        assert isinstance(self.files, ParquetFiles)
        content = self.files.picture(int(self.shard_of[index]), int(self._rows[index]))
        if not content:
            raise Broken("empty cell (0 bytes)")
        return content

    def select(self, rows: np.ndarray) -> ParquetSource:
        chosen = ParquetSource.__new__(ParquetSource)
        vars(chosen).update(vars(self))
        chosen.shard_of, chosen._rows = self.shard_of[rows], self._rows[rows]
        chosen.names = [self.names[i] for i in rows]
        chosen.labels = None if self.labels is None else self.labels[rows]
        return chosen


def _headers(contents: Sequence[bytes], name: str) -> list[Header]:
    """What the pictures looked at are like, those that can be read."""
    found = in_parallel(lambda i: read_header(io.BytesIO(contents[i]), b""), len(contents))
    good = [header for header in found if isinstance(header, Header)]
    if not good:
        raise DataError(f"None of the first {len(contents)} pictures of '{name}' can be read: {found[0]}.")
    return good
