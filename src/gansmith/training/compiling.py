"""``--compile``: what makes steps faster is measured before the run, on copies of the game, and kept where it helps.

``auto``: networks go through torch.compile where that is measured to be faster, and only there.

What compiles and what wins differs by family, device and version: penalties differentiate a critic twice, which compiled
networks cannot do, and a network that is all matrix products gains nothing. So a copy of the game plays a few steps each
way before the run, and the winner is written to the run's facts, for a resumed run to compute the same.

``graphs``: steps are recorded as CUDA graphs (:mod:`gansmith.training.graphs`). Two copies play the same steps, one of them recorded,
from the same weights each time: recordings are kept where they move the weights alike and take less time.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gansmith import devices
from gansmith.bench.measure import Subject
from gansmith.devices import Device
from gansmith.errors import first_line
from gansmith.game import Clock, Game
from gansmith.parallel import processes, seeding, seeds
from gansmith.training import engine, scaling, steps
from gansmith.training.context import RunContext
from gansmith.training.graphs import WARM, Graphs
from gansmith.training.state import BatchSource, Plan, State

GAIN = 0.95
"""A compiled step must take at most this share of the plain one's time."""
ROUNDS = 5
APART = 0.25
"""A recorded step may differ from the usual one by at most this share of the distance that the weights move. Rounding differs by less, other
random numbers by more."""


def settle(context: RunContext, batches: BatchSource, plan: Plan) -> None:
    """Choose for a run that asks for it, write the choice to its facts, and compile; a resumed run does as it began."""
    run, say = context.run, context.display.say
    before = dict(run.facts)
    if context.settings.compile == "graphs":
        if "graphs" not in run.facts:
            run.facts["graphs"] = choose_graphs(context.game, batches, plan, say)
    elif "compiled" not in run.facts:

        def chosen() -> list[str]:
            with seeds.alone():
                return choose(context.game, batches, context.device, say)

        run.facts["compiled"] = processes.from_first(chosen)
    if context.main and run.facts != before:
        run.write_config()
    if context.settings.compile == "auto":
        compile_networks(context.game, run.facts["compiled"])


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


def choose_graphs(game: Game, batches: BatchSource, plan: Plan, say: Callable[[str], None]) -> bool:
    """Whether to record steps as CUDA graphs.

    Args:
        game: left as it is; copies are played.
        batches: the run's data.
        plan: of the run's steps.
        say: told what was found.
    """
    if plan.device.torch_device.type != "cuda" or seeds.process()[1] > 1:
        say("CUDA graphs are for one process on a CUDA GPU: training goes on without them.")
        return False
    failures: list[str] = []
    graphs = Graphs(failures.append)
    sides = [_Side(copy.deepcopy(game), batches, dataclasses.replace(plan, graphs=g)) for g in (None, graphs)]
    apart, spent = 0.0, [0.0, 0.0]
    most = max((turn.every for turn in game.turns() if turn.begins <= 1), default=1)
    count = min((WARM + 3) * most, 96)
    for step in range(1, count + 1):
        before = sides[0].weights()
        times = [side.play(step) for side in sides]
        if failures:
            return _without_graphs(say, failures[0])
        apart = max(apart, _apart(before, *(side.weights() for side in sides)))
        sides[1].follow(sides[0])
        if step > (WARM + 1) * most:  # all kinds are recorded by now
            spent = [total + seconds for total, seconds in zip(spent, times, strict=True)]
    if not apart < APART:
        return _without_graphs(say, f"recorded steps move the weights otherwise, by {apart:.0%} of a step")
    if spent[1] > GAIN * spent[0]:
        return _without_graphs(say, f"{1000 * spent[1]:.0f} ms recorded, {1000 * spent[0]:.0f} ms as it is")
    say(f"CUDA graphs make a step {spent[0] / spent[1]:.2f} times as fast: steps are recorded.")
    return True


def _without_graphs(say: Callable[[str], None], why: str) -> bool:
    say(f"CUDA graphs do not help here ({why}): training goes on without them.")
    return False


class _Side:
    """A copy of a game that plays steps by itself."""

    def __init__(self, game: Game, batches: BatchSource, plan: Plan) -> None:
        self.game, self.batches, self.plan = game.train(), batches, plan
        device = plan.device.torch_device
        self.optimizers = engine.make_optimizers(game, device)
        scalers = scaling.make_scalers(game.players, plan.device)
        self.plan, self.turns = dataclasses.replace(plan, scalers=scalers), game.turns()

    def play(self, step: int) -> float:
        """Play a step, the same one on all sides; returns its seconds."""
        state = State(0, Clock(step * self.batches.world_size, step, 0.3), step * self.batches.world_size)
        device = self.plan.device.torch_device
        devices.synchronise(device)
        start = time.perf_counter()
        seeding.seed_step(0, step)
        steps.step(self.game, self.optimizers, self.batches, state, self.turns, self.plan)
        devices.synchronise(device)
        return time.perf_counter() - start

    def weights(self) -> list[Tensor]:
        """All weights, one flat vector for each player."""
        return [
            torch.cat([p.detach().flatten() for p in self.game.player_parameters(player)])
            for player in self.game.players
        ]

    @torch.no_grad()
    def follow(self, other: _Side) -> None:
        """Take the weights, buffers and optimizer states of another side, in the memory they lie in."""
        own, theirs = self.game.state_dict(), other.game.state_dict()
        pairs = [(own[name], theirs[name]) for name in own]
        for player, optimizer in self.optimizers.items():
            for mine, yours in zip(
                optimizer.param_groups[0]["params"], other.optimizers[player].param_groups[0]["params"], strict=True
            ):
                state, after = optimizer.state[mine], other.optimizers[player].state[yours]
                pairs += [(state[name], after[name]) for name in state if isinstance(state[name], Tensor)]
        for mine, yours in pairs:
            mine.copy_(yours)


def _apart(before: Sequence[Tensor], one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """The largest distance between two sides' weights, as a share of how far a step moved them."""
    found = [
        float((a - b).norm() / (a - start).norm().clamp_min(1e-12))
        for start, a, b in zip(before, one, other, strict=True)
        if float((a - start).norm()) or float((a - b).norm())
    ]
    return max(found, default=0.0)


def _has_weights(game: nn.Module, name: str) -> bool:
    return next(game.get_submodule(name).parameters(), None) is not None
