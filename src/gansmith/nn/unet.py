"""The U-Net of pix2pix: halve down to one pixel, then up again past skip connections (arXiv:1611.07004, section 6.1).

Levels hold each other, and their layers are numbered as in the weights people have: ``model.model.1.model.3.*``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gansmith.nn.fit import Padded, at_any_size
from gansmith.nn.norms import NormName, init_normal, make_norm


def unet_depth(height: int, width: int) -> int:
    """Halvings that take the shorter side to one pixel, 8 at most: 8 at 256 px, 6 at 64."""
    return max(3, min(8, int(math.log2(min(height, width)))))


class Level(nn.Module):
    """One halving, all deeper levels, one doubling; every level but the outermost hands on its input beside the result."""

    def __init__(self, outer: int, inner: int, deeper: nn.Module | None, norm: NormName, dropout: bool = False) -> None:
        super().__init__()
        bias = norm != "batch"
        layers: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
        if deeper is not None:  # at one pixel there is nothing to normalise
            layers += [make_norm(norm, inner), deeper]
        width = inner if deeper is None else 2 * inner
        layers += [nn.ReLU(), nn.ConvTranspose2d(width, outer, 4, 2, 1, bias=bias), make_norm(norm, outer)]
        self.model = nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropout else []))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.model(x)], 1)


class Outermost(nn.Module):
    """The first halving and the last doubling, to a picture in [-1, 1]."""

    def __init__(self, inputs: int, outputs: int, width: int, deeper: nn.Module, bias: bool) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(inputs, width, 4, 2, 1, bias=bias),
            deeper,
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, outputs, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class UNet(Padded):
    """[N, inputs, H, W] -> [N, outputs, H, W] in [-1, 1]; other sizes than multiples of 2^depth are padded and cropped.

    Args:
        inputs, outputs: channels.
        depth: halvings; see :func:`unet_depth`.
        width: channels after the first; they double up to eight times this.
        norm: ``batch`` as in the paper, or ``instance``.
        dropout: in the levels between the innermost and the eighth-resolution one, the paper's only noise.
    """

    def __init__(
        self, inputs: int, outputs: int, depth: int = 8, width: int = 64, norm: NormName = "batch", dropout: bool = True
    ) -> None:
        super().__init__()
        self.multiple = 2**depth
        channels = [width * min(2**level, 8) for level in range(depth)]  # after each halving, outermost first
        level: nn.Module = Level(channels[-2], channels[-1], None, norm)
        for i in range(depth - 2, 0, -1):
            level = Level(channels[i - 1], channels[i], level, norm, dropout and i >= 4)
        self.model = Outermost(inputs, outputs, width, level, bias=norm != "batch")
        self.apply(init_normal)

    def forward(self, images: Tensor) -> Tensor:
        return at_any_size(self.model, images, self.multiple)
