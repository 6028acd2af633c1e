"""Resampling equals upfirdn's definition, written out naively here, and so do its derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gansmith.nn.resample import downsample, upfirdn, upsample

FILTERS = {
    "binomial": (1, 3, 3, 1),
    "bilinear": (1, 2, 1),
    "skewed": (1.0, -2.0, 5.0, 0.5),
    "long": tuple(range(1, 13)),
}


def naive(
    images: Tensor, taps: tuple[float, ...], up: int, down: int, padding: tuple[int, ...], gain: float, flip: bool
) -> Tensor:
    """The definition, pixel by pixel: zero insertion, padding, true convolution, decimation; all in float64."""
    batch, channels, height, width = images.shape
    sparse = images.new_zeros(batch, channels, height * up, width * up)
    sparse[:, :, ::up, ::up] = images
    left, right, top, bottom = padding
    rows, columns = height * up + top + bottom, width * up + left + right
    padded = images.new_zeros(batch, channels, rows, columns)
    for y, x in itertools.product(range(rows), range(columns)):
        if 0 <= y - top < height * up and 0 <= x - left < width * up:
            padded[:, :, y, x] = sparse[:, :, y - top, x - left]
    line = torch.tensor(taps, dtype=images.dtype)
    line = line / line.sum()
    kernel = torch.outer(line, line) * gain
    if not flip:
        kernel = kernel.flip(0, 1)
    size = len(taps)
    out = [
        [(padded[:, :, y : y + size, x : x + size] * kernel).sum((2, 3)) for x in range(0, columns - size + 1, down)]
        for y in range(0, rows - size + 1, down)
    ]
    return torch.stack([torch.stack(row, -1) for row in out], -2)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize(
    "padding", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 1, 2, 1), (1, 3, 0, 2), (5, 4, 7, 6), (-1, 2, 1, -2)]
)
def test_equals_the_definition(name: str, up: int, down: int, padding: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    images = torch.randn(1, 2, 6, 5, dtype=torch.float64)
    taps = FILTERS[name]
    if len(taps) == 12:  # room for the filter
        padding = (padding[0] + 6, padding[1] + 6, padding[2] + 7, padding[3] + 5)
    for flip in (False, True):
        ours = upfirdn(images.float(), taps, up=up, down=down, padding=padding, gain=1.5, flip=flip)
        torch.testing.assert_close(ours.double(), naive(images, taps, up, down, padding, 1.5, flip), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(8, 8), (7, 14), (5, 3)])
def test_sizes_brightness_and_alignment(size: tuple[int, int]) -> None:
    height, width = size
    flat = torch.full((1, 1, height, width), 0.7)
    large = upsample(flat)
    assert large.shape == (1, 1, 2 * height, 2 * width)
    torch.testing.assert_close(large[:, :, 2:-2, 2:-2], torch.full_like(large[:, :, 2:-2, 2:-2], 0.7))
    assert downsample(large).shape == flat.shape
    # a ramp stays on its line: pixel centres at (i + .5) / 2 - .5
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    expected = (torch.arange(32.0) + 0.5) / 2 - 0.5
    torch.testing.assert_close(upsample(ramp)[0, 0, 10, 4:-4], expected[4:-4])
    torch.testing.assert_close(downsample(ramp)[0, 0, 4, 2:-2], torch.arange(8.0)[2:-2] * 2 + 0.5)


@pytest.mark.parametrize("operation", [upsample, downsample, lambda x: upfirdn(x, range(1, 9), padding=(4, 3, 4, 3))])
def test_first_and_second_derivatives(operation) -> None:
    images = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: operation(x).square(), images)
    assert torch.autograd.gradgradcheck(lambda x: operation(x).square(), images)


@pytest.mark.parametrize("operation", [upsample, downsample])
def test_strided_filters_do_not_run_in_bfloat16_on_a_cpu(operation: Callable[[Tensor], Tensor]) -> None:
    """Autocast would have them there, where the backward pass of one and the other itself are very slow."""
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    exact = operation(images)
    (exact_gradient,) = torch.autograd.grad(exact.square().sum(), images)
    with torch.autocast("cpu", torch.bfloat16):
        made = operation(images)
    (gradient,) = torch.autograd.grad(made.square().sum(), images)
    torch.testing.assert_close(made, exact)
    torch.testing.assert_close(gradient, exact_gradient)
    half = images.detach().bfloat16()
    assert operation(half).dtype == torch.bfloat16
    torch.testing.assert_close(operation(half), operation(half.float()).bfloat16())
