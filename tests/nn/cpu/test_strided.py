"""Strided convolutions with their weights' gradient as a product: torch's layers, to their second derivative."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import gansmith
from gansmith.bench.measure import ready_to_train
from gansmith.devices import Device
from gansmith.game import Batch, Clock
from gansmith.nn.cpu import strided
from gansmith.nn.cpu.strided import StridedConv2d, StridedConvTranspose2d, weight_gradient
from gansmith.nn.cpu.thin import MapToPixel
from gansmith.training import engine

SIZES = [(4, 4), (5, 6), (2, 2), (7, 3)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (4, 4), (9, 5)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (3, 2, 1), (4, 2, 0), (5, 3, 2)])
def test_the_weights_gradient_is_that_of_torch(
    size: tuple[int, int], kernel: int, stride: int, padding: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 2, *size, dtype=torch.float64).contiguous(memory_format=layout)
    weight = torch.randn(5, 2, kernel, kernel, dtype=torch.float64, requires_grad=True)
    made = F.conv2d(images, weight, stride=stride, padding=padding)
    grad = torch.randn_like(made)
    (expected,) = torch.autograd.grad(made, weight, grad)
    assert torch.allclose(weight_gradient(images, grad, kernel, stride, padding), expected)


@pytest.mark.parametrize("few", [0, 256])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("function", [strided._Convolution, strided._Transposed])
def test_values_and_derivatives(
    function: type, size: tuple[int, int], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strided, "_FEW_POSITIONS", few)
    torch.manual_seed(0)
    inputs = 2
    images = torch.randn(2, inputs, *size, dtype=torch.float64, requires_grad=True)
    shape = (3, inputs, 4, 4) if function is strided._Convolution else (inputs, 3, 4, 4)
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def play(images: Tensor, weight: Tensor) -> Tensor:
        return function.apply(images, weight, 2, 1)

    plain = F.conv2d if function is strided._Convolution else F.conv_transpose2d
    assert torch.allclose(play(images, weight), plain(images, weight, stride=2, padding=1))
    assert torch.autograd.gradcheck(play, (images, weight))
    assert torch.autograd.gradgradcheck(play, (images, weight))


@pytest.mark.parametrize("side", [9, 60])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("ours", "theirs"), [(StridedConv2d, nn.Conv2d), (StridedConvTranspose2d, nn.ConvTranspose2d)])
def test_layers_are_those_of_torch(ours: type, theirs: type, bias: bool, side: int) -> None:
    torch.manual_seed(0)
    layer, plain = ours(128, 144, 4, 2, 1, bias=bias), theirs(128, 144, 4, 2, 1, bias=bias)
    plain.load_state_dict(layer.state_dict())
    images = torch.randn(4, 128, side, 6)
    assert torch.equal(layer(images), plain(images)), "full precision is torch's own"
    grads = []
    for which in (layer, plain):
        leaf = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            made = which(leaf)
        assert made.dtype == torch.bfloat16
        made.float().square().mean().backward()
        grads.append([made, leaf.grad, *(p.grad for p in which.parameters())])
    for mine, exact in zip(*grads, strict=True):
        assert (mine - exact).abs().max() < 2e-2 * exact.abs().max()


def test_evaluated_layers_and_exported_ones_are_plain() -> None:
    layer, images = StridedConv2d(128, 16, 4, 2, 1, bias=False), torch.randn(1, 128, 8, 8, requires_grad=True)

    def takes_products() -> bool:
        with torch.autocast("cpu", torch.bfloat16):
            return "_Convolution" in str(layer(images).grad_fn)

    assert takes_products()
    layer.requires_grad_(False)
    assert not takes_products()
    layer.requires_grad_(True).eval()
    assert not takes_products()


def test_a_map_summed_up_is_a_convolution() -> None:
    torch.manual_seed(0)
    layer, images = MapToPixel(6, 2, (3, 5), bias=False), torch.randn(4, 6, 3, 5)
    plain = F.conv2d(images, layer.weight)
    assert layer(images).shape == plain.shape
    assert torch.allclose(layer(images), plain, atol=1e-5)
    larger = torch.randn(1, 6, 4, 6)
    assert torch.allclose(layer(larger), F.conv2d(larger, layer.weight), atol=1e-5)


@pytest.mark.parametrize("family", ["dcgan", "pix2pix", "cyclegan"])
def test_a_familys_gradients_in_bfloat16_are_as_near_to_exact_ones_as_with_plain_layers(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, plain, mine = (
        discriminator_gradient(family, precision, products, monkeypatch)
        for precision, products in (("fp32", False), ("bf16", False), ("bf16", True))
    )
    assert not torch.equal(mine, plain)
    assert (mine - exact).norm() < 1.1 * (plain - exact).norm()
    assert (mine - exact).norm() < 0.15 * exact.norm()


def discriminator_gradient(family: str, precision: str, products: bool, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Of all its weights, at the first step."""
    device = Device(torch.device("cpu"), precision)
    torch.manual_seed(0)
    game, _ = ready_to_train(gansmith.build(family, size=32, channels=3).train(), device)
    real, other = torch.rand(2, 4, 3, 32, 32) * 2 - 1
    batch = Batch(real, other=None if family == "dcgan" else other, clock=Clock(4, 1))
    turn = next(turn for turn in game.turns() if "discriminator" in turn.player)
    parameters = engine.make_optimizers(game, device.torch_device)[turn.player].param_groups[0]["params"]
    torch.manual_seed(1)
    with monkeypatch.context() as patched:
        if not products:
            patched.setattr(strided, "_pays", lambda layer, input: False)
        with device.autocast():
            loss, _ = turn.loss(batch)
        loss.backward(inputs=parameters)
    return torch.cat([p.grad.flatten() for p in parameters])


@pytest.mark.parametrize("few", [0, 256])
@pytest.mark.parametrize("kind", [StridedConv2d, StridedConvTranspose2d])
def test_an_activation_may_work_in_place(kind: type, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strided, "_FEW_POSITIONS", few)
    torch.manual_seed(0)
    layer, images = kind(128, 128, 4, 2, 1), torch.randn(2, 128, 6, 6)
    gradients = []
    for inplace in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            F.leaky_relu(layer(images), 0.2, inplace=inplace).square().sum().backward()
        gradients.append(layer.weight.grad.clone())
    assert torch.equal(*gradients)
    assert gradients[0].abs().max() > 0


def test_dcgan_keeps_two_maps_of_a_layer_and_one_where_nothing_is_normalised() -> None:
    game = gansmith.build("dcgan", size=32, channels=3, width=8)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.dim() == 4 and not isinstance(tensor, nn.Parameter):
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = game.get_submodule("discriminator")(torch.rand(4, 3, 32, 32))
    maps = [8 * 16 * 16, 2 * 16 * 8 * 8, 2 * 32 * 4 * 4]
    assert sum(kept.values()) == 4 * (3 * 32 * 32 + sum(maps))
    assert logits.shape == (4, 1)
