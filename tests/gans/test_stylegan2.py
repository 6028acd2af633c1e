"""StyleGAN2 is the paper's: its sizes, its layers against naive ones, its penalties against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gansmith import devices
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.gans.stylegan2 import (
    Config,
    Discriminator,
    Generator,
    StyleGAN2,
    levels,
    path_lengths,
)
from gansmith.nn.classes import class_weights
from gansmith.nn.styled import minibatch_stddev, modulated_conv
from gansmith.toy.networks import StyledGenerator
from gansmith.training import engine, steps
from gansmith.training.state import Plan
from helpers import reference_stylegan2 as ref

TINY = {"latent_dim": 8, "style_dim": 8, "width": 1 / 64, "path_weight": 2.0, "style_mixing": 0.9}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def tiny(size: int | tuple[int, int] = 16, channels: int = 3, classes: int = 0, **settings) -> StyleGAN2:
    height, width = (size, size) if isinstance(size, int) else size
    config = Config(**{**TINY, "conditional": classes > 0, **settings})
    return StyleGAN2(config, ImageSpec(height, width, channels, classes))


def batch_of(game: StyleGAN2, n: int = 4, clock: Clock | None = None) -> Batch:
    labels = torch.arange(n) % game.spec.classes if game.spec.classes else None
    return Batch(torch.rand(n, *game.spec.shape) * 2 - 1, labels, clock=clock or Clock(n, 1))


# --- the networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "preset", "generator", "discriminator"),
    [
        (1024, "full", 30_370_060, 29_012_513),
        (256, "small", 23_191_522, 24_001_089),
        (128, "small", 22_949_277, 23_882_369),
        (64, "small", 22_243_608, 23_407_361),
        (32, "small", 19_947_539, 21_507_073),
    ],
)
def test_parameter_counts(size, preset, generator, discriminator) -> None:
    with torch.device("meta"):
        game = StyleGAN2(Config(preset=preset), ImageSpec(size, size, 3))
    assert sum(p.numel() for p in game.generator.parameters()) == generator
    assert sum(p.numel() for p in game.discriminator.parameters()) == discriminator


def test_full_below_512_has_half_the_channels() -> None:
    with torch.device("meta"):
        full = StyleGAN2(Config(preset="full"), ImageSpec(256, 256, 3))
        small = StyleGAN2(Config(preset="small"), ImageSpec(256, 256, 3))
    assert len(full.styled.mapping.layers) == 8
    assert len(small.styled.mapping.layers) == 2
    assert {n: p.shape for n, p in full.styled.synthesis.named_parameters()} == {
        n: p.shape for n, p in small.styled.synthesis.named_parameters()
    }


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulated_conv_equals_one_convolution_per_picture(up: bool, demodulate: bool) -> None:
    x, weight, style = torch.randn(3, 5, 6, 4), torch.randn(7, 5, 3, 3), torch.randn(3, 5) + 1
    scaled = style if demodulate else style / math.sqrt(5 * 9)
    expected = ref.modulated_conv(x, weight, scaled, ref.binomial(), 2 if up else 1, demodulate)
    one_by_one = [
        ref.modulated_conv(x[i : i + 1], weight, scaled[i : i + 1], ref.binomial(), 2 if up else 1, demodulate)
        for i in range(3)
    ]
    torch.testing.assert_close(torch.cat(one_by_one), expected, atol=1e-5, rtol=1e-4)
    ours = modulated_conv(x, weight, style, up=up, demodulate=demodulate)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    if demodulate:  # unit variance out for unit variance in
        wide = modulated_conv(torch.randn(2, 64, 32, 32), torch.randn(64, 64, 3, 3), torch.randn(2, 64) * 9)
        assert 0.9 < wide[..., 2:-2, 2:-2].std() < 1.1


def test_minibatch_stddev() -> None:
    x = torch.randn(8, 3, 2, 2)
    out = minibatch_stddev(x)
    assert out.shape == (8, 4, 2, 2)
    for group in (0, 1):  # pictures 0, 2, 4, 6 are one group, as in the reference
        members = x[group::2]
        expected = (members.var(0, correction=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(out[group::2, 3], expected.expand(4, 2, 2))
    for n, group in ((1, 1), (2, 2), (3, 3), (5, 5), (6, 3), (7, 7), (8, 4)):
        assert minibatch_stddev(x[:n])[:, 3, 0, 0].unique().numel() == n // group


@pytest.mark.parametrize(
    ("size", "base"),
    [((28, 28), (7, 7)), ((16, 16), (4, 4)), ((48, 80), (6, 10)), ((32, 128), (4, 16)), ((36, 36), (9, 9))],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_size_and_channels(size, base, channels) -> None:
    game = tiny(size, channels)
    assert levels(*size)[0] == base
    z = torch.randn(2, 8)
    images = game.styled(z)
    assert images.shape == (2, channels, *size)
    assert game.discriminator(images).shape == (2, 1)
    assert not torch.equal(game.styled(z), game.styled(z)) or all(
        layer.noise_strength == 0 for layer in game.styled.synthesis.layers
    )
    assert torch.equal(game.styled(z, noise="const"), game.styled(z, noise="const"))


@pytest.mark.parametrize(
    ("size", "suggestion"), [((50, 50), "--size 48"), ((6, 6), "--size 16"), ((45, 64), "--size 4")]
)
def test_sizes_that_do_not_halve(size, suggestion) -> None:
    with pytest.raises(GansmithError, match=suggestion):
        tiny(size)
    number = int(suggestion.split()[1]) if suggestion != "--size 4" else 48
    tiny(number)


def test_conditional() -> None:
    game = tiny(16, classes=3)
    z = torch.randn(3, 8)
    zero, first, second = (class_weights(torch.full((3,), c), 3) for c in range(3))
    one, two = (game.styled(z, labels, noise="const") for labels in (zero, second))
    assert not torch.allclose(one, two, atol=1e-3)
    assert not torch.allclose(game.discriminator(one, zero), game.discriminator(one, first))
    with pytest.raises(GansmithError, match="labels"):
        game.styled(z)


def test_truncation_moves_styles_to_their_average() -> None:
    game = tiny()
    mapping, z = game.styled.mapping, torch.randn(64, 8)
    for _ in range(2000):
        mapping.track(mapping(torch.randn(64, 8)))
    torch.testing.assert_close(mapping.w_avg, mapping(torch.randn(20_000, 8)).mean(0), atol=0.02, rtol=0)
    full, half, none = (game.styled.styles(z, truncation=t) for t in (1.0, 0.5, 0.0))
    torch.testing.assert_close(none, mapping.w_avg.expand_as(none))
    torch.testing.assert_close(half, (full + none) / 2)
    assert game.sample(z[:2], truncation=0.0).unique(dim=0).shape[0] == 1


def test_noise_is_added_per_pixel_and_kept_where_asked() -> None:
    game = tiny()
    with torch.no_grad():
        for layer in game.styled.synthesis.layers:
            layer.noise_strength.fill_(0.5)
    z = torch.randn(2, 8)
    first, second = game.styled(z), game.styled(z)
    assert (first - second).abs().mean() > 0.01
    assert torch.equal(game.sample(z), game.sample(z))
    assert (game.sample(z) - game.styled(z, noise="none")).abs().mean() > 0.01


def test_activations_are_clamped() -> None:
    game = tiny(clamp=0.25)
    assert all(layer.clamp == 0.25 for layer in game.styled.synthesis.layers)
    x, w = torch.randn(2, 8, 16, 16) * 100, torch.randn(2, 8)
    assert game.styled.synthesis.layers[-1](x, w).abs().max() == 0.25


# --- the penalties ----------------------------------------------------------------------------------------------------


def test_path_lengths_equal_the_jacobian() -> None:
    game = tiny(8, channels=1)
    synthesis = game.styled.synthesis.double()
    styles = torch.randn(3, synthesis.styles, 8, dtype=torch.float64, requires_grad=True)
    y = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    ours = path_lengths(synthesis(styles, noise="none"), styles, y)
    for n in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda s: synthesis(s[None], noise="none")[0], styles[n].detach())
        pulled = torch.einsum("chwld,chw->ld", jacobian.double(), y[n] / 8)  # J^T y, y scaled by 1 / sqrt(H W)
        torch.testing.assert_close(ours[n].double(), pulled.square().sum(1).mean().sqrt(), atol=1e-5, rtol=1e-4)


def test_the_path_penalty_keeps_an_average_and_scales_with_its_interval() -> None:
    game = tiny(path_every=4, path_weight=2.0)
    loss, logs = game.path_penalty(batch_of(game))
    assert game.path_mean.item() == pytest.approx(0.01 * logs["path_length"].item(), rel=1e-4)
    assert loss.item() == pytest.approx(8 * logs["path_penalty"].item(), rel=1e-5)
    before = game.path_mean.item()
    _, logs = game.path_penalty(batch_of(game))
    assert game.path_mean.item() == pytest.approx(0.99 * before + 0.01 * logs["path_length"].item(), rel=1e-4)
    loss.backward()
    assert game.styled.mapping.layers[0].weight.grad.abs().sum() > 0


class Linear(nn.Module):
    """D(x) = <a, x>, whose gradient is a everywhere."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(shape))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return (images * self.a).sum((1, 2, 3), keepdim=False)[:, None]


