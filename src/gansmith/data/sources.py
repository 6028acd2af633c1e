"""Pictures to train on: from a spec string to uint8 tensors, held in memory or decoded as they are asked for."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gansmith.data.arrays import ArraySource
from gansmith.data.depth import Range, centred
from gansmith.data.files import Source
from gansmith.data.planning import Plan, checked_size, default_memory_limit, make_plan, refuse_many_broken, survey
from gansmith.data.shards import ShardOrder, ShardSource
from gansmith.data.specs import open_source
from gansmith.data.standins import Standins
from gansmith.data.threads import Progress, in_parallel
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
        unread: (name, reason) of pictures that were found and are of kinds that cannot be read here.
        notes: what a person should know of how the set was read.
        known_range: black and white in the files, for pictures with more than 8 bits a channel.
        sharded: whether the pictures lie in tars, to be read one after the other.
    """

    spec: ImageSpec
    hash: str
    name: str
    skipped: list[tuple[str, str]]
    names: list[str]
    streams: bool = False
    unread: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    known_range: Range | None = None
    sharded: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    def fetch(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Pictures uint8 [n, C, H, W] and their labels int64 [n], or None where there are no labels."""
        x, y = self.fetch_deep(indices)
        return in_bytes(x), y

    @abstractmethod
    def fetch_deep(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """The same with all bits that there are: int16, the range stretched from -32768 to 32767, where they are more than 8."""

    def labels(self) -> np.ndarray | None:
        """The class number of every picture, int64 [N], or None where there are no labels."""
        return None

    def order(self, seed: int, batch: int) -> Callable[[int, int], np.ndarray] | None:
        """An order that suits where the pictures lie, (start, count) -> indices; None where any does."""
        return None

    def relabel(self, labels: np.ndarray | None) -> None:
        """Give every picture another class number, int64 [N]; None takes all labels away. The spec is left as it is."""
        raise NotImplementedError


def in_bytes(pixels: Tensor) -> Tensor:
    """What ``fetch_deep`` gives, as uint8."""
    if pixels.dtype == torch.uint8:
        return pixels
    return pixels.int().add_(32768).mul_(255).add_(32767).div_(65535, rounding_mode="floor").to(torch.uint8)


class MemoryPictures(Pictures):
    """Pictures held in memory.

    Attributes:
        x: all pictures, uint8 [N, C, H, W]; int16 as ``fetch_deep`` gives them where there are more than 8 bits.
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

    def fetch_deep(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        rows = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        return self.x.index_select(0, rows), None if self.y is None else self.y[rows]  # whole rows, not pixel by pixel

    def labels(self) -> np.ndarray | None:
        return None if self.y is None else self.y.numpy()

    def relabel(self, labels: np.ndarray | None) -> None:
        self.y = None if labels is None else torch.from_numpy(labels)

    def take(self, rows: np.ndarray) -> MemoryPictures:
        """A copy with these pictures only, in this order."""
        x, y = self.fetch_deep(rows)
        digest = hashlib.blake2b(self.hash.encode() + np.asarray(rows, np.int64).tobytes(), digest_size=16).hexdigest()
        names = [self.names[i] for i in rows]
        made = MemoryPictures(x, y, self.spec, names=names, name=self.name, hash=digest, skipped=self.skipped)
        made.unread, made.notes, made.known_range = self.unread, self.notes, self.known_range
        return made


class StreamedPictures(Pictures):
    """Pictures decoded from their files whenever they are fetched, by threads; see :class:`Standins`."""

    streams = True

    def __init__(self, plan: Plan) -> None:
        self.source, self.spec, self.hash, self.skipped = plan.source, plan.spec, plan.hash, plan.skipped
        self._dtype = torch.int16 if plan.deep else torch.uint8
        self.name, self.names = plan.source.name, plan.source.names
        self.standins = Standins(plan.source, plan.skipped, self.skipped, plan.total)
        self.sharded = isinstance(plan.source, ShardSource)

    def __len__(self) -> int:
        return len(self.source)

    def labels(self) -> np.ndarray | None:
        return self.source.labels if self.spec.classes else None

    def relabel(self, labels: np.ndarray | None) -> None:
        self.source.labels = labels

    def order(self, seed: int, batch: int) -> Callable[[int, int], np.ndarray] | None:
        source = self.source
        return ShardOrder(source.shard_of, seed, batch, files=source.files) if isinstance(source, ShardSource) else None

    def fetch_deep(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        out = torch.empty(len(indices), *self.spec.shape, dtype=self._dtype)
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
    shape = spec.height, spec.width, spec.channels
    if isinstance(source, ArraySource) and not plan.deep and source.x.shape[1:] == shape:
        pixels = np.ascontiguousarray(source.x.transpose(0, 3, 1, 2))
        x = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
    elif n * math.prod(spec.shape) * (1 + plan.deep) > limit:
        return _noted(StreamedPictures(plan), source)
    else:
        x, keep, found = _decode_all(plan, progress and (lambda done, _: progress(n + done, 2 * n)))
        skipped = skipped + found
        refuse_many_broken(source.name, skipped, plan.total)
    y = torch.from_numpy(source.labels[keep]) if spec.classes and source.labels is not None else None
    names = [source.names[i] for i in keep]
    made = MemoryPictures(x, y, spec, names=names, name=source.name, hash=plan.hash, skipped=skipped)
    return _noted(made, source)


def _noted(pictures: Pictures, source: Source) -> Pictures:
    """The pictures, with what their source tells a person."""
    pictures.unread, pictures.notes, pictures.known_range = source.unread, source.notes, source.known_range
    return pictures


def _decode_all(plan: Plan, progress: Progress | None) -> tuple[Tensor, np.ndarray, list[tuple[str, str]]]:
    source = plan.source
    x = torch.empty(len(source), *plan.spec.shape, dtype=torch.int16 if plan.deep else torch.uint8)
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
    """Decode a picture into uint8 or int16 [C, H, W], resized if need be. Raises ``Broken``."""
    channels, height, width = out.shape
    if out.dtype == np.int16:
        out[...] = centred(source.deep_pixels(index, channels, (height, width))).transpose(2, 0, 1)
    else:
        out[...] = source.pixels(index, channels, (height, width)).transpose(2, 0, 1)
