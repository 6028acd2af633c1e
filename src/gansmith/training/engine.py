"""The engine: the only loop. It plays the turns a game declares and knows nothing else about the game."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gansmith.devices import Device
from gansmith.errors import GansmithError, RunError
from gansmith.game import Batch, Clock, Game, Logs, Optimizer, Turn
from gansmith.parallel import processes, seeds
from gansmith.training.graphs import Chain, Graphs
from gansmith.training.scaling import SKIPPED, GradScaler, overflowed, without_overflow


class BatchSource(Protocol):
    """Where batches come from: the batch that starts at the n-th picture drawn, the same one whenever it is asked for."""

    world_size: int

    def at(self, drawn: int) -> Batch: ...


@dataclass
class Goal:
    """When a run is over: after so many images, or so many minutes."""

    images: int = 0
    minutes: float = 0.0

    def progress(self, images: int, seconds: float) -> float:
        """Share of the run that is done, 0 to 1."""
        share = images / self.images if self.images else seconds / (60 * self.minutes)
        return min(share, 1.0)


@dataclass
class State:
    """How far a run is; with the networks and the optimizers, everything a resumed run needs to know."""

    seed: int
    clock: Clock = field(default_factory=Clock)
    drawn: int = 0
    """Pictures taken from the data, by turns with a fresh batch too."""
    seconds: float = 0.0
    """Time spent training, over all resumes."""
    stop: bool = False
    """Set by a hook or a signal: finish this step, then return."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "images": self.clock.images,
            "step": self.clock.step,
            "progress": self.clock.progress,
            "drawn": self.drawn,
            "seconds": self.seconds,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.seed, self.drawn, self.seconds = saved["seed"], saved["drawn"], saved["seconds"]
        self.clock = Clock(saved["images"], saved["step"], saved["progress"])


Hook = Callable[[Game[Any], State, Logs], None]
"""Called after every step with the game, the state and the step's logs."""


@dataclass(frozen=True)
class Plan:
    """How steps are computed: where, in which precision, in how many parts."""

    device: Device
    accumulate: int = 1
    """Split every batch into this many parts and add up their gradients."""
    clip_grad: float = 0.0
    """Clip each player's gradient to this norm; 0 does not clip."""
    waiting: Mapping[str, int] = field(default_factory=dict[str, int])
    """Players who wait for so many images, while the others catch up with them, but for no more than half of the run."""
    scalers: Mapping[str, GradScaler] = field(default_factory=dict[str, GradScaler])
    """Loss scales by player, in float16; empty in other precisions."""
    graphs: Graphs | None = None
    """Recordings of steps, on a CUDA GPU where they are asked for."""


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


def _set(optimizer: torch.optim.Optimizer, settings: Optimizer) -> None:
    for group in optimizer.param_groups:
        group["lr"] = settings.lr
        if settings.kind == "adam":
            group["betas"] = settings.betas


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
        seeds.seed_step(state.seed, state.clock.step)
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
    """Whether to stop now: what one process wants or suffers holds for all, and the first one's watch is the watch.

    Raises:
        GansmithError: the failure of this process, or of another.
    """
    rank, world = seeds.process()
    if world > 1:
        mine = [state.seconds if rank == 0 else 0.0, float(state.stop), float(failure is not None)]
        state.seconds, stop, failed = _numbers(processes.all_reduce_(torch.tensor(mine, dtype=torch.float64)))
        state.stop = stop > 0
        if failed and failure is None:
            raise RunError("Another process of this run stopped with an error; it says why.")
    if failure is not None:
        raise failure
    return state.stop


def step(
    game: Game[Any],
    optimizers: dict[str, torch.optim.Optimizer],
    batches: BatchSource,
    state: State,
    turns: Sequence[Turn],
    plan: Plan,
) -> Logs:
    """One batch: every turn that is due, in order."""

    logs: Logs = {}
    shared: list[Batch] = []
    due = [turn for turn in turns if is_due(turn, state.clock, plan)]
    chain = None if plan.graphs is None else plan.graphs.of(game, due, state.clock)

    def draw() -> list[Batch]:
        batch = batches.at(state.drawn)
        state.drawn += batches.world_size
        return split(batch if chain is None else chain.load(batch), plan.accumulate, state.clock)

    for i, turn in enumerate(due):
        if not (turn.fresh or shared):
            shared = draw()
        parts = draw() if turn.fresh else shared
        with resting(optimizers, due[i:]):
            logs |= play(game, optimizers[turn.player], turn, parts, plan, chain)
    return logs


def is_due(turn: Turn, clock: Clock, plan: Plan) -> bool:
    """Whether a turn is played at this step."""
    waits = clock.images <= plan.waiting.get(turn.player, 0) and clock.progress <= 0.5
    return clock.step % turn.every == 0 and clock.progress >= turn.begins and not waits


@contextlib.contextmanager
def resting(optimizers: dict[str, torch.optim.Optimizer], turns: Sequence[Turn]) -> Generator[None, None, None]:
    """Inside, weights of players with none of these ``turns``, this one and those to come, need no gradient: losses keep less.

    A player who has a turn yet to come in this step is playing: what its networks make now may be kept for that turn.
    """
    playing = {turn.player for turn in turns}
    weights = {player: optimizer.param_groups[0]["params"] for player, optimizer in optimizers.items()}
    needed = {id(p) for player in playing for p in weights[player]}
    idle = [
        p for player in weights.keys() - playing for p in weights[player] if p.requires_grad and id(p) not in needed
    ]
    try:
        for parameter in idle:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in idle:
            parameter.requires_grad_(True)


