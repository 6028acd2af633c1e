"""What a person should know when a run goes on: that nothing is left to do, or that its schedules move with its goal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from gansmith.config import TrainSettings
from gansmith.errors import RunError, first_line
from gansmith.game import Clock, Game, Optimizer
from gansmith.training import checkpoint, engine, scaling
from gansmith.training.context import RunContext
from gansmith.training.settings import DEFAULT_IMAGES


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
    """What of a player's optimizer is another by more than 5 %, in words."""
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
