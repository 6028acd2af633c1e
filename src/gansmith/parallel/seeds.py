"""Random numbers, the same ones for any number of processes, and which of how many processes this is.

Numbers are drawn for the whole global batch, and each process takes its own rows: two processes with half a batch each see
the noise that one process with the whole batch would see. :mod:`gansmith.parallel.seeding` seeds torch for every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor


class Process(NamedTuple):
    """Which of how many processes."""

    rank: int = 0
    world: int = 1


ALONE = Process()
"""The only one."""

_joined = ALONE
"""What this process is in its run: it changes when a run begins and when it ends, never in between."""
_acting: ContextVar[Process | None] = ContextVar("acting", default=None)
"""What the code of one thread takes itself for; None is what the process is. Other threads do not see it."""
_parts: ContextVar[int] = ContextVar("parts", default=1)
_own_generator: ContextVar[torch.Generator | None] = ContextVar("own_generator", default=None)


def set_process(rank: int, world: int) -> None:
    """Tell this module which of how many processes it runs in, when they have found each other and when they part."""
    global _joined
    _joined = Process(rank, world)


def process() -> Process:
    """This process's rank and the number of processes.

    Work that another thread does later must not ask there: ask on the caller's thread, and hand the answer on.
    """
    return _acting.get() or _joined


@contextmanager
def acting(process: Process) -> Iterator[None]:
    """Inside, in this thread, this process takes itself for another: other threads do not see it."""
    before = _acting.set(process)
    try:
        yield
    finally:
        _acting.reset(before)


def alone() -> AbstractContextManager[None]:
    """Inside, this process is the only one: for what one of them does by itself (sample grids, measurements).

    It holds for the calling thread alone: batches that are read ahead meanwhile stay those of their process.
    """
    return acting(ALONE)


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Inside, in this thread, the numbers below come from a generator of their own where they are drawn on the CPU."""
    before = _own_generator.set(torch.Generator().manual_seed(seed))
    try:
        yield
    finally:
        _own_generator.reset(before)


@contextmanager
def stacked(parts: int) -> Iterator[None]:
    """Inside, a batch is ``parts`` batches, one behind the other (real pictures, then fakes): rows belong to theirs."""
    before = _parts.set(parts)
    try:
        yield
    finally:
        _parts.reset(before)


def _own_rows(draw: Callable[[int], Tensor], n: int) -> Tensor:
    rank, world = process()
    if world == 1:
        return draw(n)
    parts = _parts.get()
    return draw(n * world).unflatten(0, (parts, world, n // parts))[:, rank].flatten(0, 1)


def _generator(device: torch.device | str) -> torch.Generator | None:
    return _own_generator.get() if torch.device(device).type == "cpu" else None


def normal(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers ``[n, *shape]``."""
    return _own_rows(lambda k: torch.randn(k, *shape, device=device, generator=_generator(device)), n)


def uniform(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1), ``[n, *shape]``."""
    return _own_rows(lambda k: torch.rand(k, *shape, device=device, generator=_generator(device)), n)


def integers(high: int, n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform integers in [0, high), ``[n, *shape]``."""
    return _own_rows(lambda k: torch.randint(high, (k, *shape), device=device, generator=_generator(device)), n)
