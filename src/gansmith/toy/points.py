"""Training a family on points in the plane, with the same engine, losses and turns as on pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from gansmith import registry
from gansmith.abilities import Sampled
from gansmith.devices import Device
from gansmith.errors import GansmithError
from gansmith.game import Game, ImageSpec, Logs
from gansmith.generation import Generation
from gansmith.parallel import seeding
from gansmith.toy import networks
from gansmith.toy.worlds import EVALUATED, PointBatches, Score, World, score
from gansmith.training import engine
from gansmith.training.hooks import Average
from gansmith.training.state import Plan, State


@dataclass(frozen=True)
class Preset:
    """How a family is played on points.

    Attributes:
        settings: the family's own settings.
        make: (family settings, world) -> its two networks.
        batch: points per step.
        images: points seen in a run.
    """

    settings: Mapping[str, Any]
    make: Callable[[Any, World], dict[str, nn.Module]]
    batch: int = 100
    images: int = 2_000_000


def _protocol(config: Any, world: World) -> dict[str, nn.Module]:
    return {"generator": networks.Generator(), "discriminator": networks.Discriminator(config.pack)}


def _styled(config: Any, world: World) -> dict[str, nn.Module]:
    return {"generator": networks.StyledGenerator(), "discriminator": networks.Discriminator(config.pack)}


def _r3gan(config: Any, world: World) -> dict[str, nn.Module]:
    return {
        "generator": networks.ResidualGenerator(world.scale),
        "discriminator": networks.FourierDiscriminator(world.scale, config.pack),
    }


_COMMON: Mapping[str, Any] = {"latent_dim": networks.LATENT, "ema_images": 0}
_PROTOCOL: Mapping[str, Any] = {"lr": 1e-4, "beta1": 0.8}


def preset(family: str, world: World) -> Preset:
    """How a family is usually played.

    PacGAN's protocol (networks, Adam 1e-4, beta1 .8, batch 100), where families whose paper has another optimizer keep
    theirs. r3gan has networks of its own kind, narrow but deep residual ones, since depth makes the jumps between modes steep, and
    learning rates and penalties that fall until D can see a mode a hundredth of the world wide.
    """
    if family == "r3gan":
        # gamma is about gradients, so it goes with the square of the world's size
        gamma = {"gamma": 0.05 * world.scale**2, "gamma_end": 1e-5 * world.scale**2}
        settings = {
            "latent_dim": networks.LATENT,
            "lr": 4e-3,
            "lr_end": 0.0,
            "penalty_every": 1,
            "ema_images": 75_000,
            **gamma,
        }
        return Preset(settings, _r3gan, batch=256, images=2_560_000)
    if family == "stylegan2":  # a point has one style and a path of no length to speak of
        return Preset({**_COMMON, **_PROTOCOL, "path_weight": 0.0, "style_mixing": 0.0}, _styled)
    if family == "stylegan3":
        return Preset({**_COMMON, **_PROTOCOL}, _styled)
    own: Mapping[str, Any] = {"wgan": {}, "wgan-gp": {"lr": 1e-4, "lr_decay": "none"}}.get(family, _PROTOCOL)
    return Preset({**_COMMON, **own}, _protocol)


def playable(family: str) -> type[Generation]:
    """The class of a family that can be played on points: it makes pictures from noise by two networks.

    Raises:
        GansmithError: it does something else.
    """
    kind = registry.named(family)
    if not (
        issubclass(kind, Generation) and set(kind.players) == {"discriminator", "generator"} and kind.data == "images"
    ):
        raise GansmithError(
            f"'{family}' is not made of one generator and one discriminator, so it cannot be played on points. "
            "Take gan, wgan, wgan-gp, r3gan or a family of your own like them."
        )
    return kind


@dataclass
class Frame:
    """One moment of a run.

    Attributes:
        images: points seen.
        samples: [N, 2].
        landscape: the discriminator's logits on a square of the plane, [S, S], first row at the top (y largest).
        score: of the samples.
    """

    images: int
    samples: np.ndarray
    landscape: np.ndarray
    score: Score


@dataclass
class Played:
    """One finished run.

    Attributes:
        seed: its seed.
        score: of 2,500 new samples at the end.
        images: points seen.
        seconds: time spent training.
        frames: moments on the way, where they were asked for.
        diverged: what happened, if a weight became NaN.
    """

    seed: int
    score: Score
    images: int
    seconds: float
    frames: list[Frame] = field(default_factory=list)
    diverged: bool = False


class Recorder:
    """A hook that looks at samples and at D's landscape, ``count`` times over the run and at its start."""

    def __init__(self, world: World, average: Average, count: int, side: int = 64) -> None:
        self.world, self.average, self.count = world, average, count
        self.frames: list[Frame] = []
        axis = torch.linspace(-world.extent, world.extent, side)
        self.plane = torch.stack(torch.meshgrid(axis.flip(0), axis, indexing="ij")[::-1], -1).reshape(-1, 2)
        self.side = side

    def __call__(self, game: Game, state: State, logs: Logs) -> None:
        if not self.count or state.clock.progress * self.count < len(self.frames):
            return
        samples = draw(self.average, state.seed)
        pack = game.config.pack
        game.eval()
        with torch.inference_mode():
            logits = game.get_submodule("discriminator")(self.plane.repeat(1, pack), None).reshape(self.side, self.side)
        game.train()
        found = score(samples, self.world)
        self.frames.append(Frame(state.clock.images, samples.numpy(), logits.float().numpy(), found))


