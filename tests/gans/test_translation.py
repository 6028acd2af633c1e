"""The families that turn pictures into pictures: faithful networks, losses that are the papers', pools that survive."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from gansmith import registry
from gansmith.damage import luma
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.gans import colorize, cut, cyclegan, inpaint, pix2pix, sketch, upscale
from gansmith.nn.cpu.conv3x3 import Conv3x3
from gansmith.nn.norms import InstanceNorm
from gansmith.nn.patchgan import PatchDiscriminator
from gansmith.nn.pool import ImagePool
from gansmith.nn.resnet_generator import ResizeConv2d, ResnetGenerator
from gansmith.nn.rrdb import RRDBNet
from gansmith.nn.unet import UNet
from gansmith.parallel import seeding

SPEC = ImageSpec(32, 32, 3, other_channels=3)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def batch(n: int = 2, size: int = 32, progress: float = 0.75, sides: int = 2) -> Batch:
    random = torch.Generator().manual_seed(0)
    images, other = (torch.rand(n, 3, size, size, generator=random) * 2 - 1 for _ in range(2))
    return Batch(images, other=other if sides == 2 else None, clock=Clock(1000, 10, progress))


def sides_of(game) -> int:
    """Families that damage pictures are given one side."""
    return 2 if game.data in ("paired", "unpaired") else 1


def small_games() -> dict[str, object]:
    return {
        "cyclegan": cyclegan.CycleGAN(cyclegan.Config(blocks=1, width=8, width_discriminator=8), SPEC),
        "cut": cut.CUT(cut.Config(blocks=1, width=8, width_discriminator=8, width_heads=8), SPEC),
        "pix2pix": pix2pix.Pix2Pix(pix2pix.Config(width=8, width_discriminator=8), SPEC),
        "colorize": colorize.Colorize(colorize.Config(width=8, width_discriminator=8), SPEC),
        "sketch": sketch.Sketch(sketch.Config(width=8, width_discriminator=8), SPEC),
        "upscale": upscale.Upscale(upscale.Config(scale=2, width_discriminator=8), SPEC),
        "inpaint": inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), SPEC),
    }


# --- networks -----------------------------------------------------------------------------------------------------


def test_parameter_counts_are_the_papers() -> None:
    with torch.device("meta"):
        assert count(ResnetGenerator(3, 3)) == 11_378_179
        assert count(ResnetGenerator(3, 3, blocks=6)) == 7_837_699
        assert count(PatchDiscriminator(3)) == 2_764_737
        assert count(UNet(3, 3)) == 54_413_955
        assert count(PatchDiscriminator(6, norm="batch")) == 2_768_705
        assert count(RRDBNet()) == 16_697_987


def test_layers_are_named_as_in_released_weights() -> None:
    with torch.device("meta"):
        names = set(ResnetGenerator(3, 3).state_dict())
        assert {
            "model.1.weight",
            "model.10.conv_block.1.bias",
            "model.18.conv_block.5.weight",
            "model.26.bias",
        } <= names
        assert not any("running" in name for name in names)
        names = set(UNet(3, 3).state_dict())
        assert {
            "model.model.0.weight",
            "model.model.1.model.2.running_var",
            "model.model.1.model.3.model.1.weight",
        } <= names
        names = set(RRDBNet().state_dict())
        assert {
            "conv_first.weight",
            "body.22.rdb3.conv5.bias",
            "conv_body.weight",
            "conv_up2.bias",
            "conv_last.weight",
        } <= names


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (30, 70)])
def test_generators_take_any_size(height: int, width: int) -> None:
    images = torch.rand(1, 3, height, width) * 2 - 1
    with torch.no_grad():
        for network in (ResnetGenerator(3, 3, 8, 1), UNet(3, 3, 4, 8)):
            assert network.eval()(images).shape == images.shape
        for scale in (1, 2, 3, 4):
            for tail in ("nearest", "shuffle"):
                network = RRDBNet(3, scale, 8, 1, 4, tail)
                assert network(images).shape == (1, 3, height * scale, width * scale)


@pytest.mark.parametrize("bias", [True, False])
def test_resize_convolution_is_one_over_doubled_pixels(bias: bool) -> None:
    torch.manual_seed(0)
    conv, images = ResizeConv2d(3, 5, bias), torch.randn(2, 3, 7, 10)
    doubled = interpolate(images, scale_factor=2.0, mode="nearest")
    expected = conv2d(doubled, conv.weight.flip(2, 3).transpose(0, 1), conv.bias, padding=1)
    assert torch.allclose(conv(images), expected, atol=1e-5)


def test_a_generator_that_resizes_leaves_no_checkerboard() -> None:
    """Transposed convolutions reach every second pixel of an even area differently."""
    torch.manual_seed(0)
    networks = {name: ResnetGenerator(3, 3, 8, 1, upsample=name) for name in ("transposed", "resize")}
    assert count(networks["transposed"]) == count(networks["resize"])
    for name, network in networks.items():
        (doubling,) = [
            layer for layer in network.model if getattr(layer, "in_channels", 0) == 32 and layer.stride == (2, 2)
        ]
        with torch.no_grad():
            made = doubling(torch.ones(1, 32, 8, 8))[..., 2:-2, 2:-2]
        assert bool(torch.allclose(made, made[..., :1, :1].expand_as(made), atol=1e-6)) is (name == "resize")


def test_with_a_skip_the_colour_of_a_flat_picture_is_not_lost() -> None:
    """Instance norm makes all flat pictures the same one, up to rounding."""
    torch.manual_seed(0)
    generator = ResnetGenerator(3, 3, 8, 1, skip=True)
    colours = ([0.8, -1, -1], [-1, 0.5, -1])
    red, green = (torch.tensor(colour)[None, :, None, None].expand(1, 3, 32, 36) for colour in colours)
    with torch.no_grad():
        difference = (generator(red) - generator(green))[0].mean((1, 2))
    assert difference[0] > 0.5
    assert difference[1] < -0.5
    assert count(generator) - count(ResnetGenerator(3, 3, 8, 1)) == 9


def test_a_skip_between_grey_and_colour_starts_with_the_same_grey() -> None:
    assert torch.equal(ResnetGenerator(1, 3, 8, 1, skip=True).skip.weight.flatten(), torch.ones(3))
    assert torch.allclose(ResnetGenerator(3, 1, 8, 1, skip=True).skip.weight.flatten(), torch.full((3,), 1 / 3))


def test_winograd_is_the_convolution_and_its_gradients() -> None:
    torch.manual_seed(0)
    conv = Conv3x3(128, 128, 3)
    images = torch.randn(2, 128, 15, 22, requires_grad=True)
    results = []
    for mode in (True, False):
        conv.train(mode)
        assert conv._faster(images) is mode
        made = conv(images)
        gradients = torch.autograd.grad(
            (made * torch.linspace(-1, 2, made.shape[3])).sum(), [images, conv.weight, conv.bias]
        )
        results.append((made, *gradients))
    for fast, exact in zip(*results, strict=True):
        assert fast.shape == exact.shape
        assert (fast - exact).abs().max() < 2e-5 * exact.abs().max()


def test_instance_norm_in_channels_last_is_torchs_and_its_gradient() -> None:
    torch.manual_seed(0)
    images = (torch.randn(2, 8, 9, 7) * 3 + 1).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(2, 8, 9, 7)
    for norm in (InstanceNorm(8).train(), nn.InstanceNorm2d(8)):
        made = norm(images)
        results = made, torch.autograd.grad((made * weight).sum(), images)[0]
        if isinstance(norm, InstanceNorm):
            assert made.is_contiguous(memory_format=torch.channels_last)
            mine = results
    for found, expected in zip(mine, results, strict=True):
        assert (found - expected).abs().max() < 1e-5


# --- the pool -----------------------------------------------------------------------------------------------------


def test_pool_fills_then_swaps_half() -> None:
    torch.manual_seed(0)
    pool = ImagePool(50, (1, 1, 1))
    numbers = torch.arange(1000.0).view(-1, 1, 1, 1)
    assert torch.equal(pool.query(numbers[:50]), numbers[:50])
    given = torch.cat([pool.query(n[None]) for n in numbers[50:]])
    swapped = (given != numbers[50:]).float().mean()
    assert 0.44 < swapped < 0.56
    assert (given <= numbers[50:]).all(), "only older fakes come back"
    assert len(set(given.flatten().tolist())) == 950, "every fake is handed out once"


def test_pool_survives_a_resume() -> None:
    pool = ImagePool(4, (1, 2, 2))
    pool.query(torch.rand(6, 1, 2, 2))
    twin = ImagePool(4, (1, 2, 2))
    twin.load_state_dict(pool.state_dict())
    fresh = torch.rand(8, 1, 2, 2)
    given = []
    for which in (pool, twin):
        seeding.seed_step(0, 7)
        given.append(which.query(fresh))
    assert torch.equal(*given)
    assert "pool_a.pictures" in small_games()["cyclegan"].state_dict()  # type: ignore[attr-defined]


# --- losses -------------------------------------------------------------------------------------------------------


class Double(nn.Module):
    """A generator whose cycle is known: b = 2a, with one weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor


