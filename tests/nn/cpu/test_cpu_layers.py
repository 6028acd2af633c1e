"""``nn.cpu.speed_up``: faster classes for layers that stay what they are."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import gansmith
from gansmith import registry
from gansmith.devices import ready_to_train
from gansmith.nn import cpu
from gansmith.nn.cpu.strided import StridedConv2d, StridedConvTranspose2d
from gansmith.nn.cpu.thin import MapToPixel, NoiseToMap, ThinConv2d, ThinConvTranspose2d

CPU = torch.device("cpu")


def kinds(network: nn.Module) -> set[type]:
    return {type(module) for module in network.modules()}


@pytest.mark.parametrize("family", registry.families())
def test_weights_keep_their_names_and_values(family: str) -> None:
    game = gansmith.build(family, size=32, channels=3, **registry.family(family).tiny)
    before = copy.deepcopy(game.state_dict())
    cpu.speed_up(game)
    after = game.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("family", "size", "channels", "expected"),
    [
        ("dcgan", 28, 1, {NoiseToMap, ThinConv2d, ThinConvTranspose2d, MapToPixel}),
        ("dcgan", 64, 3, {NoiseToMap, MapToPixel, StridedConv2d, StridedConvTranspose2d}),
        ("r3gan", 28, 1, {NoiseToMap, ThinConvTranspose2d}),
        ("pix2pix", 64, 3, {StridedConv2d, StridedConvTranspose2d}),
    ],
)
def test_a_run_on_a_cpu_takes_the_faster_layers(family: str, size: int, channels: int, expected: set[type]) -> None:
    plain = gansmith.build(family, size=size, channels=channels)
    assert not expected & kinds(plain), "networks are written with torch's own layers"
    assert expected <= kinds(ready_to_train(plain, CPU))


def test_stylegan2_convolves_by_winograd_once_sped_up() -> None:
    game = gansmith.build("stylegan2", size=16, channels=3, width=1 / 32)
    layers = [module for module in game.modules() if "convolve" in dir(module)]
    assert layers
    assert all(layer.convolve is nn.functional.conv2d for layer in layers)
    cpu.speed_up(game)
    assert all(layer.convolve is cpu.convolve for layer in layers)


def test_layers_of_another_shape_stay_torchs() -> None:
    layers = nn.ModuleList([
        nn.Conv2d(1, 8, 3, padding="same", bias=False), nn.Conv2d(1, 8, 3, padding_mode="reflect", padding=1, bias=False),
        nn.Conv2d(1, 8, (3, 5), bias=False), nn.Conv2d(128, 128, 4, 2, 1, groups=2), nn.Conv2d(128, 128, 4, 2, 1, dilation=2),
        nn.ConvTranspose2d(128, 128, 4, 2, 1, output_padding=1), nn.ConvTranspose2d(128, 1, 4, 2, 1), nn.Conv2d(64, 256, 4, 2, 1),
    ])  # fmt: skip
    before = [type(layer) for layer in layers]
    cpu.speed_up(layers)
    assert [type(layer) for layer in layers] == before


def test_a_noise_layer_with_a_larger_map_or_in_eval_mode_is_torchs() -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(5, 6, (3, 4), bias=False)
    fast = copy.deepcopy(layer)
    cpu.speed_up(fast)
    assert type(fast) is NoiseToMap
    larger = torch.randn(2, 5, 2, 3)
    assert torch.equal(fast(larger), layer(larger))
    pixel = torch.randn(2, 5, 1, 1)
    torch.testing.assert_close(fast(pixel), layer(pixel))
    assert torch.equal(fast.eval()(pixel), layer(pixel))


def test_an_activation_in_place_keeps_off_the_view_that_a_thin_layer_makes() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True))
    wide = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True))
    for one in (network, wide):
        cpu.speed_up(one)
    assert not network[1].inplace
    assert wide[1].inplace
