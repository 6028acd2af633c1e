"""Networks for points in the plane: those of PacGAN's protocol, and a pair without norms for r3gan."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

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


class StyledGenerator(nn.Module):
    """z [N, 2] -> points [N, 2]: :class:`Generator` in the two parts that StyleGAN2 asks for.

    Its mapping leaves z as it is, and a point has one style, so there is nothing to mix.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mapping, self.synthesis = AsItIs(), OneStyle()

    def styles(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """z [N, 2] -> styles [N, 1, 2]."""
        return (z * truncation)[:, None]

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.synthesis(self.styles(z))


class AsItIs(nn.Module):
    """A mapping from z to w that changes nothing, and has no average to keep."""

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return z

    def track(self, w: Tensor, decay: float = 1.0) -> None: ...


class OneStyle(nn.Module):
    """Styles [N, 1, 2] -> points [N, 2]."""

    styles = 1

    def __init__(self) -> None:
        super().__init__()
        self.generator = Generator()

    def forward(self, styles: Tensor, noise: str = "none", decay: float | None = None) -> Tensor:
        return self.generator(styles[:, 0])


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


SLOPE = 0.2
"""Of LeakyReLU below zero."""


class ResidualGenerator(nn.Module):
    """z [N, 2] -> points [N, 2]: r3gan's kind of network for points, residual blocks without norm.

    It starts as a nearly linear map of z, so no mode is far from its first samples; its depth makes the jumps between modes
    steep.

    Args:
        scale: how wide the world is; the network itself works on numbers of about 1.
    """

    def __init__(self, scale: float, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.scale = scale
        self.enter = _linear(LATENT, width, 1.0, spread=0.5)
        self.blocks = nn.ModuleList(_block(width, blocks) for _ in range(blocks))
        self.leave = _linear(width, 2, 1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.enter(z)
        for block in self.blocks:
            h = h + block(h)
        return self.scale * self.leave(leaky_relu(h, SLOPE))


class FourierDiscriminator(nn.Module):
    """Points [N, 2 * pack] -> logits [N, 1]: random Fourier features, then layers of LeakyReLU, no norm.

    A mode is a hundredth of the world wide, and a plain MLP is slow to learn anything so sharp (Tancik et al. 2020,
    arXiv:2006.10739).
    """

    frequencies: Tensor

    def __init__(self, scale: float, pack: int = 1, width: int = 64, layers: int = 3, features: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("frequencies", torch.randn(2 * pack, features) * torch.logspace(0, 1, features))
        sizes = [2 * pack + 2 * features] + [width] * layers
        stack: list[nn.Module] = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            stack += [_linear(a, b, math.sqrt(2 / (1 + SLOPE**2)), spread=0.0 if i else 0.5), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*stack, _linear(width, 1, 1.0))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        x = points / self.scale
        waves = x @ self.frequencies
        return self.layers(torch.cat([x, waves.sin(), waves.cos()], 1))


def _linear(inputs: int, outputs: int, gain: float, spread: float = 0.0) -> nn.Linear:
    """Weights N(0, gain^2 / inputs), biases N(0, spread^2), which scatter a first layer's kinks over the plane."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(inputs))
    nn.init.normal_(layer.bias, 0.0, spread)
    return layer


def _block(width: int, depth: int) -> nn.Sequential:
    """The branch of a residual block: weights depth^(-1/4) smaller, the last 0, as r3gan has it for pictures."""
    gain = math.sqrt(2 / (1 + SLOPE**2)) * depth ** (-1 / 4)
    first, last = _linear(width, width, gain), _linear(width, width, 0.0)
    return nn.Sequential(nn.LeakyReLU(SLOPE), first, nn.LeakyReLU(SLOPE), last)