@pytest.mark.parametrize(
    ("gamma", "width", "expected"), [(None, 0.5, 0.0002 * 256 / 4), (None, 1 / 32, 4.0), (3.0, 1 / 32, 3.0)]
)
def test_r1_on_a_known_function(gamma: float | None, width: float, expected: float) -> None:
    game = tiny(16, r1=gamma, width=width)
    game.discriminator = Linear(game.spec.shape)
    loss, _ = game.r1_penalty(batch_of(game, 4))
    torch.testing.assert_close(loss, 0.5 * expected * 16 * game.discriminator.a.square().sum())
    loss.backward()
    torch.testing.assert_close(game.discriminator.a.grad, expected * 16 * game.discriminator.a.detach())


@pytest.mark.parametrize("augment", ["diffaugment", "ada"])
def test_r1_goes_through_the_augmentation(augment: str) -> None:
    game = tiny(16, augment=augment)
    if augment == "ada":
        game.augment.set_p(0.9)
    loss, logs = game.r1_penalty(batch_of(game))
    loss.backward()
    assert torch.isfinite(logs["r1"])
    assert all(p.grad is None or p.grad.isfinite().all() for p in game.discriminator.parameters())
    assert sum(p.grad is not None for p in game.discriminator.parameters()) > 5


@pytest.mark.parametrize("augment", ["diffaugment", "ada"])
def test_augmentation_in_bfloat16(augment: str) -> None:
    game = tiny(16, augment=augment)
    if augment == "ada":
        game.augment.set_p(0.9)
    for loss_of in (game.discriminator_loss, game.r1_penalty, game.generator_loss, game.path_penalty):
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = loss_of(batch_of(game))
        loss.backward()
        assert loss.isfinite()