def split(batch: Batch, count: int, clock: Clock) -> list[Batch]:
    """A batch as ``count`` batches, each knowing the clock."""
    if count == 1:
        return [Batch(batch.images, batch.labels, batch.other, clock, batch.world_size)]

    def part(tensor: Tensor | None, index: int) -> Tensor | None:
        return None if tensor is None else tensor.tensor_split(count)[index]

    return [
        Batch(batch.images.tensor_split(count)[i], part(batch.labels, i), part(batch.other, i), clock, batch.world_size)
        for i in range(count)
    ]


def play(
    game: Game[Any],
    optimizer: torch.optim.Optimizer,
    turn: Turn,
    parts: Sequence[Batch],
    plan: Plan,
    chain: Chain | None = None,
) -> Logs:
    """One turn: the only place where gradients are computed and weights move.

    Gradients go to the turn's player alone, whatever else the loss runs through.

    Args:
        chain: the recording that the turn is part of, if it is.
    """
    parameters: list[nn.Parameter] = optimizer.param_groups[0]["params"]  # the player's, as a list made once
    _set(optimizer, game.optimizer(turn.player, parts[0].clock))
    for parameter in parameters:
        parameter.grad = None
    scaler = plan.scalers.get(turn.player)
    compute = functools.partial(differentiate, turn, parts, parameters, plan)
    part_logs = compute() if chain is None else chain.play(parameters, parts, compute)
    logs = average_over_processes(parameters, part_logs)
    if scaler is None:
        if plan.clip_grad:
            nn.utils.clip_grad_norm_(parameters, plan.clip_grad)
        optimizer.step()
    else:
        logs = logs | {SKIPPED + turn.player: _scaled_step(optimizer, scaler, parameters, plan.clip_grad)}
    if turn.after is not None:
        seen = logs if scaler is None else without_overflow(logs)
        turn.after(parts[0], seen)
        logs = logs if scaler is None else seen | logs
    return logs


def differentiate(turn: Turn, parts: Sequence[Batch], parameters: Sequence[nn.Parameter], plan: Plan) -> Logs:
    """A turn's loss and its gradients, which are left with the player's weights; the logs, as means over the parts."""
    scaler = plan.scalers.get(turn.player)
    name = f"loss/{turn.player}" if turn.every == 1 else f"loss/{turn.player}/{turn.loss.__name__}"
    part_logs: list[Logs] = []
    for part in parts:
        with plan.device.products():
            with plan.device.autocast():
                loss, logged = turn.loss(part)
            share = loss / len(parts) if len(parts) > 1 else loss
            torch.autograd.backward(share if scaler is None else scaler.scale(share), inputs=parameters)
        part_logs.append(logged | {name: loss.detach()})
    return _mean_logs(part_logs)


def _scaled_step(
    optimizer: torch.optim.Optimizer, scaler: GradScaler, parameters: Sequence[nn.Parameter], clip_grad: float
) -> Tensor:
    """Move a player's weights by scaled gradients, unless one overflowed; whether one did, 1 or 0."""
    skipped = overflowed(parameters)
    if clip_grad:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, clip_grad)
    scaler.step(optimizer)
    scaler.update()
    return skipped


def _mean_logs(parts: list[Logs]) -> Logs:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: torch.stack([logs[name] for logs in parts]).mean() for name in parts[0]}


def average_over_processes(parameters: Sequence[nn.Parameter], logs: Logs) -> Logs:
    """Average gradients and logs over processes: in one message on CPUs, in two on GPUs.

    Losses are means over their own pictures, so this equals the gradient of one process with the whole batch. A weight
    that the loss reached in no process keeps having no gradient.
    """
    world = seeds.process()[1]
    if world == 1:
        return logs
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    device = grads[0].device
    flags = torch.tensor([float(p.grad is not None) for p in parameters])
    values = torch.stack([value.detach().float().to(device) for value in logs.values()])
    one_message = device.type == "cpu"
    if not one_message:  # what went through a GPU can only be read by waiting for it
        flags = processes.all_reduce_(flags)
    flat = torch.cat([*(g.reshape(-1) for g in grads), values, *([flags] if one_message else [])])
    flat = processes.all_reduce_(flat).div_(world)
    lengths = [*(g.numel() for g in grads), len(values), len(flags) if one_message else 0]
    *averaged, values, last = torch.split(flat, lengths)
    reached = _numbers(last if one_message else flags)
    for parameter, grad, anywhere in zip(parameters, averaged, reached, strict=True):
        if parameter.grad is None and anywhere > 0:
            parameter.grad = torch.empty_like(parameter)
        if parameter.grad is not None:
            parameter.grad.copy_(grad.view_as(parameter))
    return dict(zip(logs, values.unbind(), strict=True))


def _numbers(vector: Tensor) -> list[float]:
    """The numbers of a vector [n], fetched from its device."""
    return [float(number) for number in vector.cpu().numpy()]
