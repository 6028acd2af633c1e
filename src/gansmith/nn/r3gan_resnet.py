"""The residual networks of R3GAN (Huang et al. 2024, arXiv:2501.05441), for pictures of any size.

There is no norm: weights begin smaller the more blocks there are, and every block begins as the identity. Maps change their
size by interpolation, outside the blocks.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gansmith.game import ImageSpec
from gansmith.nn.classes import ClassEmbedding
from gansmith.nn.resample import downsample, upsample
from gansmith.nn.stages import base_for, crop_to, stages_for

SLOPE = 0.2
"""Of LeakyReLU below zero."""


class Sizes(Protocol):
    """What networks are built by; R3GAN's settings say what each number means."""

    @property
    def latent_dim(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def taper(self) -> float: ...
    @property
    def level(self) -> int: ...
    @property
    def class_dim(self) -> int | None: ...
    @property
    def stem(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def expansion(self) -> int: ...
    @property
    def group_width(self) -> int: ...
    @property
    def pack(self) -> int: ...


def _init(layer: nn.Conv2d | nn.Linear, gain: float) -> None:
    """Weights N(0, gain^2 / fan_in), no bias at first."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _conv(
    inputs: int, outputs: int, kernel: int = 1, *, groups: int = 1, bias: bool = False, gain: float = 1.0
) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
    _init(layer, gain)
    return layer


class Block(nn.Module):
    """x + 1x1(act(3x3 grouped(act(1x1 x)))), act being bias and LeakyReLU; starts as the identity.

    Args:
        depth: L, blocks in the whole network. The weights start L^(-1/4) smaller, so that no norm is needed.
    """

    def __init__(self, channels: int, sizes: Sizes, depth: int) -> None:
        super().__init__()
        hidden = channels * sizes.expansion
        gain = math.sqrt(2 / (1 + SLOPE**2)) * depth ** (-1 / 4)
        self.expand = _conv(channels, hidden, bias=True, gain=gain)
        self.mix = _conv(hidden, hidden, 3, groups=max(1, hidden // sizes.group_width), bias=True, gain=gain)
        self.project = _conv(hidden, channels, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = leaky_relu(self.expand(x), SLOPE)
        return x + self.project(leaky_relu(self.mix(h), SLOPE))


def widths_of(sizes: Sizes, spec: ImageSpec) -> list[int]:
    """Channels at every resolution from the lowest, multiples of the group width."""
    unit, stages = sizes.group_width, stages_for(spec) - (sizes.stem == 2)
    halvings = (max(stage - sizes.level, 0) for stage in range(stages + 1))
    return [max(unit, round(sizes.width * sizes.taper**count / unit) * unit) for count in halvings]


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.match = _conv(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return upsample(self.match(x))


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.match = _conv(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.match(downsample(x))


class Generator(nn.Module):
    """z [N, latent_dim] -> [N, C, H, W], unbounded; sizes that are not base * 2^k are made larger and cropped."""

    def __init__(self, sizes: Sizes, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        self.spec = spec
        widths = widths_of(sizes, spec)
        self.embed = ClassEmbedding(classes, sizes.latent_dim) if classes else None
        self.basis = nn.Parameter(torch.randn(widths[0], *base_for(spec, stages_for(spec))))
        self.weigh = nn.Linear(sizes.latent_dim * (2 if classes else 1), widths[0], bias=False)
        _init(self.weigh, 1.0)
        layers: list[nn.Module] = []
        for stage, channels in enumerate(widths):
            layers += [_Up(widths[stage - 1], channels)] if stage else []
            layers += [Block(channels, sizes, sizes.blocks * len(widths)) for _ in range(sizes.blocks)]
        self.layers = nn.Sequential(*layers)
        self.to_image: nn.Module = _conv(widths[-1], spec.channels)
        if sizes.stem == 2:
            self.to_image = nn.ConvTranspose2d(widths[-1], spec.channels, 4, 2, 1, bias=False)
            nn.init.normal_(self.to_image.weight, 0.0, 0.5 / math.sqrt(widths[-1]))  # 4 taps reach every pixel

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], 1)
        h = self.weigh(z)[:, :, None, None] * self.basis  # [N, C0, h, w]
        return crop_to(self.to_image(self.layers(h)), self.spec)


class Discriminator(nn.Module):
    """[N, C, H, W] -> logits [N, 1]; conditional ones compare a vector with the label's embedding."""

    def __init__(self, sizes: Sizes, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        stages, widths = stages_for(spec), widths_of(sizes, spec)[::-1]
        first = _conv(spec.channels * sizes.pack, widths[0])
        if sizes.stem == 2:
            first = nn.Conv2d(spec.channels * sizes.pack, widths[0], 4, 2, 1, bias=False)
            _init(first, 1.0)
        layers: list[nn.Module] = [first]
        for stage, channels in enumerate(widths):
            layers += [_Down(widths[stage - 1], channels)] if stage else []
            layers += [Block(channels, sizes, sizes.blocks * len(widths)) for _ in range(sizes.blocks)]
        self.layers = nn.Sequential(*layers)
        self.basis = nn.Conv2d(
            widths[-1], widths[-1], (spec.height >> stages, spec.width >> stages), groups=widths[-1], bias=False
        )
        _init(self.basis, 1.0)
        length = sizes.class_dim or sizes.latent_dim
        self.embed = ClassEmbedding(classes, length) if classes else None
        self.logit = nn.Linear(widths[-1], length if classes else 1, bias=False)
        _init(self.logit, 1.0)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        # a convolution as large as its input is a weighted sum, and much quicker as one
        logit = self.logit((self.layers(images) * self.basis.weight[:, 0]).sum((2, 3)))
        if self.embed is not None:  # Miyato & Koyama 2018 (arXiv:1802.05637)
            logit = (logit * self.embed(labels)).sum(1, keepdim=True) / math.sqrt(logit.shape[1])
        return logit
