"""Do samples repeat training pictures? Looked at while a run goes on, whatever the number of pictures.

A sample counts as a copy where its distance to a training picture is less than 0.6 of the distance from that picture to its own
nearest other. So the yardstick is the data's own: real against real. Pictures that are new lie about as far from the training
pictures as those from each other. Measured on digits, at half their size, where a generator's noise says less: of real digits that
are in no training set 0 to 4 % are called copies, of soft ones 0.4 %, and of ``gan`` after 250,000 pictures of 100 digits 24 %.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gansmith.game import Batch

MOST, MOST_STREAMED = 4_000, 1_000
"""Training pictures that samples are compared with; of larger sets the first so many of a shuffle. Fewer where each is decoded for it."""
NEAR = 0.6
"""How much nearer than real pictures are to each other."""
PAIRS = 256_000
"""Distances that one check may compute: all samples are compared with few pictures, a part of them with many."""
_LONGEST = 1024
"""Most numbers that describe a picture."""
CHUNK = 250
"""Training pictures read at once."""


class Copies:
    """Training pictures that samples are compared with.

    Args:
        load: the batch of :data:`CHUNK` training pictures at a place in their shuffled order.
        total: how many training pictures there are.
        flip: mirrored training pictures are training pictures too.
        most: compare with so many of them at most.
    """

    def __init__(self, load: Callable[[int], Batch], total: int, flip: bool = False, most: int = MOST) -> None:
        count, parts = min(total, most), []
        for start in range(0, count, CHUNK):
            parts.append(described(load(start).images)[: count - start])
        self.pictures = torch.cat(parts)  # [n, d]
        self.flip = flip

    def share(self, samples: Tensor) -> float:
        """Share of samples [N, C, H, W] in [-1, 1] that are copies, 0 to 1; 0 where there is one picture to compare with."""
        if len(self.pictures) < 2:
            return 0.0
        samples = samples[: max(64, PAIRS // len(self.pictures))]
        both = [samples, samples.flip(3)] if self.flip else [samples]
        found = [self._nearest(described(images)) for images in both]
        distance, place = found[0]
        if len(found) > 1:
            closer = found[1][0] < distance
            distance, place = torch.where(closer, found[1][0], distance), torch.where(closer, found[1][1], place)
        owns = self._own(place)
        return float((distance < NEAR * owns).float().mean())

    def _nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        distances = torch.cdist(queries, self.pictures)
        return distances.min(1)

    def _own(self, places: Tensor) -> Tensor:
        """Distance of training pictures to their nearest other; exact copies of each other are one picture."""
        unique, inverse = places.unique(return_inverse=True)
        distances = torch.cdist(self.pictures[unique], self.pictures)
        # itself, and copies of it: distances by matrix products are not exactly 0
        distances[distances < 0.02 * distances.median(1, keepdim=True).values] = torch.inf
        return distances.min(1).values[inverse]


def described(images: Tensor) -> Tensor:
    """Pictures [N, C, H, W], made small, as numbers [N, d] on the CPU: copies with other fine detail are copies too."""
    x = images.detach().float()
    side = max(8, min(max(x.shape[2:]) // 2, int((_LONGEST / x.shape[1]) ** 0.5)))
    if max(x.shape[2:]) > side:
        scale = side / max(x.shape[2:])
        x = interpolate(x, [max(1, round(length * scale)) for length in x.shape[2:]], mode="area")
    return x.flatten(1).cpu()
