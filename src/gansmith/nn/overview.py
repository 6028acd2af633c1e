"""A picture made small to decide on the whole of it, by arithmetic that can be recorded as a graph for every size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def extent(height: Any, width: Any, shorter: int) -> tuple[Any, Any]:
    """(height, width) of a picture whose shorter side is made ``shorter`` pixels; smaller pictures keep their size.

    Whole numbers, or tensors of one while a graph is recorded.
    """
    least = torch.minimum(height, width) if isinstance(height, Tensor) else min(height, width)
    side = least.clamp(max=shorter) if isinstance(least, Tensor) else min(least, shorter)
    return (2 * height * side + least) // (2 * least), (2 * width * side + least) // (2 * least)


def box_weights(length: Any, out: Any, like: Tensor) -> Tensor:
    """Weights of the pixels of a line in the means that make it shorter: [out, length], rows add up to 1.

    A pixel's weight is the share of it that lies in the part of the line that the output pixel covers.
    """
    scale = length / out
    start = (torch.arange(out, device=like.device).to(torch.float32) * scale)[:, None]
    pixel = torch.arange(length, device=like.device).to(torch.float32)
    inside = torch.minimum(pixel + 1, start + scale) - torch.maximum(pixel, start)
    return (inside.clamp(0, 1) / scale).to(like.dtype)


def shrink(images: Tensor, shorter: int) -> Tensor:
    """Means of areas: [N, C, H, W] -> the size of :func:`extent`; smaller pictures stay as they are."""
    height, width = images.shape[2:]
    tall, wide = extent(height, width, shorter)
    return box_weights(height, tall, images) @ images @ box_weights(width, wide, images).transpose(0, 1)


def enlarge(guide: Tensor, like: Tensor) -> Tensor:
    """Bicubic, to the height and width of other pictures; the same size stays as it is."""
    return interpolate(guide, size=like.shape[2:], mode="bicubic")
