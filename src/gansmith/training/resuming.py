"""A run that goes on: its folder, its checkpoint, and what a person should know, for instance that its schedules change with its goal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gansmith import config
from gansmith.config import TrainSettings
from gansmith.devices import Device
from gansmith.errors import RunError, first_line
from gansmith.files.atomic import clear_leftovers
from gansmith.files.run import Run
from gansmith.game import Clock, Game, Optimizer
from gansmith.training import checkpoint, engine, scaling
from gansmith.training import settings as run_settings
from gansmith.training.context import RunContext
from gansmith.training.settings import DEFAULT_IMAGES


def with_data_found(settings: TrainSettings, run: Run) -> tuple[TrainSettings, str]:
    """The settings with paths to the data that hold from here, and the folder in which the run was started."""
    started_in = str(run.facts.get("started_in", ""))
    specs = tuple(run_settings.found_again(spec, started_in) for spec in settings.data)
    return dataclasses.replace(settings, data=specs), started_in


@dataclass(frozen=True)
class Asked:
    """What a resumed run is asked to be."""

    kind: type[Game]
    name: str
    settings: TrainSettings
    family_config: Any
    device: Device
    processes: int


def found(asked: Asked, data_hash: str, main: bool, warn: Callable[[str], None]) -> Run:
    """The folder of a run that goes on, with today's settings where they may change.

    Raises:
        RunError: the run is of another family, or its data or settings have changed.
    """
    settings, family_config = asked.settings, asked.family_config
    assert settings.out is not None
    run = Run.open(settings.out)
    plain = config.to_plain(family_config) | config.to_plain(settings)
    run_settings.check_same(run, asked.name, data_hash, plain | {"precision": asked.device.precision})
    _say_where_bits_differ(run, asked, warn)
    if main:
        clear_leftovers(run.root)
        clear_leftovers(run.samples)
    run.train = config.modern(TrainSettings, run.train) | {
        k: v for k, v in config.to_plain(settings).items() if k in run_settings.RESUMABLE and k != "resume"
    }
    run.settings = config.modern(asked.kind.Config, run.settings)
    run.settings |= {name: getattr(family_config, name) for name in asked.kind.resumable}
    return run


def _say_where_bits_differ(run: Run, asked: Asked, warn: Callable[[str], None]) -> None:
    before = run.facts.get("processes", 1)
    if before != asked.processes:
        warn(
            f"{run.root} was trained by {before} process(es) and goes on with {asked.processes}: the same game, but sums are "
            "rounded in another order, so it will not be the same bit for bit."
        )
        run.facts["processes"] = asked.processes
    device = asked.device.torch_device
    kind = torch.device(str(run.facts.get("device", "cpu"))).type
    if kind != device.type:
        warn(
            f"{run.root} was trained on {kind} and goes on on {device.type}: the same game, but random numbers "
            "and sums differ, so it will not be the same bit for bit."
        )
        run.facts["device"] = str(device)


def restore(context: RunContext, warn: Callable[[str], None]) -> Clock | None:
    """Put the newest whole checkpoint into a run's networks, optimizers and state.

    Returns:
        The clock as the checkpoint has it; None where the run was killed before its first one, and begins now.

    Raises:
        RunError: the checkpoint is of other networks, or every one is damaged.
    """
    tree = checkpoint.load(context.run.checkpoints, warn)
    if tree is None:
        if context.main:
            context.run.rewind(0)
        warn(f"{context.run.root} has no checkpoint yet: starting from the beginning.")
        return None
    try:
        context.game.load_state_dict(tree["game"])
        context.average.game.load_state_dict(tree["average"])
        for player, optimizer in context.optimizers.items():
            engine.load_optimizer(optimizer, tree["optimizers"][player])
        scaling.load_scalers(context.scalers, tree.get("scalers", {}))
        context.state.load_state_dict(tree["state"])
    except (KeyError, ValueError, TypeError, RuntimeError) as error:  # whole, but of other networks
        raise RunError(
            f"The checkpoint in {context.run.checkpoints} is not of this run's networks ({first_line(error)}). It was changed, or "
            "written by another version of gansmith: go on with that one, or start a new run from its model with --init."
        ) from None
    return dataclasses.replace(context.state.clock)


def said(game: Game, before: Clock, now: Clock, settings: TrainSettings) -> list[str]:
    """Sentences on how a run goes on.

    Args:
        before: the clock as the checkpoint had it, with the progress towards the goal of that time.
        now: the same with the progress towards today's goal.
    """
    if now.progress >= 1:
        return [
            f"nothing is left to do: the run has seen {now.images:,} images, and its goal is {goal(settings)}. {ask_for_more(settings, now)}"
        ]
    moved = [line for player in game.players for line in changes(game, player, before, now)]
    if not moved:
        return []
    lines = f"the goal is {goal(settings)} now, so progress goes from {before.progress:.0%} to {now.progress:.0%}, and with it {'; '.join(moved)}"
    if "burn_in" in game.resumable and before.progress > now.progress:
        return [
            f"{lines}. To keep what the schedules had reached, stop this run and resume it with --burn-in {now.images}."
        ]
    return [f"{lines}. Schedules of {type(game).__name__} follow the share of the run that is done."]


def goal(settings: TrainSettings) -> str:
    """When the run is over, in words."""
    if settings.minutes:
        return f"{settings.minutes:g} minutes"
    return (
        f"{settings.steps:,} steps"
        if settings.steps
        else f"{settings.images:,} images"
        if settings.images
        else f"{DEFAULT_IMAGES:,} images"
    )


def ask_for_more(settings: TrainSettings, now: Clock) -> str:
    """How to go on beyond a goal that is reached."""
    if settings.minutes:
        flag = f"--minutes {2 * settings.minutes:g}"
    else:
        flag = f"--steps {2 * now.step}" if settings.steps else f"--images {2 * now.images}"
    return f"To go on, ask for more in all, for example {flag}."


def changes(game: Game, player: str, before: Clock, now: Clock) -> list[str]:
    """The settings of a player's optimizer that differ by more than 5 %, in words."""
    then, today = game.optimizer(player, before), game.optimizer(player, now)
    return [
        f"the {player}'s {name} goes from {a:.3g} to {b:.3g}"
        for name, a, b in numbers(then, today)
        if abs(a - b) > 0.05 * max(a, b)
    ]


def numbers(one: Optimizer, two: Optimizer) -> list[tuple[str, float, float]]:
    """(name, value there, value here) of an optimizer's settings; of decays, what is left: 0.99 and 0.999 are far apart."""
    pairs = zip(one.betas, two.betas, strict=True)
    return [("learning rate", one.lr, two.lr), *((f"1 - beta{i}", 1 - a, 1 - b) for i, (a, b) in enumerate(pairs, 1))]
