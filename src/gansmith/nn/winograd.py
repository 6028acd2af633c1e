"""3x3 convolutions with a third of the multiplications: Winograd's minimal filtering F(4x4, 3x3).

A 4x4 block of outputs needs 36 multiplications per pair of channels instead of 144 (Lavin & Gray 2015,
arXiv:1509.09308, section 4.1). The transforms are small matrix products, so the whole convolution is three kinds of GEMM,
and that is all a CPU without half-precision units is fast at. The mathematics is the convolution's own; in fp32 the
rounding differs by about 1e-6 of the values' scale.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Interpolation at 0, 1, -1, 2, -2 and infinity: Y = A^T [(G g G^T) * (B^T d B)] A
_B = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_G = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_A = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]

_FEWEST_CHANNELS = 128
"""Below this the transforms cost more than the multiplications they save."""


@functools.cache
def _kronecker() -> tuple[Tensor, Tensor, Tensor]:
    """The two-dimensional transforms of data [36, 36], filter [36, 9] and output [16, 36]."""
    data, filters, output = (torch.tensor(m, dtype=torch.float64) for m in (_B, _G, _A))
    return tuple(torch.kron(m, m).float() for m in (data, filters, output))  # type: ignore[return-value]


def _tiles(padded: Tensor, rows: int, columns: int) -> Tensor:
    """[N, H + 2, W + 2, C] -> overlapping 6x6 tiles [36, N * rows * columns * C]."""
    n, channels = padded.shape[0], padded.shape[3]
    tiles = padded.unfold(1, 6, 4).unfold(2, 6, 4)  # [N, rows, columns, C, 6, 6]
    return tiles.permute(4, 5, 0, 1, 2, 3).reshape(36, n * rows * columns * channels)


def _untile(tiles: Tensor, n: int, rows: int, columns: int) -> Tensor:
    """The transpose of :func:`_tiles`: overlapping tiles add up to [N, H + 2, W + 2, C]."""
    tiles = tiles.view(6, 6, n, rows, columns, -1)
    channels = tiles.shape[-1]
    wide = tiles.new_zeros(6, n, rows, columns + 1, 4, channels)
    wide[:, :, :, :columns] = tiles[:, :4].permute(0, 2, 3, 4, 1, 5)
    wide[:, :, :, 1:, :2] += tiles[:, 4:].permute(0, 2, 3, 4, 1, 5)
    tall = tiles.new_zeros(n, rows + 1, 4, (columns + 1) * 4, channels)
    wide = wide.view(6, n, rows, (columns + 1) * 4, channels)
    tall[:, :rows] = wide[:4].permute(1, 2, 0, 3, 4)
    tall[:, 1:, :2] += wide[4:].permute(1, 2, 0, 3, 4)
    return tall.view(n, (rows + 1) * 4, (columns + 1) * 4, channels)[:, : rows * 4 + 2, : columns * 4 + 2]


def _filters(weight: Tensor) -> Tensor:
    """[O, C, 3, 3] -> transformed [36, O, C]."""
    out, inputs = weight.shape[:2]
    return (_kronecker()[1] @ weight.permute(2, 3, 0, 1).reshape(9, out * inputs)).view(36, out, inputs)


class _Winograd(torch.autograd.Function):
    """Valid 3x3 correlation of [N, H + 2, W + 2, C] with [O, C, 3, 3]: [N, H, W, O]; H and W multiples of 4."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(padded, weight)
        n, rows, columns = padded.shape[0], (padded.shape[1] - 2) // 4, (padded.shape[2] - 2) // 4
        data, _, output = _kronecker()
        out, inputs = weight.shape[:2]
        transformed = (data @ _tiles(padded, rows, columns)).view(36, -1, inputs)  # [36, T, C]
        products = torch.bmm(transformed, _filters(weight).transpose(1, 2))  # [36, T, O]
        blocks = (output @ products.view(36, -1)).view(4, 4, n, rows, columns, out)
        return blocks.permute(2, 3, 0, 4, 1, 5).reshape(n, rows * 4, columns * 4, out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        padded, weight = ctx.saved_tensors
        n, rows, columns = padded.shape[0], (padded.shape[1] - 2) // 4, (padded.shape[2] - 2) // 4
        data, filters, output = _kronecker()
        out, inputs = weight.shape[:2]
        blocks = grad.reshape(n, rows, 4, columns, 4, out).permute(2, 4, 0, 1, 3, 5).reshape(16, -1)
        products = (output.T @ blocks).view(36, -1, out)  # [36, T, O]
        grad_padded = grad_weight = None
        if ctx.needs_input_grad[0]:
            transformed = torch.bmm(products, _filters(weight))  # [36, T, C]
            grad_padded = _untile(data.T @ transformed.view(36, -1), n, rows, columns)
        if ctx.needs_input_grad[1]:
            transformed = (data @ _tiles(padded, rows, columns)).view(36, -1, inputs)
            grad_filters = torch.bmm(products.transpose(1, 2), transformed)  # [36, O, C]
            grad_weight = (filters.T @ grad_filters.view(36, -1)).view(3, 3, out, inputs).permute(2, 3, 0, 1)
        return grad_padded, grad_weight


class Conv3x3(nn.Conv2d):
    """``nn.Conv2d(inputs, outputs, 3)`` without padding, by Winograd's algorithm where that is faster.

    That is while training in fp32 on a CPU with many channels; elsewhere, and in eval mode, it is ``nn.Conv2d``
    to the last bit.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        if not self._faster(input):
            return super().forward(input)
        height, width = input.shape[2] - 2, input.shape[3] - 2
        padded = nn.functional.pad(input, (0, -width % 4, 0, -height % 4)) if height % 4 or width % 4 else input
        result = _Winograd.apply(padded.permute(0, 2, 3, 1), self.weight)
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
