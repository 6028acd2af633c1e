"""Reflection padding that stays channels-last on a CUDA GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gansmith.nn.constants import constant


class ReflectionPad(nn.ReflectionPad2d):
    """[N, C, H, W] -> [N, C, H + 2 p, W + 2 p], mirrored at the edges, which are not repeated.

    torch's kernel for CUDA works on NCHW, so channels-last maps are copied before it and after it, in the backward pass too. While a
    channels-last network trains on CUDA, one gather in the network's own layout is used instead.

    Args:
        padding: p, on every side; less than H and W.
    """

    def __init__(self, padding: int) -> None:
        super().__init__(padding)

    def forward(self, input: Tensor) -> Tensor:
        last = input.device.type == "cuda" and input.is_contiguous(memory_format=torch.channels_last)
        if not (self.training and last):
            return super().forward(input)
        return _Mirror.apply(input, self.padding[0])


def mirrored(size: int, p: int) -> tuple[int, ...]:
    """Where each of the ``size + 2 p`` places of a mirrored line takes its value from."""
    inner = tuple(range(size))
    return (*inner[p:0:-1], *inner, *inner[-2 : -p - 2 : -1])


class _Mirror(torch.autograd.Function):
    """A gather forth; back, the edges are added to where they came from, line by line, in one order every time."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, p: int) -> Tensor:
        ctx.padding = p
        height, width = images.shape[2:]
        whole = torch.empty((), dtype=torch.int64, device=images.device)
        rows = constant(mirrored(height, p), whole)[:, None]
        columns = constant(mirrored(width, p), whole)
        return images.permute(0, 2, 3, 1)[:, rows, columns].permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        p = ctx.padding
        for dim in (2, 3):
            size = grad.shape[dim] - 2 * p
            before, inner, after = grad.split([p, size, p], dim)
            grad = inner.clone(memory_format=torch.channels_last)
            grad.narrow(dim, 1, p).add_(before.flip(dim) if p > 1 else before)
            grad.narrow(dim, size - 1 - p, p).add_(after.flip(dim) if p > 1 else after)
        return grad, None
