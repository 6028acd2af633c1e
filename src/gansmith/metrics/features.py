"""What pictures are compared by: networks that turn uint8 pictures into feature vectors.

=============  =====  ==========  =======================================================================================
name           width  pictures    weights
=============  =====  ==========  =======================================================================================
mnist-cnn        128  grey        embedded; for handwritten digits
fashion-cnn      128  grey        embedded; for Fashion-MNIST
effnet-lite0    1280  RGB         EfficientNet-Lite0's ImageNet weights, from the extra ``features``; nothing is downloaded
inception       2048  RGB         FID proper: torch-fidelity's conversion of the original network, downloaded on first use
dinov2          1024  RGB         DINOv2 ViT-L/14 through timm, downloaded on first use (Stein et al. 2023, arXiv:2306.04675)
=============  =====  ==========  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gansmith.devices import exact
from gansmith.errors import GansmithError
from gansmith.game import ImageSpec
from gansmith.metrics.extractors import DinoV2, EffNetLite0, Extractor, FashionCnn, Inception, MnistCnn
from gansmith.metrics.loading import (
    inception_file,
)
from gansmith.nn import efficientnet

NAMES = ("mnist-cnn", "fashion-cnn", "effnet-lite0", "inception", "dinov2")
"""Feature extractors by name."""

Progress = Callable[[str, int, int], None]
"""Told (what is being done, pictures done, pictures in all)."""


def choose(spec: ImageSpec, name: str = "") -> str:
    """The extractor ``auto`` stands for: the embedded classifier for grey digits or fashion of 28 to 32 px, else Inception.

    Where Inception would have to be downloaded, colour pictures take EfficientNet-Lite0 if its package is installed.

    Args:
        spec: facts about the real pictures.
        name: what the data is called.
    """
    if spec.channels == 1 and min(spec.height, spec.width) >= 28 and max(spec.height, spec.width) <= 32:
        if "fashion" in name.lower():
            return "fashion-cnn"
        if "mnist" in name.lower() or "digit" in name.lower():
            return "mnist-cnn"
    if spec.channels >= 3 and inception_file() is None and efficientnet.weights_file() is not None:
        return "effnet-lite0"
    return "inception"


def build(name: str, device: torch.device | str = "cpu", weights: Path | None = None) -> Extractor:
    """An extractor by name.

    Args:
        name: one of ``NAMES``.
        device: where to compute.
        weights: a file of weights instead of a download, for inception and dinov2.

    Raises:
        GansmithError: an unknown name, or weights given for an extractor that has its own.
        ModelError: the weights cannot be had or read; says how to get them.
        MissingExtra: its package is not installed.
    """
    downloaded: dict[str, type[Inception] | type[DinoV2]] = {"inception": Inception, "dinov2": DinoV2}
    installed: dict[str, type[Extractor]] = {kind.name: kind for kind in (MnistCnn, FashionCnn, EffNetLite0)}
    if name in downloaded:
        return downloaded[name](device, weights)
    if name not in installed:
        raise GansmithError(f"There are no features '{name}'. Choose one of {', '.join(NAMES)}, or auto.")
    if weights is not None:
        raise GansmithError(
            f"The weights of {name} are installed with it: leave --weights out, or choose --features inception."
        )
    return installed[name](device)


@torch.no_grad()
def extract(
    extractor: Extractor, batches: Iterable[Tensor], progress: Callable[[int], None] | None = None
) -> np.ndarray:
    """Features of all pictures.

    Args:
        extractor: what to compute them with.
        batches: uint8 pictures [n, C, H, W] of any channels, batch by batch.
        progress: called with the number of pictures after every batch.

    Returns:
        float32 [N, d].

    Raises:
        GansmithError: no pictures, or features that are not finite.
    """
    parts = []
    for pictures in batches:
        with exact():
            found = extractor.features(extractor.adapt(pictures).to(extractor.device))
        parts.append(found.float().cpu().numpy())
        if progress:
            progress(len(pictures))
    if not parts:
        raise GansmithError("There are no pictures to measure.")
    features = np.concatenate(parts)
    if not np.isfinite(features).all():
        raise GansmithError(f"The features of {extractor.label} are not finite numbers: its weights look damaged.")
    return features
