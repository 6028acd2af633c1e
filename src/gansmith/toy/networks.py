"""Networks for points in the plane: PacGAN's protocol, and a pair without norms for r3gan."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

LATENT = 2
"""z ~ N(0, I_2)."""


class Generator(nn.Module):
    """z [N, 2] -> points [N, 2]: four layers of 400 ReLU with batch norm."""

    def __init__(self, width: int = 400, layers: int = 4) -> None:
        super().__init__()
        inputs, stack = LATENT, []
        for _ in range(layers):
            stack += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU()]
            inputs = width
        self.layers = nn.Sequential(*stack, nn.Linear(inputs, 2))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(z)


class Maxout(nn.Module):
    """The largest of several linear maps, unit by unit (Goodfellow et al. 2013, arXiv:1302.4389)."""

    def __init__(self, inputs: int, outputs: int, pieces: int) -> None:
        super().__init__()
        self.linear, self.shape = nn.Linear(inputs, outputs * pieces), (outputs, pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, self.shape).amax(2)


class Discriminator(nn.Module):
    """Points [N, 2 * pack] -> logits [N, 1]: three layers of 200 maxout units with 5 pieces."""

    def __init__(self, pack: int = 1, width: int = 200, layers: int = 3, pieces: int = 5) -> None:
        super().__init__()
        sizes = [2 * pack] + [width] * layers
        stack = [Maxout(a, b, pieces) for a, b in itertools.pairwise(sizes)]
        self.layers = nn.Sequential(*stack, nn.Linear(width, 1))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(points)


class PlainGenerator(nn.Module):
    """z [N, 2] -> points [N, 2]: layers of LeakyReLU, no norm.

    Args:
        scale: what the world is wide: the network itself works on numbers of about 1.
    """

    def __init__(self, scale: float, width: int = 64, layers: int = 8, reach: float = 3.0) -> None:
        super().__init__()
        self.scale, self.reach = scale, reach
        self.layers = _mlp(LATENT, 2, width, layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.scale * self.layers(self.reach * z)


class PlainDiscriminator(nn.Module):
    """Points [N, 2 * pack] -> logits [N, 1]: layers of LeakyReLU, no norm."""

    def __init__(self, scale: float, pack: int = 1, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.scale = scale
        self.layers = _mlp(2 * pack, 1, width, layers)

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(points / self.scale)


def _mlp(inputs: int, outputs: int, width: int, layers: int) -> nn.Sequential:
    sizes = [inputs] + [width] * layers
    stack: list[nn.Module] = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        layer = nn.Linear(a, b)
        nn.init.kaiming_normal_(layer.weight, 0.2, nonlinearity="leaky_relu")
        nn.init.normal_(layer.bias, 0.0, 0.0 if i else 0.5)  # kinks of the first layer all over the plane
        stack += [layer, nn.LeakyReLU(0.2)]
    last = nn.Linear(width, outputs)
    nn.init.normal_(last.weight, 0.0, 1 / math.sqrt(width))
    nn.init.zeros_(last.bias)
    return nn.Sequential(*stack, last)
