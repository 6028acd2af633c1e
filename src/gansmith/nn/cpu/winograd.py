"""3x3 convolutions with a quarter of the multiplications, for wide layers on CPUs (Lavin & Gray 2016, arXiv:1509.09308).

F(4x4, 3x3): every 4x4 tile of the output comes from a 6x6 tile of the input by 36 products per pair of channels instead
of 144; the products over channels are matrix products, which CPUs do best. Tiles overlap, so transforming them costs
time in proportion to the channels, and the products in proportion to their square: wide layers gain, narrow ones lose.
It is made of torch's own differentiable operations, so that derivatives of any order are as cheap. (The same for stride
2 takes 81 products instead of 144, and the larger transforms eat up what it saves.)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

INPUT = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0),
         (0, 4, 0, -5, 0, 1))  # fmt: skip
WEIGHT = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6),
          (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))  # fmt: skip
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))

WIDE = 192
"""Channels, on both sides, from which it pays."""
LEAST = 256
"""Pixels, over the batch, from which it pays: below, transforming the weights costs more than it saves."""


def twice(matrix: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """A transform along rows and columns at once: [R, C] -> [R R, C C]."""
    one = torch.tensor(matrix, dtype=like.dtype, device=like.device)
    return torch.kron(one, one)


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether :func:`winograd` is possible, and faster than torch's convolution here."""
    n, _, height, width = x.shape
    return (
        min(weight.shape[:2]) >= WIDE
        and n * height * width >= LEAST
        and height % 4 == width % 4 == 0
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and torch.is_grad_enabled()  # pictures that people keep come from torch's convolution, to the last digit
        and not torch.is_autocast_enabled("cpu")
    )


def winograd(x: Tensor, weight: Tensor) -> Tensor:
    """``conv2d(x, weight, padding=1)``, to about 1e-5 of its size.

    Args:
        x: [N, I, H, W]; H and W are multiples of 4.
        weight: [O, I, 3, 3].

    Returns:
        [N, O, H, W], laid out channels_last.
    """
    n, inputs, height, width = x.shape
    rows, columns = height // 4, width // 4
    # 6x6 tiles, four apart: blocks of four, and the first two of the block after
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 3, 1, 3)).unflatten(1, (rows + 1, 4))
    x = torch.cat([x[:, :-1], x[:, 1:, :2]], 2).unflatten(3, (columns + 1, 4))
    x = torch.cat([x[:, :, :, :-1], x[:, :, :, 1:, :2]], 4)  # [N, rows, 6, columns, 6, I]
    tiles = (twice(INPUT, x) @ x.permute(2, 4, 0, 1, 3, 5).reshape(36, -1)).view(36, -1, inputs)
    kernels = (twice(WEIGHT, weight) @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(36, inputs, -1)
    products = torch.bmm(tiles, kernels)  # [36, N rows columns, O]
    out = (twice(OUTPUT, x) @ products.view(36, -1)).view(4, 4, n, rows, columns, -1)
    return out.permute(2, 3, 0, 4, 1, 5).reshape(n, height, width, -1).permute(0, 3, 1, 2)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, padding: int = 0) -> Tensor:
    """``conv2d`` with a square kernel and stride 1, by :func:`winograd` where that is faster."""
    if weight.shape[-1] != 3 or padding != 1 or not pays(x, weight):
        return F.conv2d(x, weight, bias, padding=padding)
    x = winograd(x, weight)
    return x if bias is None else x + bias[:, None, None]
