"""The residual networks of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, appendix F), for pictures of any size.

Two kinds: ``level`` networks have the same width everywhere and no norm in the critic (the paper's, for 32 px);
``pyramid`` networks double their width with every halving, up to 8 times, with layer norm in the critic (64 px).
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu, relu_

from gansmith.game import ImageSpec
from gansmith.nn.classes import ClassEmbedding
from gansmith.nn.stages import base_for, crop_to, stages_for

Shape = Literal["level", "pyramid"]


class LayerNorm(nn.Module):
    """Each picture's features [C, H, W] together to mean 0 and variance 1; a weight and a bias per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)

    def forward(self, features: Tensor) -> Tensor:
        return self.norm(features)


class Block(nn.Module):
    """norm - ReLU - 3x3 - norm - ReLU - 3x3, with a shortcut (1x1 where something changes).

    Args:
        resample: double the size before the first convolution, or halve it after the second.
        hidden: channels between the two convolutions.
        norm: ``batch``, ``layer`` or ``none``. The pyramid's first convolution has no bias: its norm has one.
        first: there is no activation before the block, since pictures come in.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        resample: Literal["up", "down", "none"],
        norm: Literal["batch", "layer", "none"],
        *,
        hidden: int = 0,
        bias: bool = True,
        first: bool = False,
    ) -> None:
        super().__init__()
        hidden = hidden or outputs
        make_norm = {"batch": nn.BatchNorm2d, "layer": LayerNorm, "none": lambda channels: nn.Identity()}[norm]
        self.resample, self.first, self.normed = resample, first, norm != "none"
        self.norm1 = make_norm(inputs)
        self.conv1 = _he(nn.Conv2d(inputs, hidden, 3, padding=1, bias=bias))
        self.norm2 = make_norm(hidden)
        self.conv2 = _he(nn.Conv2d(hidden, outputs, 3, padding=1))
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or resample != "none":
            self.shortcut = _he(nn.Conv2d(inputs, outputs, 1), gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.first else relu(self.norm1(x), inplace=self.normed)
        if self.resample == "up":
            h = interpolate(h, scale_factor=2.0, mode="nearest")
        h = self.conv2(relu_(self.norm2(self.conv1(h))))
        if self.resample == "up":  # a 1x1 convolution gives the same before and after, for a quarter of the work
            return h + interpolate(self.shortcut(x), scale_factor=2.0, mode="nearest")
        if self.resample == "down":
            return avg_pool2d(h, 2) + self.shortcut(avg_pool2d(x, 2))
        return h + self.shortcut(x)


def _he(layer: nn.Conv2d, gain: float = math.sqrt(2)) -> nn.Conv2d:
    """Uniform weights of the variance that keeps activations' size, averaged over both directions."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _widths(shape: Shape, width: int, stages: int) -> list[int]:
    """Channels from the picture inwards, ``stages + 1`` numbers."""
    return [width if shape == "level" else width * min(2**stage, 8) for stage in range(stages + 1)]


class Generator(nn.Module):
    """z [N, latent_dim] -> [N, C, H, W] in [-1, 1]; sizes that are not base * 2^k are made larger and cropped."""

    def __init__(self, latent_dim: int, shape: Shape, width: int, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        self.spec = spec
        stages = stages_for(spec)
        self.base = base_for(spec, stages)
        widths = _widths(shape, width, stages)[::-1]
        self.embed = ClassEmbedding(classes, latent_dim) if classes else None
        self.project = nn.Linear(latent_dim * (2 if classes else 1), widths[0] * math.prod(self.base))
        pairs = itertools.pairwise(widths)
        self.blocks = nn.Sequential(*[Block(a, b, "up", "batch", bias=shape == "level") for a, b in pairs])
        self.norm = nn.BatchNorm2d(widths[-1])
        self.to_image = _he(nn.Conv2d(widths[-1], spec.channels, 3, padding=1), gain=1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], 1)
        h = self.project(z).unflatten(1, (-1, *self.base))  # [N, C0, h, w]
        images = torch.tanh(self.to_image(relu_(self.norm(self.blocks(h)))))
        return crop_to(images, self.spec)


class Critic(nn.Module):
    """[N, C, H, W] -> scores [N, 1]; conditional ones add a projection of the label's embedding."""

    def __init__(self, shape: Shape, width: int, spec: ImageSpec, classes: int, pack: int) -> None:
        super().__init__()
        stages, channels = stages_for(spec), spec.channels * pack
        widths = _widths(shape, width, stages)
        self.shape = shape
        if shape == "level":  # down, down, and two blocks that stay at that size
            downs = [Block(channels, width, "down", "none", first=True)]
            downs += [Block(width, width, "down", "none") for _ in range(max(stages - 2, 1))]
            self.blocks = nn.Sequential(*downs, *[Block(width, width, "none", "none") for _ in range(2)])
            inputs = width
        else:
            pairs = itertools.pairwise(widths)
            downs = [Block(a, b, "down", "layer", hidden=a, bias=False) for a, b in pairs]
            self.blocks = nn.Sequential(_he(nn.Conv2d(channels, width, 3, padding=1), gain=1.0), *downs)
            inputs = widths[-1] * (spec.height >> stages) * (spec.width >> stages)
        self.score = nn.Linear(inputs, 1)
        self.embed = ClassEmbedding(classes, inputs) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.blocks(images)
        h = relu(h).mean((2, 3)) if self.shape == "level" else h.flatten(1)
        score = self.score(h)
        if self.embed is not None:  # Miyato & Koyama 2018 (arXiv:1802.05637), Eq. 3
            score = score + (self.embed(labels) * h).sum(1, keepdim=True) / math.sqrt(h.shape[1])
        return score