def test_cyclegan_loss_is_the_papers() -> None:
    networks = {
        "generator_ab": Double(2.0),
        "generator_ba": Double(0.25),
        "discriminator_a": Double(1.0),
        "discriminator_b": Double(3.0),
    }
    game = cyclegan.CycleGAN(cyclegan.Config(pool=0), SPEC, networks)
    played = batch(sides=sides_of(game))
    a, b = played.images, played.other
    assert b is not None
    loss, logs = game.generators_loss(played)
    adversarial = (6 * a - 1).square().mean() + (0.25 * b - 1).square().mean()
    cycle = 0.5 * a.abs().mean() + 0.5 * b.abs().mean()
    identity = b.abs().mean() + 0.75 * a.abs().mean()
    assert torch.isclose(loss, adversarial + 10 * cycle + 5 * identity)
    assert torch.isclose(logs["cycle"], cycle)
    loss, _ = game.discriminators_loss(played)
    expected = 0.5 * ((a - 1).square().mean() + (0.25 * b).square().mean())
    expected = expected + 0.5 * ((3 * b - 1).square().mean() + (6 * a).square().mean())
    assert torch.isclose(loss, expected)


def test_learning_rate_is_constant_then_falls_to_zero() -> None:
    game = small_games()["cyclegan"]
    rates = [game.optimizer("generators", Clock(progress=p)).lr for p in (0.0, 0.5, 0.75, 1.0)]  # type: ignore[attr-defined]
    assert rates == pytest.approx([2e-4, 2e-4, 1e-4, 0.0])


