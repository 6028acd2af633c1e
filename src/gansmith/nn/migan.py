"""MI-GAN's generator: holes filled by separable convolutions, small enough for phones (Sargsyan et al. 2023, ICCV).

An encoder halves the picture down to 4 pixels, a decoder doubles it again with what the encoder saw at every size. Layers are
named as in the released weights for inference. Its resizing filters are constants, and no part of the weights.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, leaky_relu_

from gansmith.nn.fit import Padded, at_any_size
from gansmith.nn.resample import BINOMIAL, upfirdn

CLAMP = 256.0
"""Activations do not grow beyond this."""
SMALLEST = 4
"""Pixels a side of the smallest map."""


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU with a slope of 0.2 and a gain of the square root of 2; in place where no gradient will need what it is given."""
    if torch.is_grad_enabled():
        return (leaky_relu(x, 0.2) * math.sqrt(2)).clamp(-CLAMP, CLAMP)
    return leaky_relu_(x, 0.2).mul_(math.sqrt(2)).clamp_(-CLAMP, CLAMP)


def halved(x: Tensor) -> Tensor:
    """Half the size behind a 4x4 blur."""
    return upfirdn(x, BINOMIAL, down=2, padding=(1, 1, 1, 1))


def doubled(x: Tensor) -> Tensor:
    """Twice the size by zeros between pixels and a 4x4 blur."""
    return upfirdn(x, BINOMIAL, up=2, padding=(2, 1, 2, 1), gain=4.0)


class SeparableConv(nn.Module):
    """A 3x3 convolution of every channel by itself, a 1x1 one across channels, and an activation behind both.

    Args:
        inputs, outputs: channels.
        size: side of the map of noise that is added before the second activation; 0 for none.
        down, up: halve between the convolutions, or double behind them.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 0, *, down: bool = False, up: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        self.conv2 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.down, self.up, self.size = down, up, size
        if size:
            self.register_buffer("noise_const", torch.randn(size, size))
            self.noise_strength = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor) -> Tensor:
        x = activation(self.conv1(x))
        x = self.conv2(halved(x) if self.down else x)
        x = doubled(x) if self.up else x
        if self.size:
            noise = cast(Tensor, self.noise_const)  # repeats where the map is larger
            rows, columns = (torch.arange(x.shape[axis], device=x.device) % self.size for axis in (2, 3))
            x = x + noise[rows][:, columns] * self.noise_strength
        return activation(x)


class EncoderBlock(nn.Module):
    """[N, inputs, H, W] -> ([N, outputs, H / 2, W / 2], [N, inputs, H, W]); the first one takes the picture."""

    def __init__(self, inputs: int, outputs: int, picture: int = 0, down: bool = True) -> None:
        super().__init__()
        self.fromrgb = nn.Conv2d(picture, inputs, 1) if picture else None
        self.conv1 = SeparableConv(inputs, inputs)
        self.conv2 = SeparableConv(inputs, outputs, down=down)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.conv1(x if self.fromrgb is None else activation(self.fromrgb(x)))
        return self.conv2(seen), seen


class SynthesisBlock(nn.Module):
    """Features and what the encoder saw at this size -> features and a picture; twice the size but for the first one."""

    def __init__(self, inputs: int, outputs: int, size: int, channels: int) -> None:
        super().__init__()
        self.first = size == SMALLEST
        noise = 0 if self.first else size
        self.conv1 = SeparableConv(inputs, outputs, noise, up=not self.first)
        self.conv2 = SeparableConv(outputs, outputs, noise)
        self.torgb = nn.Conv2d(outputs, channels, 1)

    def forward(self, x: Tensor, seen: Tensor, picture: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.conv2(self.conv1(x) + seen)
        made = self.torgb(x)
        return x, made if picture is None else doubled(picture) + made


class MIGANGenerator(Padded):
    """(images [N, C, H, W] in [-1, 1], mask [N, 1, H, W]) -> [N, C, H, W], about [-1, 1], what the holes should hold; any H and W.

    Args:
        channels: of the pictures.
        size: side of the pictures that it learns from, a power of 2 from 8 on. It halves them down to 4 pixels.
        width: channels at full resolution; they double with every halving. 64 for 512 px and 128 for 256 px in MI-GAN.
        most: channels do not double beyond this.
    """

    def __init__(self, channels: int, size: int, width: int, most: int = 512) -> None:
        super().__init__()
        self.multiple = size // SMALLEST
        sizes = [size >> i for i in range(int(math.log2(size)) - 1)]
        widths = {s: min(width * size // s, most) for s in sizes}
        self.encoder, self.synthesis = nn.Module(), nn.Module()
        self.blocks = [f"b{s}" for s in sizes]
        for s in sizes:
            last = s == SMALLEST
            block = EncoderBlock(widths[s], widths[s if last else s // 2], channels + 1 if s == size else 0, not last)
            self.encoder.add_module(f"b{s}", block)
        for s in reversed(sizes):
            block = SynthesisBlock(widths[max(s // 2, SMALLEST)], widths[s], s, channels)
            self.synthesis.add_module(f"b{s}", block)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        return at_any_size(self._filled, torch.cat([0.5 - mask, images * (1 - mask)], 1), self.multiple)

    def _filled(self, x: Tensor) -> Tensor:
        seen = {}
        for name in self.blocks:
            x, seen[name] = self.encoder.get_submodule(name)(x)
        picture: Tensor | None = None
        for name in reversed(self.blocks):
            x, picture = self.synthesis.get_submodule(name)(x, seen[name], picture)
        assert picture is not None
        return picture
