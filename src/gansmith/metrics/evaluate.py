"""Scores of pictures against real ones, each named with what it was measured on and beside the score of real pictures.

Which pictures are compared: the first ``n`` samples with ``n`` real pictures, drawn by a seed (all of them where there
are fewer). The floor is the same score between two disjoint sets of ``n`` real pictures each, or two halves of them
where there are fewer than ``2 n``; its count stands beside it, because the Frechet distance falls as pictures are added.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gansmith.errors import GansmithError
from gansmith.files.alpha import batch_on_white
from gansmith.game import ImageSpec
from gansmith.metrics import features as networks
from gansmith.metrics.classifier import to_grey
from gansmith.metrics.extractors import Extractor
from gansmith.metrics.features import Progress
from gansmith.metrics.measures import MEASURES, Context, Score
from gansmith.metrics.real import RealFeatures, counter

if TYPE_CHECKING:
    from gansmith.data import Pictures

METRICS = {
    "fid": "Frechet distance of features; named FID on Inception features only",
    "kid": "kernel distance of features: unbiased, so it can be trusted for few pictures too",
    "prdc": "precision and density (how real samples look), recall and coverage (how much of the data they cover)",
    "is": "classifier score: confident classes of single samples, many classes over all",
    "swd": "sliced Wasserstein distance of patches, times 1000; needs no network, fits any pictures",
}
"""What can be measured, and what it tells."""

MINIMUM = {"fid": 100, "kid": 50, "prdc": 20, "is": 100, "swd": 20}
"""Fewest samples, and fewest real pictures in each half of the floor, that a metric makes sense for."""


@dataclass(frozen=True)
class Report:
    """What was measured, in the order asked for, and what to know about it."""

    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def __getitem__(self, name: str) -> Score:
        """A score by its full name, or by the part before the bracket."""
        for score in self.scores:
            if name in (score.name, score.name.partition("[")[0]):
                return score
        raise KeyError(name)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for json."""
        return dataclasses.asdict(self)


