"""What a study found: the scores of every way of training, their differences, and the answer in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from gansmith.config import Bounds
from gansmith.study import statistics
from gansmith.study.statistics import Estimate
from gansmith.synthetic.classifier import SMALL

REAL, CLASSIC, GAN, BOTH, ONLY = "real", "real + classic", "real + GAN", "real + classic + GAN", "GAN only"
RESAMPLED = "real + classic, resampled"
"""Only where synthetic pictures change how frequent classes are: the same frequencies by repeating real pictures."""
ARMS = (REAL, CLASSIC, RESAMPLED, GAN, BOTH, ONLY)


@dataclass(frozen=True)
class StudySettings:
    """Settings of ``gansmith study``."""

    seeds: Annotated[int, Bounds(2)] = 5
    """How often every classifier is trained, from other weights and in another order."""
    classifier: str = SMALL
    """'small' or 'tiny', residual networks of our own, or a network of torchvision such as resnet18."""
    classifier_steps: Annotated[int | None, Bounds(1, unit="batches", was=0)] = None
    """Batches of 64 that each classifier learns from, the same for all; by default as suits the number of real pictures."""
    ratio: Annotated[float, Bounds(above=0, below=1)] = 0.5
    """Of what is shown of a class, at most this share is synthetic."""
    fade: bool = False
    """Let that share fall to 0 until the end of each training."""
    smoothing: Annotated[float, Bounds(0, below=1)] = 0.0
    """Label smoothing of synthetic pictures: how far their labels are doubted, 0 to under 1."""


@dataclass(frozen=True)
class Arm:
    """What one way of training came to.

    Attributes:
        name: one of ``ARMS``.
        accuracy: share of test pictures that are right.
        balanced: mean recall of the classes.
        recalls: recall of each class.
        calibration: expected calibration error, over seeds.
        by_seed: accuracy for each seed.
        predictions: probabilities [S, N, classes], float32.
    """

    name: str
    accuracy: Estimate
    balanced: Estimate
    recalls: tuple[Estimate, ...]
    calibration: Estimate
    by_seed: tuple[float, ...]
    predictions: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Comparison:
    """One way of training minus another, on the same test pictures and from the same seeds.

    Attributes:
        accuracy, balanced: the differences.
        p_seeds: p-value of the paired t-test over the seeds' accuracies.
        recalls: the difference in each class; their ``p`` is corrected for the number of classes (Holm).
    """

    name: str
    base: str
    accuracy: Estimate
    balanced: Estimate
    p_seeds: float
    recalls: tuple[Estimate, ...]


@dataclass(frozen=True)
class Study:
    """A finished study.

    Attributes:
        arms, comparisons: by name; a comparison's key is (name, base).
        real, synthetic: pictures learned from, of each class.
        labels: classes of the test pictures [N].
        notes: what a reader has to know.
    """

    data: str
    class_names: tuple[str, ...]
    settings: StudySettings
    arms: dict[str, Arm]
    comparisons: dict[tuple[str, str], Comparison]
    real: tuple[int, ...]
    synthetic: tuple[int, ...]
    labels: np.ndarray = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> Comparison:
        """Synthetic pictures on top of classic augmentation, against classic augmentation alone."""
        return self.comparisons[BOTH, CLASSIC]

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        return in_words(self.headline.accuracy)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the predictions, json-able; shares, not percent."""

        def plain(e: Estimate) -> dict[str, float | None]:
            values = {"mean": e.mean, "low": e.low, "high": e.high, "p": e.p}
            return {k: None if np.isnan(v) else round(v, 6) for k, v in values.items()}

        def share(e: Estimate) -> dict[str, float | None]:
            values = {"mean": e.mean, "low": max(e.low, 0.0), "high": min(e.high, 1.0)}
            return {k: None if np.isnan(v) else round(v, 6) for k, v in values.items()}

        def recalls(row: tuple[Estimate, ...], plain: Callable[[Estimate], Any]) -> dict[str, Any]:
            return {name: plain(e) for name, e in zip(self.class_names, row, strict=True)}

        return {
            "data": self.data,
            "verdict": self.verdict,
            "settings": {**vars(self.settings), "test_pictures": len(self.labels)},
            "real": dict(zip(self.class_names, self.real, strict=True)),
            "synthetic": dict(zip(self.class_names, self.synthetic, strict=True)),
            "arms": {
                a.name: {
                    "accuracy": share(a.accuracy), "balanced_accuracy": share(a.balanced), "by_seed": [round(v, 6) for v in a.by_seed],
                    "calibration_error": share(a.calibration), "recall": recalls(a.recalls, share),
                }
                for a in self.arms.values()
            },
            "comparisons": [
                {
                    "name": c.name, "base": c.base, "accuracy": plain(c.accuracy), "balanced_accuracy": plain(c.balanced),
                    "p_paired_over_seeds": None if np.isnan(c.p_seeds) else c.p_seeds, "recall": recalls(c.recalls, plain),
                }
                for c in self.comparisons.values()
            ],
            "notes": list(self.notes),
        }  # fmt: skip


