"""Which classes and modes samples cover, told by a classifier: what mode collapse takes away."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gansmith.errors import GansmithError
from gansmith.metrics.classifier import DigitNet, classify, load_classifier


def class_shares(images: Tensor, classifier: DigitNet | str) -> np.ndarray:
    """Share of each class among samples.

    Args:
        images: uint8 [N, C, H, W].
        classifier: one of the embedded ones, by name, or a trained network.

    Returns:
        float64 [K], adding up to 1.
    """
    network = load_classifier(classifier) if isinstance(classifier, str) else classifier
    return np.bincount(classify(network, images), minlength=network.head.out_features) / max(1, len(images))


def modes_and_kl(images: Tensor, classifier: DigitNet | str = "mnist-cnn") -> tuple[int, float]:
    """Stacked MNIST: how many of the 1,000 modes samples reach, and KL(samples || uniform) in nats.

    Each colour channel holds a digit of its own; the three make a number from 0 to 999. The usual protocol takes 25,600
    or 26,000 samples (Metz et al. 2017, arXiv:1611.02163; Lin et al. 2018, arXiv:1712.04086). KL is 0 at best and
    log(1000) = 6.91 where all samples are one mode.

    Args:
        images: uint8 [N, 3, 28, 28].
        classifier: of digits.

    Raises:
        GansmithError: the pictures do not have three channels, or there are none.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise GansmithError("Stacked digits are pictures of three channels, one digit in each.")
    network = load_classifier(classifier) if isinstance(classifier, str) else classifier
    n, k = len(images), network.head.out_features
    digits = classify(network, images.reshape(n * 3, 1, *images.shape[2:])).reshape(n, 3)
    shares = np.bincount(digits @ np.array([k * k, k, 1]), minlength=k**3) / n
    found = shares[shares > 0]
    return len(found), float((found * np.log(found * k**3)).sum())
