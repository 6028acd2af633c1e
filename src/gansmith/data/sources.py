"""Pictures to train on: from a spec string to uint8 tensors, held in memory or decoded as they are asked for."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gansmith.data.arrays import ArraySource
from gansmith.data.files import Source
from gansmith.data.parallel import Progress, in_parallel
from gansmith.data.planning import Plan, checked_size, default_memory_limit, make_plan, refuse_many_broken, survey
from gansmith.data.shards import ShardOrder, ShardSource
from gansmith.data.specs import open_source
from gansmith.game import ImageSpec


class Pictures(ABC):
    """A set of pictures of one size.

    Attributes:
        spec: size, channels, classes.
        hash: 32 hex digits, the same for the same pictures, labels, size and channels, in the same order.
        name: what to call the set.
        skipped: (name, reason) of every file that was left out. A streamed set's list grows as it meets broken files.
        names: a name for every picture: its path in the folder or zip, or ``set#row``.
        streams: whether fetching decodes files, so that it pays to fetch ahead.
    """

    spec: ImageSpec
    hash: str
    name: str
    skipped: list[tuple[str, str]]
    names: list[str]
    streams: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def fetch(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Pictures uint8 [n, C, H, W] and their labels int64 [n], or None where there are no labels."""


class MemoryPictures(Pictures):
    """Pictures held in memory.

    Attributes:
        x: all pictures, uint8 [N, C, H, W].
        y: all labels, int64 [N], or None.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor | None,
        spec: ImageSpec,
        *,
        names: list[str],
        name: str,
        hash: str,
        skipped: list[tuple[str, str]],
    ) -> None:
        self.x, self.y, self.spec = x, y, spec
        self.names, self.name, self.hash, self.skipped = names, name, hash, skipped

    @classmethod
    def from_arrays(
        cls, x: np.ndarray, y: np.ndarray | None = None, *, name: str = "arrays", class_names: tuple[str, ...] = ()
    ) -> MemoryPictures:
        """Take pictures as arrays: uint8 [N, H, W] or [N, H, W, C]; labels are whole numbers [N] from 0.

        Raises:
            DataError: another type or shape, or pictures under 8 pixels.
        """
        source = ArraySource(x, y, name=name, class_names=class_names)
        pictures = load(source)
        assert isinstance(pictures, cls)
        return pictures

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        rows = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        return self.x.index_select(0, rows), None if self.y is None else self.y[rows]  # whole rows, not pixel by pixel

    def take(self, rows: np.ndarray) -> MemoryPictures:
        """A copy with these pictures only, in this order."""
        x, y = self.fetch(rows)
        digest = hashlib.blake2b(self.hash.encode() + np.asarray(rows, np.int64).tobytes(), digest_size=16).hexdigest()
        names = [self.names[i] for i in rows]
        return MemoryPictures(x, y, self.spec, names=names, name=self.name, hash=digest, skipped=self.skipped)


class Standins:
    """Broken files met after the start: each is listed once, and the next picture that can be read stands in for it.

    Which picture that is depends on the files alone, not on the order of the questions.

    Args:
        source: the set.
        broken: (name, reason) of what was found broken at the start.
        skipped: the public list to add to.
        total: pictures in the set, broken ones too.
    """

    def __init__(
        self, source: Source, broken: list[tuple[str, str]], skipped: list[tuple[str, str]], total: int
    ) -> None:
        self.source, self.skipped, self.total = source, skipped, total
        self.found = list(broken)
        self.broken: set[int] = set()

    def fill(self, indices: np.ndarray, put: Callable[[int, int], None]) -> list[int]:
        """Call ``put(slot, row)`` by threads for every index; returns the rows that were used.

        Raises:
            DataError: more than 10 % of the set turned out broken.
        """
        rows = [self._readable(int(i)) for i in indices]
        todo = list(range(len(rows)))
        while todo:
            todo = self._attempt(todo, rows, put)
            refuse_many_broken(self.source.name, self.found, self.total)
            for slot in todo:
                rows[slot] = self._readable(rows[slot])
        return rows

    def _attempt(self, slots: list[int], rows: list[int], put: Callable[[int, int], None]) -> list[int]:
        """The slots whose rows turned out broken."""
        results = in_parallel(lambda k: put(slots[k], rows[slots[k]]), len(slots), quiet=False)
        failed = [(slot, str(reason)) for slot, reason in zip(slots, results, strict=True) if reason is not None]
        for slot, reason in failed:
            if rows[slot] not in self.broken:
                self.broken.add(rows[slot])
                self.found.append((self.source.names[rows[slot]], reason))
                self.skipped.append(self.found[-1])
        return [slot for slot, _ in failed]

    def _readable(self, index: int) -> int:
        while index in self.broken:
            index = (index + 1) % len(self.source)
        return index


class StreamedPictures(Pictures):
    """Pictures decoded from their files whenever they are fetched, by threads; see :class:`Standins`."""

    streams = True

    def __init__(self, plan: Plan) -> None:
        self.source, self.spec, self.hash, self.skipped = plan.source, plan.spec, plan.hash, plan.skipped
        self.name, self.names = plan.source.name, plan.source.names
        self.standins = Standins(plan.source, plan.skipped, self.skipped, plan.total)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def sharded(self) -> bool:
        """Whether the pictures lie in tars, to be read one after the other."""
        return isinstance(self.source, ShardSource)

    def order(self, seed: int, batch: int) -> Callable[[int, int], np.ndarray] | None:
        """An order that suits where the pictures lie, or None where any does."""
        source = self.source
        return ShardOrder(source.shard_of, seed, batch, files=source.files) if isinstance(source, ShardSource) else None

    def fetch(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        out = torch.empty(len(indices), *self.spec.shape, dtype=torch.uint8)
        pixels = out.numpy()
        rows = self.standins.fill(indices, lambda slot, row: _decode_into(pixels[slot], self.source, row))
        labels = self.source.labels if self.spec.classes else None
        return out, None if labels is None else torch.from_numpy(labels[rows])


def open_pictures(
    spec: str,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    labels: bool = True,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Pictures:
    """Open pictures by what ``--data`` takes.

    Args:
        spec: a folder, a zip, an ``.npz``, IDX files, ``hf:NAME[:SPLIT]``, or a standard name such as ``mnist10k`` or
            ``cifar10:test``; with ``[start:stop:step]``, ``[:90%]`` or ``[90%:]`` behind it, that part only; see
            :func:`open_source`.
        size: resize with antialiasing and cut out the middle, to S x S or (height, width).
        channels: 1 (grey), 3 (RGB) or 4 (RGBA); by default 1 if all pictures are grey, else 3. Transparent pixels lie
            on white unless 4 is asked for.
        labels: False leaves the classes out.
        memory_limit: what takes more bytes than this is decoded as it is fetched; by default half of the available
            memory, at most 8 GiB.
        progress: called with (done, total).

    Raises:
        DataError: nothing there, sizes that differ where no ``size`` is given, over 10 % broken, sizes under 8.
        MissingExtra: ``hf:`` without the package ``datasets``.
    """
    return load(
        open_source(spec), size=size, channels=channels, labels=labels, memory_limit=memory_limit, progress=progress
    )


def load(
    source: Source,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    labels: bool = True,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Pictures:
    """:func:`open_pictures` for a source that is open already."""
    resize, total = checked_size(size), len(source)
    headers, broken = survey(source, progress and (lambda done, n: progress(done, 2 * n)))
    refuse_many_broken(source.name, broken, total)
    if broken:
        source = source.select(np.array(list(headers)))
    plan = make_plan(source, list(headers.values()), resize, channels, labels=labels, skipped=broken, total=total)
    return load_plan(plan, memory_limit, progress)


def load_plan(plan: Plan, memory_limit: int | None = None, progress: Progress | None = None) -> Pictures:
    """Decode everything into memory, or hand out a streamed set where that is over the limit."""
    source, spec, n = plan.source, plan.spec, len(plan.source)
    limit = default_memory_limit() if memory_limit is None else memory_limit
    keep, skipped = np.arange(n), plan.skipped
    if isinstance(source, ArraySource) and source.x.shape[1:] == (spec.height, spec.width, spec.channels):
        pixels = np.ascontiguousarray(source.x.transpose(0, 3, 1, 2))
        x = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
    elif n * math.prod(spec.shape) > limit:
        return StreamedPictures(plan)
    else:
        x, keep, found = _decode_all(source, spec, progress and (lambda done, _: progress(n + done, 2 * n)))
        skipped = skipped + found
        refuse_many_broken(source.name, skipped, plan.total)
    y = torch.from_numpy(source.labels[keep]) if spec.classes and source.labels is not None else None
    names = [source.names[i] for i in keep]
    return MemoryPictures(x, y, spec, names=names, name=source.name, hash=plan.hash, skipped=skipped)


def _decode_all(
    source: Source, spec: ImageSpec, progress: Progress | None
) -> tuple[Tensor, np.ndarray, list[tuple[str, str]]]:
    x = torch.empty(len(source), *spec.shape, dtype=torch.uint8)
    pixels = x.numpy()
    results = in_parallel(lambda i: _decode_into(pixels[i], source, i), len(source), progress)
    broken = [(source.names[i], str(reason)) for i, reason in enumerate(results) if reason is not None]
    keep = np.array([i for i, reason in enumerate(results) if reason is None], dtype=np.int64)
    if broken:  # close the gaps in place: a second copy might not fit
        for to, start in enumerate(keep):
            if to != start:
                pixels[to] = pixels[start]
        x = x[: len(keep)]
    return x, keep, broken


def _decode_into(out: np.ndarray, source: Source, index: int) -> None:
    """Decode a picture into uint8 [C, H, W], resized if need be. Raises ``Broken``."""
    channels, height, width = out.shape
    out[...] = source.pixels(index, channels, (height, width)).transpose(2, 0, 1)
