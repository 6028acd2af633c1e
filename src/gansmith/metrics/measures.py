"""What each metric's name computes, of features that are there already: a score, its floor, how far both are to be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from gansmith.errors import GansmithError
from gansmith.metrics import scores
from gansmith.metrics.extractors import Extractor
from gansmith.metrics.features import Progress
from gansmith.metrics.real import RealFeatures, drawn, fetched

if TYPE_CHECKING:
    from gansmith.data import Pictures


_MOST = {"prdc": 10_000, "swd": 2048}  # memory grows with N^2; patches are many

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        name: with its extractor, e.g. ``FD[mnist-cnn]``.
        value: of the samples.
        n: how many samples it was measured on, against as many real pictures (or all there are).
        floor: the same between real pictures and real pictures: what a perfect model would get. For ``is``, that of
            real pictures alone.
        floor_n: how many real pictures on each side of that.
        spread: standard deviation over random parts, where the score is a mean over them.
        better: ``lower`` or ``higher``.
    """

    name: str
    value: float
    n: int
    floor: float
    floor_n: int
    better: Better
    spread: float | None = None


@dataclass
class Context:
    """What the metrics share while one report is made."""

    samples: Tensor
    real: Pictures
    seed: int
    n: int
    n_real: int
    half: int
    progress: Progress | None
    extractor: Extractor | None = None
    fake_features: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    real_features: RealFeatures | None = None
    notes: list[str] = field(default_factory=list)

    def label(self, name: str) -> str:
        """A score's full name; the plain one belongs to Inception features."""
        assert self.extractor is not None
        if self.extractor.label == "inception":
            return {"FD": "FID"}.get(name, name)
        return f"{name}[{self.extractor.label}]"

    def features(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Samples, real pictures as many, and two disjoint halves of real pictures."""
        assert self.real_features is not None
        x = self.real_features.features
        return self.fake_features, x[: self.n_real], x[: self.half], x[self.half : 2 * self.half]

    def floor(self, name: str, compute: Callable[[], Any]) -> Any:
        assert self.real_features is not None
        return self.real_features.floor(name, compute)


def _fid(context: Context) -> list[Score]:
    fake, real, one, other = context.features()
    _tell(context, "fid")
    value = scores.frechet_distance(scores.moments(real), scores.moments(fake))
    floor = context.floor(
        f"fid-{context.half}", lambda: scores.frechet_distance(scores.moments(one), scores.moments(other))
    )
    return [Score(context.label("FD"), value, context.n, floor, context.half, "lower")]


def _kid(context: Context) -> list[Score]:
    fake, real, one, other = context.features()
    _tell(context, "kid")
    value, spread = scores.kernel_distance(real, fake, seed=context.seed)
    name = f"kid-{context.half}-{context.seed}"
    floor = context.floor(name, lambda: scores.kernel_distance(one, other, seed=context.seed)[0])
    return [Score(context.label("KID"), value, context.n, floor, context.half, "lower", spread)]


def _prdc(context: Context) -> list[Score]:
    most = _MOST["prdc"]
    fake, real, one, other = (part[:most] for part in context.features())
    _tell(context, "prdc")
    for whose, found in (("real pictures", real), ("samples", fake)):
        if copies := scores.without_extent(found):
            context.notes.append(
                f"{copies:,} of {len(found):,} {whose} have five exact copies or more among them, so that their neighbourhoods have a "
                f"radius of 0 and nothing lies in them: precision, recall, density and coverage come out too low, the floor too. "
                + (
                    "Measure against pictures without copies ('gansmith data check' counts them), or by fid and kid"
                    if whose == "real pictures"
                    else "fid and kid do not mind"
                )
            )
    values = scores.manifold_scores(real, fake)
    floors = context.floor(f"prdc-{len(one)}", lambda: scores.manifold_scores(one, other))
    return [
        Score(context.label(name), value, len(fake), floors[name], len(one), "higher") for name, value in values.items()
    ]


def _is(context: Context) -> list[Score]:
    assert context.extractor is not None
    fake, real, *_ = context.features()
    _tell(context, "is")
    logits, real_logits = context.extractor.logits(fake), context.extractor.logits(real)
    if logits is None or real_logits is None:
        raise GansmithError(
            f"is needs the classes of a classifier, and {context.extractor.name} is none: choose --features inception, "
            "mnist-cnn or fashion-cnn."
        )
    value, spread = scores.classifier_score(logits)
    floor = context.floor(f"is-{context.n_real}", lambda: scores.classifier_score(real_logits)[0])
    return [Score(context.label("IS"), value, context.n, floor, context.n_real, "higher", spread)]


def _swd(context: Context) -> list[Score]:
    half = min(context.half, _MOST["swd"])
    count = min(context.n, context.n_real, _MOST["swd"])
    _tell(context, "swd")
    real = torch.cat(list(fetched(context.real, drawn(context.real, max(count, 2 * half), context.seed))))
    value = scores.sliced_wasserstein(real[:count], context.samples[:count], seed=context.seed)["mean"]
    floor = scores.sliced_wasserstein(real[:half], real[half : 2 * half], seed=context.seed)["mean"]
    return [Score("SWD", value, count, floor, half, "lower")]


def _tell(context: Context, what: str) -> None:
    if context.progress:
        context.progress(f"computing {what}", 1, 1)


MEASURES: dict[str, Callable[[Context], list[Score]]] = {
    "fid": _fid,
    "kid": _kid,
    "prdc": _prdc,
    "is": _is,
    "swd": _swd,
}
"""Name of a metric -> what computes it."""
