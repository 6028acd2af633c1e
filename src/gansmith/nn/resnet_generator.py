"""The residual picture-to-picture generator of Johnson et al. 2016 (arXiv:1603.08155) as CycleGAN uses it.

Layers are numbered as in the weights people have: ``model.N.*``, residual blocks hold ``conv_block.M.*``.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

from gansmith.nn.antialias import BlurDouble, BlurHalf
from gansmith.nn.fit import Padded, at_any_size, pad_to_multiple
from gansmith.nn.mirror import ReflectionPad
from gansmith.nn.norms import NormName, init_normal, make_norm

UpsampleName = Literal["transposed", "resize", "blur"]
"""How a generator doubles the size: by CycleGAN's transposed convolutions, by :class:`ResizeConv2d`, or by a blur and a convolution (CUT)."""


class ResizeConv2d(nn.ConvTranspose2d):
    """Every pixel doubled, then a 3x3 convolution: no checkerboard (Odena et al. 2016, doi:10.23915/distill.00003).

    As one transposed convolution, whose kernel is the 3x3 one (stored mirrored) over every pixel of a doubled one; that takes less than
    half the work. Weights have the shapes of the transposed convolution in whose place it stands.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, 2, 1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        kernel = pad(self.weight, (0, 1)) + pad(self.weight, (1, 0))
        kernel = pad(kernel, (0, 0, 0, 1)) + pad(kernel, (0, 0, 1, 0))
        return conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class ResidualBlock(nn.Module):
    """x + f(x), f two mirrored-edge 3x3 convolutions with norms, ReLU between them."""

    def __init__(self, channels: int, norm: NormName, dropout: bool, bias: bool) -> None:
        super().__init__()
        first = [
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            make_norm(norm, channels),
            nn.ReLU(),
        ]
        second = [ReflectionPad(1), nn.Conv2d(channels, channels, 3, bias=bias), make_norm(norm, channels)]
        self.conv_block = nn.Sequential(*first, *([nn.Dropout(0.5)] if dropout else []), *second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class ResnetGenerator(Padded):
    """[N, inputs, H, W] -> [N, outputs, H, W] in [-1, 1]; any H and W of at least 8.

    Args:
        inputs, outputs: channels.
        width: channels at full resolution; they double with every halving.
        blocks: residual blocks at the lowest resolution; 9 for 256 px, 6 for 128 px.
        norm: ``instance`` or ``batch``.
        dropout: drop half of each block's features while training.
        upsample: ``transposed``, ``resize`` or ``blur``.
        skip: the colours of the input, mixed by a 1x1 convolution that starts as the identity, are added before the last tanh.
            Instance norm takes a picture's mean away, and large flat areas have little else.
        halvings: how often the size is halved before the blocks; 2 in CycleGAN and CUT.
        antialias: halve by a convolution of stride 1 and a blur, as CUT does.
        bias: convolutions have biases in front of batch norms too.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 64,
        blocks: int = 9,
        norm: NormName = "instance",
        dropout: bool = False,
        upsample: UpsampleName = "transposed",
        skip: bool = False,
        *,
        halvings: int = 2,
        antialias: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        bias = bias or norm != "batch"
        self.multiple = 2**halvings
        layers: list[nn.Module] = [
            ReflectionPad(3),
            nn.Conv2d(inputs, width, 7, bias=bias),
            make_norm(norm, width),
            nn.ReLU(),
        ]
        self.taps = [0]
        for channels in [width * 2**i for i in range(halvings)]:
            self.taps.append(len(layers))
            stride = 1 if antialias else 2
            layers += [nn.Conv2d(channels, 2 * channels, 3, stride, 1, bias=bias), make_norm(norm, 2 * channels)]
            layers += [nn.ReLU(), *([BlurHalf()] if antialias else [])]
        self.taps += sorted({len(layers) + n for n in (0, min(4, blocks - 1)) if blocks})
        layers += [ResidualBlock(width * self.multiple, norm, dropout, bias) for _ in range(blocks)]
        for channels in [width * 2**i for i in range(halvings, 0, -1)]:
            layers += _doubling(channels, bias, upsample)
            layers += [make_norm(norm, channels // 2), nn.ReLU()]
        layers += [ReflectionPad(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        self.apply(init_normal)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False) if skip else None
        if self.skip is not None:
            start = torch.eye(inputs) if inputs == outputs else torch.full((outputs, inputs), 1 / inputs)
            self.skip.weight.data.copy_(start[:, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        if self.skip is None:
            return at_any_size(self.model, images, self.multiple)
        made = at_any_size(self.model[:-1], images, self.multiple)
        return torch.tanh(made + self.skip(images))

    def features(self, images: Tensor) -> list[Tensor]:
        """What CUT compares: the pixels, every halving convolution, the first and the fifth residual block (or the last).

        Returns:
            One map [N, C_l, H_l, W_l] for each of ``taps``, layers of ``model``. Layers behind the last are not computed.
        """
        return self._through(images, self.taps[-1] + 1)[1]

    def with_features(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What ``forward`` and ``features`` give, in one pass."""
        made, found = self._through(images, len(self.model) - 1)
        made = made[:, :, : images.shape[2], : images.shape[3]]
        return torch.tanh(made if self.skip is None else made + self.skip(images)), found

    def _through(self, images: Tensor, layers: int) -> tuple[Tensor, list[Tensor]]:
        """What the first ``layers`` layers make, and what those of ``taps`` made on the way."""
        found, x = [], pad_to_multiple(images, self.multiple)
        for number, layer in enumerate(self.model[:layers]):
            x = layer(x)
            if number in self.taps:
                found.append(x)
        return x, found


def _doubling(channels: int, bias: bool, upsample: UpsampleName) -> list[nn.Module]:
    """Twice the size, half the channels."""
    half = channels // 2
    if upsample == "blur":
        return [BlurDouble(), nn.Conv2d(channels, half, 3, 1, 1, bias=bias)]
    if upsample == "resize":
        return [ResizeConv2d(channels, half, bias)]
    return [nn.ConvTranspose2d(channels, half, 3, 2, 1, output_padding=1, bias=bias)]
