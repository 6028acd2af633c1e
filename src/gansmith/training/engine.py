"""The engine: the only loop. It plays a step after the other until the run's goal is reached."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gansmith.errors import GansmithError, RunError
from gansmith.game import Clock, Game, Logs, Optimizer
from gansmith.parallel import processes, seeding, seeds
from gansmith.training.state import BatchSource, Plan, State
from gansmith.training.steps import step


@dataclass
class Goal:
    """When a run is over: after so many images, or so many minutes."""

    images: int = 0
    minutes: float = 0.0

    def progress(self, images: int, seconds: float) -> float:
        """Share of the run that is done, 0 to 1."""
        share = images / self.images if self.images else seconds / (60 * self.minutes)
        return min(share, 1.0)


Hook = Callable[[Game[Any], State, Logs], None]
"""Called after every step with the game, the state and the step's logs."""


def make_optimizers(game: Game[Any], device: torch.device) -> dict[str, torch.optim.Optimizer]:
    """One optimizer per player, fused where torch has it."""
    start = Clock()
    return {
        player: _make(game.optimizer(player, start), game.player_parameters(player), device) for player in game.players
    }


def _make(settings: Optimizer, parameters: list[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    if settings.kind == "adam":
        fused = device.type in ("cpu", "cuda") and all(p.dtype == torch.float32 for p in parameters)
        return torch.optim.Adam(parameters, settings.lr, settings.betas, settings.eps, fused=fused)
    if settings.kind == "rmsprop":
        momentum, alpha = settings.betas
        return torch.optim.RMSprop(parameters, settings.lr, alpha, settings.eps, momentum=momentum)
    return torch.optim.SGD(parameters, settings.lr)


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Restore an optimizer's state in its weights' own memory layout.

    A fused step walks weights and moments side by side in memory: moments that were saved as plain arrays must not stay
    so beside channels-last weights.
    """
    optimizer.load_state_dict(saved)
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def train(
    game: Game[Any],
    optimizers: dict[str, torch.optim.Optimizer],
    batches: BatchSource,
    state: State,
    *,
    goal: Goal,
    plan: Plan,
    hooks: Iterable[Hook] = (),
) -> None:
    """Play turns until the goal is reached or ``state.stop`` is set, in any process."""
    hooks = tuple(hooks)
    turns = game.turns()
    game.train()
    last = time.monotonic()
    stopped = agree(state)
    while state.clock.progress < 1.0 and not stopped:
        size = batches.world_size
        images = state.clock.images + size
        state.clock = Clock(images, state.clock.step + 1, goal.progress(images, state.seconds))
        seeding.seed_step(state.seed, state.clock.step)
        logs = step(game, optimizers, batches, state, turns, plan)
        now = time.monotonic()
        state.seconds += now - last
        last = now
        failure = None
        try:
            with seeds.alone():  # hooks of the first process must not wait for the others
                for hook in hooks:
                    hook(game, state, logs)
        except GansmithError as error:
            failure = error
        except OSError as error:  # a full or read-only disk, mostly
            what = f"{error.filename}: " if error.filename is not None else ""
            failure = RunError(
                f"Something could not be written ({what}{error.strerror or error}). Look at the disk's space."
            )
        stopped = agree(state, failure)


def agree(state: State, failure: GansmithError | None = None) -> bool:
    """Whether to stop now. All processes stop where one wants to or has failed. The first one measures the time for all.

    Raises:
        GansmithError: the failure of this process, or of another.
    """
    rank, world = seeds.process()
    if world > 1:
        mine = [state.seconds if rank == 0 else 0.0, float(state.stop), float(failure is not None)]
        state.seconds, stop, failed = map(float, processes.all_reduce_(torch.tensor(mine, dtype=torch.float64)))
        state.stop = stop > 0
        if failed and failure is None:
            raise RunError("Another process of this run stopped with an error; it says why.")
    if failure is not None:
        raise failure
    return state.stop


@contextmanager
def stop_on_signals(state: State) -> Generator[None, None, None]:
    """Ctrl-C and a polite kill finish the step and save; a second Ctrl-C ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        if state.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        state.stop = True

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
