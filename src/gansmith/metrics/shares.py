"""Classes of samples as often as the data has them: a score that compares with data of uneven classes must draw them so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gansmith.metrics.real import drawn

if TYPE_CHECKING:
    from gansmith.data import Pictures
    from gansmith.models.bundle import Model


def classes_like(model: Model, real: Pictures, n: int, seed: int) -> tuple[Tensor | None, str]:
    """Class numbers [n] for samples that are compared with real pictures, and a note that says how they were drawn.

    Sample i takes the class of the i-th real picture that it is compared with, so the shares are those of the data.
    Classes are matched by name, and by number where no names are alike. Where the data has no classes that the model knows,
    every class comes in turn. Kinds that ``--kinds`` found are those of the training's data.

    Returns:
        int64 [n] and a note; None and an empty note for models without classes.
    """
    if not model.classes:
        return None, ""
    if model.kind_shares:
        return model.labels(n), "kinds were drawn as often as the data of the training has them"
    numbers, unknown = _numbers_for(model, real)
    found = real.labels()
    if numbers is None or found is None:
        why = "the data has no labels" if found is None else "the data's classes are not the model's"
        return torch.arange(
            n
        ) % model.classes, f"{why}, so all {model.classes} classes of the model were drawn equally often"
    labels = numbers[found[drawn(real, len(real), seed)]]
    labels = np.resize(labels[labels >= 0], n)
    note = "classes were drawn as often as the data has them"
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        note += f", but for {len(unknown)} that the model does not know ({shown})"
    return torch.from_numpy(labels.astype(np.int64)), note


def _numbers_for(model: Model, real: Pictures) -> tuple[np.ndarray | None, list[str]]:
    """The model's number for each of the data's classes, -1 where it has none, and the names of those; None for no match."""
    mine, theirs = list(model.spec.class_names), list(real.spec.class_names)
    count = real.spec.classes
    if not count:
        return None, []
    if not mine or not theirs or not set(mine) & set(theirs):
        if count != model.classes:
            return None, []
        return np.arange(count), []
    places = {name: number for number, name in enumerate(mine)}
    numbers = np.array([places.get(name, -1) for name in theirs])
    return numbers, [name for name in theirs if name not in places]
