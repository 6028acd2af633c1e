"""Every family in every mode, as games that are ready to play a step on a phantom GPU."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from gansmith import config, devices, registry
from gansmith.bench.measure import ready_to_train
from gansmith.data import MemoryPictures
from gansmith.data.batches import Batches
from gansmith.data.pairs import TwoSided
from gansmith.game import Clock, Game, ImageSpec, Logs
from gansmith.generation import Generation
from gansmith.parallel import layers, seeding, seeds
from gansmith.training import engine, steps
from gansmith.training.state import Plan, State
from helpers.phantom import CUDA, Watch

BATCH = 8
EVERY_TURN = Clock(8, 240, 0.6)
"""A step at which every turn is due, after all pre-training."""

SETTINGS: dict[str, dict[str, Any]] = {
    "conditional": {"conditional": True},
    "class fade": {"conditional": True, "class_fade": 0.9},
    "ada": {"augment": "ada"},
    "diffaugment": {"augment": "diffaugment"},
    "pack": {"pack": 2},
    "spectral norm": {"spectral_norm": True},
    "r1": {"r1": 1.0},
    "path lengths": {"path_weight": 2.0},
    "wild": {"damage": "wild"},
    "resize": {"upsample": "resize", "skip": True, "identity": 0.0},
    "resnet": {"generator": "resnet", "norm": "instance", "blocks": 1},
    "resnet32": {"arch": "resnet32"},
    "stem": {"stem": 1, "blocks": 2},
}
"""Modes that are settings; of the families that have them."""
MODES = ("fp32", "bf16", "fp16", "accumulate", "processes", *SETTINGS)


@dataclasses.dataclass(frozen=True)
class Row:
    """A family in a mode."""

    family: str
    mode: str

    def __str__(self) -> str:
        return f"{self.family} {self.mode}"


def rows() -> list[Row]:
    """All that a family's settings allow."""
    found = []
    for name in registry.families():
        fields = {f.name for f in dataclasses.fields(registry.family(name).Config)}
        for mode in MODES:
            needed = set(SETTINGS.get(mode, {}))
            if needed <= fields:
                found.append(Row(name, mode))
    return found


def noise(channels: int, size: int, classes: int) -> MemoryPictures:
    """24 pictures of one side, coarse noise held in memory."""
    random = np.random.default_rng(channels)
    coarse = random.integers(0, 256, (24, size // 4, size // 4, channels))
    pixels = np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8)
    return MemoryPictures.from_arrays(pixels, np.arange(24) % classes if classes else None, name="noise")


class Player:
    """A game of a row, and everything that a step takes.

    Args:
        device: cuda inside ``phantom_cuda()``, or the CPU to compare with.
    """

    def __init__(self, row: Row, device: torch.device, size: int = 0, **settings: Any) -> None:
        kind = registry.family(row.family)
        two = kind.data in ("paired", "unpaired")
        size = size or (16 if issubclass(kind, Generation) else 32)
        spec = ImageSpec(size, size, 3, 0 if two else 4, other_channels=3 if two else 0)
        given = {**kind.tiny, **SETTINGS.get(row.mode, {}), **settings}
        if issubclass(kind, Generation):
            given.setdefault("conditional", False)  # its own mode
        torch.manual_seed(0)
        game = kind(config.make(kind.Config, given, row.family), spec)
        where = devices.Device(device, row.mode if row.mode in ("bf16", "fp16") else "fp32")
        self.game, channels_last = ready_to_train(game, where)
        self.game.train()
        source = TwoSided(noise(3, size, 0), noise(3, size, 0), aligned=True) if two else noise(3, size, 4)
        damage = game.damage_on_cpu() if device.type == "cuda" else None
        self.batches = Batches(source, BATCH, 0, device=device, channels_last=channels_last, damage=damage)
        self.optimizers = engine.make_optimizers(self.game, device)
        self.plan = Plan(where, 2 if row.mode == "accumulate" else 1)
        self.state = State(0)
        self.turns = self.game.turns()

    def step(self) -> Logs:
        """One step with every turn."""
        self.state.clock = EVERY_TURN
        seeding.seed_step(0, 240)
        return steps.step(self.game, self.optimizers, self.batches, self.state, self.turns, self.plan)

    def augment_now(self) -> None:
        """Where the row has ADA: its pipeline is at work, and its probability is due to be adjusted after the next step."""
        augment = getattr(self.game, "augment", None)
        if hasattr(augment, "update"):
            augment.set_p(0.5)
            augment.set_scalar("_batches", augment.every - 1)


@contextlib.contextmanager
def one_of_two() -> Iterator[None]:
    """Inside, this is the second of two processes; the first always has the same to say."""

    def all_reduce(tensor: Tensor) -> None:
        tensor.mul_(2)

    seeds.set_process(1, 2)
    try:
        with mock.patch("torch.distributed.all_reduce", all_reduce):
            yield
    finally:
        seeds.set_process(0, 1)


def ready(row: Row, device: torch.device, **more: Any) -> Player:
    """A row's player; layers look at the whole batch where there are processes."""
    player = Player(row, device, **more)
    if row.mode == "processes":
        layers.synchronise(player.game)
    return player


def operations(row: Row, size: int, **settings: Any) -> dict[str, collections.Counter[str]]:
    """The operations that each turn of a row starts once all has settled, by turn. Call it inside ``phantom_cuda()``."""
    watch = Watch.now
    assert watch is not None
    player = ready(row, CUDA, size=size, **settings)
    player.step()
    batch = steps.split(player.batches.at(0), 1, EVERY_TURN)
    found = {}
    for i, turn in enumerate(player.turns):
        watch.clear()
        with steps.resting(player.optimizers, player.turns[i:]):
            steps.play(player.game, player.optimizers[turn.player], turn, batch, player.plan)
        found[turn.loss.__name__] = watch.kernels
    return found


def networks_agree(one: Game, other: Game) -> dict[str, float]:
    """The largest difference between the weights of two games, as a share of each weight's largest."""
    theirs = dict(other.named_parameters())
    found = {}
    for name, mine in one.named_parameters():
        a, b = mine.detach().cpu(), theirs[name].detach().cpu()
        found[name] = float((a - b).abs().max() / b.abs().max().clamp_min(1e-3))
    return found
