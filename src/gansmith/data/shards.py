"""Pictures in tar files, for sets too large for memory or for one disk: ``shards:/path/{000..127}.tar``, also https:// and s3://.

The tars are WebDataset's (``0001.jpg`` with ``0001.cls`` beside it); those that ``gansmith data pack`` makes come with an index
that knows every picture's place, size and label, so that nothing has to be read before training starts. Tars from the net
are fetched whole by WebDataset's readers, into a cache, when their turn comes. Because every picture's place is known, the
n-th picture drawn is a function of the seed and n, as it is for any other data: a run resumes to the sample.
"""

from __future__ import annotations

import copy
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from PIL import Image

from gansmith.data.decode import Header, deep_of, fingerprint, header_of, opened, picture_of
from gansmith.data.files import Source
from gansmith.data.pages import ENDINGS, page_header, several_in
from gansmith.data.tars import Files, Shard, expand, read_index, scan
from gansmith.data.threads import Broken, in_parallel
from gansmith.errors import DataError
from gansmith.parallel import seeding


def open_shards(spec: str) -> ShardSource:
    """Open ``/path/{000..127}.tar``, a folder of tars, or the same behind ``https://``, ``s3://``, ``gs://`` or ``hf://``.

    Raises:
        DataError: nothing there, or no tars of pictures.
        MissingExtra: an address on the net without the package ``webdataset``.
    """
    places = expand(spec)
    base = places[0].rpartition("/")[0]
    files = Files(places)
    known, class_names = read_index(base, files)
    shards, pages, notes = [], {}, []
    for number, place in enumerate(places):
        shard = known.get(PurePosixPath(place).name)
        if shard is None:
            shard, own, said = _by_pages(scan(files.local(number)), number, files)
            pages |= own
            notes += said
        shards.append(shard)
    shards = [shard for shard in shards if shard.files]
    if not shards:
        raise DataError(f"'{spec}' has no pictures: the tars hold no JPEG, PNG, WebP or other picture files.")
    files.expect(
        {
            PurePosixPath(p).name: s
            for p, s in zip(places, [known.get(PurePosixPath(p).name) for p in places], strict=True)
            if s
        }
    )
    source = ShardSource(PurePosixPath(base).name or "shards", shards, files, class_names)
    source.pages, source.notes = pages, notes
    return source


def _by_pages(shard: Shard, number: int, files: Files) -> tuple[Shard, dict[str, tuple[int, int]], list[str]]:
    """A tar in which every page of a file of several is a picture of its own; (page, of how many) by name; and notes."""
    asked = [
        i for i, file in enumerate(shard.files) if PurePosixPath(file).suffix.lower() in ENDINGS and shard.sizes[i]
    ]

    def look(index: int) -> tuple[list[int], int]:
        at, size = shard.offsets[asked[index]], shard.sizes[asked[index]]
        return several_in(files.read(number, at, min(size, 4096)), lambda: files.read(number, at, size))

    found = dict(zip(asked, in_parallel(look, len(asked)), strict=True))
    several = {i: pages for i, pages in found.items() if not isinstance(pages, Broken) and pages[1] > 1}
    if not several:
        return shard, {}, []
    rows = [(i, page) for i in range(len(shard.files)) for page in (several[i][0] if i in several else [None])]
    names = [shard.files[i] if page is None else f"{shard.files[i]}#{page}" for i, page in rows]
    places = {
        f"{shard.name}/{name}": (page, several[i][1])
        for name, (i, page) in zip(names, rows, strict=True)
        if page is not None
    }
    picked = {
        what: [getattr(shard, what)[i] for i, _ in rows]
        for what in ("offsets", "sizes", "labels")
        if getattr(shard, what)
    }
    notes = [
        f"{len(places):,} pictures are pages or frames of {len(several):,} file(s) of {shard.name}, such as {shard.files[next(iter(several))]}"
    ]
    taken = {i: len(pages) for i, (pages, total) in several.items() if total > len(pages)}
    notes += [
        f"'{shard.files[i]}' holds {several[i][1]:,} pictures, of which the first {count:,} are taken"
        for i, count in taken.items()
    ]
    return replace(shard, files=names, **picked), places, notes


