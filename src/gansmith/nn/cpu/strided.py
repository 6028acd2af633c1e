"""Strided convolutions whose weights' gradient is one matrix product: for bfloat16 on CPUs.

The gradient of a convolution's weights is a product of all patches with all outputs, summed over pictures. Where a small
map has many channels, the vendor's kernel for it takes two to six times what gathering the patches and multiplying takes
on CPUs with bfloat16 tiles, and about as long on others. At stride 2 the patches are only four times the map, and do not
outlive the product. Deep inside a U-Net, where maps have a few pixels and layers millions of weights, the passes themselves
are products too. Weights and results are those of the layers of torch that these stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FEWEST_CHANNELS = 128
"""The fewest channels of the larger map for which a product pays. Below, the vendor's kernel is as fast."""
_FEW_POSITIONS = 256
"""Positions in the smaller map, over the batch. Up to so many, the forward and the backward pass are products too."""


def patches(images: Tensor, size: Sequence[int], kernel: int, stride: int, padding: int) -> Tensor:
    """What a convolution looks at: [N, C, H, W] -> [N h w, kernel kernel C], for outputs of ``size`` (h, w)."""
    n, channels = images.shape[:2]
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    picture, row, column, channel = padded.stride()
    looked_at = padded.as_strided(
        (n, *size, kernel, kernel, channels), (picture, row * stride, column * stride, row, column, channel)
    )
    return looked_at.reshape(n * size[0] * size[1], -1)


def weight_gradient(large: Tensor, small: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """The gradient of a convolution's weights, where the convolution takes ``large`` to the size of ``small``.

    Args:
        large: [N, C, H, W], what the convolution looks at in patches.
        small: [N, O, h, w], one position per patch.

    Returns:
        [O, C, kernel, kernel], channels_last.
    """
    product = _rows(small).t() @ patches(large, small.shape[2:], kernel, stride, padding)
    return product.view(small.shape[1], kernel, kernel, -1).permute(0, 3, 1, 2)


def convolve(large: Tensor, weight: Tensor, size: Sequence[int], stride: int, padding: int) -> Tensor:
    """[N, C, H, W] -> [N, O, h, w] of ``size``, weights [O, C, kernel, kernel]: as a product where that is faster."""
    if not _few(len(large), size):
        return F.conv2d(large, weight, stride=stride, padding=padding)
    flat = weight.permute(0, 2, 3, 1).flatten(1)
    product = patches(large, size, weight.shape[-1], stride, padding) @ flat.t()
    return product.view(len(large), *size, -1).permute(0, 3, 1, 2)


def spread(small: Tensor, weight: Tensor, size: Sequence[int], stride: int, padding: int) -> Tensor:
    """The transpose: [N, O, h, w] -> [N, C, H, W] of ``size``, weights [O, C, kernel, kernel]."""
    n, _, height, width = small.shape
    channels, kernel = weight.shape[1], weight.shape[-1]
    if not _few(n, (height, width)):
        sides = zip(size, (height, width), strict=True)
        rest = [large - ((side - 1) * stride - 2 * padding + kernel) for large, side in sides]
        return F.conv_transpose2d(small, weight, stride=stride, padding=padding, output_padding=rest)
    taps = _rows(small) @ weight.permute(0, 2, 3, 1).flatten(1)
    taps = taps.view(n, height, width, kernel, kernel, channels)
    if taps.dtype == torch.bfloat16:  # terms are rounded, their sums are not
        taps = taps.float()
    made = taps.new_zeros(n, size[0] + 2 * padding, size[1] + 2 * padding, channels)
    for y in range(kernel):
        for x in range(kernel):
            made[:, y : y + height * stride : stride, x : x + width * stride : stride] += taps[:, :, :, y, x]
    inside = made[:, padding : padding + size[0], padding : padding + size[1]]
    return inside.to(small.dtype).permute(0, 3, 1, 2)


def _rows(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).flatten(0, 2)


def _few(pictures: int, size: Sequence[int]) -> bool:
    """So few positions that laying out a wide layer's weights for the vendor's kernel takes longer than their product."""
    return pictures * size[0] * size[1] <= _FEW_POSITIONS


class _Convolution(torch.autograd.Function):
    """``conv2d`` with a square kernel. What its backward pass does can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        size = [(side + 2 * padding - weight.shape[-1]) // stride + 1 for side in images.shape[2:]]
        return convolve(images, weight, size, stride, padding).detach()  # no view: activations may work in place

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # type: ignore[override]
        images, weight = ctx.saved_tensors
        grad_images = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_images = spread(grad, weight, images.shape[2:], ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            grad_weight = weight_gradient(images, grad, weight.shape[-1], ctx.stride, ctx.padding)
        return grad_images, grad_weight, None, None


class _Transposed(torch.autograd.Function):
    """``conv_transpose2d`` likewise: the convolution goes from what it makes to what it is given."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        size = [(side - 1) * stride - 2 * padding + weight.shape[-1] for side in images.shape[2:]]
        return spread(images, weight, size, stride, padding).detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # type: ignore[override]
        images, weight = ctx.saved_tensors
        grad_images = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_images = convolve(grad, weight, images.shape[2:], ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            grad_weight = weight_gradient(grad, images, weight.shape[-1], ctx.stride, ctx.padding)
        return grad_images, grad_weight, None, None


class StridedConv2d(nn.Conv2d):
    """``nn.Conv2d`` with a square kernel and a stride."""

    @staticmethod
    def stands_for(layer: nn.Conv2d) -> bool:
        """A square kernel, a stride, and many channels in the larger map."""
        return _is_strided(layer)

    def forward(self, input: Tensor) -> Tensor:
        if not _pays(self, input):
            return super().forward(input)
        return _with_bias(_Convolution, self, input)


class StridedConvTranspose2d(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` with a square kernel and a stride."""

    @staticmethod
    def stands_for(layer: nn.ConvTranspose2d) -> bool:
        """A square kernel, a stride, and many channels in the larger map."""
        return _is_strided(layer)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None or not _pays(self, input):
            return super().forward(input, output_size)
        return _with_bias(_Transposed, self, input)


def _is_strided(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    return (
        all(len(set(sides)) == 1 for sides in (layer.kernel_size, layer.stride, layer.padding))
        and layer.stride[0] > 1
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and layer.output_padding == (0, 0)
        and (layer.out_channels if layer.transposed else layer.in_channels) >= _FEWEST_CHANNELS
    )


def _with_bias(
    function: type[_Convolution | _Transposed], layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor
) -> Tensor:
    made = function.apply(
        input.to(torch.bfloat16), layer.weight.to(torch.bfloat16), layer.stride[0], int(layer.padding[0])
    )
    assert isinstance(made, Tensor)
    return made if layer.bias is None else made + layer.bias.to(made.dtype)[:, None, None]


def _pays(layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor) -> bool:
    """Training in bfloat16 on a CPU, with many channels; otherwise the layer is torch's to the last bit."""
    return (
        layer.training
        and input.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and layer.weight.requires_grad
        and (layer.out_channels if layer.transposed else layer.in_channels) >= _FEWEST_CHANNELS
    )
