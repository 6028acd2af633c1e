"""Batches as a function of (seed, position): nothing about the data's order has to be stored to resume a run.

The n-th picture drawn is the (n mod N)-th of the epoch's own permutation. Each process takes its rows of the global
batch, so any number of processes sees the same pictures in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from gansmith.data.pairs import TwoSided
from gansmith.data.photographs import Photographs
from gansmith.data.sources import Pictures
from gansmith.files.alpha import spread_batch
from gansmith.files.pictures import to_float
from gansmith.game import Batch
from gansmith.parallel import seeding, seeds
from gansmith.parallel.seeds import Process


class Order:
    """An endless shuffled order of N items."""

    def __init__(self, items: int, seed: int) -> None:
        self.items, self.seed = items, seed
        self._epochs: dict[int, np.ndarray] = {}

    def __call__(self, start: int, count: int) -> np.ndarray:
        """Item numbers at positions start to start + count."""
        taken = []
        while count:
            epoch, offset = divmod(start, self.items)
            part = self._permutation(epoch)[offset : offset + count]
            taken.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(taken)

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            for old in [e for e in self._epochs if abs(e - epoch) > 1]:
                del self._epochs[old]
            random = np.random.Generator(np.random.Philox(seeding.derive(self.seed, "epoch", epoch)))
            self._epochs[epoch] = random.permutation(self.items)
        return self._epochs[epoch]


def order_of(pictures: OneSided | Photographs, seed: int, batch: int) -> Callable[[int, int], np.ndarray]:
    """The order in which pictures are drawn: their own where it matters where they lie, else a plain shuffle."""
    own = pictures.order(seed, batch) if isinstance(pictures, Pictures) else None
    return own or Order(len(pictures), seed)


OneSided: TypeAlias = "Pictures | Rows"
"""Pictures of one size, to be drawn whole."""
Source: TypeAlias = "OneSided | TwoSided | Photographs"
"""What a family trains on: pictures, two sides of them, or photographs to cut windows from."""


class Rows:
    """Some of the pictures of a set."""

    def __init__(self, pictures: Pictures, rows: np.ndarray) -> None:
        self.pictures, self.rows = pictures, rows
        self.streams = pictures.streams

    def __len__(self) -> int:
        return len(self.rows)

    def fetch(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Pixels and labels of the ``indices``-th of them."""
        return self.pictures.fetch(self.rows[indices])

    def fetch_deep(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """The same with all bits that there are; see :meth:`gansmith.data.Pictures.fetch_deep`."""
        return self.pictures.fetch_deep(self.rows[indices])


Damage = Callable[[Tensor], Tensor]
"""Pictures [N, C, H, W] in [-1, 1] on the CPU -> the batch's other side; draws through :mod:`gansmith.parallel.seeds`."""


@dataclass
class Loaded:
    """A batch before it goes to its device: uint8 or int16 [N, C, H, W], but float where damage was done."""

    images: Tensor
    labels: Tensor | None = None
    other: Tensor | None = None

    def pinned(self) -> Loaded:
        """In memory from which a GPU copies while the host goes on."""
        labels, other = (None if x is None else x.pin_memory() for x in (self.labels, self.other))
        return Loaded(self.images.pin_memory(), labels, other)


class Batches:
    """Batches of single pictures, of two sides, or of windows of photographs (:class:`CropBatches`).

    For a GPU, and where pictures are decoded as they are needed, a thread makes the next batch ready meanwhile.

    Args:
        source: the data.
        batch: pictures per step over all processes; must divide by their number.
        crop: pictures were loaded larger than this (height, width): cut a random window of that size.
        flip: mirror every second picture, at random.
        damage: makes the batch's other side on the CPU.
        process: whose rows of each batch; None takes the process that asks for these batches to be made.
    """

    def __init__(
        self,
        source: Source,
        batch: int,
        seed: int,
        *,
        device: torch.device | str = "cpu",
        flip: bool = False,
        crop: tuple[int, int] | None = None,
        channels_last: bool = False,
        damage: Damage | None = None,
        process: Process | None = None,
    ) -> None:
        self.process = process or seeds.process()  # asked here and once: another thread may read ahead
        self.source, self.world_size, self.seed = source, batch, seed
        self.device, self.flip, self.crop, self.channels_last = torch.device(device), flip, crop, channels_last
        self.damage = damage
        self.sides = [source.a, source.b] if isinstance(source, TwoSided) else [source]
        self.aligned = source.aligned if isinstance(source, TwoSided) else True
        side_seeds = [seed if self.aligned else seeding.derive(seed, "side", i) for i in range(len(self.sides))]
        self.orders = [order_of(side, number, batch) for side, number in zip(self.sides, side_seeds, strict=True)]
        ahead = self.device.type != "cpu" or any(side.streams for side in self.sides)
        self._pool = ThreadPoolExecutor(1, "gansmith-batches", self._enter_thread) if ahead else None
        self._next: tuple[int, Future[Loaded]] | None = None

    def at(self, drawn: int) -> Batch:
        """The batch that starts at the ``drawn``-th picture."""
        if self._pool is None:
            return self.one(drawn)
        if self._next is not None and self._next[0] == drawn:
            loaded = self._next[1].result()
        else:
            loaded = self._ready(drawn)
        following = drawn + self.world_size
        self._next = following, self._pool.submit(self._ready, following)
        return self._upload(loaded)

    def one(self, drawn: int) -> Batch:
        """The same batch, where no other is asked for after it."""
        return self._upload(self._ready(drawn))

    def _enter_thread(self) -> None:
        if self.device.type == "cuda":  # memory is pinned for the current GPU, and every thread has its own
            torch.cuda.set_device(self.device)

    def _ready(self, drawn: int) -> Loaded:
        random = np.random.Generator(np.random.Philox(seeding.derive(self.seed, "batch", drawn)))
        loaded = self._load(drawn, random)
        if self.damage is not None:
            with seeds.acting(self.process), seeds.drawing_from(seeding.derive(self.seed, "damage", drawn)):
                loaded.other = self.damage(to_float(loaded.images))
        return loaded.pinned() if self.device.type == "cuda" else loaded

    def _upload(self, loaded: Loaded) -> Batch:
        labels, other = loaded.labels, loaded.other
        if other is not None:
            known = other.is_floating_point()
            other = other.to(self.device, non_blocking=True) if known else to_float(other, self.device)
        labels = None if labels is None else labels.to(self.device, non_blocking=True)
        return Batch(to_float(loaded.images, self.device), labels, other, world_size=self.world_size)

    def _load(self, drawn: int, random: np.random.Generator) -> Loaded:
        rank, world = self.process
        count = self.world_size // world
        start = drawn + rank * count
        made: list[Tensor] = []
        labels = None
        for i, (side, order) in enumerate(zip(self.sides, self.orders, strict=True)):
            assert not isinstance(side, Photographs)
            pixels, side_labels = side.fetch_deep(order(start, count))
            if i == 0 or not self.aligned:  # aligned sides are cut and mirrored alike
                choice = random.random((self.world_size, 3))[rank * count :][:count]
            made.append(self._finish(pixels, choice))
            labels = side_labels if i == 0 else labels
        return Loaded(made[0], labels, made[1] if len(made) > 1 else None)

    def _finish(self, pixels: Tensor, choice: np.ndarray) -> Tensor:
        if self.crop is not None and self.crop != tuple(pixels.shape[2:]):
            height, width = self.crop
            tops = (choice[:, 0] * (pixels.shape[2] - height + 1)).astype(int)
            lefts = (choice[:, 1] * (pixels.shape[3] - width + 1)).astype(int)
            pixels = torch.stack(
                [p[:, t : t + height, x : x + width] for p, t, x in zip(pixels, tops, lefts, strict=True)]
            )
        if self.flip:
            mirrored = torch.from_numpy(choice[:, 2] < 0.5)[:, None, None, None]
            pixels = torch.where(mirrored, pixels.flip(3), pixels)
        if pixels.shape[1] == 4:
            pixels = spread_batch(pixels)
        if self.channels_last:  # of bytes, which are a quarter of what they become
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        return pixels


class CropBatches(Batches):
    """Batches of random square windows of photographs of any size (:class:`Photographs`)."""

    def __init__(self, source: Photographs, batch: int, seed: int, size: int, **options: Any) -> None:
        super().__init__(source, batch, seed, **options)
        self.photographs, self.size = source, size

    def _load(self, drawn: int, random: np.random.Generator) -> Loaded:
        rank, world = self.process
        count = self.world_size // world
        start = drawn + rank * count
        choice = random.random((self.world_size, 3))[rank * count :][:count]
        pixels = self.photographs.crops(self.orders[0](start, count), self.size, choice[:, :2], deep=True)
        return Loaded(self._finish(pixels, choice))
