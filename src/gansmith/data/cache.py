"""Files far away, each fetched whole into one bounded cache when its turn comes; tars and Parquet files share it."""

from __future__ import annotations

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from gansmith.data.threads import Broken
from gansmith.errors import DataError
from gansmith.files.atomic import replacing

CHUNK = 1 << 20
"""Bytes that are in memory at once while a file is fetched."""
LEAST = 4 << 30
"""Bytes that a file may have however small the cache is."""


def cache_limit() -> int:
    """Bytes that the cache may take."""
    text = os.environ.get("GANSMITH_SHARD_CACHE_GB", "20")
    try:
        return int(float(text) * (1 << 30))
    except (ValueError, OverflowError):
        raise DataError(f"GANSMITH_SHARD_CACHE_GB is a number of gigabytes, such as 20, not '{text}'.") from None


def copy_bounded(read: Callable[[int], bytes], target: BinaryIO, most: int, place: str) -> str:
    """Copy a stream piece by piece; the blake2b digest of it all, in hexadecimal.

    Args:
        read: gives the next bytes of the stream, at most as many as it is asked for; none at the end.
        most: bytes that it may have.
        place: its address, for the error.

    Raises:
        DataError: it has more than ``most`` bytes.
    """
    left, digest = most, hashlib.blake2b()
    while piece := read(min(CHUNK, left + 1)):
        left -= len(piece)
        if left < 0:
            raise DataError(
                f"{place} is larger than the {most:,} bytes that it may have. Make smaller files, or raise GANSMITH_SHARD_CACHE_GB."
            )
        target.write(piece)
        digest.update(piece)
    return digest.hexdigest()


class CachedFiles(ABC):
    """Files on this disk, or far away and then in a cache, as many at once as fit.

    The cache is ``~/.cache/gansmith/shards`` (XDG_CACHE_HOME moves it) and keeps GANSMITH_SHARD_CACHE_GB, 20 by default.
    Several threads and processes may use it at once.

    Args:
        places: the files; their last parts are their names in the cache.

    Attributes:
        remote: whether the files are far away.
        limit: bytes that the cache may take.
    """

    def __init__(self, places: Sequence[str]) -> None:
        self.places, self.remote = list(places), "://" in places[0]
        self._locks = [threading.Lock() for _ in places]
        self._ahead = ThreadPoolExecutor(2, "gansmith-shards") if self.remote else None
        self._asked: set[int] = set()
        if self.remote:
            root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            where = hashlib.blake2b(places[0].rpartition("/")[0].encode(), digest_size=8).hexdigest()
            self.cache = root / "gansmith" / "shards" / where
            self.limit = cache_limit()

    @abstractmethod
    def fetch(self, place: str, target: BinaryIO) -> None:
        """Write a file that is far away to ``target``. Raises ``DataError``: it cannot be fetched, or is not the right one."""

    def read(self, number: int, offset: int, size: int) -> bytes:
        """A piece of a file. Raises ``Broken``."""
        for _ in range(3):  # another process may drop a cached file between finding and opening it
            try:
                with self.local(number).open("rb") as file:
                    file.seek(offset)
                    return file.read(size)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Broken(f"its tar cannot be read: {error.strerror or error}") from None
        raise Broken("its tar is gone")

    def local(self, number: int) -> Path:
        """A file on this disk, fetched if need be.

        Raises:
            DataError: it cannot be fetched, or is not the right one.
        """
        place = self.places[number]
        if not self.remote:
            return Path(place)
        path = self.cache / PurePosixPath(place).name
        with self._locks[number]:
            if path.is_file():
                os.utime(path)
                return path
            self.cache.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                with temporary.open("wb") as file:
                    self.fetch(place, file)
                self._make_room(temporary.stat().st_size)
            return path

    def ahead(self, numbers: Sequence[int]) -> None:
        """Fetch these soon, in the background."""
        if self._ahead is None:
            return
        for number in numbers:
            if number not in self._asked:
                self._asked.add(number)
                self._ahead.submit(self._quietly, number)

    def _quietly(self, number: int) -> None:
        try:
            self.local(number)
        except (DataError, OSError):  # said when it is read
            pass
        finally:
            self._asked.discard(number)

    def _make_room(self, size: int) -> None:
        """Drop the files that were not used for longest, until ``size`` more bytes fit."""
        held = [(path, path.stat()) for path in self.cache.iterdir() if not path.name.startswith(".")]
        used = sum(facts.st_size for _, facts in held) + size
        for path, facts in sorted(held, key=lambda entry: entry[1].st_mtime):
            if used <= self.limit:
                break
            used -= facts.st_size
            path.unlink(missing_ok=True)