def names_for(labels: np.ndarray, known: tuple[str, ...]) -> tuple[str, ...]:
    """A name for every class: those that are known, and numbers for the rest.

    Raises:
        DataError: numbers so large that they are no classes.
    """
    if (most := int(labels.max())) >= 1_000_000:
        raise DataError(f"The labels go up to {most} for {len(labels)} pictures; number the classes from 0.")
    return known + tuple(map(str, range(len(known), int(labels.max()) + 1)))


class ShardSource(Source):
    """Pictures inside tars.

    Attributes:
        shard_of: [N] which tar each picture is in; orders that read tar after tar go by it.
        files: where the tars are.
        pages: (page, of how many) of the pictures that are pages or frames, by name.
    """

    pages: Mapping[str, tuple[int, int]] = MappingProxyType({})

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
            self.class_names = names_for(self.labels, class_names)

    @contextmanager
    def _at(self, index: int) -> Iterator[tuple[BinaryIO, Image.Image]]:
        content = io.BytesIO(self.encoded(index))
        with opened(content) as image:
            page = self.pages.get(self.names[index], (0, 1))[0]
            if page:
                try:
                    image.seek(page)
                except Exception as error:  # decoders raise anything on bad bytes
                    raise Broken(f"page {page} cannot be read: {error or type(error).__name__}") from None
            yield content, image

    def header(self, index: int) -> Header:
        if self._headers is not None:
            width, height, mode, colour, digest, *more = self._headers[index]
            bits, tagged = more or (16 if mode.startswith("I") else 8, None)  # indices of older versions say no more
            return Header(width, height, mode, bool(colour), bytes.fromhex(digest), bits, tagged and tuple(tagged))
        with self._at(index) as (content, image):
            digest = fingerprint(content)
            if self.names[index] not in self.pages:
                return header_of(image, digest)
            page = str(self.pages[self.names[index]][0]).encode()
            return page_header(image, hashlib.blake2b(digest + page, digest_size=16).digest())

    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        with self._at(index) as (content, image):
            made = picture_of(content, image, at_least, self.known_range)
            return made.copy() if made is image else made

    def deep(self, index: int) -> np.ndarray | None:
        with self._at(index) as (content, image):
            return deep_of(content, image)

    def is_page(self, index: int) -> bool:
        """Whether a picture is one of several in its file."""
        return self.names[index] in self.pages

    def at_hand(self, rows: Sequence[int]) -> Sequence[int]:
        return [row for row in rows if self.shard_of[row] == self.shard_of[rows[0]]] if self.files.remote else rows

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
        chosen = copy.copy(self)
        chosen.shard_of, chosen._offsets, chosen._sizes = self.shard_of[rows], self._offsets[rows], self._sizes[rows]
        chosen.names = [self.names[i] for i in rows]
        chosen._headers = None if self._headers is None else [self._headers[i] for i in rows]
        chosen.labels = None if self.labels is None else self.labels[rows]
        return chosen


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

    def __init__(
        self, shard_of: np.ndarray, seed: int, batch: int, window: int = 4, files: Files | None = None
    ) -> None:
        self.shard_of, self.seed, self.batch, self.window, self.files = shard_of, seed, batch, window, files
        shards = np.unique(shard_of)
        most = min(16, len(shards))
        self.lanes = max(n for n in range(1, most + 1) if batch % n == 0)
        by_shard = np.argsort(shard_of, kind="stable")
        self._rows = dict(
            zip(shards.tolist(), np.split(by_shard, np.searchsorted(shard_of[by_shard], shards)[1:]), strict=True)
        )
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
        if (lane, epoch) not in self._epochs:
            for old in [key for key in self._epochs if key[0] == lane and abs(key[1] - epoch) > 1]:
                del self._epochs[old]
            random = np.random.Generator(np.random.Philox(seeding.derive(self.seed, "shards", lane, epoch)))
            shards = random.permutation(self._dealt[lane]).tolist()
            mixed = []
            for first in range(0, len(shards), self.window):
                rows = np.concatenate([self._rows[shard] for shard in shards[first : first + self.window]])
                mixed.append(random.permutation(rows))
            self._epochs[lane, epoch] = np.concatenate(mixed)
        return self._epochs[lane, epoch]
