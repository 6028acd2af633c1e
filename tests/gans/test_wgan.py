"""WGAN and WGAN-GP: counts of a faithful build, clipping, turns, the penalty, learning-rate decay."""

from __future__ import annotations

import pytest
import torch

from gansmith import config
from gansmith.api import build
from gansmith.devices import Device
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, Game
from gansmith.gans.wgan_gp import WGANGP, gradient_penalty
from gansmith.nn.classes import class_weights
from gansmith.parallel import seeding
from gansmith.training import engine, steps
from gansmith.training.state import Plan, State


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def played_by(game: Game, n: int, batch: int = 4) -> list[set[str]]:
    """Play n steps on noise; which losses were played at each."""

    class Source:
        world_size = batch

        def at(self, drawn: int) -> Batch:
            labels = torch.arange(batch) % max(game.spec.classes, 1)
            return Batch(torch.randn(batch, *game.spec.shape).clamp(-1, 1), labels)

    torch.manual_seed(0)
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    state, played = State(0), []
    for step in range(1, n + 1):
        state.clock = Clock(step * batch, step, step / n)
        logs = steps.step(game, optimizers, Source(), state, game.turns(), Plan(Device(torch.device("cpu"))))
        assert all(torch.isfinite(value).all() for value in logs.values())
        played.append({name.split("/")[1] for name in logs if name.startswith("loss/")})
    return played


@pytest.mark.parametrize(
    ("family", "size", "settings", "generator", "critic"),
    [
        ("wgan", 64, {}, 3_576_704, 2_765_568),
        ("wgan-gp", 32, {"arch": "resnet32"}, 1_204_483, 1_053_825),
        ("wgan-gp", 64, {"arch": "resnet64"}, 8_540_483, 7_491_841),
    ],
)
def test_parameter_counts(family: str, size: int, settings: dict, generator: int, critic: int) -> None:
    game = build(family, size=size, channels=3, **settings)
    assert (count(game.generator), count(game.discriminator)) == (generator, critic)


@pytest.mark.parametrize("size", [16, 28, 30, (40, 24)])
@pytest.mark.parametrize("arch", ["cnn", "resnet32", "resnet64"])
def test_any_size(arch: str, size: int | tuple[int, int]) -> None:
    game = build("wgan-gp", size=size, channels=1, classes=3, arch=arch, width=8)
    labels = class_weights(torch.tensor([0, 2]), 3)
    images = game.generator(torch.randn(2, 128), labels)
    assert images.shape[1:] == game.spec.shape
    assert game.discriminator(images, labels).shape == (2, 1)


def test_sizes_that_do_not_fit_are_refused() -> None:
    for family, size in (("wgan", 12), ("wgan", 300), ("wgan-gp", 12), ("wgan-gp", 200)):
        with pytest.raises(GansmithError, match="Choose a size"):
            build(family, size=size, channels=1)


@pytest.mark.parametrize("family", ["wgan", "wgan-gp"])
def test_five_critic_turns_per_generator_turn(family: str) -> None:
    played = played_by(build(family, size=16, channels=3, width=8), 10)
    assert played == ([{"discriminator"}] * 4 + [{"discriminator", "generator"}]) * 2


