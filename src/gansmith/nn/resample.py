"""Filtered resampling in pure PyTorch: upfirdn as depthwise (transposed) convolutions.

``upfirdn`` is the operation of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, appendix B): insert zeros between
pixels, pad, filter, keep every k-th pixel. No zeros are ever inserted here: a transposed convolution skips them and a
strided one computes only the pixels that are kept. Everything is differentiable any number of times in the pictures, and
every derivative is one such convolution again (:mod:`gansmith.nn.depthwise`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from gansmith.nn.constants import constant
from gansmith.nn.depthwise import filtered, spread

Padding = tuple[int, int, int, int]
"""Left, right, top, bottom; negative numbers crop."""

BINOMIAL = (1.0, 3.0, 3.0, 1.0)
"""The filter of StyleGAN2."""

_OUTER_PRODUCT_UP_TO = 6  # longer filters are cheaper as two passes, one per axis


def _kernel(taps: tuple[float, ...], gain: float, flip: bool, axis: str) -> tuple[tuple[float, ...], ...]:
    line = [tap / sum(taps) for tap in (reversed(taps) if flip else taps)]
    rows, columns = (line if axis != "x" else [1.0]), (line if axis != "y" else [1.0])
    return tuple(tuple(gain * row * column for column in columns) for row in rows)


def _weights(images: Tensor, taps: tuple[float, ...], gain: float, flip: bool, axis: str) -> Tensor:
    return _each_channel(_kernel(taps, gain, flip, axis), images)


def _each_channel(kernel: tuple[tuple[float, ...], ...], images: Tensor) -> Tensor:
    """A filter [h, w] for every channel: [C, 1, h, w]."""
    weights = constant(kernel, images)
    return weights.expand(images.shape[1], 1, *weights.shape)


def _pad_or_crop(images: Tensor, padding: Padding) -> Tensor:
    return F.pad(images, padding) if any(padding) else images


def _crop(up: int, taps: int, before: int, after: int) -> tuple[int, int]:
    """How much of a transposed convolution's full output lies outside what is asked for, on either side."""
    return taps - 1 - before, taps - up - after


