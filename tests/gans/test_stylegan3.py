"""StyleGAN3 is the paper's: its signals, its filters, its losses; and what moves inside moves the picture."""

from __future__ import annotations

import math

import pytest
import torch

import gansmith
from gansmith import devices
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.gans.stylegan3 import Config, StyleGAN3, signals_of
from gansmith.metrics.equivariance import equivariance
from gansmith.training import engine, steps
from gansmith.training.state import Plan

TINY = {"latent_dim": 8, "style_dim": 8, "width": 1 / 128, "layers": 4, "margin": 2}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def tiny(size: int | tuple[int, int] = 16, channels: int = 3, classes: int = 0, **settings) -> StyleGAN3:
    height, width = (size, size) if isinstance(size, int) else size
    config = Config(**{**TINY, "conditional": classes > 0, **settings})
    return StyleGAN3(config, ImageSpec(height, width, channels, classes))


def batch_of(game: StyleGAN3, n: int = 4, clock: Clock | None = None) -> Batch:
    labels = torch.arange(n) % game.spec.classes if game.spec.classes else None
    return Batch(torch.rand(n, *game.spec.shape) * 2 - 1, labels, clock=clock or Clock(n, 1))


# --- the networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "parameters"), [("t", 22_313_167), ("r", 15_093_151)])
def test_the_papers_networks_at_1024(variant: str, parameters: int) -> None:
    """As many weights as the published trainer counts, and the sizes of Figure 5."""
    config = Config(variant=variant)
    signals = signals_of(config, ImageSpec(1024, 1024, 3))
    sizes = [36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024]
    assert [signal.width for signal in signals] == sizes
    many = 2 if variant == "r" else 1
    assert [s.channels for s in signals[6:14]] == [
        round(c * many) for c in (512, 322.54, 203.19, 128, 80.63, 50.8, 32, 32)
    ]
    with torch.device("meta"):
        game = StyleGAN3(config, ImageSpec(1024, 1024, 3))
    assert sum(p.numel() for p in game.generator.parameters()) == parameters
    assert sum(p.numel() for p in game.discriminator.parameters()) == 29_012_513


@pytest.mark.parametrize(
    ("size", "rates"),
    [((28, 28), {14, 28}), ((16, 16), {16}), ((48, 80), {10, 20, 40, 80}), ((32, 128), {16, 32, 64, 128})],
)
@pytest.mark.parametrize("variant", ["t", "r"])
def test_any_size_and_channels(size, rates, variant) -> None:
    game = tiny(size, 4, variant=variant, layers=6)
    signals = signals_of(game.config, game.spec)
    assert {s.rate for s in signals} <= rates
    for signal in signals:  # nothing reaches half the rate, but in the last layers
        assert signal.cutoff < signal.rate / 2 or signal in signals[-game.config.critical - 1 :]
    images = game.sample(torch.randn(2, 8))
    assert images.shape == (2, 4, *size)
    assert game.discriminator(images).shape == (2, 1)


def test_settings_that_leave_no_room() -> None:
    for settings, words in (
        ({"critical": 4}, "--critical"), ({"critical": 0}, "--critical"), ({"margin": -1}, "--margin"),
        ({"first_cutoff": 8.0}, "--first-cutoff"), ({"last_stopband": 1.0}, "--last-stopband"),
        ({"spectral_norm": True}, "--spectral-norm"),
    ):  # fmt: skip
        with pytest.raises(GansmithError, match=words):
            tiny(**settings)
    with pytest.raises(GansmithError, match="stylegan3 makes pictures"):
        tiny(50)


def test_conditional_and_truncated() -> None:
    game = tiny(classes=3)
    z = torch.randn(3, 8)
    one, two = (game.sample(z, torch.full((3,), c)) for c in (0, 2))
    assert not torch.allclose(one, two, atol=1e-4)
    assert game.sample(z, torch.zeros(3).long(), truncation=0.0).sub(one[:0].new_zeros(())).std(0).max() < 1e-6


# --- equivariance -----------------------------------------------------------------------------------------------------


def test_what_moves_inside_moves_the_picture() -> None:
    game = gansmith.build("stylegan3", size=32, channels=3, width=1 / 64, latent_dim=16, style_dim=16).eval()
    found = equivariance(game, n=8, batch=2)
    assert found["EQ-T"] > 60
    assert found["EQ-T_frac"] > 60
    assert found["EQ-R"] < 45  # 3x3 convolutions do not turn


def test_what_turns_inside_turns_the_picture() -> None:
    game = gansmith.build(
        "stylegan3", size=32, channels=1, variant="r", width=1 / 64, latent_dim=16, style_dim=16, layers=6
    ).eval()
    found = equivariance(game, n=6, batch=2)
    assert found["EQ-T"] > 60
    assert found["EQ-R"] > 60