def test_small_grey_pictures_have_usual_settings_and_the_papers_stay_reachable() -> None:
    usual = build("wgan-gp", size=28, channels=1)
    assert played_by(usual, 2) == [{"discriminator", "generator"}] * 2
    assert type(usual).usual_batch(usual.spec) == 32
    assert usual.optimizer("generator", Clock()).lr == 1e-3
    assert usual.penalty_every == 4
    narrow = build("wgan-gp", size=28, channels=1, width=32, lr=1e-3, critic_steps=1, discriminator="plain")
    assert count(usual) == count(narrow)
    assert narrow.penalty_every == 1
    # a run that began before there were plain critics keeps its own
    begun = {k: v for k, v in config.to_plain(WGANGP.Config()).items() if k not in ("penalty_every", "discriminator")}
    kept = WGANGP(config.make(WGANGP.Config, begun, "wgan-gp"), usual.spec)
    assert count(kept) == count(build("wgan-gp", size=28, channels=1, width=32, critic_steps=1))
    assert kept.penalty_every == 1
    assert kept.optimizer("generator", Clock()).lr == 1e-3
    # what runs and models of 0.1.0 have on record
    old = config.make(
        WGANGP.Config, config.modern(WGANGP.Config, {"width": 0, "lr": 0.0, "critic_steps": 5}), "wgan-gp"
    )
    paper = WGANGP(old, usual.spec)
    assert count(paper) == count(build("wgan-gp", size=28, channels=1, width=64, discriminator="dcgan"))
    assert paper.optimizer("generator", Clock()).lr == 2e-4
    for channels, arch in ((3, "cnn"), (1, "resnet32")):
        other = build("wgan-gp", size=32, channels=channels, arch=arch)
        assert count(other) == count(build("wgan-gp", size=32, channels=channels, arch=arch, critic_steps=5))
        assert other.optimizer("generator", Clock()).lr == 2e-4
        assert [turn.every for turn in other.turns()] == [1, 5]


def test_weights_are_clipped_after_every_critic_turn() -> None:
    game = build("wgan", size=16, channels=1, width=8, clip=0.003)
    played_by(game, 1)
    largest = max(float(p.detach().abs().max()) for p in game.discriminator.parameters())
    assert largest == pytest.approx(0.003)
    assert max(float(p.detach().abs().max()) for p in game.generator.parameters()) > 0.003


@pytest.mark.parametrize(
    "settings", [{"arch": "resnet32", "conditional": True}, {"augment": "ada"}, {"pack": 2}, {"spectral_norm": True}]
)
def test_settings_train(settings: dict) -> None:
    game = build(
        "wgan-gp",
        size=16,
        channels=1,
        classes=2 if "conditional" in settings else 0,
        width=8,
        critic_steps=1,
        **settings,
    )
    before = [p.detach().clone() for p in game.generator.parameters()]
    assert played_by(game, 2) == [{"discriminator", "generator"}] * 2
    assert any(not torch.equal(a, b) for a, b in zip(before, game.generator.parameters(), strict=True))


def test_a_lazy_penalty_comes_at_every_fourth_turn_four_times_as_strong() -> None:
    often = build("wgan-gp", size=16, channels=1, width=8, penalty=3.0, penalty_every=1)
    lazy = build("wgan-gp", size=16, channels=1, width=8, penalty=3.0, penalty_every=4)
    lazy.load_state_dict(often.state_dict())
    images = torch.rand(4, 1, 16, 16)
    for step in range(1, 9):
        losses = {}
        for name, game in (("often", often), ("lazy", lazy)):
            seeding.seed_step(0, step)
            loss, logs = game.critic_loss(Batch(images, clock=Clock(step=step)))
            losses[name] = float(loss.detach() + logs["distance"]), logs
        assert losses["lazy"][0] == pytest.approx(4 * losses["often"][0] if step % 4 == 0 else 0, abs=1e-5)
        assert ("penalty" in losses["lazy"][1]) == (step % 4 == 0)


def test_penalty_of_a_linear_critic() -> None:
    slope = torch.tensor([[3.0, 4.0]])  # |grad| = 5 everywhere
    penalty = gradient_penalty(lambda x: x @ slope.T, torch.randn(8, 2), torch.randn(8, 2))
    assert float(penalty) == pytest.approx(16.0, rel=1e-5)


def test_resnet32_generator_learns_from_twice_the_batch() -> None:
    game = build("wgan-gp", size=16, channels=1, arch="resnet32", width=8)
    seen = []
    game.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    game.generator_loss(Batch(torch.randn(3, 1, 16, 16)))
    assert seen == [6]


def test_learning_rate_falls_to_zero_where_the_paper_has_it() -> None:
    rates = {
        arch: build("wgan-gp", size=32, channels=3, arch=arch, width=8) for arch in ("cnn", "resnet32", "resnet64")
    }
    end = Clock(progress=1.0)
    assert rates["resnet32"].optimizer("generator", Clock()).lr == 2e-4
    assert rates["resnet32"].optimizer("generator", end).lr == 0.0
    assert rates["resnet64"].optimizer("discriminator", end).lr == 1e-4
