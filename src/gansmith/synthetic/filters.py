"""Which synthetic pictures are kept: of their class, no copies of training pictures, not far from everything real.

All three look at training pictures only. Every fifth of them is kept from the classifier that filters, so that it is
known how often it is right and how far from the others a real picture may be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gansmith.game import ImageSpec
from gansmith.synthetic import classifier as classifiers
from gansmith.synthetic.classifier import Pool, Recipe, SmallResNet
from gansmith.synthetic.split import digests, hold_out

NAMES = ("agreement", "duplicates", "outliers")
WHY = {
    "agreement": "a classifier of the real pictures takes it for another class",
    "duplicates": "it is nearly a training picture",
    "outliers": "its features are far from those of every real picture of its class",
}

_ASIDE = 0.2
_FAR = 0.99
"""Share of real pictures that the outlier filter would keep."""
_NEAR = 0.01
"""Share of real pictures that the near-duplicate filter would drop."""
_SIZE = 32  # pictures are compared at this size at most: copies with other fine detail are copies too
_CHUNK = 1000


@dataclass
class Tally:
    """How many pictures of one class were drawn, kept, and failed each filter (one may fail several)."""

    drawn: int = 0
    kept: int = 0
    failed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))


@dataclass(frozen=True)
class Judgement:
    """What the filters say about some pictures.

    Attributes:
        keep: bool [N], True where no filter objects.
        failed: filter name -> bool [N], only for the filters that are on.
        scores: probability of the picture's own class [N]; NaN where no classifier was trained.
    """

    keep: np.ndarray
    failed: dict[str, np.ndarray]
    scores: np.ndarray


class Filters:
    """Filters fitted to the training pictures.

    Args:
        x: training pictures, uint8 [N, C, H, W].
        y: their labels, int64 [N].
        active: which of ``agreement``, ``duplicates`` and ``outliers`` to apply.
        recipe: how to train the classifier; the network is always ours. Where it mirrors, mirrored copies are copies too.

    Attributes:
        accuracy: share of real pictures kept aside that the classifier gets right, mean over classes; NaN without one.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        spec: ImageSpec,
        *,
        active: tuple[str, ...] = NAMES,
        recipe: Recipe | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.active, self.accuracy = active, float("nan")
        self._mirrors = recipe is not None and recipe.flip
        self._network: SmallResNet | None = None
        if "duplicates" in active:
            self._pixels = pixels(x)
            self._too_near = _usual_gaps(self._pixels, y, spec.classes)
        if "agreement" in active or "outliers" in active:
            self._fit_classifier(x, y, spec, recipe or Recipe(steps=classifiers.usual_steps(len(y))), seed, device)

    def judge(self, images: Tensor, labels: Tensor) -> Judgement:
        """Look at synthetic pictures, uint8 [N, C, H, W], made for these labels, int64 [N]."""
        failed: dict[str, np.ndarray] = {}
        scores = np.full(len(images), np.nan)
        if "duplicates" in self.active:
            near = nearest(pixels(images), self._pixels)
            if self._mirrors:
                near = torch.minimum(near, nearest(pixels(images.flip(3)), self._pixels))
            failed["duplicates"] = (near <= self._too_near[labels]).numpy()
        if self._network is not None:
            probabilities, features = classifiers.describe(self._network, images)
            scores = probabilities.gather(1, labels[:, None]).squeeze(1).numpy()
            if "agreement" in self.active:
                failed["agreement"] = (probabilities.argmax(1) != labels).numpy()
            if "outliers" in self.active:
                failed["outliers"] = (self._distances(features, labels) > self._too_far).numpy()
        failed = {name: failed[name] for name in NAMES if name in failed}
        keep = ~np.logical_or.reduce([np.zeros(len(images), bool), *failed.values()])
        return Judgement(keep, failed, scores)

    def _fit_classifier(
        self, x: Tensor, y: Tensor, spec: ImageSpec, recipe: Recipe, seed: int, device: torch.device | str
    ) -> None:
        fit, aside = hold_out(y.numpy(), digests(x), _ASIDE, seed)
        weights = 1 / torch.bincount(y[fit], minlength=spec.classes).clamp(min=1)[y[fit]]  # every class equally often
        pool = Pool(x[fit], y[fit], torch.zeros(len(fit)), lambda progress: weights)
        network = classifiers.train(pool, spec, recipe, augment=True, seed=seed, device=device)
        assert isinstance(network, SmallResNet)
        self._network = network
        _, self._features = classifiers.describe(network, x[fit])
        self._feature_labels = y[fit]
        probabilities, features = classifiers.describe(network, x[aside])
        right = probabilities.argmax(1) == y[aside]
        self.accuracy = float(np.mean([right[y[aside] == c].float().mean() for c in y[aside].unique()]))
        self._too_far = float(self._distances(features, y[aside]).quantile(_FAR))

    def _distances(self, features: Tensor, labels: Tensor) -> Tensor:
        """Distance of unit features [N, d] to the nearest real picture of their class, [N]."""
        found = torch.full((len(features),), torch.inf)
        for label in labels.unique():
            mine = labels == label
            found[mine] = nearest(features[mine], self._features[self._feature_labels == label])
        return found


def pixels(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] -> [N, d], at most 32 px a side; distances are root mean squares over pixels, in grey levels."""
    x = images.float()
    if max(x.shape[2:]) > _SIZE:
        scale = _SIZE / max(x.shape[2:])
        x = F.interpolate(x, [max(1, round(side * scale)) for side in x.shape[2:]], mode="area")
    return x.flatten(1) / x[0].numel() ** 0.5 if len(x) else x.flatten(1)


def nearest(queries: Tensor, base: Tensor, *, themselves: bool = False) -> Tensor:
    """Distance of each query [N, d] to the nearest row of ``base`` [M, d], [N].

    Args:
        themselves: the queries are ``base``: leave each one out of its own search.
    """
    parts = []
    for start in range(0, len(queries), _CHUNK):
        part = queries[start : start + _CHUNK]
        # not by matrix products: they lose the digits that tell near copies apart
        distances = torch.cdist(part, base, compute_mode="donot_use_mm_for_euclid_dist")
        if themselves:
            rows = torch.arange(len(part))
            distances[rows, start + rows] = torch.inf
        parts.append(distances.min(1).values)
    return torch.cat(parts) if parts else torch.empty(0)


def _usual_gaps(described: Tensor, labels: Tensor, classes: int) -> Tensor:
    """For each class, how near a picture may come to a training picture before it counts as a copy, [classes].

    A third of the median distance between a picture of the class and the nearest other one, or what 99 % of its
    pictures keep, whichever is more. Pictures that are there several times count once.
    """
    gaps = torch.zeros(classes)
    for label in range(classes):
        mine = described[labels == label].unique(dim=0)
        if len(mine) > 1:
            own = nearest(mine, mine, themselves=True)
            gaps[label] = torch.maximum(own.quantile(_NEAR), own.median() / 3)
    return gaps


def describe_counts(tallies: dict[str, Tally], say: Callable[[str], None]) -> None:
    """Say in one line what the filters did."""
    drawn, kept = (sum(getattr(t, name) for t in tallies.values()) for name in ("drawn", "kept"))
    failed = {name: sum(t.failed[name] for t in tallies.values()) for name in NAMES}
    say(f"kept {kept:,} of {drawn:,}: " + ", ".join(f"{n:,} failed {name}" for name, n in failed.items()))