def evaluate(
    pictures: Tensor,
    real: Pictures,
    *,
    metrics: Sequence[str] = ("fid", "kid", "prdc"),
    features: str | Extractor = "auto",
    n: int = 10_000,
    seed: int = 0,
    weights: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    device: torch.device | str = "cpu",
) -> Report:
    """Measure pictures against real ones.

    Args:
        pictures: uint8 [N, C, H, W], of the real pictures' size; other channels are converted, and a note says so.
        real: real pictures.
        metrics: names from ``METRICS``.
        features: an extractor of ``gansmith.metrics.features`` or its name, or ``auto``.
        n: compare this many at most.
        seed: chooses real pictures and random parts.
        weights: a file of weights for the extractor.
        cache: where features of real pictures are kept; None keeps none.
        progress: told (what, done, total).
        device: where features are computed.

    Raises:
        GansmithError: an unknown metric or extractor, pictures of another size, too few pictures, weights that cannot be had.
    """
    began = time.monotonic()
    check_metrics(metrics)
    if pictures.ndim != 4 or pictures.dtype != torch.uint8:
        raise GansmithError(
            f"Pictures to measure are uint8 [N, C, H, W], not {pictures.dtype} {tuple(pictures.shape)}."
        )
    notes: list[str] = []
    samples = match(pictures[:n], real.spec, notes)
    half = min(n, len(real) // 2)
    context = Context(samples, real, seed, len(samples), min(n, len(real)), half, progress, notes=notes)
    check_counts(metrics, context.n, half)
    if len(samples) < n:
        notes.append(f"there are {len(samples):,} samples, not {n:,}")
    if half < len(samples):
        notes.append(
            f"{len(real):,} real pictures make a floor of {half:,} against {half:,}, which is a little pessimistic"
        )
    if any(metric != "swd" for metric in metrics):
        _add_features(context, features, weights, cache, device, notes)
    if "fid" in metrics and context.n < context.fake_features.shape[1]:
        notes.append(
            f"{context.n:,} samples are fewer than the {context.fake_features.shape[1]:,} features: a Frechet distance this "
            "biased only compares with others of the same count; prefer kid"
        )
    results = [score for metric in metrics for score in MEASURES[metric](context)]
    return Report(tuple(results), tuple(notes), round(time.monotonic() - began, 2))


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise GansmithError unless all are names of metrics, and there is one."""
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics:
        what = f"There is no metric '{unknown[0]}'." if unknown else "No metric was named."
        raise GansmithError(f"{what} Choose from {', '.join(METRICS)}.")


def check_counts(metrics: Sequence[str], samples: int, half: int) -> None:
    """Raise GansmithError where a metric has too few samples, or too few real pictures in each half."""
    for metric in metrics:
        if samples < MINIMUM[metric]:
            raise GansmithError(
                f"{metric} needs at least {MINIMUM[metric]} samples, and there are {samples}. Make more (--n)."
            )
        if half < MINIMUM[metric]:
            others = [other for other in METRICS if MINIMUM[other] <= min(half, samples)]
            instead = (
                f"or a metric for fewer pictures: --metrics {','.join(others)}"
                if others
                else (
                    f"for no score means anything on fewer than {2 * min(MINIMUM.values())}: look at the samples instead"
                )
            )
            raise GansmithError(
                f"{metric} needs at least {2 * MINIMUM[metric]} real pictures, to compare two halves of them too, and only "
                f"{2 * half} can be used. Use more data, {instead}."
            )


def _instead(refused: str, samples: int, half: int) -> str:
    """What can be done where a metric has too few real pictures: another that takes as few, where there is one."""
    others = [name for name in METRICS if name != refused and MINIMUM[name] <= min(samples, half)]
    return f"Use more data, or a metric for fewer pictures ({', '.join(others)})." if others else "Use more data."


def match(pictures: Tensor, spec: ImageSpec, notes: list[str]) -> Tensor:
    """Samples with the channels of the real pictures; adds a note where they had others.

    Raises:
        GansmithError: their size differs, which no score should hide.
    """
    size = tuple(pictures.shape[2:])
    if size != (spec.height, spec.width):
        raise GansmithError(
            f"The samples are {size[0]}x{size[1]} and the real pictures {spec.height}x{spec.width}. Scores between sizes mean "
            "little: bring both to one size (--size)."
        )
    channels, wanted = pictures.shape[1], spec.channels
    if channels == wanted:
        return pictures
    if wanted == 1:
        notes.append("samples in colour were made grey, like the real pictures")
        return to_grey(batch_on_white(pictures)).round().clamp(0, 255).to(torch.uint8)
    if wanted == 3:
        notes.append(
            "grey samples were repeated to RGB, like the real pictures"
            if channels < 3
            else "samples with alpha were laid on white, like the real pictures"
        )
        pictures = batch_on_white(pictures)
        return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures
    raise GansmithError(
        f"The real pictures have {wanted} channels and the samples {channels}: give pictures of the same kind."
    )


def extractor_for(
    name: str, real: Pictures, weights: Path | None = None, device: torch.device | str = "cpu"
) -> Extractor:
    """The extractor by its name, or the one that fits the real pictures for ``auto``.

    Raises:
        GansmithError: an unknown name, or weights that cannot be had.
    """
    if name == "auto":
        # A file of weights can only be Inception's: that of the other extractors has to be named.
        name = "inception" if weights else networks.choose(real.spec, real.name)
    return networks.build(name, device, weights)


def _add_features(
    context: Context,
    chosen: str | Extractor,
    weights: Path | None,
    cache: Path | None,
    device: torch.device | str,
    notes: list[str],
) -> None:
    extractor = extractor_for(chosen, context.real, weights, device) if isinstance(chosen, str) else chosen
    context.extractor = extractor
    if note := extractor.note(context.real.spec):
        notes.append(note)
    count = max(context.n_real, 2 * context.half)
    context.real_features = RealFeatures(context.real, extractor, count, context.seed, cache, context.progress)
    step = counter(context.progress, f"samples, {extractor.label}", context.n)
    context.fake_features = networks.extract(extractor, context.samples.split(250), step)
