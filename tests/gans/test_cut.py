"""CUT: the loss of its patches, what the presets change, and networks that do not let frequencies fold over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gansmith import config
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.gans import cut
from gansmith.nn.antialias import BlurDouble, BlurHalf
from gansmith.nn.patchgan import PatchDiscriminator
from gansmith.nn.resnet_generator import ResnetGenerator
from gansmith.parallel import seeding, seeds

SMALL: dict[str, Any] = {"blocks": 2, "width": 8, "width_discriminator": 8, "width_heads": 16, "patches": 32}


def game_of(channels: int = 3, other: int = 3, **settings: Any) -> cut.CUT:
    torch.manual_seed(0)
    return cut.CUT(cut.Config(**{**SMALL, **settings}), ImageSpec(32, 32, channels, other_channels=other))


def batch(channels: int = 3, other: int = 3, n: int = 2) -> Batch:
    random = torch.Generator().manual_seed(0)
    a, b = (torch.rand(n, c, 32, 32, generator=random) * 2 - 1 for c in (channels, other))
    return Batch(a, other=b, clock=Clock(1000, 10, 0.5))


def test_patches_are_told_apart_as_in_the_paper() -> None:
    """Eq. 3 written out: -log(exp(own) / (exp(own) + sum over others)), patches of one picture only."""
    torch.manual_seed(0)
    z, keys = (F.normalize(torch.randn(2, 5, 8), dim=2) for _ in range(2))
    expected = []
    for picture in range(2):
        for s in range(5):
            own = (z[picture, s] @ keys[picture, s] / 0.07).exp()
            others = sum((z[picture, s] @ keys[picture, t] / 0.07).exp() for t in range(5) if t != s)
            expected.append(-(own / (own + others)).log())
    assert torch.isclose(cut.patch_nce(z, keys, 0.07), torch.stack(expected).mean(), rtol=1e-5)
    keys.requires_grad_()
    assert not cut.patch_nce(z.requires_grad_(), keys, 0.07).isnan()
    assert torch.autograd.grad(cut.patch_nce(z, keys, 0.07), keys, allow_unused=True) == (None,)


def naive_nce(game: cut.CUT, fake: Tensor, real: Tensor, seed: int) -> Tensor:
    """The mean over layers, from the generator's features of both pictures, at the places that a seed draws."""
    layers = []
    seeding.seed_step(seed, 1)
    pairs = list(zip(game.generator.features(fake), game.generator.features(real), strict=True))
    places = [torch.rand(f.shape[2] * f.shape[3]).argsort()[: game.config.patches] for f, _ in pairs]
    for head, (of_fake, of_real), chosen in zip(game.heads.layers, pairs, places, strict=True):
        z, keys = (F.normalize(head(f.flatten(2)[:, :, chosen].mT), dim=2) for f in (of_fake, of_real))
        layers.append(cut.patch_nce(z, keys, game.config.temperature))
    return torch.stack(layers).mean()


