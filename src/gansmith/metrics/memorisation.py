"""Does a model repeat its training pictures? The nearest training picture of every sample, as a picture and a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gansmith.errors import GansmithError
from gansmith.files import pictures
from gansmith.parallel import seeding

if TYPE_CHECKING:
    from gansmith.data import Pictures

QUANTILE = 0.05
_SIZE = 32  # pictures are compared at this size at most: copies with other fine detail are copies too
_CHUNK = 1000


@dataclass(frozen=True)
class Memorisation:
    """How close samples come to training pictures.

    Attributes:
        share: share of samples closer to a training picture than 95 % of training pictures are to their nearest other one.
            About 0.05 for a model that makes pictures as new as the training pictures are to each other; near 1 for a
            model that repeats them.
        threshold: that distance, root mean square over pixels, grey levels of 255.
        distances: [N, k] of each sample to its k nearest training pictures, in the same unit.
        nearest: [N, k] their indices.
        samples: the samples looked at, uint8 [N, C, H, W].
    """

    share: float
    threshold: float
    distances: np.ndarray
    nearest: np.ndarray
    samples: Tensor


def memorisation(
    samples: Tensor,
    train: Pictures,
    *,
    n: int = 1000,
    nearest: int = 3,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Memorisation:
    """Compare samples with all training pictures, and as many training pictures with all others.

    Args:
        samples: uint8 [N, C, H, W], the size and channels of the training pictures.
        train: the pictures the model was trained on.
        n: at most this many samples, the first ones.
        nearest: how many neighbours to find.
        seed: chooses the training pictures that set the threshold.
        progress: told (what, done, total).

    Raises:
        GansmithError: pictures that cannot be compared, or fewer than 20 training pictures.
    """
    if samples.shape[1:] != train.spec.shape:
        raise GansmithError(
            f"Samples of shape {tuple(samples.shape[1:])} cannot be compared with training pictures of {train.spec.shape}."
        )
    if len(train) < 20:
        raise GansmithError(f"Memorisation needs at least 20 training pictures, and there are {len(train)}.")
    samples = samples[:n]
    order = np.random.default_rng(seeding.derive(seed, "memorisation")).permutation(len(train))
    own = np.sort(order[:n])
    queries = torch.cat([_descriptor(samples), _descriptor(train.fetch(own)[0])])
    themselves = np.concatenate([np.full(len(samples), -1), own])
    distances, indices = _search(queries, torch.from_numpy(themselves), train, nearest, progress)
    threshold = float(np.quantile(distances[len(samples) :, 0], QUANTILE))
    mine = distances[: len(samples)]
    # "At most", so that exact copies count where the training pictures hold exact copies of each other.
    share = float((mine[:, 0] <= threshold).mean())
    return Memorisation(share, threshold, mine, indices[: len(samples)], samples)


def save_sheet(result: Memorisation, train: Pictures, path: Path, rows: int = 12) -> None:
    """Write a picture: the samples closest to a training picture, each followed by its nearest training pictures.

    Two samples per row, closest first, from left to right and from top to bottom.
    """
    chosen = np.argsort(result.distances[:, 0], kind="stable")[: 2 * rows]
    blocks = []
    for i in chosen:
        neighbours = train.fetch(result.nearest[i])[0]
        blocks.append(torch.cat([result.samples[i : i + 1], neighbours]))
    columns = (1 + result.nearest.shape[1]) * min(2, len(blocks))
    pictures.save(path, pictures.grid(torch.cat(blocks).float() / 127.5 - 1, columns))


def _descriptor(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] -> [N, d] float, at most 32 px; squared distances are mean squares over pixels."""
    x = images.float()
    if max(x.shape[2:]) > _SIZE:
        scale = _SIZE / max(x.shape[2:])
        x = F.interpolate(x, [max(1, round(side * scale)) for side in x.shape[2:]], mode="area")
    return x.flatten(1) / x[0].numel() ** 0.5


def _search(
    queries: Tensor, themselves: Tensor, train: Pictures, k: int, progress: Callable[[str, int, int], None] | None
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest training pictures of each query, itself left out, reading the training pictures once."""
    best = torch.full((len(queries), k), torch.inf)
    where = torch.zeros(len(queries), k, dtype=torch.int64)
    for start in range(0, len(train), _CHUNK):
        numbers = np.arange(start, min(start + _CHUNK, len(train)))
        distances = torch.cdist(queries, _descriptor(train.fetch(numbers)[0]), compute_mode="use_mm_for_euclid_dist")
        index = torch.from_numpy(numbers).expand(len(queries), -1)
        distances = distances.masked_fill(index == themselves[:, None], torch.inf)
        best, chosen = torch.cat([best, distances], 1).topk(k, dim=1, largest=False)
        where = torch.cat([where, index], 1).gather(1, chosen)
        if progress:
            progress("nearest training pictures", int(numbers[-1]) + 1, len(train))
    # Found by matrix products, which lose digits between near copies: measure those found once more.
    for j in range(k):
        for rows in torch.arange(len(queries)).split(_CHUNK):
            found = _descriptor(train.fetch(where[rows, j].numpy())[0])
            best[rows, j] = (queries[rows] - found).pow(2).sum(1).sqrt()
    return best.numpy(), where.numpy()
