"""Winograd's form equals the convolution it stands for, and so do its derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gansmith.nn.cpu import winograd as W


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def direct(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=1)


@pytest.mark.parametrize("size", [(4, 4), (8, 12), (16, 4)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_torch_with_all_derivatives(size: tuple[int, int], layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64, requires_grad=True)

    def derivatives(function) -> list[Tensor]:
        y = function(x, weight)
        g = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).view_as(y)
        first = torch.autograd.grad((y.square() * g).sum(), (x, weight), create_graph=True)
        return [y, *first, *torch.autograd.grad(first[0].square().sum() + first[1].square().sum(), (x, weight))]

    for ours, theirs in zip(derivatives(W.winograd), derivatives(direct), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_is_precise_enough_for_training() -> None:
    x, weight = torch.randn(2, 256, 16, 16), torch.randn(256, 256, 3, 3) / 48
    exact = direct(x.double(), weight.double())
    error = (W.winograd(x, weight) - exact).abs().max()
    assert error < 2e-4 * exact.std()
    assert (direct(x, weight) - exact).abs().max() < error  # which is why kept pictures are not made so


def test_is_used_for_wide_layers_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    monkeypatch.setattr(W, "winograd", lambda x, weight: used.append(tuple(x.shape)))
    wide, narrow = torch.randn(192, 192, 3, 3), torch.randn(64, 192, 3, 3)
    x = torch.randn(2, 192, 16, 16)
    W.convolve(x, wide, padding=1)
    assert used == [(2, 192, 16, 16)]
    for images, weight in ((x, narrow), (x[:1, :, :4, :4], wide), (x[..., :14], wide), (x.double(), wide.double())):
        torch.testing.assert_close(W.convolve(images, weight, padding=1), direct(images, weight))
    with torch.no_grad():
        W.convolve(x, wide, padding=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        W.convolve(x[:, :, :4, :4], wide, padding=1)
    assert len(used) == 1
