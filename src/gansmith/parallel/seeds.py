"""Randomness as a function of (seed, step), the same pictures for any number of processes.

Every step reseeds torch's generators, so nothing about randomness has to be stored to resume a run bit for bit. The
functions below draw for the whole global batch and hand each process its own rows: two processes with half a batch
each see the noise that one process with the whole batch would see.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_rank, _world = 0, 1
_parts = 1


class _Here(threading.local):
    """What holds for one thread: a batch may be made ready in another while this one measures."""

    alone = False
    generator: torch.Generator | None = None


_here = _Here()


def set_process(rank: int, world: int) -> None:
    """Tell this module which of how many processes it runs in; the engine calls it once."""
    global _rank, _world
    _rank, _world = rank, world


def process() -> tuple[int, int]:
    """This process's rank and the number of processes."""
    return (0, 1) if _here.alone else (_rank, _world)


def derive(*parts: int | str) -> int:
    """A 63-bit seed from any numbers and names, well mixed: ``derive(seed, "step", 12)``."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_step(seed: int, step: int, *names: str) -> None:
    """Seed torch's global generators for one step of one run, as ``torch.manual_seed`` does.

    That function takes half a millisecond where there is no GPU: it notes the stack for one that may come.
    """
    number = derive(seed, step, *names)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


@contextmanager
def alone() -> Iterator[None]:
    """Inside, in this thread, this process is the only one: for what one of them does by itself (sample grids, measurements)."""
    before, _here.alone = _here.alone, True
    try:
        yield
    finally:
        _here.alone = before


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Inside, in this thread, the numbers below come from a generator of their own where they are drawn on the CPU."""
    before, _here.generator = _here.generator, torch.Generator().manual_seed(seed)
    try:
        yield
    finally:
        _here.generator = before


@contextmanager
def stacked(parts: int) -> Iterator[None]:
    """Inside, a batch is ``parts`` batches, one behind the other (real pictures, then fakes): rows belong to theirs."""
    global _parts
    before, _parts = _parts, parts
    try:
        yield
    finally:
        _parts = before


def _own_rows(draw: Callable[[int], Tensor], n: int) -> Tensor:
    rank, world = process()
    if world == 1:
        return draw(n)
    return draw(n * world).unflatten(0, (_parts, world, n // _parts))[:, rank].flatten(0, 1)


def _generator(device: torch.device | str) -> torch.Generator | None:
    return _here.generator if torch.device(device).type == "cpu" else None


def normal(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers ``[n, *shape]``."""
    return _own_rows(lambda k: torch.randn(k, *shape, device=device, generator=_generator(device)), n)


def uniform(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1), ``[n, *shape]``."""
    return _own_rows(lambda k: torch.rand(k, *shape, device=device, generator=_generator(device)), n)


def integers(high: int, n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform integers in [0, high), ``[n, *shape]``."""
    return _own_rows(lambda k: torch.randint(high, (k, *shape), device=device, generator=_generator(device)), n)
