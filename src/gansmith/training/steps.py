"""One step: the turns that are due, each with its loss, its gradients and its move."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gansmith.game import Batch, Clock, Game, Logs, Optimizer, Turn
from gansmith.parallel import seeds
from gansmith.parallel.averaging import average_gradients
from gansmith.training.graphs import Chain
from gansmith.training.scaling import SKIPPED, scaled_step, without_overflow
from gansmith.training.state import BatchSource, Plan, State


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
    alone = seeds.process().world == 1
    logs = part_logs if alone else average_gradients(parameters, part_logs)
    if scaler is None:
        if plan.clip_grad:
            nn.utils.clip_grad_norm_(parameters, plan.clip_grad)
        optimizer.step()
    else:
        logs = logs | {SKIPPED + turn.player: scaled_step(optimizer, scaler, parameters, plan.clip_grad)}
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


def _mean_logs(parts: list[Logs]) -> Logs:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: torch.stack([logs[name] for logs in parts]).mean() for name in parts[0]}


def _set(optimizer: torch.optim.Optimizer, settings: Optimizer) -> None:
    for group in optimizer.param_groups:
        group["lr"] = settings.lr
        if settings.kind == "adam":
            group["betas"] = settings.betas
