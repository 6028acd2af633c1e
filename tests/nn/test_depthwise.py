"""Filters without a gradient of their own: torch's values and derivatives, from one convolution per pass."""

from __future__ import annotations

import collections

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d
from torch.utils._python_dispatch import TorchDispatchMode

from gansmith.nn.constants import constant
from gansmith.nn.depthwise import filtered, spread
from gansmith.nn.resample import downsample, upfirdn, upsample

WAYS = {
    "same": (filtered, conv2d, {"stride": (1, 1), "padding": (1, 2)}),
    "down": (filtered, conv2d, {"stride": (2, 2), "padding": (1, 1)}),
    "rows missed": (filtered, conv2d, {"stride": (3, 2), "padding": (0, 1)}),
    "up": (spread, conv_transpose2d, {"stride": (2, 2), "padding": (1, 1), "output_padding": (0, 0)}),
    "up and more": (spread, conv_transpose2d, {"stride": (3, 2), "padding": (1, 0), "output_padding": (2, 1)}),
}


@pytest.mark.parametrize("name", WAYS)
def test_values_and_derivatives_are_torchs(name):
    ours, torchs, options = WAYS[name]
    torch.manual_seed(0)
    weights = torch.randn(3, 1, 4, 3, dtype=torch.float64)
    images = torch.randn(2, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    found = []
    for made in (ours(images, weights, **options), torchs(images, weights, groups=3, **options)):
        (first,) = torch.autograd.grad(made.pow(3).sum(), images, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(3).sum(), images, create_graph=True)
        (third,) = torch.autograd.grad(second.square().sum(), images)
        found.append((made, first, second, third))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert torch.autograd.gradcheck(lambda x: ours(x, weights, **options).square(), images)
    assert torch.autograd.gradgradcheck(lambda x: ours(x, weights, **options).square(), images)


class Convolutions(TorchDispatchMode):
    """Counts convolutions of any kind, each of a backward pass too."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "conv" in str(func):
            self.seen[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("operation", [upsample, downsample, lambda x: upfirdn(x, padding=(2, 2, 2, 2))])
def test_a_penalty_takes_four_convolutions_however_many_channels_there_are(operation):
    for channels in (2, 16):
        images = torch.randn(1, channels, 8, 8, requires_grad=True)
        with Convolutions() as count:
            (gradient,) = torch.autograd.grad(operation(images).square().sum(), images, create_graph=True)
            gradient.square().sum().backward()
        # forward, backward, and the backward pass of either; a gradient of the filter would be one more per channel
        assert sum(count.seen.values()) == 4, count.seen


@pytest.mark.parametrize("operation", [upsample, downsample, lambda x: upfirdn(x, padding=(2, 2, 2, 2))])
def test_gradients_come_back_in_the_pictures_own_format_under_autocast(operation):
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        made = operation(images)
    made.float().square().sum().backward()
    assert images.grad is not None
    assert images.grad.dtype == torch.float32
    exact = images.detach().requires_grad_()
    operation(exact).square().sum().backward()
    torch.testing.assert_close(images.grad, exact.grad, atol=0.05, rtol=0.05)


def test_channels_last_pictures_and_gradients_stay_so():
    images = torch.randn(2, 8, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    made = downsample(images)
    assert made.is_contiguous(memory_format=torch.channels_last)
    made.sum().backward()
    assert images.grad is not None
    assert images.grad.is_contiguous(memory_format=torch.channels_last)


def test_filters_can_be_compiled():
    def network(x: Tensor) -> Tensor:
        return downsample(upsample(x) * 2)

    images = torch.randn(1, 2, 8, 8, requires_grad=True)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    (gradient,) = torch.autograd.grad(compiled(images).square().sum(), images)
    (expected,) = torch.autograd.grad(network(images).square().sum(), images)
    torch.testing.assert_close(gradient, expected)


def test_a_constant_is_made_once_and_can_be_trained_through_wherever_it_was_made():
    like = torch.zeros(2)
    with torch.inference_mode():
        first = constant((1.0, 7.0), like)
    assert constant((1.0, 7.0), like) is first
    assert constant((1.0, 7.0), like.double()).dtype == torch.float64
    weight = torch.ones(2, requires_grad=True)
    (weight * first).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [1.0, 7.0]
