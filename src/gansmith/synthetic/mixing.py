"""Real and synthetic pictures in one epoch, in the shares that a person asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import numpy as np
from torch.utils.data import Sampler

from gansmith.errors import GansmithError
from gansmith.parallel import seeding


class MixedSampler(Sampler[int]):
    """Numbers of pictures in ``ConcatDataset([real, synthetic])``, synthetic ones as a given share of them.

    Both sides are gone through in their own shuffled rounds, so that no picture comes twice before its side's others
    have come once. Every pass over the sampler is another order.

    Args:
        real, synthetic: the two datasets, or how many pictures they have.
        ratio: share of synthetic pictures, from 0 (none) to 1 (only those).
        length: pictures per pass; by default as many as show every real picture once.
        seed: the order follows from it and the number of the pass.

    Raises:
        GansmithError: a ratio outside [0, 1], or a side with a share but no pictures.
    """

    def __init__(
        self, real: Sized | int, synthetic: Sized | int, ratio: float = 0.5, *, length: int | None = None, seed: int = 0
    ) -> None:
        self.real, self.synthetic = (n if isinstance(n, int) else len(n) for n in (real, synthetic))
        if not 0 <= ratio <= 1:
            raise GansmithError(f"The ratio is the share of synthetic pictures, from 0 to 1, not {ratio}.")
        if (ratio < 1 and self.real < 1) or (ratio > 0 and self.synthetic < 1):
            raise GansmithError(
                f"{self.real} real and {self.synthetic} synthetic pictures cannot be mixed at a ratio of {ratio}."
            )
        self.ratio, self.seed, self.epoch = ratio, seed, 0
        if length is not None and length < 0:
            raise GansmithError(f"A pass over the sampler has 0 or more pictures, not {length}.")
        usual = round(self.real / (1 - ratio)) if ratio < 1 else self.synthetic
        self.length = usual if length is None else length

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = np.random.Generator(np.random.Philox(seeding.derive(self.seed, "mixed", self.epoch)))
        self.epoch += 1
        made = round(self.length * self.ratio)
        chosen = np.concatenate(
            [_rounds(random, self.real, self.length - made), self.real + _rounds(random, self.synthetic, made)]
        )
        yield from random.permutation(chosen).tolist()


def _rounds(random: np.random.Generator, items: int, count: int) -> np.ndarray:
    """``count`` numbers under ``items``, each once before any comes again."""
    rounds = [random.permutation(items) for _ in range(-(-count // items))] if count else []
    return np.concatenate(rounds)[:count] if rounds else np.empty(0, np.int64)
