"""Pictures in tar files, for sets too large for memory or for one disk: ``shards:/path/{000..127}.tar``, also https:// and s3://.

The tars are WebDataset's (``0001.jpg`` with ``0001.cls`` beside it); those that ``gansmith data pack`` makes come with an index
that knows every picture's place, size and label, so that nothing has to be read before training starts. Tars from the net
are fetched whole by WebDataset's readers, into a cache, when their turn comes. Because every picture's place is known, the
n-th picture drawn is a function of the seed and n, as it is for any other data: a run resumes to the sample.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from gansmith.data.decode import EXTENSIONS, Broken, Header, fingerprint, read_header, read_picture
from gansmith.data.files import Source
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


def open_shards(spec: str) -> ShardSource:
    """Open ``/path/{000..127}.tar``, a folder of tars, or the same behind ``https://``, ``s3://``, ``gs://`` or ``hf://``.

    Raises:
        DataError: nothing there, or no tars of pictures.
        MissingExtra: an address on the net without the package ``webdataset``.
    """
    places = _expand(spec)
    base = places[0].rpartition("/")[0]
    files = Files(places)
    known, class_names = _read_index(base, files)
    shards = [known.get(PurePosixPath(place).name) or scan(files.local(i)) for i, place in enumerate(places)]
    shards = [shard for shard in shards if shard.files]
    if not shards:
        raise DataError(f"'{spec}' has no pictures: the tars hold no JPEG, PNG, WebP or other picture files.")
    files.expect({PurePosixPath(p).name: s for p, s in zip(places, [known.get(PurePosixPath(p).name) for p in places], strict=True) if s})
    return ShardSource(PurePosixPath(base).name or "shards", shards, files, class_names)


def _expand(spec: str) -> list[str]:
    """Every tar that a spec names."""
    if not _is_remote(spec) and Path(spec).expanduser().is_dir():
        found = sorted(str(path) for path in Path(spec).expanduser().glob("*.tar"))
        if not found:
            raise DataError(f"The folder '{spec}' has no .tar files. 'gansmith data pack FOLDER --out {spec}' makes some.")
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
            raise DataError(f"There is no file '{missing[0] if missing else spec}'{more}. Give the tars as shards:/path/{{000..127}}.tar.")
    return places


def _is_remote(spec: str) -> bool:
    if "://" not in spec and not spec.startswith("pipe:"):
        return False
    if not _REMOTE.match(spec):
        raise DataError(f"'{spec}' is no address of tars: it begins with https://, http://, s3://, gs:// or hf://, without odd characters.")
    return True


def _read_index(base: str, files: Files) -> tuple[dict[str, Shard], tuple[str, ...]]:
    content = files.index(base)
    if content is None:
        return {}, ()
    try:
        document = json.loads(gzip.decompress(content))
        return {entry["name"]: Shard(**entry) for entry in document["shards"]}, tuple(document["class_names"])
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(f"{base}/{INDEX} is damaged ({error}). Make the shards again, or delete it: the tars are then read instead.") from None


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
        raise DataError(f"'{path}' cannot be read as a tar ({error}). Shards are plain .tar files, not compressed ones.") from None
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
        return int(content.get("label", content.get("cls")) if isinstance(content, dict) else content)
    except (ValueError, TypeError):
        return None


class ShardSource(Source):
    """Pictures inside tars.

    Attributes:
        shard_of: [N] which tar each picture is in; orders that read tar after tar go by it.
        files: where the tars are.
    """

    def __init__(self, name: str, shards: Sequence[Shard], files: Files, class_names: tuple[str, ...]) -> None:
        self.name, self.files, self.ignored = name, files, []
        numbers = {PurePosixPath(place).name: i for i, place in enumerate(files.places)}
        self.shard_of = np.concatenate([np.full(len(s.files), numbers[s.name]) for s in shards])
        self._offsets = np.concatenate([np.array(s.offsets, np.int64) for s in shards])
        self._sizes = np.concatenate([np.array(s.sizes, np.int64) for s in shards])
        self.names = [f"{s.name}/{file}" for s in shards for file in s.files]
        self._headers = [h for s in shards for h in s.headers] if all(s.headers for s in shards) else None
        if all(s.labels for s in shards):
            self.labels = np.concatenate([np.array(s.labels, np.int64) for s in shards])
            count = max(int(self.labels.max()) + 1, len(class_names))
            self.class_names = tuple(class_names) + tuple(str(i) for i in range(len(class_names), count))

    def header(self, index: int) -> Header:
        if self._headers is not None:
            width, height, mode, colour, digest = self._headers[index]
            return Header(width, height, mode, bool(colour), bytes.fromhex(digest))
        content = self.encoded(index)
        return read_header(io.BytesIO(content), fingerprint(io.BytesIO(content)))

    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        return read_picture(io.BytesIO(self.encoded(index)), at_least)

    def encoded(self, index: int) -> bytes:
        """The bytes of a picture's file. Raises ``Broken``."""
        size = int(self._sizes[index])
        if size == 0:
            raise Broken("empty file (0 bytes)")
        content = self.files.read(int(self.shard_of[index]), int(self._offsets[index]), size)
        if len(content) < size:
            raise Broken("its tar is cut short")
        return content

    def select(self, rows: np.ndarray) -> ShardSource:
        chosen = ShardSource.__new__(ShardSource)
        chosen.name, chosen.files, chosen.ignored, chosen.class_names = self.name, self.files, self.ignored, self.class_names
        chosen.shard_of, chosen._offsets, chosen._sizes = self.shard_of[rows], self._offsets[rows], self._sizes[rows]
        chosen.names = [self.names[i] for i in rows]
        chosen._headers = None if self._headers is None else [self._headers[i] for i in rows]
        chosen.labels = None if self.labels is None else self.labels[rows]
        return chosen


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
            self.limit = int(float(os.environ.get("GANSMITH_SHARD_CACHE_GB", "20")) * (1 << 30))

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
                raise DataError(f"{self.places[shard]} is not the file that {INDEX} describes: it was changed or cut short. Upload it again.")
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
            from webdataset import gopen  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise MissingExtra("webdataset", "shards", "Reading shards from the net") from None
        try:
            with gopen(place) as stream:
                return stream.read()
        except Exception as error:  # subcommands, http and cloud clients: their errors share no class
            raise DataError(f"{place} cannot be fetched ({str(error).strip()[:200] or type(error).__name__}). Check the address and the connection.") from None