def in_words(difference: Estimate) -> str:
    """'It helps', 'no effect' or 'it hurts', with how much."""
    size = f"{100 * abs(difference.mean):.2f} ± {100 * difference.half:.2f} points"
    if difference.low > 0:
        return f"It helps by {size}."
    if difference.high < 0:
        return f"It hurts by {size}."
    sign = "-" if difference.mean < 0 else "+"
    return f"No effect: the difference is {sign}{size}, which is not told apart from none."


def summarise(name: str, predictions: np.ndarray, labels: np.ndarray) -> Arm:
    """Scores of one arm from its probabilities [S, N, classes]."""
    right = (predictions.argmax(2) == labels).astype(float)
    confidence = predictions.max(2)
    errors = [statistics.calibration_error(c, r) for c, r in zip(confidence, right, strict=True)]
    accuracy, balanced, recalls = scores(right, labels, predictions.shape[2])
    return Arm(
        name, accuracy, balanced, recalls, statistics.over_seeds(errors), tuple(right.mean(1).tolist()), predictions
    )


def scores(values: np.ndarray, labels: np.ndarray, classes: int) -> tuple[Estimate, Estimate, tuple[Estimate, ...]]:
    """Mean, mean of the class means, and class means of values [S, N]; NaN for classes without test pictures."""
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * counts[labels])
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    by_class = tuple(
        statistics.over_seeds_and_pictures(values[:, labels == c]) if counts[c] else nothing for c in range(classes)
    )
    return statistics.over_seeds_and_pictures(values), statistics.over_seeds_and_pictures(values * weights), by_class


def compare_all(arms: dict[str, Arm], labels: np.ndarray) -> dict[tuple[str, str], Comparison]:
    """Every comparison a reader wants."""
    wanted = [(BOTH, CLASSIC), (BOTH, RESAMPLED), (RESAMPLED, CLASSIC), (GAN, REAL), (CLASSIC, REAL), (ONLY, REAL)]
    return {
        pair: compare(arms[pair[0]], arms[pair[1]], labels) for pair in wanted if pair[0] in arms and pair[1] in arms
    }


def compare(one: Arm, two: Arm, labels: np.ndarray) -> Comparison:
    """One arm minus another."""
    right, base = ((a.predictions.argmax(2) == labels).astype(float) for a in (one, two))
    accuracy, balanced, recalls = scores(right - base, labels, one.predictions.shape[2])
    known = [i for i, e in enumerate(recalls) if not np.isnan(e.p)]
    corrected = dict(zip(known, statistics.holm([recalls[i].p for i in known]), strict=True))
    recalls = tuple(replace(e, p=corrected.get(i, e.p)) for i, e in enumerate(recalls))
    return Comparison(one.name, two.name, accuracy, balanced, statistics.paired(one.by_seed, two.by_seed), recalls)
