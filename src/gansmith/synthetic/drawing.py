"""Drawing synthetic pictures from a model, class by class, until the filters have let enough through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gansmith.data import Pictures
from gansmith.errors import ModelError
from gansmith.models.bundle import Model
from gansmith.synthetic.classifier import Recipe, usual_steps
from gansmith.synthetic.filters import Filters, Tally, describe_counts
from gansmith.synthetic.settings import AugmentSettings, Say

SEEDS_PER_RUN = 1_000_000
"""Run 0 draws from seed 0 on, run 1 from a million on."""
_ROUND = 256
"""Pictures drawn and judged at once."""


def fit_filters(x: Tensor, y: Tensor, pictures: Pictures, settings: AugmentSettings, say: Say) -> Filters:
    """Filters fitted to the training pictures."""
    recipe = Recipe(steps=usual_steps(len(y)), flip=settings.flip)
    if settings.filters:
        say("fitting the filters to the training pictures")
    filters = Filters(
        x, y, pictures.spec, active=settings.filters, recipe=recipe, seed=settings.seed, device=resolve(settings.device)
    )
    if not np.isnan(filters.accuracy):
        say(f"the filters' classifier is right on {100 * filters.accuracy:.1f} % of real pictures kept from it")
    return filters


def draw(
    model: Model, filters: Filters, wanted: Sequence[int], names: Sequence[str], settings: AugmentSettings, say: Say
) -> tuple[Tensor, Tensor, list[int], np.ndarray, dict[str, Tally]]:
    """Draw until every class has what it needs, or has been tried ten times over.

    Returns:
        Pictures uint8 [N, C, H, W] class after class, their labels, seeds and scores, and the tallies by class name.
    """
    theirs = list(model.spec.class_names) or [str(i) for i in range(model.classes)]
    images, labels, seeds, scores, tallies = [], [], [], [], {}
    next_seed = settings.seed * SEEDS_PER_RUN
    for label, name in enumerate(names):
        tally = tallies[name] = Tally()
        while tally.kept < wanted[label] and tally.drawn < settings.tries * wanted[label]:
            count = min(_ROUND, settings.tries * wanted[label] - tally.drawn)
            numbers = list(range(next_seed, next_seed + count))
            next_seed += count
            latents = torch.cat([model.latents(1, number) for number in numbers])
            made = model.decode(latents, torch.full((count,), theirs.index(name)), settings.truncation)
            made = made.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
            judged = filters.judge(made, torch.full((count,), label))
            keep = np.flatnonzero(judged.keep)[: wanted[label] - tally.kept]
            looked_at = count if tally.kept + len(keep) < wanted[label] else int(keep[-1]) + 1
            tally.drawn, tally.kept = tally.drawn + looked_at, tally.kept + len(keep)
            for reason, failed in judged.failed.items():
                tally.failed[reason] += int(failed[:looked_at].sum())
            images.append(made[keep])
            labels.append(torch.full((len(keep),), label))
            seeds += [numbers[i] for i in keep]
            scores.append(judged.scores[keep])
    describe_counts(tallies, say)
    if not seeds:
        raise ModelError(
            "The filters dropped every picture: the model is not good enough yet. Train it longer with --minutes, or see what "
            "it makes with --no-agreement --no-outliers."
        )
    return torch.cat(images), torch.cat(labels), seeds, np.concatenate(scores), tallies


def resolve(device: str) -> torch.device:
    """The device by its name, or the best there is."""
    from gansmith import devices

    return devices.resolve(device, "fp32").torch_device