class ShardOrder:
    """An endless shuffled order that reads tar after tar.

    Tars are dealt out to lanes, as many as divide the batch (16 at most). Each lane shuffles its tars anew in every epoch
    and mixes the pictures of a few neighbouring ones; a batch takes its share from every lane. So processes that take their
    rows of the global batch read tars of their own, and any number of them sees the same pictures in the same order.

    Args:
        shard_of: [N] which tar each picture is in.
        batch: pictures per step, over all processes.
        window: tars whose pictures are mixed.
        files: told what will be needed soon.
    """

    AHEAD = 2000
    """Pictures per lane whose tars are fetched ahead."""

    def __init__(self, shard_of: np.ndarray, seed: int, batch: int, window: int = 4, files: Files | None = None) -> None:
        self.shard_of, self.seed, self.batch, self.window, self.files = shard_of, seed, batch, window, files
        shards = np.unique(shard_of)
        most = min(16, len(shards))
        self.lanes = max(n for n in range(1, most + 1) if batch % n == 0)
        by_shard = np.argsort(shard_of, kind="stable")
        self._rows = dict(zip(shards.tolist(), np.split(by_shard, np.searchsorted(shard_of[by_shard], shards)[1:]), strict=True))
        self._dealt: list[list[int]] = [[] for _ in range(self.lanes)]
        held = [0] * self.lanes
        for shard in sorted(self._rows, key=lambda s: -len(self._rows[s])):  # the largest first, to the emptiest lane
            lane = held.index(min(held))
            self._dealt[lane].append(shard)
            held[lane] += len(self._rows[shard])
        self._sizes = held
        self._epochs: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, start: int, count: int) -> np.ndarray:
        """Item numbers at positions start to start + count."""
        share = self.batch // self.lanes
        places = np.arange(start, start + count)
        lanes, turns = places % self.batch // share, places // self.batch * share + places % share
        out = np.empty(count, np.int64)
        for lane in np.unique(lanes):
            mine = lanes == lane
            out[mine] = self._take(int(lane), int(turns[mine][0]), int(mine.sum()))
            if self.files is not None and self.files.remote:
                soon = self._take(int(lane), int(turns[mine][-1]), min(self.AHEAD, self._sizes[lane]))
                self.files.ahead(list(dict.fromkeys(self.shard_of[soon].tolist())))
        return out

    def _take(self, lane: int, start: int, count: int) -> np.ndarray:
        taken = []
        while count:
            epoch, offset = divmod(start, self._sizes[lane])
            part = self._sequence(lane, epoch)[offset : offset + count]
            taken.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(taken)

    def _sequence(self, lane: int, epoch: int) -> np.ndarray:
        from gansmith import chance

        if (lane, epoch) not in self._epochs:
            for old in [key for key in self._epochs if key[0] == lane and abs(key[1] - epoch) > 1]:
                del self._epochs[old]
            random = np.random.Generator(np.random.Philox(chance.derive(self.seed, "shards", lane, epoch)))
            shards = random.permutation(self._dealt[lane]).tolist()
            mixed = []
            for first in range(0, len(shards), self.window):
                rows = np.concatenate([self._rows[shard] for shard in shards[first : first + self.window]])
                mixed.append(random.permutation(rows))
            self._epochs[lane, epoch] = np.concatenate(mixed)
        return self._epochs[lane, epoch]