# --- the game ---------------------------------------------------------------------------------------------------------


def test_losses_are_the_papers() -> None:
    game = tiny()
    batch = batch_of(game)
    torch.manual_seed(1)
    loss, logs = game.discriminator_loss(batch)
    fake = game.discriminator(game.fakes(batch)).flatten()
    real = game.discriminator(batch.images).flatten()
    torch.testing.assert_close(loss, -(1 - fake.sigmoid()).log().mean() - real.sigmoid().log().mean())
    torch.testing.assert_close(logs["sign_real"], real.sign().mean())
    torch.testing.assert_close(game.generator_loss(batch)[0], -fake.sigmoid().log().mean())


def test_turns_and_their_intervals() -> None:
    turns = [(t.player, t.loss.__name__, t.every) for t in tiny().turns()]
    assert turns == [
        ("discriminator", "discriminator_loss", 1),
        ("discriminator", "r1_penalty", 16),
        ("generator", "generator_loss", 1),
        ("generator", "path_penalty", 4),
    ]
    assert [t.loss.__name__ for t in tiny(r1=0.0, path_weight=0.0).turns()] == ["discriminator_loss", "generator_loss"]


@pytest.mark.parametrize(("width", "weight", "mixing"), [(0.5, 2.0, 0.9), (0.25, 0.0, 0.0)])
def test_narrow_networks_do_without_path_lengths_and_mixing(width: float, weight: float, mixing: float) -> None:
    with torch.device("meta"):
        game = StyleGAN2(Config(width=width), ImageSpec(32, 32, 3))
    assert (game.path_weight, game.style_mixing) == (weight, mixing)
    assert ("path_penalty" in [turn.loss.__name__ for turn in game.turns()]) == (weight > 0)
    asked = StyleGAN2(Config(**TINY), ImageSpec(16, 16, 3))
    assert (asked.path_weight, asked.style_mixing) == (2.0, 0.9)


def test_lazy_corrected_adam() -> None:
    game = tiny()
    d, g = (game.optimizer(player, Clock()) for player in ("discriminator", "generator"))
    assert d.lr == pytest.approx(0.0025 * 16 / 17)
    assert g.lr == pytest.approx(0.0025 * 4 / 5)
    assert d.betas == (0.0, pytest.approx(0.99 ** (16 / 17)))
    assert g.betas == (0.0, pytest.approx(0.99 ** (4 / 5)))
    plain = tiny(r1=0.0, path_weight=0.0, lr=0.001).optimizer("generator", Clock())
    assert plain.lr == 0.001
    assert plain.betas == (0.0, 0.99)
    with torch.device("meta"):
        large = StyleGAN2(Config(width=1 / 64, r1=0.0), ImageSpec(1024, 1024, 3))
    assert large.optimizer("discriminator", Clock()).lr == 0.002


