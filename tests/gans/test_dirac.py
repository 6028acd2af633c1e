"""The Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406): data at 0, G = theta, D(x) = psi x, steps of .2.

The distance from the equilibrium after 500 steps is an exact oracle for losses, penalties, clipping and turns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from gansmith import registry
from gansmith.config import make
from gansmith.devices import Device
from gansmith.game import Batch, Clock, Game, ImageSpec, Optimizer, Turn
from gansmith.training import engine, steps
from gansmith.training.state import Plan

H = 0.2


class Theta(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.ones(1, 1, dtype=torch.float64))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.theta.expand(len(z), 1)


class Psi(nn.Module):
    """The source lets D be high on fakes; here it is high on real data, so its psi = 1 is our psi = -1."""

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(-torch.ones(1, dtype=torch.float64))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return x * self.psi


def dirac(family: str, settings: Mapping[str, object]) -> Game:
    kind = registry.family(family)
    networks = {"generator": Theta(), "discriminator": Psi()}
    game = kind(make(kind.Config, settings, family), ImageSpec(1, 1, 1), networks)
    game.optimizer = lambda player, clock: Optimizer(H, kind="sgd")  # type: ignore[method-assign]
    return game


def distance(game: Game, schedule: str, count: int = 500) -> float:
    """|(theta, psi)| at the end. Alternating: the generator's turn, then the discriminator's ``schedule`` times."""
    plan = Plan(Device(torch.device("cpu")))
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    turns = {turn.player: turn for turn in game.turns()}
    data = torch.zeros(1, 1, dtype=torch.float64)

    def play(turn: Turn, clock: Clock) -> None:
        steps.play(game, optimizers[turn.player], turn, [Batch(data, clock=clock)], plan)

    def weights() -> list[nn.Parameter]:
        return list(game.parameters())

    for step in range(1, count + 1):
        clock = Clock(step, step, step / count)
        if schedule == "simultaneous":  # the second player must not see the first one's move
            old = [w.detach().clone() for w in weights()]
            play(turns["discriminator"], clock)
            moved = game.discriminator.psi.detach().clone()
            for weight, value in zip(weights(), old, strict=True):
                weight.data.copy_(value)
            play(turns["generator"], clock)
            game.discriminator.psi.data.copy_(moved)
            continue
        play(turns["generator"], clock)
        for _ in range(int(schedule)):
            play(turns["discriminator"], clock)
    return math.hypot(*(float(w.detach()) for w in weights()))


# the source's penalty is lambda / 2 (|psi| - 1)^2, Gulrajani's lambda (|psi| - 1)^2: its .7 is our .35
GAMES = {
    "GAN": ("gan", {"loss": "saturating"}),
    "NS-GAN": ("gan", {"loss": "nonsaturating"}),
    "WGAN": ("wgan", {"clip": 1.0}),
    "WGAN-GP": ("wgan-gp", {"penalty": 0.35, "penalty_every": 1}),
    "GAN+R1": ("gan", {"loss": "saturating", "r1": 0.3}),
    "NS-GAN+R1": ("gan", {"loss": "nonsaturating", "r1": 0.3}),
}
TABLE = {
    "GAN": ("3.10", "1.42", "1.85"),
    "NS-GAN": ("0.640", "0.284", "0.139"),
    "WGAN": ("1.0", "1.02", "0.917"),
    "WGAN-GP": ("1.80", "1.22", "0.716"),
    "GAN+R1": ("2.6e-06", "2.3e-07", "9e-34"),
    "NS-GAN+R1": ("2.2e-06", "1.5e-07", "4e-34"),
}


def printed(value: float, like: str) -> str:
    """A number with as many digits as another one is printed with."""
    if "e" in like:
        return f"{value:.{len(like.split('e')[0].partition('.')[2])}e}"
    return f"{value:.{len(like.partition('.')[2])}f}"


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("column", "schedule"), enumerate(("simultaneous", "1", "5")))
def test_dirac_table(name: str, column: int, schedule: str) -> None:
    expected = TABLE[name][column]
    assert printed(distance(dirac(*GAMES[name]), schedule), expected) == expected


@pytest.mark.parametrize("schedule", ["simultaneous", "1", "5"])
def test_r3gan_converges(schedule: str) -> None:
    """Theorem of the R3GAN paper: the relativistic game with R1 and R2 converges; without them it does not."""
    with_penalty = dirac("r3gan", {"gamma": 0.3, "gamma_end": 0.3, "penalty_every": 1})
    without = dirac("r3gan", {"gamma": 0.0})
    assert distance(with_penalty, schedule) < 1e-5
    assert distance(without, schedule) > 0.1
