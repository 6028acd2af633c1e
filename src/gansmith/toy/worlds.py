"""Mixtures of Gaussians in the plane, and what can be counted in them (PacGAN's protocol, Lin et al. 2018, arXiv:1712.04086)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gansmith.data.batches import Order
from gansmith.errors import GansmithError
from gansmith.game import Batch

WORLDS = ("ring", "grid")
POINTS = 100_000
EVALUATED = 2_500


@dataclass(frozen=True)
class World:
    """A mixture of equally likely Gaussians.

    Attributes:
        name: ``ring`` or ``grid``.
        centres: [K, 2], one row per mode.
        sigma: standard deviation of every mode along every axis.
    """

    name: str
    centres: Tensor
    sigma: float

    @cached_property
    def points(self) -> Tensor:
        """The 100,000 points that stand for the world, always the same: [N, 2]."""
        random = np.random.default_rng(0)
        chosen = self.centres.numpy()[random.integers(len(self.centres), size=POINTS)]
        return torch.from_numpy(chosen + self.sigma * random.standard_normal((POINTS, 2))).float()

    @property
    def scale(self) -> float:
        """Root mean square of a coordinate: what makes the world about as wide as N(0, I)."""
        return float(self.centres.square().mean().sqrt())

    @property
    def extent(self) -> float:
        """Half the side of the square to draw."""
        return float(self.centres.abs().max()) * 1.3


def make_world(name: str) -> World:
    """A world by name.

    Raises:
        GansmithError: there is none of that name.
    """
    if name == "ring":
        angles = [2 * math.pi * k / 8 for k in range(8)]
        return World(name, torch.tensor([[math.cos(a), math.sin(a)] for a in angles]), 0.01)
    if name == "grid":
        lines = (-4.0, -2.0, 0.0, 2.0, 4.0)
        return World(name, torch.tensor([[x, y] for x in lines for y in lines]), 0.05)
    raise GansmithError(f"There is no toy world '{name}'. There are: {', '.join(WORLDS)}, stacked-mnist.")


class PointBatches:
    """Shuffled, endless batches of a world's points; what the engine draws from."""

    def __init__(self, world: World, batch: int, seed: int) -> None:
        self.points, self.world_size = world.points, batch
        self.order = Order(len(self.points), seed)

    def at(self, drawn: int) -> Batch:
        """The batch that starts at the ``drawn``-th point."""
        return Batch(self.points[torch.from_numpy(self.order(drawn, self.world_size))])


@dataclass(frozen=True)
class Score:
    """What samples cover.

    Attributes:
        modes: modes with at least one good sample.
        of: how many modes there are.
        good: share of samples within 3 sigma of their nearest mode; 98.9 % of a perfect model's are.
        reverse_kl: KL(samples' shares of the modes || uniform) in nats; each sample belongs to its nearest mode.
    """

    modes: int
    of: int
    good: float
    reverse_kl: float


def score(samples: Tensor, world: World) -> Score:
    """Count the modes that samples [N, 2] cover."""
    distance, nearest = torch.cdist(samples, world.centres).min(1)
    near = distance < 3 * world.sigma
    count = len(world.centres)
    shares = torch.bincount(nearest, minlength=count).double() / len(samples)
    found = shares[shares > 0]
    kl = float((found * (found * count).log()).sum())
    return Score(len(nearest[near].unique()), count, float(near.double().mean()), kl)
