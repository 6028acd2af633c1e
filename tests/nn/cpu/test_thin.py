"""Thin convolutions against the layers of torch that they stand for: values, gradients, gradients of gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gansmith.nn.cpu.thin import NoiseToMap, ThinConv2d, ThinConvTranspose2d


def plain(layer: nn.ConvTranspose2d | nn.Conv2d) -> nn.Module:
    """torch's layer with the same weight."""
    kind = nn.ConvTranspose2d if isinstance(layer, nn.ConvTranspose2d) else nn.Conv2d
    size, stride, padding = layer.kernel_size, layer.stride, layer.padding
    made = kind(layer.in_channels, layer.out_channels, size, stride, padding, bias=False).to(layer.weight.dtype)  # type: ignore[arg-type]
    made.load_state_dict(layer.state_dict())
    return made


def derivatives(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Value, gradients by input and weight, and the weight's gradient of the squared input gradient (as in R1)."""
    x = x.clone().requires_grad_()
    weight = next(layer.parameters())
    y = layer(x)
    first = torch.autograd.grad(y.square().sum(), (x, weight), create_graph=True)
    return [y, *first, *torch.autograd.grad(first[0].square().sum(), weight)]


CASES = [
    (lambda: NoiseToMap(5, 6, (3, 4), bias=False), (4, 5, 1, 1)),
    (lambda: ThinConvTranspose2d(5, 1, 4, 2, 1, bias=False), (3, 5, 6, 7)),
    (lambda: ThinConvTranspose2d(5, 1, 3, 2, 0, bias=False), (3, 5, 4, 4)),
    (lambda: ThinConvTranspose2d(5, 3, 4, 2, 1, bias=False), (3, 5, 6, 7)),
    (lambda: ThinConv2d(1, 6, 4, 2, 1, bias=False), (3, 1, 12, 14)),
    (lambda: ThinConv2d(1, 6, 3, 1, 1, bias=False), (3, 1, 9, 8)),
    (lambda: ThinConv2d(3, 6, 4, 2, 1, bias=False), (3, 3, 12, 14)),
]


@pytest.mark.parametrize(("make", "shape"), CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_same_as_the_plain_layer(make, shape, layout):
    torch.manual_seed(0)
    layer = make().double().to(memory_format=layout)
    x = torch.randn(shape, dtype=torch.double).contiguous(memory_format=layout)
    for training in (True, False):
        found = derivatives(layer.train(training), x)
        for ours, theirs in zip(found, derivatives(plain(layer), x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("make", "shape"), CASES)
def test_in_bf16_about_as_near_to_the_exact_result_as_the_plain_layer(make, shape):
    torch.manual_seed(0)
    layer, x = make(), torch.randn(shape)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = layer(x), plain(layer)(x)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    assert (ours - exact).abs().max() <= 3 * (theirs - exact).abs().max() + 1e-3


def test_maps_come_channels_last_for_the_layers_that_follow():
    first = NoiseToMap(5, 6, (3, 4), bias=False).to(memory_format=torch.channels_last)
    assert first(torch.randn(2, 5, 1, 1)).is_contiguous(memory_format=torch.channels_last)
    assert ThinConv2d(1, 6, 4, 2, 1, bias=False)(torch.randn(2, 1, 8, 8)).is_contiguous(
        memory_format=torch.channels_last
    )
