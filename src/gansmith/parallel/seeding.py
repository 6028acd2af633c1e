"""Randomness as a function of (seed, step): seeds that follow from others, and torch seeded for every step.

Every step reseeds torch's generators, so nothing about randomness has to be stored to resume a run bit for bit.
"""

from __future__ import annotations

import hashlib

import torch


def derive(*parts: int | str) -> int:
    """A 63-bit seed from any numbers and names, well mixed: ``derive(seed, "step", 12)``."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_step(seed: int, step: int, *names: str) -> None:
    """Seed torch's global generators for one step of one run, as ``torch.manual_seed`` does.

    ``torch.manual_seed`` takes half a millisecond on a machine without a GPU, because it records a stack trace to seed CUDA later.
    """
    number = derive(seed, step, *names)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(number)
