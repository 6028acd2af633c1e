"""Pivotal tuning: a generator learns one picture, around the styles found for it (Roich et al. 2021, arXiv:2106.05744).

    min over theta   d(x, G(w_p; theta)) + |x - G(w_p; theta)|^2 + lambda (the same between G(w_r; theta) and G(w_r; theta_0))

w_p is the pivot, the styles that inversion found. w_r lies a little way from it towards random styles: there the pictures
are to stay as they were, so that directions still mean what they meant.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor

from gansmith.apply.styles import Styles, multiscale_distance
from gansmith.errors import GansmithError
from gansmith.models.bundle import Model
from gansmith.parallel import seeds

REACH = 30 / math.sqrt(512)
"""How far from the pivot random styles are taken, as a multiple of the root of w's length: alpha = 30 at the paper's 512."""


def tune(
    styles: Styles,
    pivot: Tensor,
    target: Tensor,
    *,
    steps: int = 350,
    lr: float = 3e-4,
    locality: float = 0.1,
    distance: Callable[[Tensor, Tensor], Tensor] = multiscale_distance,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[Model, float]:
    """Teach a copy of a model to make a picture of the styles that come nearest to it.

    Args:
        styles: the model; it stays as it is.
        pivot: styles [1, L, D]. One style for all layers is easier to edit afterwards.
        target: [1, C, H, W] in [-1, 1], of the model's size.
        steps: of Adam, on all weights between styles and picture.
        locality: weight lambda of what keeps pictures of other styles as they are; 0 leaves it out.
        distance: (made, true) -> scalar.
        progress: told the step and the least distance so far.

    Returns:
        The tuned model, with the weights that came nearest, and the distance reached.

    Raises:
        GansmithError: the model's pictures are not finite.
    """
    device = styles.model.game.device
    tuned = Model(styles.model.family, copy.deepcopy(styles.model.game), dict(styles.model.info))
    learner = Styles(tuned)
    weights = [p.requires_grad_() for p in learner.game.synthesis.parameters()]
    optimizer = torch.optim.Adam(weights, lr)
    best, found = math.inf, [p.detach().clone() for p in weights]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        for step in range(steps + 1):
            near = _away(distance, learner.draw(pivot), target)
            value = near.item()
            if value < best:
                best, found = value, [p.detach().clone() for p in weights]
            if progress is not None:
                progress(step, best)
            if step == steps or not math.isfinite(value):
                break
            loss = near
            if locality:
                around = _around(styles, pivot)
                with torch.no_grad():
                    before = styles.draw(around)
                loss = loss + locality * _away(distance, learner.draw(around), before)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if not math.isfinite(best):
        raise GansmithError("This model makes pictures that are not finite numbers, so that it cannot be tuned.")
    with torch.no_grad():
        for weight, kept in zip(weights, found, strict=True):
            weight.copy_(kept)
    tuned.game.requires_grad_(False)
    return tuned, best


def _away(distance: Callable[[Tensor, Tensor], Tensor], made: Tensor, true: Tensor) -> Tensor:
    """The paper's sum: the distance, and the mean square of the difference."""
    return distance(made, true) + (made - true).square().mean()


@torch.no_grad()
def _around(styles: Styles, pivot: Tensor) -> Tensor:
    """Styles [1, L, D] at the usual distance from the pivot, on the way to those of a random picture."""
    model, device = styles.model, pivot.device
    z = seeds.normal(1, model.config.latent_dim, device=device)
    labels = torch.randint(model.classes, (1,)).to(device) if model.classes else None
    way = styles.game.styles(z, labels) - pivot
    length = way.norm(dim=2, keepdim=True).clamp_min(1e-8)
    return pivot + REACH * math.sqrt(pivot.shape[2]) * way / length