@contextmanager
def _strided(images: Tensor) -> Iterator[Tensor]:
    """The pictures in the number format in which a strided depthwise convolution is to run.

    On CPUs that is float32, autocast or not: there oneDNN has no bfloat16 kernel for the transposed one, which is also
    the backward pass of the strided one, and what it takes instead is 10 to 50 times as slow.
    """
    if images.device.type == "cpu" and (images.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")):
        with torch.autocast("cpu", enabled=False):
            yield images.float()
    else:
        yield images


def _up(images: Tensor, weights: Tensor, up: tuple[int, int], crop: Padding) -> Tensor:
    left, right, top, bottom = crop
    rows, columns = max(min(top, bottom), 0), max(min(left, right), 0)
    # an output padding adds computed rows at the far end, so (crop, crop - 1) needs no slicing either
    extra = (
        int(bottom == top - 1 and bottom >= 0 and up[0] > 1),
        int(right == left - 1 and right >= 0 and up[1] > 1),
    )
    rows, columns = rows + extra[0], columns + extra[1]
    with _strided(images) as wide:
        images = spread(wide, weights.to(wide.dtype), up, (rows, columns), extra).to(images.dtype)
    rest = (columns - left, columns - right - extra[1], rows - top, rows - bottom - extra[0])
    return _pad_or_crop(images, rest)


def _down(images: Tensor, weights: Tensor, down: tuple[int, int], padding: Padding) -> Tensor:
    left, right, top, bottom = padding
    rows, columns = max(min(top, bottom), 0), max(min(left, right), 0)
    images = _pad_or_crop(images, (left - columns, right - columns, top - rows, bottom - rows))
    if down == (1, 1):
        return filtered(images, weights, down, (rows, columns))
    with _strided(images) as wide:
        return filtered(wide, weights.to(wide.dtype), down, (rows, columns)).to(images.dtype)


def upfirdn(
    images: Tensor,
    taps: Sequence[float] = BINOMIAL,
    *,
    up: int = 1,
    down: int = 1,
    padding: Padding = (0, 0, 0, 0),
    gain: float = 1.0,
    flip: bool = False,
) -> Tensor:
    """Upsample by zero insertion, pad, filter with a separable filter, downsample.

    Args:
        images: [N, C, H, W].
        taps: the filter along one axis, scaled here to sum 1.
        up: every pixel is followed by ``up - 1`` zeros.
        down: every ``down``-th pixel of the filtered picture is kept.
        padding: zeros around the upsampled picture.
        gain: multiplies the result; ``up**2`` keeps the brightness.
        flip: correlate instead of convolve (a difference for asymmetric filters only).

    Returns:
        [N, C, (H up + top + bottom - len(taps)) // down + 1, likewise W].
    """
    taps = tuple(float(tap) for tap in taps)
    n, (left, right, top, bottom) = len(taps), padding
    if up > 1 and down > 1:
        images = upfirdn(images, taps, up=up, padding=padding, gain=gain, flip=flip)
        return images[:, :, ::down, ::down]
    if up > 1:
        x = _crop(up, n, left, right)
        y = _crop(up, n, top, bottom)
        # conv_transpose2d scatters, which convolves; its filter is flipped only for a correlation
        if n <= _OUTER_PRODUCT_UP_TO:
            return _up(images, _weights(images, taps, gain, flip, "both"), (up, up), (*x, *y))
        images = _up(images, _weights(images, taps, gain, flip, "y"), (up, 1), (0, 0, *y))
        return _up(images, _weights(images, taps, 1.0, flip, "x"), (1, up), (*x, 0, 0))
    # conv2d correlates
    if n <= _OUTER_PRODUCT_UP_TO:
        return _down(images, _weights(images, taps, gain, not flip, "both"), (down, down), padding)
    images = _down(images, _weights(images, taps, gain, not flip, "x"), (1, down), (left, right, 0, 0))
    return _down(images, _weights(images, taps, 1.0, not flip, "y"), (down, 1), (0, 0, top, bottom))


def upsample(images: Tensor, taps: Sequence[float] = BINOMIAL, *, factor: int = 2) -> Tensor:
    """[N, C, H, W] -> [N, C, factor H, factor W], filtered, brightness and alignment kept."""
    n = len(taps)
    near, far = (n + factor - 1) // 2, (n - factor) // 2
    return upfirdn(images, taps, up=factor, padding=(near, far, near, far), gain=factor**2)


def downsample(images: Tensor, taps: Sequence[float] = BINOMIAL, *, factor: int = 2) -> Tensor:
    """[N, C, H, W] -> [N, C, H / factor, W / factor], filtered, brightness and alignment kept."""
    n = len(taps)
    near, far = (n - factor + 1) // 2, (n - factor) // 2
    return upfirdn(images, taps, down=factor, padding=(near, far, near, far))


def filter_down(images: Tensor, kernel: Sequence[Sequence[float]], *, down: int = 1) -> Tensor:
    """Filter with a symmetric filter that need not be separable, without padding, and keep every ``down``-th pixel.

    Args:
        images: [N, C, H, W].
        kernel: [h, w], used as it is.

    Returns:
        [N, C, (H - h) // down + 1, likewise W].
    """
    weights = _each_channel(tuple(tuple(float(tap) for tap in row) for row in kernel), images)
    return _down(images, weights, (down, down), (0, 0, 0, 0))


def blur(images: Tensor, sigma: float) -> Tensor:
    """[N, C, H, W] filtered by exp2(-(d / sigma)^2) at distances d up to 3 sigma; what lies outside counts as 0.

    Both passes are matrix products: a filter that is wider than the picture and changes at every step suits no convolution.
    """
    reach = math.floor(3 * sigma)
    if reach < 1:
        return images
    total = sum(2.0 ** -((d / sigma) ** 2) for d in range(-reach, reach + 1))

    def matrix(size: int) -> Tensor:
        place = torch.arange(size, device=images.device, dtype=torch.float32)
        distance = (place[:, None] - place[None]).abs()
        line = torch.exp2(-((distance / sigma) ** 2)) * (distance <= reach) / total
        return line.to(images.dtype)

    return matrix(images.shape[2]) @ images @ matrix(images.shape[3])
