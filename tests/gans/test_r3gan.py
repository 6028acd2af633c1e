"""R3GAN: losses as in the paper, penalties, schedules, sizes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gansmith import config
from gansmith.api import build
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.gans.r3gan import R3GAN, Config
from gansmith.nn import dcgan
from gansmith.nn.classes import class_weights
from gansmith.nn.dcgan import PlainDiscriminator
from gansmith.nn.losses import ADVERSARIAL
from gansmith.nn.r3gan_resnet import Block, Discriminator, Generator
from gansmith.parallel import seeding


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_papers_cifar_model() -> None:
    game = build("r3gan", size=32, channels=3, width=768, taper=1.0, stem=1, blocks=2)
    blocks = [m for m in game.discriminator.modules() if isinstance(m, Block)]
    assert len(blocks) == 8
    assert {b.mix.groups for b in blocks} == {96}
    # per block: 768 -> 1536 with bias, 3x3 in groups of 16 with bias, 1536 -> 768
    block = 768 * 1536 + 1536 + 1536 * 16 * 9 + 1536 + 1536 * 768
    assert count(game.generator) == 8 * block + 768 * 16 + 64 * 768 + 768 * 3
    assert count(game.discriminator) == 8 * block + 3 * 768 + 768 * 16 + 768


@pytest.mark.parametrize("size", [16, 28, 30, 64, (40, 24)])
@pytest.mark.parametrize("options", [{"stem": 1}, {"stem": 2}, {"generator": "dcgan"}])
def test_any_size(options: dict[str, int | str], size: int | tuple[int, int]) -> None:
    game = build("r3gan", size=size, channels=1, classes=3, width=32, **({"generator": "residual"} | options))
    labels = class_weights(torch.tensor([0, 1, 2]), 3)
    images = game.generator(torch.randn(3, 64), labels)
    assert images.shape[1:] == game.spec.shape
    assert game.discriminator(images, labels).shape == (3, 1)


def test_small_grey_pictures_come_from_the_generator_that_makes_more_different_ones() -> None:
    def chosen(size: int, channels: int, **options: str) -> type[nn.Module]:
        return type(build("r3gan", size=size, channels=channels, width=32, **options).generator)

    assert chosen(28, 1) is chosen(64, 3, generator="dcgan") is dcgan.Generator
    assert chosen(28, 3) is chosen(64, 1) is chosen(28, 1, generator="residual") is Generator


def test_blocks_start_as_the_identity() -> None:
    block = Block(16, Config(), depth=4)
    x = torch.randn(2, 16, 5, 5)
    assert torch.equal(block(x), x)
    gain = math.sqrt(2 / 1.04) * 4**-0.25
    wide = Block(256, Config(), depth=4).expand.weight
    assert float(wide.std()) == pytest.approx(gain / math.sqrt(256), rel=0.02)


def test_networks_keep_the_size_of_numbers() -> None:
    game = build("r3gan", size=32, channels=3, width=64)
    with torch.no_grad():
        images = game.generator(torch.randn(64, 64))
        logits = game.discriminator(torch.randn(64, 3, 32, 32))
    assert 0.2 < float(images.std()) < 5
    assert 0.05 < float(logits.std()) < 5


def test_width_must_fit_the_groups() -> None:
    with pytest.raises(GansmithError, match="multiple of --group-width"):
        build("r3gan", size=28, channels=1, width=50)


class Quadratic(nn.Module):
    """D(x) = w |x|^2, whose gradient is 2 w x."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.w * x.square().sum(1)


class Constant(nn.Module):
    """G(z) = a point."""

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor([0.0, 3.0]))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.point.expand(len(z), 2)


@pytest.mark.parametrize("every", [1, 4])
def test_losses_by_hand(every: int) -> None:
    game = R3GAN(
        Config(latent_dim=2, gamma=0.2, gamma_end=0.1, penalty_every=every),
        ImageSpec(1, 1, 2),
        {"generator": Constant(), "discriminator": Quadratic()},
    )
    real = torch.tensor([[1.0, 2.0], [2.0, 0.0]])  # D = 2.5 and 2; |grad|^2 = 5 and 4; the fake's D = 4.5, |grad|^2 = 9
    softplus = lambda t: math.log1p(math.exp(t))
    loss, logs = game.discriminator_loss(Batch(real, clock=Clock(step=every, progress=1.0)))
    adversarial = (softplus(4.5 - 2.5) + softplus(4.5 - 2)) / 2
    assert float(logs["r1"]) == pytest.approx(4.5)
    assert float(logs["r2"]) == pytest.approx(9.0)
    assert float(loss) == pytest.approx(adversarial + every * 0.1 / 2 * (4.5 + 9.0))
    generator, _ = game.generator_loss(Batch(real))
    assert float(generator) == pytest.approx((softplus(2.5 - 4.5) + softplus(2 - 4.5)) / 2)
    lazy, logs = game.discriminator_loss(Batch(real, clock=Clock(step=every + 1, progress=1.0)))
    assert ("r1" in logs) == (every == 1)
    if every > 1:
        assert float(lazy) == pytest.approx(adversarial)