# --- the game ---------------------------------------------------------------------------------------------------------


def test_turns_losses_and_optimizers() -> None:
    game = tiny()
    assert [(t.player, t.every) for t in game.turns()] == [
        ("discriminator", 1),
        ("discriminator", 16),
        ("generator", 1),
    ]
    assert len(tiny(r1=0.0).turns()) == 2
    batch = batch_of(game)
    torch.manual_seed(1)
    loss, _ = game.discriminator_loss(batch)
    fake, real = (game.discriminator(x).flatten() for x in (game.fakes(batch), batch.images))
    torch.testing.assert_close(loss, -(1 - fake.sigmoid()).log().mean() - real.sigmoid().log().mean())
    torch.testing.assert_close(game.generator_loss(batch)[0], -fake.sigmoid().log().mean())
    d, g = (game.optimizer(player, Clock()) for player in ("discriminator", "generator"))
    assert (g.lr, g.betas) == (0.0025, (0.0, 0.99))
    assert d.lr == pytest.approx(0.002 * 16 / 17)
    assert d.betas[1] == pytest.approx(0.99 ** (16 / 17))


def test_r1_has_the_published_weight() -> None:
    """--gamma 32 at 1024 px and a batch of 32, a quarter of it at half the size; 4 where networks are narrow."""
    for width, expected in ((0.5, 0.001 * 256 / 4), (1 / 128, 4.0)):
        game = tiny(width=width, channel_base=64)
        loss, logs = game.r1_penalty(batch_of(game))
        assert loss.item() == pytest.approx(0.5 * expected * 16 * logs["r1"].item(), rel=1e-4)


def test_the_blur_of_the_start_fades() -> None:
    game = tiny(32, variant="r", blur_images=1000)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    contrasts = [
        game.blurred(images, Batch(images, clock=Clock(seen, 1))).std().item() for seen in (0, 500, 990, 1000, 2000)
    ]
    assert contrasts == sorted(contrasts)
    assert contrasts[0] < 0.5 * contrasts[-1]
    assert torch.equal(game.blurred(images, Batch(images, clock=Clock(1000, 1))), images)
    assert torch.equal(tiny(32).blurred(images, Batch(images, clock=Clock(0, 1))), images)
    flat = torch.ones(1, 1, 32, 32)
    assert game.blurred(flat, Batch(flat, clock=Clock(0, 1)))[0, 0, 16, 16].item() == pytest.approx(1, abs=1e-4)


def test_sizes_of_inputs_and_the_average_style_are_tracked_while_training_only() -> None:
    game = tiny(magnitude_images=8)
    before = {
        name: tensor.clone() for name, tensor in game.state_dict().items() if "magnitude" in name or "w_avg" in name
    }
    game.sample(torch.randn(2, 8))
    assert all(torch.equal(tensor, game.state_dict()[name]) for name, tensor in before.items())
    game.generate(batch_of(game, 4))
    after = game.state_dict()
    assert all(not torch.equal(tensor, after[name]) for name, tensor in before.items())
    first = game.generator.synthesis.layers[0]
    styles = game.generator.styles(torch.randn(4, 8))
    size = game.generator.synthesis.input(styles[:, 0]).square().mean()
    power = first.power(game.generator.synthesis.input(styles[:, 0]), 0.0)
    assert power.item() == pytest.approx(size.item(), rel=1e-4)
    first.power(torch.full((1, 1, 2, 2), math.inf), 0.5)
    assert first.magnitude.isfinite()


@pytest.mark.parametrize(
    "settings", [{}, {"variant": "r"}, {"augment": "ada", "pack": 2}, {"classes": 3, "clamp": 0.0}]
)
def test_plays_all_turns_and_learns(settings) -> None:
    game = tiny(16, **settings)
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    plan = Plan(devices.Device(torch.device("cpu")))
    before = {n: p.detach().clone() for n, p in game.named_parameters()}
    for step in (1, 16):
        batch = batch_of(game, 8, Clock(8 * step, step))
        for turn in game.turns():
            if step % turn.every == 0:
                logs = steps.play(game, optimizers[turn.player], turn, [batch], plan)
                assert all(value.isfinite().all() for value in logs.values())
    assert all(
        not torch.equal(before[name], p) for name, p in game.named_parameters() if not name.endswith("affine.weight")
    )


def test_half_precision_stays_close() -> None:
    game = tiny(16)
    z = torch.randn(2, 8)
    exact = game.sample(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = game.sample(z)
        loss, _ = game.generator_loss(batch_of(game))
    loss.backward()
    assert rough.dtype == torch.float32
    assert (exact - rough).abs().max() < 0.1 * exact.abs().max()
    assert all(p.grad is None or p.grad.isfinite().all() for p in game.parameters())
