"""How many samples look real in a classifier's eyes, and how many of the real pictures they cover: quality and variety apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gansmith.files.pictures import to_uint8
from gansmith.game import ImageSpec
from gansmith.nn import efficientnet

Features = Callable[[Tensor], np.ndarray]
"""uint8 pictures [N, C, H, W] -> features [N, D]."""


class Believable:
    """Two shares of samples against real pictures, measured on a classifier's features.

    ``believable`` is precision (arXiv:1904.06991): the share of samples that are nearer to a real picture than that one is to
    its fifth nearest. ``covered`` is coverage (arXiv:2002.09797): the share of real pictures that have a sample as near.
    A young run has few of either. After a mode collapse, samples may be believable and cover little.

    Args:
        real: real pictures [N, C, H, W] in [-1, 1].
        features: of a classifier that knows such pictures.
    """

    def __init__(self, real: Tensor, features: Features) -> None:
        self._features = features
        self.enough = len(real) >= 64
        """With fewer pictures the shares say little, and are not measured."""
        if self.enough:
            self._real = features(to_uint8(real.cpu()))
            self._compared(
                self._real
            )  # the first call imports and allocates, which no check of a run should be charged with

    def __call__(self, fakes: Tensor) -> dict[str, float]:
        """``believable`` and ``covered`` of samples [N, C, H, W] in [-1, 1]; nothing where pictures are too few."""
        return self._compared(self._features(to_uint8(fakes.cpu()))) if self.enough else {}

    def _compared(self, fakes: np.ndarray) -> dict[str, float]:
        from gansmith.metrics.scores import manifold_scores

        found = manifold_scores(self._real, fakes)
        return {"believable": found["precision"], "covered": found["coverage"]}


def features_for(name: str, spec: ImageSpec) -> tuple[Features, int] | None:
    """Features that fit the data and are on this machine, and at every how many checks they are worth their time; or None.

    Args:
        name: what the data is called.
        spec: facts about the pictures.
    """
    from gansmith.metrics import features

    chosen, every = features.choose(spec, name), 1
    if chosen not in ("mnist-cnn", "fashion-cnn"):
        if spec.channels < 3 or efficientnet.weights_file() is None:
            return None
        chosen, every = "effnet-lite0", 6
    extractor = features.build(chosen)

    def measured(images: Tensor) -> np.ndarray:
        with torch.inference_mode():
            return features.extract(extractor, images.split(128))

    return measured, every