def test_weight_average_ramps_up_to_the_papers_half_life() -> None:
    game = tiny()
    assert game.ema_beta(Clock(images=10**7), 32) == pytest.approx(0.5 ** (32 / 10_000))
    assert game.ema_beta(Clock(images=10**7), 64) == pytest.approx(0.5 ** (64 / 20_000))
    assert game.ema_beta(Clock(images=1000), 32) == pytest.approx(0.5 ** (32 / 50))
    assert tiny(ema_images=0).ema_beta(Clock(images=10**7), 32) == 0


def test_style_mixing_crosses_two_styles_at_a_layer() -> None:
    game = tiny(32, style_mixing=0.9)
    crossed = 0
    for _ in range(300):
        styles = game.mixed_styles(2, None)
        change = (styles[:, 1:] != styles[:, :-1]).any(2)  # [2, L - 1]
        assert change.sum(1).max() <= 1
        assert torch.equal(change[0], change[1])
        crossed += int(change.any())
    assert 0.84 < crossed / 300 < 0.96
    assert not (tiny(style_mixing=0.0).mixed_styles(2, None).std(1) > 0).any()


def test_the_average_style_is_tracked_while_training_only() -> None:
    game = tiny()
    before = game.styled.mapping.w_avg.clone()
    game.sample(torch.randn(2, 8))
    assert torch.equal(game.styled.mapping.w_avg, before)
    game.generate(batch_of(game))
    assert not torch.equal(game.styled.mapping.w_avg, before)


@pytest.mark.parametrize("settings", [{}, {"augment": "ada", "augment_images": 100}, {"pack": 2}, {"classes": 3}])
def test_plays_all_turns_and_learns(settings) -> None:
    game = tiny(16, **settings)
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    plan = Plan(devices.Device(torch.device("cpu")))
    before = {n: p.detach().clone() for n, p in game.named_parameters()}
    for step in range(1, 17):
        batch = batch_of(game, 8, Clock(8 * step, step))
        for turn in game.turns():
            if step % turn.every == 0:
                logs = steps.play(game, optimizers[turn.player], turn, [batch], plan)
                assert all(value.isfinite().all() for value in logs.values()), logs
    moved = {n for n, p in game.named_parameters() if not torch.equal(p, before[n])}
    assert moved == set(before)


def test_a_discriminator_learns_to_tell_two_kinds_apart() -> None:
    game = tiny(16, lr=0.02)
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    plan = Plan(devices.Device(torch.device("cpu")))
    losses = []
    for step in range(1, 25):
        batch = Batch(torch.full((8, 3, 16, 16), 0.8) + 0.1 * torch.randn(8, 3, 16, 16), clock=Clock(8 * step, step))
        turn = game.turns()[0]
        losses.append(float(steps.play(game, optimizers["discriminator"], turn, [batch], plan)["loss/discriminator"]))
    assert losses[-1] < 0.3 * losses[0]


def test_toy_networks_can_play() -> None:
    class Toy(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.layer = nn.Linear(inputs, outputs)

        def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
            return self.layer(x)

    config = Config(latent_dim=2, r1=1.0, path_weight=0.0, style_mixing=0.0)  # points have no layers to follow
    game = StyleGAN2(config, ImageSpec(1, 1, 2), {"generator": StyledGenerator(), "discriminator": Toy(2, 1)})
    batch = Batch(torch.randn(4, 2), clock=Clock(4, 1))
    assert [t.loss.__name__ for t in game.turns()] == ["discriminator_loss", "r1_penalty", "generator_loss"]
    for turn in game.turns():
        assert turn.loss(batch)[0].isfinite()
    assert game.sample(torch.randn(3, 2)).shape == (3, 2)


def test_half_precision_stays_close() -> None:
    game = tiny(16)
    assert isinstance(game.generator, Generator)
    assert isinstance(game.discriminator, Discriminator)
    z = torch.randn(2, 8)
    exact = game.styled(z, noise="const")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = game.styled(z, noise="const")
        logits = game.discriminator(rough)
        loss, _ = game.path_penalty(batch_of(game))
        penalty, _ = game.r1_penalty(batch_of(game))
    assert rough.dtype == logits.dtype == torch.float32
    assert (exact - rough).abs().max() < 0.1 * exact.abs().max()
    (loss + penalty).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in game.parameters())
