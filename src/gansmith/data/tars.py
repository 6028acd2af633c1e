"""Tar files of pictures: what is in them, by an index or by looking; and where they are, on this disk or on the net."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tarfile
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from gansmith.data.formats import EXTENSIONS
from gansmith.data.threads import Broken
from gansmith.errors import DataError, MissingExtra

INDEX = "index.json.gz"
_REMOTE = re.compile(r"^(https?|s3|gs|hf)://[\w.~:/?&=%+,@{}-]+$")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass
class Shard:
    """What one tar holds: a list entry per picture.

    Attributes:
        name: file name.
        bytes: length of the tar; 0 where nobody knows.
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
        document = json.loads(gzip.decompress(content))
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


def _cache_limit() -> int:
    """Bytes that the cache may take."""
    text = os.environ.get("GANSMITH_SHARD_CACHE_GB", "20")
    try:
        return int(float(text) * (1 << 30))
    except (ValueError, OverflowError):
        raise DataError(f"GANSMITH_SHARD_CACHE_GB is a number of gigabytes, such as 20, not '{text}'.") from None


class Files:
    """Where the tars are: on this disk, or on the net and then in a cache, as many at once as fit.

    The cache is ``~/.cache/gansmith/shards`` (XDG_CACHE_HOME moves it) and keeps GANSMITH_SHARD_CACHE_GB, 20 by default.
    """

    def __init__(self, places: list[str]) -> None:
        self.places, self.remote = places, "://" in places[0]
        self._expected: dict[str, Shard] = {}
        self._locks = [threading.Lock() for _ in places]
        self._ahead = ThreadPoolExecutor(2, "gansmith-shards") if self.remote else None
        self._asked: set[int] = set()
        if self.remote:
            root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            where = hashlib.blake2b(places[0].rpartition("/")[0].encode(), digest_size=8).hexdigest()
            self.cache = root / "gansmith" / "shards" / where
            self.limit = _cache_limit()

    def expect(self, shards: dict[str, Shard]) -> None:
        """What the index says of the tars: what is fetched must be that."""
        self._expected = shards

    def index(self, base: str) -> bytes | None:
        """The index beside the tars, or None."""
        if not self.remote:
            path = Path(base or ".") / INDEX
            return path.read_bytes() if path.is_file() else None
        try:
            return self._fetch(f"{base}/{INDEX}")
        except DataError:
            return None

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """A piece of a tar. Raises ``Broken``."""
        for _ in range(3):  # another process may drop a cached tar between finding and opening it
            try:
                with self.local(shard).open("rb") as file:
                    file.seek(offset)
                    return file.read(size)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Broken(f"its tar cannot be read: {error.strerror or error}") from None
        raise Broken("its tar is gone")

    def local(self, shard: int) -> Path:
        """A tar on this disk, fetched if need be.

        Raises:
            DataError: it cannot be fetched, or is not what the index says.
        """
        if not self.remote:
            return Path(self.places[shard])
        path = self.cache / PurePosixPath(self.places[shard]).name
        with self._locks[shard]:
            if path.is_file():
                os.utime(path)
                return path
            content = self._fetch(self.places[shard])
            known = self._expected.get(path.name)
            if known and known.digest and hashlib.blake2b(content).hexdigest() != known.digest:
                raise DataError(
                    f"{self.places[shard]} is not the file that {INDEX} describes: it was changed or cut short. Upload it again."
                )
            self.cache.mkdir(parents=True, exist_ok=True)
            self._make_room(len(content))
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            temporary.write_bytes(content)
            temporary.replace(path)
            return path

    def ahead(self, shards: Sequence[int]) -> None:
        """Fetch these soon, in the background."""
        if self._ahead is None:
            return
        for shard in shards:
            if shard not in self._asked:
                self._asked.add(shard)
                self._ahead.submit(self._quietly, shard)

    def _quietly(self, shard: int) -> None:
        try:
            self.local(shard)
        except (DataError, OSError):  # said when it is read
            pass
        finally:
            self._asked.discard(shard)

    def _make_room(self, size: int) -> None:
        cached = sorted(self.cache.glob("*.tar"), key=lambda path: path.stat().st_mtime)
        used = sum(path.stat().st_size for path in cached) + size
        for path in cached:
            if used <= self.limit:
                break
            used -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _fetch(self, place: str) -> bytes:
        try:
            from webdataset.gopen import gopen  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise MissingExtra("webdataset", "shards", "Reading shards from the net") from None
        try:
            with gopen(place) as stream:
                return stream.read()
        except Exception as error:  # subcommands, http and cloud clients: their errors share no class
            raise DataError(
                f"{place} cannot be fetched ({str(error).strip()[:200] or type(error).__name__}). Check the address and the connection."
            ) from None
