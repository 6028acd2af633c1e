"""``--compile auto``: networks go through torch.compile where that is measured to be faster, and only there.

What compiles and what wins differs by family, device and version: penalties differentiate a critic twice, which compiled
networks cannot do, and a network that is all matrix products gains nothing. So a copy of the game plays a few steps each
way before the run, and the winner is written to the run's facts, for a resumed run to compute the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from torch import nn

from gansmith.bench.measure import Subject
from gansmith.devices import Device
from gansmith.errors import first_line
from gansmith.game import Game
from gansmith.training.engine import BatchSource

GAIN = 0.95
"""A compiled step must take at most this share of the plain one's time."""
ROUNDS = 5


def compile_networks(game: Game, names: Sequence[str]) -> None:
    """Compile networks in place: weights, names and checkpoints stay as they are. Compilation happens at the first call."""
    for name in names:
        game.get_submodule(name).compile(dynamic=False)


def choose(
    game: Game,
    batches: BatchSource,
    device: Device,
    say: Callable[[str], None],
    seconds: Callable[[Game, Sequence[str]], float] | None = None,
) -> list[str]:
    """Which networks to compile: all of them, those that a model exports, or none.

    Args:
        game: left as it is; copies are played.
        batches: the run's data.
        say: told what was found.
        seconds: (copy of the game, networks to compile in it) -> time of a step; by default it is measured.
    """
    time = seconds or (lambda copied, names: step_seconds(copied, names, batches, device))
    plain = time(copy.deepcopy(game), ())
    everything = [name for name, _ in game.named_children() if _has_weights(game, name)]
    failure = ""
    for names in [everything] if set(everything) == set(game.exports) else [everything, list(game.exports)]:
        try:
            compiled = time(copy.deepcopy(game), names)
        except Exception as error:  # a missing compiler, a second derivative, an operation without a kernel
            failure = first_line(error)
            continue
        if compiled <= GAIN * plain:
            say(f"torch.compile makes a step {plain / compiled:.2f} times as fast: {', '.join(names)} compiled.")
            return names
        failure = f"{1000 * compiled:.0f} ms per step compiled, {1000 * plain:.0f} ms as it is"
    say(f"torch.compile does not help here ({failure}): training goes on without it.")
    return []


def step_seconds(game: Game, names: Sequence[str], batches: BatchSource, device: Device) -> float:
    """The time of a step with these networks compiled, every turn counted as often as it is played."""
    compile_networks(game, names)
    subject = Subject("", game, batches, device, 0)
    for _ in range(2):  # compilation, and what settles after it
        subject.play()
    for _ in range(ROUNDS):
        subject.round()
    return subject.step_seconds()


def _has_weights(game: nn.Module, name: str) -> bool:
    return next(game.get_submodule(name).parameters(), None) is not None
