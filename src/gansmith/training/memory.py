"""Out of memory: which smaller parts of a batch would fit, found by playing them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gansmith.game import Game
from gansmith.parallel import seeds
from gansmith.training.state import BatchSource, Plan, State
from gansmith.training.steps import step


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had no room for a tensor. Only CUDA has an error class of its own for it."""
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def advice(
    game: Game, optimizers: Mapping[str, torch.optim.Optimizer], batches: BatchSource, state: State, plan: Plan
) -> str:
    """What to change so that a run fits, in one paragraph. Call it once the run is over: it moves the weights.

    Args:
        plan: of the step that did not fit.
    """
    size, device = batches.world_size, plan.device.torch_device
    parts = _that_fit(game, optimizers, batches, state, plan)
    begin = f"The memory of {device} does not hold a step of {size} pictures"
    begin += f" in {plan.accumulate} parts. " if plan.accumulate > 1 else ". "
    end = "The last good state is in checkpoint/."
    if parts:
        smaller = max(size * plan.accumulate // parts, 1)
        return (
            f"{begin}--accumulate {parts} fits (it was tried): the same batch, computed in parts. So does --batch {smaller}. In a new "
            f"run, a smaller --size or width also helps. {end}"
        )
    return f"{begin}Not even one picture at a time fits: take a smaller --size or width, or end other programs that use this device. {end}"


def _that_fit(
    game: Game, optimizers: Mapping[str, torch.optim.Optimizer], batches: BatchSource, state: State, plan: Plan
) -> int:
    """The fewest parts of a batch that a step fits in; 0 where none does."""
    for optimizer in optimizers.values():
        optimizer.zero_grad(set_to_none=True)
    pack = game.judged_together(game.config)
    own = batches.world_size // seeds.process()[1] // pack
    for count in [n for n in range(2 * plan.accumulate, own + 1) if own % n == 0]:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            step(
                game,
                dict(optimizers),
                batches,
                state,
                game.turns(),
                Plan(plan.device, count, plan.clip_grad, {}, plan.scalers),
            )
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            continue
        return count
    return 0
