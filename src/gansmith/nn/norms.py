"""Instance norm that can also take its statistics from more than one picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm

NormName = Literal["instance", "batch", "none"]


class InstanceNorm(nn.Module):
    """Every channel of every picture to mean 0 and variance 1 (Ulyanov et al. 2016, arXiv:1607.08022); no weights.

    A picture processed in tiles must be normalised by the statistics of the whole. So the layer has three modes: ``own``
    (each picture by itself), ``pool`` (the batch as one picture, remembering its statistics), and ``held``
    (by the remembered statistics).
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps
        self.mode: Literal["own", "pool", "held"] = "own"
        self.statistics: tuple[Tensor, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        if self.mode == "own":
            if images.shape[2] * images.shape[3] == 1:  # one value has no variance
                return torch.zeros_like(images)
            return instance_norm(images, eps=self.eps)
        if self.mode == "pool":
            variance, mean = torch.var_mean(images, (0, 2, 3), correction=0, keepdim=True)
            self.statistics = mean, (variance + self.eps).rsqrt()
        assert self.statistics is not None, "pool statistics before holding them"
        mean, scale = self.statistics
        return (images - mean).mul_(scale)


@contextmanager
def statistics_mode(network: nn.Module, mode: Literal["pool", "held"]) -> Iterator[bool]:
    """Run every :class:`InstanceNorm` of a network in a mode; gives whether there is any."""
    norms = [module for module in network.modules() if isinstance(module, InstanceNorm)]
    for norm in norms:
        norm.mode = mode
    try:
        yield bool(norms)
    finally:
        for norm in norms:
            norm.mode = "own"


def forget_statistics(network: nn.Module) -> None:
    """Drop what ``pool`` remembered."""
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            module.statistics = None


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
