"""Instance norm that can also take its statistics from more than one picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm

NormName = Literal["instance", "batch", "none"]


Core = tuple[float, float, float, float]
"""The part of a tile that no other tile has: top, bottom, left, right as shares of its height and width."""


class InstanceNorm(nn.Module):
    """Every channel of every picture to mean 0 and variance 1 (Ulyanov et al. 2016, arXiv:1607.08022); no weights.

    A picture processed in tiles must be normalised by the statistics of the whole. So the layer has modes: ``own`` (each
    picture by itself), ``pool`` (the batch as one picture, remembering its statistics), ``held`` (by the remembered
    statistics) and ``refine`` (held, while measuring over many tiles what the statistics should have been).
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps
        self.mode: Literal["own", "pool", "held", "refine"] = "own"
        self.statistics: tuple[Tensor, Tensor] | None = None
        self.core: Core = (0.0, 1.0, 0.0, 1.0)
        self.sums: Tensor | None = None  # [3, C]: of 1, x and x^2, float64

    def forward(self, images: Tensor) -> Tensor:
        if self.mode == "own":
            if images.shape[2] * images.shape[3] == 1:  # one value has no variance
                return torch.zeros_like(images)
            return instance_norm(images, eps=self.eps)
        if self.mode == "pool":
            variance, mean = torch.var_mean(images, (0, 2, 3), correction=0, keepdim=True)
            self.statistics = mean, (variance + self.eps).rsqrt()
        assert self.statistics is not None, "pool statistics before holding them"
        if self.mode == "refine":
            self._measure(images)
        mean, scale = self.statistics
        return (images - mean).mul_(scale)

    def _measure(self, images: Tensor) -> None:
        height, width = images.shape[2:]
        top, bottom, left, right = self.core
        core = images[:, :, round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        count = core.shape[0] * core.shape[2] * core.shape[3]
        if count:
            variance, mean = torch.var_mean(core, (0, 2, 3), correction=0)
            mean, variance = mean.double(), variance.double()
            part = count * torch.stack([torch.ones_like(mean), mean, variance + mean.square()])
            self.sums = part if self.sums is None else self.sums + part

    def take_measured(self) -> None:
        """Hold what ``refine`` has measured from now on."""
        if self.sums is not None:
            count, total, squares = self.sums
            mean = total / count
            variance = (squares / count - mean.square()).clamp(min=0)
            kind = self.statistics[0] if self.statistics is not None else total
            shape = (1, -1, 1, 1)
            self.statistics = mean.view(shape).to(kind), (variance + self.eps).rsqrt().view(shape).to(kind)
        self.sums = None


def instance_norms(network: nn.Module) -> list[InstanceNorm]:
    """Every :class:`InstanceNorm` of a network."""
    return [module for module in network.modules() if isinstance(module, InstanceNorm)]


@contextmanager
def statistics_mode(network: nn.Module, mode: Literal["pool", "held", "refine"]) -> Iterator[None]:
    """Run every :class:`InstanceNorm` of a network in a mode; ``refine`` ends by holding what it measured."""
    norms = instance_norms(network)
    for norm in norms:
        norm.mode = mode
    try:
        yield
        if mode == "refine":
            for norm in norms:
                norm.take_measured()
    finally:
        for norm in norms:
            norm.mode = "own"


def forget_statistics(network: nn.Module) -> None:
    """Drop what was remembered."""
    for norm in instance_norms(network):
        norm.statistics = norm.sums = None


def make_norm(name: NormName, channels: int) -> nn.Module:
    """A norm layer by name."""
    if name == "instance":
        return InstanceNorm(channels)
    return nn.BatchNorm2d(channels) if name == "batch" else nn.Identity()


def init_normal(module: nn.Module) -> None:
    """Convolutions N(0, .02), batch norm weights N(1, .02), biases 0; for ``nn.Module.apply``."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