def test_schedules() -> None:
    game = build(
        "r3gan", size=16, channels=1, width=16, lr=1e-3, lr_end=1e-4, beta2=0.9, beta2_end=0.99, lr_discriminator=2e-3
    )
    start, middle, end = (game.optimizer("generator", Clock(progress=p)) for p in (0.0, 0.5, 1.0))
    assert start.lr == pytest.approx(1e-3)
    assert middle.lr == pytest.approx(5.5e-4)
    assert end.lr == pytest.approx(1e-4)
    assert (start.betas[1], end.betas[1]) == pytest.approx((0.9, 0.99))
    assert game.optimizer("discriminator", Clock()).lr == pytest.approx(2e-3)
    assert game.ema_beta(Clock(images=0), 64) == 0.0
    late = Clock(images=1_000_000, progress=1.0)
    assert game.ema_beta(late, 64) == pytest.approx(0.5 ** (64 / 50_000)), "a run averages over its last twentieth"
    asked = build("r3gan", size=16, channels=1, width=16, ema_images=10_000)
    assert asked.ema_beta(late, 64) == pytest.approx(0.5 ** (64 / 10_000))
    short = asked.ema_beta(Clock(images=40_000, progress=1.0), 64)
    assert short == pytest.approx(0.5 ** (64 / 2_000)), "a short run averages over its last twentieth"
    assert build("r3gan", size=16, channels=1, width=16, ema_images=0).ema_beta(late, 64) == 0.0


def test_burn_in_counts_images() -> None:
    game = build("r3gan", size=16, channels=1, width=16, burn_in=1000, lr=1e-3, lr_end=0.0)
    assert game.optimizer("generator", Clock(images=500, progress=0.1)).lr == pytest.approx(5e-4)
    assert game.optimizer("generator", Clock(images=2000, progress=0.4)).lr == pytest.approx(0.0)


def test_augmentation_follows_its_schedule() -> None:
    game = build("r3gan", size=16, channels=3, width=16, augment="ada", augment_p=0.4)
    game.discriminator_loss(Batch(torch.rand(4, 3, 16, 16), clock=Clock(1, 1, 1.0)))
    assert float(game.augment.p) == pytest.approx(0.4)


# --- small grey pictures ----------------------------------------------------------------------------------------------


def test_small_grey_pictures_are_judged_by_plain_convolutions() -> None:
    def judge(size: int, channels: int, **options: str) -> type[nn.Module]:
        return type(build("r3gan", size=size, channels=channels, width=32, **options).discriminator)

    assert judge(28, 1) is judge(64, 3, discriminator="plain") is PlainDiscriminator
    assert judge(28, 3) is judge(64, 1) is judge(28, 1, discriminator="residual") is Discriminator


@pytest.mark.parametrize(
    ("made", "relativistic"),
    [
        ({"size": 28, "channels": 1, "classes": 3}, False),
        ({"size": 28, "channels": 1, "classes": 3, "conditional": False}, True),
        ({"size": 28, "channels": 1}, True),
        ({"size": 28, "channels": 1, "classes": 3, "loss": "relativistic"}, True),
        ({"size": 28, "channels": 1, "classes": 3, "discriminator": "residual"}, True),
        ({"size": 32, "channels": 3, "classes": 3}, True),
        ({"size": 32, "channels": 3, "loss": "nonsaturating"}, False),
    ],
)
def test_the_loss_is_the_gans_own_where_plain_networks_learn_labels(made: dict, relativistic: bool) -> None:
    game = build("r3gan", width=32, **made)
    assert game.adversarial_loss is ADVERSARIAL["relativistic" if relativistic else "nonsaturating"]
    labels = torch.tensor([0, 1, 2, 0]) if game.classes else None
    images = torch.rand(4, *game.spec.shape) * 2 - 1
    seeding.seed_step(0, 1)
    loss, _ = game.generator_loss(Batch(images, labels))
    weights = None if labels is None else class_weights(labels, 3)
    seeding.seed_step(0, 1)
    fake = game.discriminator(game.generate(Batch(images, labels)), weights)
    real = game.discriminator(images, weights)
    gap = fake - real if relativistic else fake
    assert float(loss) == pytest.approx(float(torch.nn.functional.softplus(-gap).mean()), rel=1e-5)


def test_runs_of_earlier_versions_keep_their_discriminator_and_loss() -> None:
    now = config.to_plain(Config())
    assert config.make(Config, now, "r3gan") == Config()
    before = {name: value for name, value in now.items() if name not in ("discriminator", "loss")}
    old = config.make(Config, before, "r3gan")
    assert (old.discriminator, old.loss) == ("residual", "relativistic")
    assert R3GAN(old, ImageSpec(28, 28, 1)).usual_lr == 0.25 / 64
    assert R3GAN(Config(), ImageSpec(28, 28, 1)).usual_lr == 0.08 / 64
    assert (
        config.make(Config, {"generator": "dcgan"}, "r3gan").discriminator == "auto"
    )  # asked for today, not read from a run
