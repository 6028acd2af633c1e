"""Randomness as a function of (seed, step), the same pictures for any number of processes.

Every step reseeds torch's generators, so nothing about randomness has to be stored to resume a run bit for bit. The
functions below draw for the whole global batch and hand each process its own rows: two processes with half a batch
each see the noise that one process with the whole batch would see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

_rank, _world = 0, 1


def set_process(rank: int, world: int) -> None:
    """Tell this module which of how many processes it runs in; the engine calls it once."""
    global _rank, _world
    _rank, _world = rank, world


def process() -> tuple[int, int]:
    """This process's rank and the number of processes."""
    return _rank, _world


def derive(*parts: int | str) -> int:
    """A 63-bit seed from any numbers and names, well mixed: ``derive(seed, "step", 12)``."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_step(seed: int, step: int, *names: str) -> None:
    """Seed torch's global generators for one step of one run."""
    torch.manual_seed(derive(seed, step, *names))


def _own_rows(draw: Callable[[int], Tensor], n: int) -> Tensor:
    if _world == 1:
        return draw(n)
    return draw(n * _world)[_rank * n : (_rank + 1) * n]


def normal(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers ``[n, *shape]``."""
    return _own_rows(lambda k: torch.randn(k, *shape, device=device), n)


def uniform(n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1), ``[n, *shape]``."""
    return _own_rows(lambda k: torch.rand(k, *shape, device=device), n)


def integers(high: int, n: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Uniform integers in [0, high), ``[n, *shape]``."""
    return _own_rows(lambda k: torch.randint(high, (k, *shape), device=device), n)
