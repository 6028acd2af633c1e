"""Means, intervals and tests over seeds and test pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
"""Confidence of every interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % confidence interval mean +- half, and the p-value of "it is zero"."""

    mean: float
    half: float
    p: float

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


def over_seeds_and_pictures(values: np.ndarray) -> Estimate:
    """The mean of values [S, N] with both seeds and pictures taken as samples from many.

    A crossed design of two random effects: the variance of the mean is the seeds' share plus the pictures' share minus
    what both count (the variance of the rest), with Satterthwaite's degrees of freedom.

    Args:
        values: for seed s and test picture i, such as 1 if right and 0 if wrong, or the difference of two of those.
    """
    seeds, pictures = values.shape
    mean = float(values.mean())
    by_seed, by_picture = values.mean(1), values.mean(0)
    seed_part = float(by_seed.var(ddof=1) / seeds) if seeds > 1 else 0.0
    picture_part = float(by_picture.var(ddof=1) / pictures) if pictures > 1 else 0.0
    picture_part = max(picture_part, pictures**-2)  # never surer than if one picture had gone the other way
    rest = values - by_seed[:, None] - by_picture[None] + mean
    freedom = (seeds - 1) * (pictures - 1)
    both = float((rest**2).sum() / freedom / (seeds * pictures)) if freedom else 0.0
    variance = max(seed_part + picture_part - both, seed_part, picture_part)
    parts = [(seed_part, seeds - 1), (picture_part, max(pictures - 1, 1))]
    degrees = (seed_part + picture_part) ** 2 / sum(part**2 / df for part, df in parts if part)
    error = variance**0.5
    half = float(stats.t.ppf(0.5 + LEVEL / 2, degrees) * error)
    return Estimate(mean, half, float(2 * stats.t.sf(abs(mean) / error, degrees)))


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one number per seed, by Student's t."""
    array = np.asarray(values, dtype=float)
    if len(array) < 2:
        return Estimate(float(array.mean()), float("nan"), float("nan"))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, len(array) - 1) * stats.sem(array))
    return Estimate(float(array.mean()), half, float("nan"))


def paired(one: Sequence[float], two: Sequence[float]) -> float:
    """p-value of the paired t-test over seeds; 1 where all differences are 0."""
    differences = np.subtract(one, two)
    if len(differences) < 2 or np.ptp(differences) < 1e-12:
        return 1.0 if np.allclose(differences, 0) else float("nan")
    return float(stats.ttest_rel(one, two).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for asking several questions at once (Holm 1979)."""
    order = np.argsort(p_values)
    corrected, most = np.empty(len(p_values)), 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = most
    return corrected.tolist()


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins (Guo et al. 2017, Eq. 3)."""
    gaps = [
        abs(float(confidence[mine].mean() - right[mine].mean())) * float(mine.mean())
        for mine in in_bins(confidence, bins)
        if mine.any()
    ]
    return float(sum(gaps))


def in_bins(confidence: np.ndarray, bins: int) -> list[np.ndarray]:
    """Which values lie in which of ``bins`` equal parts of [0, 1]: bool [N] for each."""
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    return [number == b for b in range(bins)]
