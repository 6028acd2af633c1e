"""Convolutions with one channel, or one pixel, on one side: the same arithmetic as one matrix product.

Vendors' convolution kernels are made for many channels. On a CPU those of grey pictures, and those that spread a noise
vector over a first small map or sum up a last one, take two to five times what a matrix product and the sum of its
overlaps take. Weights and results are those of the layers of torch that these stand for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class NoiseToMap(nn.ConvTranspose2d):
    """A transposed convolution of a map of one pixel, without bias: [N, I, 1, 1] -> [N, O, h, w], the kernel's size."""

    @staticmethod
    def stands_for(layer: nn.ConvTranspose2d) -> bool:
        """The shape of a layer does not show that its input is one pixel; :meth:`forward` looks at the input."""
        return is_plain(layer) and layer.stride == (1, 1) and layer.padding == (0, 0) and layer.kernel_size != (1, 1)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not self.training or input.device.type != "cpu" or input.shape[2:] != (1, 1):
            return super().forward(input, output_size)
        weight = self.weight.permute(0, 2, 3, 1)  # [I, h, w, O]: its layout in memory where channels are last
        maps = input.flatten(1) @ weight.flatten(1)
        return maps.unflatten(1, weight.shape[1:]).permute(0, 3, 1, 2)


class MapToPixel(nn.Conv2d):
    """A convolution of a whole map, without bias: [N, I, h, w], the kernel's size, -> [N, O, 1, 1]."""

    @staticmethod
    def stands_for(layer: nn.Conv2d) -> bool:
        """The shape of a layer does not show that it sees a whole map; :meth:`forward` looks at the input."""
        return is_plain(layer) and layer.stride == (1, 1) and layer.padding == (0, 0) and layer.out_channels == 1

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.device.type != "cpu" or input.shape[2:] != self.weight.shape[2:]:
            return super().forward(input)
        # channels last, as they lie in memory
        made = input.permute(0, 2, 3, 1).flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1).t()
        return made[:, :, None, None]


class ThinConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution without bias; to one channel, in training on a CPU, as a product and overlapping sums."""

    @staticmethod
    def stands_for(layer: nn.ConvTranspose2d) -> bool:
        """To one channel, with a square kernel."""
        return is_plain(layer) and layer.out_channels == 1 and is_square(layer)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not _pays(self, self.out_channels, input):
            return super().forward(input, output_size)
        n, _, *sides = input.shape
        taps = input.permute(0, 2, 3, 1).flatten(0, 2) @ self.weight.flatten(1)  # [N h w, k k]
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        size = tuple((side - 1) * stride - 2 * padding + kernel for side in sides)
        taps, dtype = taps.unflatten(0, (n, -1)).transpose(1, 2), taps.dtype
        exact = taps.float() if dtype == torch.bfloat16 else taps  # terms are rounded, sums of four are not
        return F.fold(exact, size, kernel, padding=padding, stride=stride).to(dtype)


class ThinConv2d(nn.Conv2d):
    """A convolution without bias; of one channel, in training on a CPU, as a product of patches and weights."""

    @staticmethod
    def stands_for(layer: nn.Conv2d) -> bool:
        """Of one channel, with a square kernel."""
        return is_plain(layer) and layer.in_channels == 1 and is_square(layer)

    def forward(self, input: Tensor) -> Tensor:
        if not _pays(self, self.in_channels, input):
            return super().forward(input)
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        size = [(side + 2 * padding - kernel) // stride + 1 for side in input.shape[2:]]
        if torch.is_autocast_enabled("cpu"):
            input = input.to(torch.get_autocast_dtype("cpu"))  # before there are k k of every pixel
        patches = F.unfold(input, kernel, padding=padding, stride=stride)  # [N, k k, h w]
        maps = patches.transpose(1, 2) @ self.weight.flatten(1).t()
        return maps.unflatten(1, size).permute(0, 3, 1, 2)


def is_plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether a layer has no bias, groups, dilation, output padding or padding by name."""
    return (
        layer.bias is None
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and not isinstance(layer.padding, str)
        and layer.padding_mode == "zeros"
        and layer.output_padding == (0, 0)
    )


def is_square(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """The same along rows and columns."""
    return all(len(set(sides)) == 1 for sides in (layer.kernel_size, layer.stride, layer.padding))


def _pays(layer: nn.Module, channels: int, x: Tensor) -> bool:
    """Whether a product pays: in training only. In eval mode the layer stays plain, so that exported programs show a plain layer."""
    return layer.training and channels == 1 and x.device.type == "cpu"
