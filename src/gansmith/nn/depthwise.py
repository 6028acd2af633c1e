"""Convolutions of every channel by the same constant filter, differentiable any number of times in the pictures alone.

torch's own convolution computes a gradient of its weights in a double backward pass, whether or not anybody asked for it:
for C channels that takes C convolutions. The filters of resampling are constants. With the functions below, which are
each other's derivative, every pass of every order is one convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

Pair = tuple[int, int]


def filtered(images: Tensor, weights: Tensor, stride: Pair = (1, 1), padding: Pair = (0, 0)) -> Tensor:
    """``conv2d`` of every channel by itself.

    Args:
        images: [N, C, H, W].
        weights: [C, 1, h, w], constants.
        stride, padding: (rows, columns).
    """
    if _plain(images):
        return conv2d(images, weights, stride=stride, padding=padding, groups=images.shape[1])
    images, weights = _as_autocast_would(images, weights)
    return _Down.apply(images, weights, stride, padding)


def spread(images: Tensor, weights: Tensor, stride: Pair, padding: Pair, output_padding: Pair) -> Tensor:
    """``conv_transpose2d`` of every channel by itself; arguments as for :func:`filtered`."""
    if _plain(images):
        options: Any = {"stride": stride, "padding": padding, "output_padding": output_padding}
        return conv_transpose2d(images, weights, groups=images.shape[1], **options)
    images, weights = _as_autocast_would(images, weights)
    return _Up.apply(images, weights, stride, padding, output_padding)


def _plain(images: Tensor) -> bool:
    """Whether nothing will be differentiated, or a compiler finds the derivatives itself."""
    return not (images.requires_grad and torch.is_grad_enabled()) or torch.compiler.is_compiling()


def _as_autocast_would(images: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in autocast's number format. They are cast here, because autocast does not reach into a custom autograd function."""
    kind = images.device.type
    if torch.is_autocast_enabled(kind) and images.dtype != torch.float64:
        images = images.to(torch.get_autocast_dtype(kind))
    return images, weights.to(images.dtype)


class _Down(torch.autograd.Function):
    """A strided convolution; its derivative is the transposed one."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weights: Tensor, stride: Pair, padding: Pair) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(weights)
        ctx.stride, ctx.padding, ctx.size = stride, padding, images.shape[2:]
        return conv2d(images, weights, stride=stride, padding=padding, groups=images.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        (weights,) = ctx.saved_tensors
        # rows and columns at the far end that the stride never reached
        missed = tuple(
            size - ((made - 1) * step - 2 * pad + taps)
            for size, made, step, pad, taps in zip(
                ctx.size, gradient.shape[2:], ctx.stride, ctx.padding, weights.shape[2:], strict=True
            )
        )
        return _Up.apply(gradient, weights, ctx.stride, ctx.padding, missed), None, None, None


class _Up(torch.autograd.Function):
    """A transposed convolution; its derivative is the strided one."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, images: Tensor, weights: Tensor, stride: Pair, padding: Pair, output_padding: Pair
    ) -> Tensor:
        ctx.save_for_backward(weights)
        ctx.stride, ctx.padding = stride, padding
        options: Any = {"stride": stride, "padding": padding, "output_padding": output_padding}
        return conv_transpose2d(images, weights, groups=images.shape[1], **options)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:  # type: ignore[override]
        (weights,) = ctx.saved_tensors
        return _Down.apply(gradient, weights, ctx.stride, ctx.padding), None, None, None, None
