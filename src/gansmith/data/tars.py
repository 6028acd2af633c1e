"""Tar files of pictures: what is in them, by an index or by looking; and where they are, on this disk or on the net."""

from __future__ import annotations

import errno
import gzip
import io
import json
import re
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from gansmith.data.cache import LEAST, CachedFiles, copy_bounded
from gansmith.data.formats import EXTENSIONS
from gansmith.errors import DataError, MissingExtra

INDEX = "index.json.gz"
MOST_INDEX = 1 << 28
"""Bytes of an index, packed."""
MOST_TEXT = 1 << 32
"""Bytes of an index, unpacked: some 30 million pictures."""
_REMOTE = re.compile(r"^(https?|s3|gs|hf)://[\w.~:/?&=%+,@{}-]+$")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass
class Shard:
    """What one tar holds: a list entry per picture.

    Attributes:
        name: file name.
        bytes: length of the tar; 0 if it is unknown.
        digest: blake2b of the tar, or empty.
        files: names inside the tar.
        labels: class numbers, or empty.
        headers: [width, height, mode, colour, digest] of each, or empty.
    """

    name: str
    bytes: int = 0
    digest: str = ""
    files: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    headers: list[list[Any]] = field(default_factory=list)


def expand(spec: str) -> list[str]:
    """Every tar that a spec names."""
    if not _is_remote(spec) and Path(spec).expanduser().is_dir():
        found = sorted(str(path) for path in Path(spec).expanduser().glob("*.tar"))
        if not found:
            raise DataError(
                f"The folder '{spec}' has no .tar files. 'gansmith data pack FOLDER --out {spec}' makes some."
            )
        return found
    span = _RANGE.search(spec)
    if span is None:
        places = [spec]
    else:
        first, last, digits = int(span[1]), int(span[2]), len(span[1])
        places = [spec[: span.start()] + str(n).zfill(digits) + spec[span.end() :] for n in range(first, last + 1)]
    if not _is_remote(spec):
        places = [str(Path(place).expanduser()) for place in places]
        missing = [place for place in places if not Path(place).is_file()]
        if missing or not places:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise DataError(
                f"There is no file '{missing[0] if missing else spec}'{more}. Give the tars as shards:/path/{{000..127}}.tar."
            )
    return places


def _is_remote(spec: str) -> bool:
    if "://" not in spec and not spec.startswith("pipe:"):
        return False
    if not _REMOTE.match(spec):
        raise DataError(
            f"'{spec}' is no address of tars: it begins with https://, http://, s3://, gs:// or hf://, without odd characters."
        )
    return True


def read_index(base: str, files: Files) -> tuple[dict[str, Shard], tuple[str, ...]]:
    """What the index beside the tars says: shards by name, and the names of the classes; nothing where there is none."""
    content = files.index(base)
    if content is None:
        return {}, ()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            text = file.read(min(MOST_TEXT, max(1 << 20, 200 * len(content))) + 1)
            if file.read(1):
                raise ValueError("it unpacks to far more than an index of its size")
        document = json.loads(text)
        return {entry["name"]: Shard(**entry) for entry in document["shards"]}, tuple(document["class_names"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error) as error:
        raise DataError(
            f"{base}/{INDEX} is damaged ({error}). Make the shards again, or delete it: the tars are then read instead."
        ) from None


def scan(path: Path) -> Shard:
    """Find the pictures of a tar and their labels, by its headers alone.

    Raises:
        DataError: not a plain tar.
    """
    pictures: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                folder, _, file = member.name.rpartition("/")
                key, _, ending = file.partition(".")
                key, ending = f"{folder}/{key}", "." + ending.lower()
                if PurePosixPath(ending).suffix in EXTENSIONS or ending in EXTENSIONS:
                    pictures.setdefault(key, (member.name, member.offset_data, member.size))
                elif ending in (".cls", ".json") and member.size < 1 << 16:
                    label = _label(archive.extractfile(member), ending)
                    labels |= {} if label is None else {key: label}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            f"'{path}' cannot be read as a tar ({error}). Shards are plain .tar files, not compressed ones."
        ) from None
    rows = list(pictures.items())
    complete = bool(rows) and all(key in labels for key, _ in rows)
    return Shard(
        path.name,
        path.stat().st_size,
        files=[name for _, (name, _, _) in rows],
        offsets=[offset for _, (_, offset, _) in rows],
        sizes=[size for _, (_, _, size) in rows],
        labels=[labels[key] for key, _ in rows] if complete else [],
    )


def _label(file: Any, ending: str) -> int | None:
    try:
        content = json.loads(file.read())
        label: Any = content.get("label", content.get("cls")) if isinstance(content, dict) else content
        return None if int(label) < 0 else int(label)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


class Files(CachedFiles):
    """Where the tars are: on this disk, or on the net and then in the cache."""

    def __init__(self, places: list[str]) -> None:
        super().__init__(places)
        self._expected: dict[str, Shard] = {}

    def expect(self, shards: dict[str, Shard]) -> None:
        """What the index says of the tars: what is fetched must be that."""
        self._expected = shards

    def index(self, base: str) -> bytes | None:
        """The index beside the tars, or None."""
        if not self.remote:
            path = Path(base or ".") / INDEX
            return path.read_bytes() if path.is_file() else None
        content = io.BytesIO()
        try:
            self.fetch(f"{base}/{INDEX}", content)
        except DataError:
            return None
        return content.getvalue()

    def fetch(self, place: str, target: BinaryIO) -> None:
        try:
            from webdataset.gopen import gopen  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise MissingExtra("webdataset", "shards", "Reading shards from the net") from None
        known = self._expected.get(PurePosixPath(place).name)
        most = known.bytes if known and known.bytes else max(self.limit, LEAST)
        try:
            with gopen(place) as stream:
                digest = copy_bounded(stream.read, target, MOST_INDEX if place.endswith(INDEX) else most, place)
        except (DataError, OSError) as error:
            if isinstance(error, DataError) or error.errno == errno.ENOSPC:
                raise
            raise _unfetched(place, error) from None
        except Exception as error:  # subcommands, http and cloud clients: their errors share no class
            raise _unfetched(place, error) from None
        if known and known.digest and digest != known.digest:
            raise DataError(
                f"{place} is not the file that {INDEX} describes: it was changed or cut short. Upload it again."
            )


def _unfetched(place: str, error: Exception) -> DataError:
    said = str(error).strip()[:200] or type(error).__name__
    return DataError(f"{place} cannot be fetched ({said}). Check the address and the connection.")
