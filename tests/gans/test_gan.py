"""The classic families: exact sizes, and losses against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import gansmith
import gansmith.cli
from gansmith import registry
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.gans.gan import GAN
from gansmith.gans.wgan_gp import gradient_penalty
from gansmith.generation import squared_gradient_norm
from gansmith.nn.classes import class_weights
from gansmith.nn.losses import ADVERSARIAL


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("family", "size", "channels", "generator", "discriminator"),
    [
        ("gan", 28, 1, 1_486_352, 533_505),
        ("dcgan", 64, 3, 3_576_704, 2_765_568),
        ("dcgan", 64, 1, 3_574_656, 2_763_520),
    ],
)
def test_parameter_counts(family, size, channels, generator, discriminator):
    game = gansmith.build(family, size=size, channels=channels)
    assert count(game.get_submodule("generator")) == generator
    assert count(game.get_submodule("discriminator")) == discriminator


@pytest.mark.parametrize("size", [16, 28, 31, 50, 96, (20, 48), 256])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_dcgan_makes_any_size(size, channels):
    height, width = size if isinstance(size, tuple) else (size, size)
    game = gansmith.build("dcgan", size=size, channels=channels, classes=5, width=4)
    labels = class_weights(torch.tensor([0, 4]), 5)
    images = game.get_submodule("generator")(torch.randn(2, 100), labels)
    assert images.shape == (2, channels, height, width)
    assert game.get_submodule("discriminator")(images, labels).shape == (2, 1)


def test_dcgan_starts_as_the_paper_says():
    torch.manual_seed(0)
    game = gansmith.build("dcgan", size=64, channels=3)
    convs = [m.weight for m in game.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    assert all(w.std().item() == pytest.approx(0.02, rel=0.1) for w in convs)
    assert not [
        n for n, _ in game.named_parameters() if n.endswith("bias") and "layers" not in n and "features" not in n
    ]


class Line(nn.Module):
    """D(x) = slope * x."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x, labels=None):
        return x * self.slope


class Point(nn.Module):
    """G(z) = place."""

    def __init__(self, place: float) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor(place))

    def forward(self, z, labels=None):
        return self.place.expand(len(z), 1)


def test_losses_are_the_equations():
    x, place, slope = 0.7, -0.4, 1.3
    config = GAN.Config(latent_dim=1, r1=0.5)
    game = GAN(config, ImageSpec(1, 1, 1), {"generator": Point(place), "discriminator": Line(slope)})
    sigmoid = lambda t: 1 / (1 + math.exp(-t))
    batch = Batch(torch.full((4, 1), x), clock=Clock(4, 1))
    loss, logs = game.discriminator_loss(batch)
    expected = -math.log(sigmoid(slope * x)) - math.log(1 - sigmoid(slope * place)) + 0.25 * slope**2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert logs["r1"].item() == pytest.approx(slope**2, rel=1e-5)
    loss, _ = game.generator_loss(batch)
    assert loss.item() == pytest.approx(-math.log(sigmoid(slope * place)), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        # at real logit 2 and fake logit -0.5
        ("nonsaturating", math.log1p(math.exp(-2)) + math.log1p(math.exp(-0.5)), math.log1p(math.exp(0.5))),
        ("saturating", math.log1p(math.exp(-2)) + math.log1p(math.exp(-0.5)), -math.log1p(math.exp(-0.5))),
        ("hinge", 0.0 + 0.5, 0.5),
        ("least-squares", 0.5 * (1 + 0.25), 0.5 * 2.25),
        ("wasserstein", -2.5, 0.5),
        ("relativistic", math.log1p(math.exp(-2.5)), math.log1p(math.exp(2.5))),
    ],
)
def test_adversarial_losses(name, discriminator, generator):
    real, fake = torch.full((3,), 2.0), torch.full((3,), -0.5)
    losses = ADVERSARIAL[name]
    assert losses.discriminator(real, fake).item() == pytest.approx(discriminator, rel=1e-5)
    assert losses.generator(fake, real).item() == pytest.approx(generator, rel=1e-5)


def test_penalties_on_known_functions():
    x = torch.randn(5, 2, 3, 3, requires_grad=True)
    # D(x) = sum of a x^2, so |grad|^2 = sum (2 a x)^2
    norm = squared_gradient_norm((1.5 * x.square()).flatten(1).sum(1), x)
    assert torch.allclose(norm, (3 * x).square().flatten(1).sum(1))
    # a linear critic has the same gradient everywhere
    weight = torch.tensor([[3.0, 4.0]])
    penalty = gradient_penalty(lambda p: p @ weight.T, torch.randn(6, 2), torch.randn(6, 2))
    assert penalty.item() == pytest.approx((5 - 1) ** 2, rel=1e-5)


def test_penalty_is_lazy_and_as_strong():
    config = GAN.Config(latent_dim=1, r1=0.5, penalty_every=4)
    game = GAN(config, ImageSpec(1, 1, 1), {"generator": Point(0.0), "discriminator": Line(2.0)})
    plain, logs = game.discriminator_loss(Batch(torch.zeros(4, 1), clock=Clock(4, 3)))
    assert "r1" not in logs
    lazy, _ = game.discriminator_loss(Batch(torch.zeros(4, 1), clock=Clock(4, 4)))
    assert (lazy - plain).item() == pytest.approx(4 * 0.25 * 4, rel=1e-5)


def test_packing_judges_groups():
    game = gansmith.build("gan", size=8, channels=1, pack=2, width=4)
    assert game.judge(torch.zeros(6, 1, 8, 8), None).shape == (3,)  # type: ignore[operator]
    with pytest.raises(gansmith.GansmithError, match="pack"):
        gansmith.build("gan", size=8, channels=1, classes=3, pack=2)


def test_penalties_are_of_packs():
    packs = torch.randn(3, 2, 4, requires_grad=True)  # three packs of two pictures
    together = squared_gradient_norm((1.5 * packs.square()).flatten(1).sum(1), packs)
    apart = packs.detach().view(6, 4).requires_grad_()
    norm = squared_gradient_norm((1.5 * apart.square()).view(3, 8).sum(1), apart)
    torch.testing.assert_close(norm, together)


def test_batches_that_no_pack_divides_are_refused(tmp_path, capsys):
    words = ["train", "gan", "--data", "mnist10k", "--steps", "1", "--out", str(tmp_path / "run"), "--pack", "3"]
    assert gansmith.cli.main([*words, "--batch", "8"]) == 2
    assert "--batch 8 must be a multiple of --pack 3" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert gansmith.cli.main(["toy", "ring", "--family", "gan", "--pack", "3", "--batch", "8"]) == 2


@pytest.mark.parametrize(
    "family", [n for n in registry.families() if hasattr(registry.family(n).Config, "spectral_norm")]
)
def test_spectral_norm_takes_layers_that_begin_with_zeros(family: str):
    kind = registry.family(family)
    try:
        game = gansmith.build(family, size=32, channels=3, **{**kind.tiny, "spectral_norm": True})
    except gansmith.GansmithError as error:
        pytest.skip(str(error))
    assert game.discriminator(torch.rand(4, 3, 32, 32)).isfinite().all()


def test_spectral_norm_bounds_every_layer():
    game = gansmith.build("gan", size=8, channels=1, width=8, spectral_norm=True)
    game.train()
    for _ in range(30):
        game.judge(torch.randn(4, 1, 8, 8), None)  # type: ignore[operator]
    for module in game.get_submodule("discriminator").modules():
        if isinstance(module, nn.Linear):
            assert torch.linalg.matrix_norm(module.weight, 2).item() == pytest.approx(1, abs=0.02)
