"""RRDBNet, the super-resolution generator of ESRGAN (Wang et al. 2018, arXiv:1809.00219), and a light form of it.

Layers are named as in the weights people have: ``conv_first``, ``body.N.rdb1.conv1``, ``conv_up1``, ``conv_last``, ...
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_shuffle, pixel_unshuffle

from gansmith.nn.fit import pad_to_multiple

Tail = Literal["nearest", "shuffle"]


class DenseBlock(nn.Module):
    """Five 3x3 convolutions, each seeing all before it; x + .2 f(x)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, growth, 3, 1, 1)
        self.conv2 = nn.Conv2d(width + growth, growth, 3, 1, 1)
        self.conv3 = nn.Conv2d(width + 2 * growth, growth, 3, 1, 1)
        self.conv4 = nn.Conv2d(width + 3 * growth, growth, 3, 1, 1)
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, 1, 1)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            nn.init.kaiming_normal_(conv.weight)
            conv.weight.data.mul_(0.1)  # section 3.1: small residuals at first
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, leaky_relu(conv(seen), 0.2)], 1)
        return x + 0.2 * self.conv5(seen)


class RRDB(nn.Module):
    """Three dense blocks in a residual; x + .2 f(x)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(width, growth)
        self.rdb2 = DenseBlock(width, growth)
        self.rdb3 = DenseBlock(width, growth)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """[N, C, H, W] -> [N, C, H * scale, W * scale], both in [0, 1].

    Args:
        channels: of the pictures.
        scale: 3 or a power of two, 1 to 16.
        width, blocks, growth: 64, 23 and 32 are the paper's.
        tail: ``nearest`` is the paper's way up, nearest-neighbour steps of 2 (one of 3 for scale 3) with convolutions at
            every size; ``shuffle`` computes everything at the small size and adds its result to a bicubic enlargement.
        fold: with the tail ``nearest`` at scales 1 and 2, pixels are first folded into channels, 4x4 or 2x2, and two
            steps lead up, as in Real-ESRGAN. False has none or one step up, as in the first ESRGAN.
    """

    def __init__(
        self,
        channels: int = 3,
        scale: int = 4,
        width: int = 64,
        blocks: int = 23,
        growth: int = 32,
        tail: Tail = "nearest",
        fold: bool = True,
    ) -> None:
        super().__init__()
        self.scale, self.tail = scale, tail
        self.fold = folding(scale, tail, fold)
        self.conv_first = nn.Conv2d(channels * self.fold**2, width, 3, 1, 1)
        self.body = nn.Sequential(*[RRDB(width, growth) for _ in range(blocks)])
        self.conv_body = nn.Conv2d(width, width, 3, 1, 1)
        if tail == "nearest":
            self.steps = (3,) if scale == 3 else (2,) * (int(scale * self.fold).bit_length() - 1)
            for number in range(1, len(self.steps) + 1):
                setattr(self, f"conv_up{number}", nn.Conv2d(width, width, 3, 1, 1))
            self.conv_hr = nn.Conv2d(width, width, 3, 1, 1)
            self.conv_last = nn.Conv2d(width, channels, 3, 1, 1)
        else:
            self.conv_last = nn.Conv2d(width, channels * scale**2, 3, 1, 1)
            self.conv_last.weight.data.mul_(0.01)  # begins as the bicubic enlargement itself, almost
            self.conv_last.bias.data.zero_()  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2] * self.scale, images.shape[3] * self.scale
        folded = pixel_unshuffle(pad_to_multiple(images, self.fold), self.fold) if self.fold > 1 else images
        first = self.conv_first(folded)
        features = first + self.conv_body(self.body(first))
        if self.tail == "shuffle":
            base = interpolate(images.float(), scale_factor=self.scale, mode="bicubic")
            return base + pixel_shuffle(self.conv_last(features), self.scale)
        for number, step in enumerate(self.steps, 1):
            conv = self.get_submodule(f"conv_up{number}")
            features = leaky_relu(conv(interpolate(features, scale_factor=step, mode="nearest")), 0.2)
        return self.conv_last(leaky_relu(self.conv_hr(features), 0.2))[:, :, :height, :width]


def folding(scale: int, tail: Tail, fold: bool = True) -> int:
    """The side of the squares of pixels that RRDBNet folds into channels; 1 where it folds none."""
    return {1: 4, 2: 2}.get(scale, 1) if tail == "nearest" and fold else 1
