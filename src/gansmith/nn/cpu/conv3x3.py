"""A 3x3 convolution layer for wide first-order networks on CPUs: Winograd's algorithm with derivatives written out.

The same arithmetic as :mod:`gansmith.nn.cpu.winograd`, which is made of differentiable operations and so gives derivatives of
any order. This one gives the first only; in return it keeps nothing but its input between the passes and works in
memory that it owns, where fresh pages from the system would cost as much as the arithmetic.
"""

from __future__ import annotations

import functools
import math
import threading
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gansmith.nn.cpu.winograd import INPUT, OUTPUT, WEIGHT, twice

_FEWEST_CHANNELS = 128
"""Below this the transforms cost more than the multiplications they save."""


@functools.cache
def _kronecker() -> tuple[Tensor, Tensor, Tensor]:
    """The two-dimensional transforms of data [36, 36], filters [36, 9] and output [16, 36]."""
    data, filters, output = (twice(matrix, torch.empty((), dtype=torch.float64)) for matrix in (INPUT, WEIGHT, OUTPUT))
    return data.float(), filters.float(), output.float()


class _Workspace(threading.local):
    """Memory for what lives within one call."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        size = math.prod(shape)
        if name not in self.kept or len(self.kept[name]) < size:
            with torch.inference_mode(False):
                self.kept[name] = torch.empty(size)
        return self.kept[name][:size].view(shape)


_workspace = _Workspace()


def _transformed_data(padded: Tensor, rows: int, columns: int) -> Tensor:
    """[N, H + 2, W + 2, C] -> its overlapping 6x6 tiles, transformed: [36, N * rows * columns, C]."""
    n, channels = padded.shape[0], padded.shape[3]
    tiles = _workspace("tiles", 6, 6, n, rows, columns, channels)
    tiles.copy_(padded.unfold(1, 6, 4).unfold(2, 6, 4).permute(4, 5, 0, 1, 2, 3))
    out = _workspace("data", 36, n * rows * columns * channels)
    return torch.mm(_kronecker()[0], tiles.view(36, -1), out=out).view(36, -1, channels)


def _transformed_filters(weight: Tensor) -> Tensor:
    """[O, C, 3, 3] -> [36, O, C]."""
    out, inputs = weight.shape[:2]
    flat = _workspace("weights", 3, 3, out, inputs).copy_(weight.permute(2, 3, 0, 1)).view(9, -1)
    return torch.mm(_kronecker()[1], flat, out=_workspace("filters", 36, out * inputs)).view(36, out, inputs)


def _untile(tiles: Tensor, n: int, rows: int, columns: int) -> Tensor:
    """The transpose of cutting into tiles: overlapping ones add up to [N, H + 2, W + 2, C]."""
    tiles = tiles.view(6, 6, n, rows, columns, -1)
    channels = tiles.shape[-1]
    wide = _workspace("wide", 6, n, rows, columns + 1, 4, channels)
    wide[:, :, :, :columns] = tiles[:, :4].permute(0, 2, 3, 4, 1, 5)
    wide[:, :, :, columns] = 0
    wide[:, :, :, 1:, :2] += tiles[:, 4:].permute(0, 2, 3, 4, 1, 5)
    wide = wide.view(6, n, rows, (columns + 1) * 4, channels)
    tall = tiles.new_empty(n, rows + 1, 4, (columns + 1) * 4, channels)
    tall[:, :rows] = wide[:4].permute(1, 2, 0, 3, 4)
    tall[:, rows] = 0
    tall[:, 1:, :2] += wide[4:].permute(1, 2, 0, 3, 4)
    return tall.view(n, (rows + 1) * 4, (columns + 1) * 4, channels)[:, : rows * 4 + 2, : columns * 4 + 2]


class _FirstOrder(torch.autograd.Function):
    """Valid 3x3 correlation of [N, H + 2, W + 2, C] with [O, C, 3, 3]: [N, H, W, O]; H and W multiples of 4."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(padded, weight)
        n, rows, columns = padded.shape[0], (padded.shape[1] - 2) // 4, (padded.shape[2] - 2) // 4
        out, count = len(weight), n * rows * columns
        data, filters = _transformed_data(padded, rows, columns), _transformed_filters(weight)
        products = torch.bmm(data, filters.transpose(1, 2), out=_workspace("products", 36, count, out))
        blocks = torch.mm(_kronecker()[2], products.view(36, -1), out=_workspace("blocks", 16, count * out))
        blocks = blocks.view(4, 4, n, rows, columns, out)
        made = padded.new_empty(n, rows, 4, columns, 4, out)  # never a view of the workspace, whatever the shape
        return made.copy_(blocks.permute(2, 3, 0, 4, 1, 5)).view(n, rows * 4, columns * 4, out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        padded, weight = ctx.saved_tensors
        n, rows, columns = padded.shape[0], (padded.shape[1] - 2) // 4, (padded.shape[2] - 2) // 4
        data, filters, output = _kronecker()
        (out, inputs), count = weight.shape[:2], n * rows * columns
        blocks = _workspace("blocks", 4, 4, n, rows, columns, out)
        blocks.copy_(grad.reshape(n, rows, 4, columns, 4, out).permute(2, 4, 0, 1, 3, 5))
        products = torch.mm(output.T, blocks.view(16, -1), out=_workspace("products", 36, count * out))
        products = products.view(36, count, out)
        grad_padded = grad_weight = None
        if ctx.needs_input_grad[1]:
            transformed = _transformed_data(padded, rows, columns)
            into = _workspace("filters", 36, out, inputs)
            grad_filters = torch.bmm(products.transpose(1, 2), transformed, out=into)
            grad_weight = (filters.T @ grad_filters.view(36, -1)).view(3, 3, out, inputs).permute(2, 3, 0, 1)
        if ctx.needs_input_grad[0]:
            into = _workspace("data", 36, count, inputs)
            transformed = torch.bmm(products, _transformed_filters(weight), out=into)
            tiles = torch.mm(data.T, transformed.view(36, -1), out=_workspace("tiles", 36, count * inputs))
            grad_padded = _untile(tiles, n, rows, columns)
        return grad_padded, grad_weight


class Conv3x3(nn.Conv2d):
    """``nn.Conv2d(inputs, outputs, 3)`` without padding, by Winograd's algorithm where that is faster.

    That is while training in fp32 on a CPU with many channels, where it differs by about 1e-5 of the values' scale;
    elsewhere, and in eval mode, it is ``nn.Conv2d`` to the last bit.
    """

    @staticmethod
    def stands_for(layer: nn.Conv2d) -> bool:
        """3x3, stride 1, no padding, many channels on both sides."""
        return (
            layer.kernel_size == (3, 3)
            and layer.stride == layer.dilation == (1, 1)
            and layer.padding == (0, 0)
            and layer.groups == 1
            and min(layer.in_channels, layer.out_channels) >= _FEWEST_CHANNELS
        )

    def forward(self, input: Tensor) -> Tensor:
        if not self._faster(input):
            return super().forward(input)
        height, width = input.shape[2] - 2, input.shape[3] - 2
        padded = nn.functional.pad(input, (0, -width % 4, 0, -height % 4)) if height % 4 or width % 4 else input
        result = _FirstOrder.apply(padded.permute(0, 2, 3, 1), self.weight)
        result = result.permute(0, 3, 1, 2)[:, :, :height, :width]
        return result if self.bias is None else result + self.bias[:, None, None]

    def _faster(self, input: Tensor) -> bool:
        return (
            self.training
            and input.device.type == "cpu"
            and input.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and min(self.in_channels, self.out_channels) >= _FEWEST_CHANNELS
        )