@pytest.mark.parametrize("family", ["cyclegan", "cut", "pix2pix", "colorize", "sketch", "upscale", "inpaint"])
def test_every_player_moves_in_its_own_turn_only(family: str) -> None:
    torch.manual_seed(0)
    game = small_games()[family].train()  # type: ignore[attr-defined]
    played = batch(sides=sides_of(game))
    for turn in game.turns():
        before = copy.deepcopy(dict(game.named_parameters()))
        loss, logs = turn.loss(played)
        assert torch.isfinite(loss)
        assert loss.ndim == 0
        assert all(not value.requires_grad for value in logs.values())
        parameters = game.player_parameters(turn.player)
        optimizer = torch.optim.SGD(parameters, 0.1)
        loss.backward(inputs=parameters)
        optimizer.step()
        mine = {id(p) for p in parameters}
        for name, parameter in game.named_parameters():
            moved = not torch.equal(before[name], parameter)
            assert moved <= (id(parameter) in mine), f"{name} moved in the turn of {turn.player}"
        assert any(not torch.equal(before[n], p) for n, p in game.named_parameters())


@pytest.mark.parametrize("family", ["pix2pix", "colorize", "sketch", "upscale", "inpaint"])
def test_pretraining_knows_pixels_only(family: str) -> None:
    game = small_games()[family]
    game.config = replace(game.config, pretrain=0.5)  # type: ignore[attr-defined]
    played = batch(progress=0.25, sides=sides_of(game))
    loss, logs = game.generator_loss(played)  # type: ignore[attr-defined]
    gradients = torch.autograd.grad(loss, list(game.discriminator.parameters()), allow_unused=True)  # type: ignore[attr-defined]
    assert all(gradient is None for gradient in gradients)
    assert set(logs) == {"pixels"}


