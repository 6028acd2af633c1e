"""The vital signs of a run: what the coach looks at besides the losses, measured a few dozen times per run.

- ``diversity``: mean distance between samples, as a share of that between real pictures. 0: all the same.
- ``spread``: the median distance of a sample to its nearest other sample, as a share of the real pictures'. 0: copies.
- ``churn``: how far the pictures of fixed latents moved since the last check, as a share of their mean distance.
- ``classes_missing``: classes of the data that samples no longer show (where an embedded classifier knows the data).
- ``believable``, ``covered``: shares of samples that look real, and of real pictures that samples come near (:mod:`gansmith.health.believable`).
- ``copies``: share of samples that repeat a training picture (:mod:`gansmith.health.copies`).
- ``memorising``: where D's mean logit on unseen real pictures lies on the way from training pictures (0) to fakes (1).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansmith.abilities import Sampled
from gansmith.files.pictures import to_uint8
from gansmith.game import Batch, Clock, Game, Logs
from gansmith.generation import Generation
from gansmith.health.believable import Believable, Features
from gansmith.health.copies import Copies
from gansmith.parallel import seeding
from gansmith.training.state import State

DEAR = 1.0
"""Seconds from which on a check counts as dear."""
SHARE = 0.03
"""The most of a run's time that dear checks may take."""


class Vitals:
    """A hook that adds vital signs to the step's logs, so that they reach log.jsonl with the next record.

    Args:
        real: real pictures that stay the same.
        unseen: real pictures that D never trains on, or None.
        checks: how often per run; less often where a check takes long, as it does for large networks on a CPU.
        classify: uint8 [N, C, H, W] -> class numbers [N], where a classifier knows the data.
        begins: the clock of the checkpoint that a resumed run goes on from.
        copies: the training pictures that samples are compared with, or None.
        features: of a classifier that fits the data, and at every how many checks to look through it; or None.
    """

    def __init__(
        self,
        real: Batch,
        unseen: Batch | None,
        checks: int = 60,
        classify: Callable[[Tensor], np.ndarray] | None = None,
        begins: Clock | None = None,
        copies: Copies | None = None,
        features: tuple[Features, int] | None = None,
    ) -> None:
        self.copies = copies
        self._believable = None if features is None else Believable(real.images, features[0])
        self._look_every = 1 if features is None else features[1]
        self.real, self.unseen, self.checks, self.classify = real, unseen, checks, classify
        self._done = int(begins.progress * checks) if begins is not None and begins.images else -1
        self._took, self._spent = 0.0, 0.0
        self._before: Tensor | None = None
        self._real_distances = distances(real.images)
        self._real_classes = set() if classify is None else common_classes(classify(to_uint8(real.images.cpu())))

    @torch.no_grad()
    def __call__(self, game: Game, state: State, logs: Logs) -> None:
        number = int(state.clock.progress * self.checks)
        if number <= self._done or not isinstance(game, Sampled):
            return
        self._done = number
        if self._took > DEAR and self._spent > SHARE * state.seconds:
            return
        start = time.monotonic()
        game.eval()
        fakes = game.metrics_images(self.real, seeding.derive(state.seed, "vitals")).float()
        logs |= {name: torch.tensor(value) for name, value in self.signs(fakes).items()}
        logs |= {name: torch.tensor(value) for name, value in self.memorising(game, fakes).items()}
        if self._believable is not None and (
            number % self._look_every == 0 or number >= self.checks - self._look_every
        ):
            logs |= {name: torch.tensor(value) for name, value in self._believable(fakes).items()}
        if self.copies is not None:
            logs["copies"] = torch.tensor(self.copies.share(fakes))
        game.train()
        self._took = time.monotonic() - start
        self._spent += self._took

    def signs(self, fakes: Tensor) -> dict[str, float]:
        """Diversity, spread, churn and missing classes of samples [N, C, H, W] in [-1, 1]."""
        mean, nearest = distances(fakes)
        found = {"diversity": mean / self._real_distances[0], "spread": nearest / self._real_distances[1]}
        if self._before is not None:
            moved = (fakes - self._before).flatten(1).norm(dim=1).mean().item()
            found["churn"] = moved / max(mean, 1e-6 * self._real_distances[0])
        self._before = fakes
        if self.classify is not None and len(self._real_classes) > 1:
            seen = set(self.classify(to_uint8(fakes.cpu())).tolist())
            found["classes_missing"] = float(len(self._real_classes - seen))
        return found

    def memorising(self, game: Game, fakes: Tensor) -> dict[str, float]:
        """How D's logits on unseen real pictures compare with those on training pictures and on fakes."""
        if self.unseen is None or not isinstance(game, Generation) or game.config.pack > 1:
            return {}

        def logit(images: Tensor, labels: Tensor | None) -> Tensor:
            return game.discriminator(images, game.weights_of(labels)).float().mean()

        known, others = self.real, self.unseen
        seen, unseen, fake = torch.stack(
            [logit(known.images, known.labels), logit(others.images, others.labels), logit(fakes, known.labels)]
        ).tolist()
        # where D cannot tell real from fake there is nothing to memorise
        return {"memorising": (seen - unseen) / (seen - fake)} if seen - fake > 0.5 else {"memorising": 0.0}


def distances(images: Tensor) -> tuple[float, float]:
    """Mean distance over all pairs, and the median distance to the nearest other picture."""
    flat = images.flatten(1).float()
    between = torch.cdist(flat, flat)
    n = len(flat)
    mean = between.sum() / max(n * (n - 1), 1)
    nearest = (between + torch.eye(n, device=flat.device) * between.max().clamp_min(1)).min(1).values.median()
    mean, nearest = torch.stack([mean, nearest]).tolist()
    return max(mean, 1e-9), max(nearest, 1e-9)


def common_classes(classes: np.ndarray) -> set[int]:
    """Classes that make up at least 3 % of the pictures: rarer ones may be missing from a few samples by chance."""
    numbers, counts = np.unique(classes, return_counts=True)
    return {int(number) for number, count in zip(numbers, counts, strict=True) if count >= 0.03 * len(classes)}


def classifier_for(name: str, spec: Any) -> Callable[[Tensor], np.ndarray] | None:
    """The embedded classifier that knows this data, as a function, or None."""
    from gansmith.metrics.classifier import classify, load_classifier
    from gansmith.metrics.features import choose

    chosen = choose(spec, name)
    if chosen not in ("mnist-cnn", "fashion-cnn"):
        return None
    network = load_classifier(chosen)
    return lambda images: classify(network, images)
