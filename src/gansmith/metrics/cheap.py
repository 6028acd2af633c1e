"""A score cheap enough to compute again and again while a model trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gansmith.data.pairs import TwoSided
from gansmith.errors import GansmithError
from gansmith.metrics import features as extractors
from gansmith.metrics import scores
from gansmith.metrics.evaluate import MINIMUM, match
from gansmith.metrics.extractors import Extractor
from gansmith.metrics.real import RealFeatures, drawn, fetched

if TYPE_CHECKING:
    from gansmith.data import Pictures


class Cheap:
    """One number for samples of a model in training, against statistics computed once: lower is better.

    The Frechet distance on an embedded classifier's features where it fits the data, or on EfficientNet-Lite0's for colour
    pictures where the extra ``features`` is installed; the sliced Wasserstein distance otherwise. Nothing is downloaded. Give it the same number of samples every time.

    Args:
        real: real pictures; of two-sided data, side B, which is what models of it make.
        features: an extractor, ``swd``, or ``auto``.
        n: real pictures to compare with.
        seed: which ones, and of patches.
        cache: where features of real pictures are kept; None keeps none.
        device: where features are computed.

    Attributes:
        name: of the score, e.g. ``FD[mnist-cnn]`` or ``SWD``.

    Raises:
        GansmithError: fewer than 100 real pictures.
    """

    def __init__(
        self,
        real: Pictures | TwoSided,
        features: str = "auto",
        n: int = 2000,
        seed: int = 0,
        cache: Path | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        real = real.b if isinstance(real, TwoSided) else real
        n = min(n, len(real))
        if n < MINIMUM["fid"]:
            raise GansmithError(
                f"Measuring in training needs at least {MINIMUM['fid']} real pictures, and there are {n}."
            )
        if features == "auto":
            chosen = extractors.choose(real.spec, real.name)
            features = "swd" if chosen == "inception" else chosen
        self._spec, self._seed = real.spec, seed
        self._extractor: Extractor | None = None
        if features == "swd":
            self.name = "SWD"
            self._real = torch.cat(list(fetched(real, drawn(real, n, seed))))
            return
        self._extractor = extractors.build(features, device)
        self.name = "FID" if self._extractor.label == "inception" else f"FD[{self._extractor.label}]"
        self._features = RealFeatures(real, self._extractor, n, seed, cache).features
        self._moments = scores.moments(self._features)

    def __call__(self, pictures: Tensor) -> float:
        """The score of uint8 samples [N, C, H, W], N >= 20."""
        return self.measure(pictures)[self.name]

    def measure(self, pictures: Tensor) -> dict[str, float]:
        """The score under its name, and where features are compared, two shares that tell poor pictures from few kinds of them.

        ``believable`` is the share of samples that lie among real pictures: nearer to one than its fifth nearest other real
        picture (precision, arXiv:1904.06991). ``covered`` is the share of real pictures with a sample as near as that
        (coverage, arXiv:2002.09797). Both are low in a young run; after a collapse only the second is.

        Args:
            pictures: uint8 samples [N, C, H, W], N >= 20.
        """
        if len(pictures) < MINIMUM["swd"]:
            raise GansmithError(f"Measuring needs at least {MINIMUM['swd']} samples, and there are {len(pictures)}.")
        pictures = match(pictures, self._spec, [])
        if self._extractor is None:
            return {self.name: scores.sliced_wasserstein(self._real, pictures, seed=self._seed)["mean"]}
        found = extractors.extract(self._extractor, pictures.split(250))
        shares = scores.manifold_scores(self._features, found)
        return {
            self.name: scores.frechet_distance(self._moments, scores.moments(found)),
            "believable": shares["precision"],
            "covered": shares["coverage"],
        }