@pytest.mark.parametrize(("preset", "weight"), [("cut", 1.0), ("fastcut", 10.0)])
def test_the_generators_loss(preset: str, weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    game, played = game_of(preset=preset), batch()
    monkeypatch.setattr(
        seeds, "uniform", lambda n, **_: torch.ones(1) if n == 1 else torch.rand(n)
    )  # nothing is mirrored
    seeding.seed_step(3, 1)
    loss, logs = game.generator_loss(played)
    with torch.no_grad():
        fake, same = (game.generator(x) for x in (played.images, played.other))
        assert isinstance(played.other, Tensor)
        sides = [naive_nce(game, fake, played.images, 3), naive_nce(game, same, played.other, 3)]
        sides = sides if preset == "cut" else sides[:1]
        expected = (game.discriminator(fake) - 1).square().mean() + weight * torch.stack(sides).mean()
    assert torch.isclose(loss, expected, rtol=1e-4)
    assert set(logs) == {"adversarial", "nce", *(["nce_identity"] if preset == "cut" else [])}


def test_fastcut_mirrors_pictures_and_turns_features_back(monkeypatch: pytest.MonkeyPatch) -> None:
    game, played = game_of(preset="fastcut"), batch()
    monkeypatch.setattr(seeds, "uniform", lambda n, **_: torch.zeros(1) if n == 1 else torch.rand(n))
    made, keys, mirrored = game._made(played)
    assert mirrored
    with torch.no_grad():
        assert torch.allclose(made, game.generator(played.images.flip(3)), atol=1e-6)
        for found, expected in zip(keys, game.generator.features(played.images), strict=True):
            assert torch.allclose(found, expected, atol=1e-6)
    loss, _ = game.generator_loss(played)
    assert torch.isfinite(loss)


def test_a_generator_that_changes_nothing_is_pulled_there_by_the_patches() -> None:
    """The patches alone make a translation keep its picture's places: their loss falls where fakes are the picture itself."""
    game, played = game_of(nce=1.0), batch()
    for layer in game.heads.modules():  # as they begin, all vectors are nearly the same
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.xavier_normal_(layer.weight, 1.0)
    with torch.no_grad():
        itself = naive_nce(game, played.images, played.images, 1)
        moved = naive_nce(game, played.images.roll(7, 3), played.images, 1)
    assert itself < 0.5 * moved


def test_features_in_one_pass_are_those_of_two() -> None:
    torch.manual_seed(0)
    for settings in ({}, {"antialias": True, "upsample": "blur"}, {"skip": True}):
        network = ResnetGenerator(3, 3, 8, 6, **settings).eval()  # type: ignore[arg-type]
        images = torch.rand(1, 3, 37, 42)
        with torch.no_grad():
            made, features = network.with_features(images)
            assert torch.allclose(made, network(images), atol=1e-6)
            assert all(torch.equal(*pair) for pair in zip(features, network.features(images), strict=True))
        step = 4 if settings.get("antialias") else 3
        assert network.taps == [0, 4, 4 + step, 4 + 2 * step, 8 + 2 * step]  # CUT's 0, 4, 8, 12, 16


def test_blurs_let_nothing_fold_over() -> None:
    """The finest stripes become grey when the size is halved, and an even area stays even when it is doubled."""
    stripes = torch.tensor([-1.0, 1.0]).repeat(8).expand(1, 2, 16, 16)
    assert BlurHalf()(stripes).abs().max() < 1e-6
    assert stripes[:, :, ::2, ::2].abs().min() == 1
    even = torch.full((1, 3, 5, 6), 0.7)
    assert torch.allclose(BlurDouble()(even), torch.full((1, 3, 10, 12), 0.7), atol=1e-6)
    assert torch.allclose(BlurHalf()(even), torch.full((1, 3, 3, 3), 0.7), atol=1e-6)
    with torch.no_grad():
        shapes = {PatchDiscriminator(3, 8, antialias=blur)(torch.zeros(1, 3, 64, 64)).shape for blur in (True, False)}
    assert all(7 >= shape[2] >= 5 for shape in shapes)


@pytest.mark.parametrize(("channels", "other"), [(1, 3), (3, 1), (4, 3), (3, 4)])
def test_sides_of_other_channels(channels: int, other: int) -> None:
    game, played = game_of(channels, other), batch(channels, other)
    for loss in (game.generator_loss, game.discriminator_loss):
        assert torch.isfinite(loss(played)[0])
    assert game.translate(played.images).shape == (2, other, 32, 32)
    with torch.no_grad():
        assert game.preview(played, 0).images.shape[0] == 6


def test_settings_that_make_no_sense() -> None:
    for name, value in (("temperature", 0.0), ("patches", 1), ("nce", -1.0)):
        with pytest.raises(GansmithError, match=name):
            config.make(cut.Config, {name: value}, "cut")
    with pytest.raises(GansmithError, match="at least 24 px"):
        cut.CUT(cut.Config(), ImageSpec(16, 16, 3))
    game = game_of()
    game.config = replace(game.config, patches=10_000)  # more than a small map has
    assert torch.isfinite(game.generator_loss(batch())[0])
    with pytest.raises(GansmithError, match="two folders"):
        game.generator_loss(Batch(batch().images))
