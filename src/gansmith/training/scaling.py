"""Loss scaling: what training in float16 needs, so that small gradients do not vanish and large ones cost one step only.

A loss is multiplied by a scale before its backward pass, and the gradients are divided by it before the weights move. Where a
gradient overflows, the player's step is skipped and the scale is halved; it grows again after 2,000 steps that went well
(Micikevicius et al. 2018, arXiv:1710.03740, section 3.2). Every player has a scale of its own: gradients of a
discriminator and of a generator differ by orders of magnitude.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from gansmith.devices import Device
from gansmith.game import Logs

SKIPPED = "skipped/"
"""Begins the log's name of the share of a player's steps that were skipped."""


def make_scalers(players: Iterable[str], device: Device) -> dict[str, GradScaler]:
    """One scaler per player in float16; none in other precisions."""
    if device.precision != "fp16":
        return {}
    return {player: GradScaler(device.torch_device.type) for player in players}


def scaler_states(scalers: dict[str, GradScaler]) -> dict[str, Any]:
    """What a checkpoint keeps of the scalers: plain numbers by player."""
    return {player: scaler.state_dict() for player, scaler in scalers.items()}


def load_scalers(scalers: dict[str, GradScaler], saved: dict[str, Any]) -> None:
    """Restore what :func:`scaler_states` gave.

    Raises:
        KeyError: a player is missing.
    """
    for player, scaler in scalers.items():
        scaler.load_state_dict(saved[player])


def overflowed(parameters: Sequence[nn.Parameter]) -> Tensor:
    """1 where any gradient is infinite or NaN, else 0; a scalar on the device; no code waits for it."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    return (~nn.utils.get_total_norm(gradients).isfinite()).float()


def without_overflow(logs: Logs) -> Logs:
    """Logs as numbers to go on with: NaN and infinity, which a skipped step may log, become 0."""
    return {name: value.nan_to_num(0.0, 0.0, 0.0) for name, value in logs.items()}


def scaled_step(
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