@pytest.mark.parametrize("family", ["cyclegan", "cut", "pix2pix", "colorize", "sketch", "upscale", "inpaint"])
def test_previews_repeat_and_metrics_pictures_fit(family: str) -> None:
    game = small_games()[family].eval()  # type: ignore[attr-defined]
    with torch.no_grad():
        grids = [game.preview(batch(sides=sides_of(game)), 3) for _ in range(2)]
        assert torch.equal(grids[0].images, grids[1].images)
        assert len(grids[0].images) % 3 == 0
        assert grids[0].images.shape[1:] == (3, 32, 32)
        assert game.metrics_images(batch(sides=sides_of(game)), 3).shape == (2, 3, 32, 32)
    assert registry.name_of(type(game)) == family


# --- what each family promises ------------------------------------------------------------------------------------


def test_inpaint_leaves_known_pixels_bit_for_bit() -> None:
    game = small_games()["inpaint"].eval()  # type: ignore[attr-defined]
    images = batch(size=37).images
    mask = torch.zeros(2, 1, 37, 37)
    mask[:, :, 10:20, 5:30] = 1
    with torch.no_grad():
        filled = game.translate(images, mask=mask)
        other = game.translate(torch.where(mask > 0, torch.zeros(()), images), mask=mask)
    assert torch.equal(filled[mask.expand_as(filled) == 0], images[mask.expand_as(images) == 0])
    assert torch.equal(filled, other), "what lies under the mask is never looked at"
    assert not torch.equal(filled, images)
    with pytest.raises(GansmithError, match="mask"):
        game.translate(images)


def test_colorize_keeps_the_luma() -> None:
    torch.manual_seed(1)
    game = small_games()["colorize"].eval()  # type: ignore[attr-defined]
    nn.init.normal_(game.generator.model.model[3].weight, 0, 0.5)
    grey = luma(batch().images)
    with torch.no_grad():
        painted = game.translate(grey)
    assert (luma(painted) - grey).abs().max() < 2e-6
    assert (painted.amax(1) - painted.amin(1)).mean() > 0.02


def test_upscale_begins_as_bicubic_and_learns_beyond() -> None:
    torch.manual_seed(0)
    networks = {"generator": RRDBNet(3, 2, 16, 1, 8, "shuffle")}
    game = upscale.Upscale(upscale.Config(scale=2), SPEC, networks)
    coarse = torch.rand(4, 3, 4, 4) - 0.5
    images = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic").sign() * 0.8  # sharp edges
    pair = game.pair(images)
    floor = (torch.nn.functional.interpolate(pair.given, scale_factor=2, mode="bicubic") - images).abs().mean()
    assert torch.isclose(game.pixel_loss(pair, game.restore(pair)), floor, rtol=0.05)
    optimizer = torch.optim.Adam(game.generator.parameters(), 3e-3)
    for _ in range(30):
        loss = game.pixel_loss(pair, game.restore(pair))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.96 * floor


def test_clear_errors() -> None:
    with pytest.raises(GansmithError, match="RGB"):
        colorize.Colorize(colorize.Config(width=8), ImageSpec(32, 32, 1))
    with pytest.raises(GansmithError, match="multiple of the scale"):
        upscale.Upscale(upscale.Config(scale=3), ImageSpec(32, 32, 3))
    with pytest.raises(GansmithError, match="at least"):
        cyclegan.CycleGAN(cyclegan.Config(), ImageSpec(7, 7, 3, other_channels=3))
    with pytest.raises(GansmithError, match="two folders"):
        small_games()["pix2pix"].generator_loss(Batch(batch().images))  # type: ignore[attr-defined]
    with pytest.raises(GansmithError, match="ab"):
        small_games()["pix2pix"].translate(batch().images, direction="ba")  # type: ignore[attr-defined]
