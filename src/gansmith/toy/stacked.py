"""Stacked MNIST: three digits as the colours of one picture, 1,000 modes to count (Metz et al. 2017, arXiv:1611.02163).

The digits come from the embedded 10,000, where the literature takes 60,000, so figures are not strictly comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansmith.abilities import Sampled
from gansmith.data import Pictures, open_pictures
from gansmith.data.batches import Batches
from gansmith.devices import Device, ready_to_train
from gansmith.files.pictures import to_uint8
from gansmith.game import Game, ImageSpec
from gansmith.parallel import seeding
from gansmith.toy.points import playable
from gansmith.training import engine
from gansmith.training.hooks import Average
from gansmith.training.state import Plan, State

PICTURES = 128_000
EVALUATED = 25_600
MODES = 1_000
SPEC = ImageSpec(28, 28, 3)


class StackedDigits(Pictures):
    """128,000 pictures of three random digits each, always the same ones: uint8 [3, 28, 28], put together when asked for."""

    def __init__(self) -> None:
        digits = open_pictures("mnist10k")
        self.digits, self.classes = digits.fetch(np.arange(len(digits)))
        self.triples = torch.from_numpy(np.random.default_rng(0).integers(len(digits), size=(PICTURES, 3)))
        self.spec = SPEC
        self.name, self.hash, self.skipped = "stacked-mnist", digits.hash, []
        self.names = [f"stacked-mnist#{i}" for i in range(PICTURES)]

    def __len__(self) -> int:
        return PICTURES

    def fetch_deep(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        return self.digits[self.triples[torch.from_numpy(indices)], 0], None


@dataclass
class Stacked:
    """A finished run.

    Attributes:
        modes: how many of the 1,000 modes 25,600 samples reach.
        kl: KL(samples' modes || uniform) in nats.
        images: pictures seen.
        seconds: time spent training.
    """

    seed: int
    modes: int
    kl: float
    images: int
    seconds: float


SETTINGS: Mapping[str, Mapping[str, Any]] = {}
"""A family's settings for stacked digits, where they differ from its usual ones."""


def play(
    family: str,
    config: Any,
    seed: int,
    *,
    goal: engine.Goal,
    batch: int,
    device: Device,
    watch: engine.Hook | None = None,
) -> tuple[Stacked, Game]:
    """Train a family on stacked digits and count its modes.

    Returns:
        The figures, and the averaged networks.
    """
    source = StackedDigits()
    seeding.seed_step(seed, 0, "init")
    game = ready_to_train(playable(family)(config, source.spec), device.torch_device)
    average = Average(game, batch)
    state = State(seed)
    batches = Batches(
        source, batch, seeding.derive(seed, "data"), device=device.torch_device, channels_last=game.convolutional
    )
    optimizers = engine.make_optimizers(game, device.torch_device)
    hooks: list[engine.Hook] = [average, *([watch] if watch else [])]
    engine.train(game, optimizers, batches, state, goal=goal, plan=Plan(device), hooks=hooks)
    averaged = average.ready(batch, seed)
    assert isinstance(averaged, Sampled)
    modes, kl = count(averaged, seeding.derive(seed, "final"))
    return Stacked(seed, modes, kl, state.clock.images, state.seconds), average.game


@torch.inference_mode()
def count(game: Sampled[Any], seed: int, n: int = EVALUATED, batch: int = 256) -> tuple[int, float]:
    """Modes among samples of a game with averaged networks, and the KL divergence to the uniform distribution."""
    from gansmith.metrics.modes import modes_and_kl

    z = game.seeded_latents(n, seed)
    samples = torch.cat([to_uint8(game.sample(part).cpu()) for part in z.split(batch)])
    return modes_and_kl(samples)
