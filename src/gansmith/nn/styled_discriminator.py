"""The discriminator of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), and the sizes that its networks go through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from gansmith.errors import GansmithError
from gansmith.nn.equalized import Conv, Dense
from gansmith.nn.styled import Mapping, minibatch_stddev


def levels(height: int, width: int, family: str = "stylegan2") -> list[tuple[int, int]]:
    """Sizes (h, w) from the base, whose shorter side is 4 to 15, to the picture's, doubling.

    Raises:
        GansmithError: the size is out of range or does not halve evenly.
    """
    short, halvings = min(height, width), 0
    while short >> (halvings + 1) >= 4 and height % (2 << halvings) == 0 and width % (2 << halvings) == 0:
        halvings += 1
    if not 8 <= short <= 2048 or short >> halvings > 15:
        unit = 2 ** max(int(math.log2(short / 4)), 1)
        near = max(round(short / unit) * unit, 16)
        raise GansmithError(
            f"{family} makes pictures of 8 to 2048 px whose sides halve evenly down to 4 to 15 px, and these are "
            f"{width}x{height}. Choose another size, for instance --size {near}."
        )
    return [(height >> k, width >> k) for k in range(halvings, -1, -1)]


def channels_of(base: int, most: int, width: float, sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Channels of every level: min(base / resolution, most), times ``width``, at least 4."""
    return [max(round(min(base // max(size), most) * width), 4) for size in sizes]


class Block(nn.Module):
    """Residual block of the discriminator: [N, I, H, W] -> [N, O, H / 2, W / 2]."""

    def __init__(self, inputs: int, outputs: int, clamp: float) -> None:
        super().__init__()
        self.conv0 = Conv(inputs, inputs, 3, clamp=clamp)
        self.conv1 = Conv(inputs, outputs, 3, down=True, clamp=clamp, gain=math.sqrt(0.5))
        self.skip = Conv(inputs, outputs, 1, down=True, active=False, gain=math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.conv1(self.conv0(x))


class Discriminator(nn.Module):
    """Pictures [N, C, H, W], labels -> logits [N, 1]. Looks across its batch, in groups of four.

    Args:
        inputs: channels C of what is judged, times the pictures that are judged together.
        sizes: (h, w) of every level, from the smallest.
        channels: of every level, from the smallest.
        classes: 0 where it is not conditional.
        clamp: activations are kept within this; 0 does not clamp.
    """

    def __init__(
        self, inputs: int, sizes: Sequence[tuple[int, int]], channels: Sequence[int], classes: int, clamp: float
    ) -> None:
        super().__init__()
        base, (height, width) = channels[0], sizes[0]
        self.from_image = Conv(inputs, channels[-1], 1, clamp=clamp)
        self.blocks = nn.Sequential(*[Block(i, o, clamp) for i, o in pairwise(reversed(channels))])
        self.conv = Conv(base + 1, base, 3, clamp=clamp)
        self.dense = Dense(base * height * width, base, active=True)
        self.logit = Dense(base, base if classes else 1)
        self.mapping = Mapping(0, classes, base, 8, track=False) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.conv(minibatch_stddev(self.blocks(self.from_image(images))))
        logits = self.logit(self.dense(x.flatten(1))).float()
        if self.mapping is not None:  # a projection onto the class
            logits = (logits * self.mapping(None, labels)).sum(1, keepdim=True) / math.sqrt(logits.shape[1])
        return logits
