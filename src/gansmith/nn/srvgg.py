"""SRVGG, the compact super-resolution network that Real-ESRGAN uses for films and light machines (arXiv:2107.10833's code).

Plain 3x3 convolutions at the small size, one pixel shuffle at the end, and the nearest-neighbour enlargement added to it.
Layers are named as in the weights people have: ``body.0``, ``body.1`` (the activation's slopes), ``body.2``, ...
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

Activation = Literal["prelu", "leaky", "relu"]


class SRVGGNet(nn.Module):
    """[N, C, H, W] -> [N, C, H * scale, W * scale], both in [0, 1].

    Args:
        channels: of the pictures.
        scale: how many times larger.
        width: channels of every layer but the first and the last.
        convs: convolutions between the first and the last; 16 for films, 32 for photographs.
        activation: behind every convolution but the last; ``prelu`` learns a slope for every channel.
    """

    def __init__(
        self, channels: int = 3, scale: int = 4, width: int = 64, convs: int = 16, activation: Activation = "prelu"
    ) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = []
        for inputs in (channels, *[width] * convs):
            layers += [nn.Conv2d(inputs, width, 3, 1, 1), _activation(activation, width)]
        last = nn.Conv2d(width, channels * scale**2, 3, 1, 1)
        last.weight.data.mul_(0.01)  # begins as the nearest-neighbour enlargement itself, almost
        last.bias.data.zero_()  # type: ignore[union-attr]
        self.body = nn.Sequential(*layers, last)

    def forward(self, images: Tensor) -> Tensor:
        return pixel_shuffle(self.body(images), self.scale) + interpolate(
            images, scale_factor=self.scale, mode="nearest"
        )


def _activation(name: Activation, width: int) -> nn.Module:
    if name == "prelu":
        return nn.PReLU(width)
    return nn.LeakyReLU(0.1) if name == "leaky" else nn.ReLU()