def draw(average: Average, seed: int, count: int = EVALUATED) -> torch.Tensor:
    """Samples [count, 2] of the averaged generator, the same latents at every call with the same seed."""
    # without an average, batch norm's own running statistics fit the weights
    game = average.ready(500, seed) if average.game.config.ema_images != 0 else average.game
    assert isinstance(game, Sampled)
    with torch.inference_mode():
        return game.sample(game.seeded_latents(count, seeding.derive(seed, "toy"))).float()


def play(
    family: str,
    world: World,
    config: Any,
    seed: int,
    *,
    goal: engine.Goal,
    batch: int,
    frames: int = 0,
    watch: engine.Hook | None = None,
) -> Played:
    """One run of a family in a world.

    Args:
        config: the family's settings; :func:`preset` has usual ones.
        goal: after how many points or minutes it ends.
        frames: how many moments to record.
        watch: called after every step, to show progress.
    """
    seeding.seed_step(seed, 0, "init")
    game = playable(family)(config, ImageSpec(1, 1, 2), preset(family, world).make(config, world))
    device = Device(torch.device("cpu"))
    average = Average(game, batch)
    recorder = Recorder(world, average, frames)
    state = State(seed)
    hooks: list[engine.Hook] = [average, recorder, *([watch] if watch else [])]
    optimizers = engine.make_optimizers(game, device.torch_device)
    source = PointBatches(world, batch, seeding.derive(seed, "data"))
    engine.train(game, optimizers, source, state, goal=goal, plan=Plan(device), hooks=hooks)
    samples = draw(average, seeding.derive(seed, "final"))
    broken = not bool(samples.isfinite().all())
    return Played(
        seed, score(samples.nan_to_num(1e9), world), state.clock.images, state.seconds, recorder.frames, broken
    )


def summary(runs: list[Played]) -> dict[str, dict[str, float]]:
    """Mean and standard error over seeds of everything counted."""
    rows = {
        "modes": [float(run.score.modes) for run in runs],
        "good": [run.score.good for run in runs],
        "reverse_kl": [run.score.reverse_kl for run in runs],
        "seconds": [run.seconds for run in runs],
    }
    return {
        name: {
            "mean": float(np.mean(values)),
            "stderr": float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0,
        }
        for name, values in rows.items()
    }


def to_plain(run: Played) -> dict[str, Any]:
    """A run's figures as json-able values."""
    plain = {"seed": run.seed, **dataclasses.asdict(run.score), "images": run.images, "seconds": round(run.seconds, 1)}
    return plain | ({"diverged": True} if run.diverged else {})
