"""A small convolutional classifier of 28-pixel grey pictures, and the trained ones that ship with the package.

``mnist-cnn`` (handwritten digits) and ``fashion-cnn`` (Fashion-MNIST) count classes and give features that work offline;
``benchmarks/train_classifiers.py`` trains them, and the JSON file beside each file of weights says how well they do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith.errors import GansmithError
from gansmith.nn.constants import constant

NAMES = ("mnist-cnn", "fashion-cnn")
"""Classifiers embedded in the package."""

_FOLDER = Path(__file__).parent / "weights"
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what Pillow's "L" uses


def to_grey(images: Tensor) -> Tensor:
    """Pictures [N, C, H, W] (grey, RGB, or either with alpha, which is ignored) as grey [N, 1, H, W], float."""
    if images.shape[1] < 3:
        return images[:, :1].float()
    colours = images[:, :3].float()
    return (colours * constant(_LUMA, colours).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class DigitNet(nn.Module):
    """Four convolutions, global average pooling, one linear layer: 164,914 weights for ten classes.

    Pictures of any size, grey or RGB, [N, C, H, W] in [-1, 1]; they are made grey and resized (antialiased) to 28x28.

    Args:
        classes: number of classes.
    """

    size = 28
    width = 128
    """Length of the feature vector."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _block(1, 24, kernel=5, stride=2),  # [N, 24, 14, 14]
            _block(24, 48), nn.MaxPool2d(2),  # [N, 48, 7, 7]
            _block(48, 96), nn.MaxPool2d(2),  # [N, 96, 3, 3]
            _block(96, self.width),
        )  # fmt: skip
        # Whitened per dimension, so that distances between features do not depend on how training scaled them.
        self.whiten = nn.BatchNorm1d(self.width, affine=False)
        self.head = nn.Linear(self.width, classes)

    def features(self, images: Tensor) -> Tensor:
        """The penultimate layer, [N, 128]: about zero mean and unit variance over the pictures it was trained on."""
        grey = to_grey(images)
        if grey.shape[-2:] != (self.size, self.size):
            grey = F.interpolate(grey, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return self.whiten(self.body(grey).mean((2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, [N, classes]."""
        return self.head(self.features(images))


def card(name: str) -> dict[str, Any]:
    """What the JSON file beside the weights says: data, accuracy on held-out pictures, class names, seed."""
    if name not in NAMES:
        raise GansmithError(f"There is no classifier '{name}'. Embedded ones: {', '.join(NAMES)}.")
    return json.loads((_FOLDER / f"{name}.json").read_text())


def weights_file(name: str) -> Path:
    """Where the weights of an embedded classifier are."""
    return _FOLDER / f"{name}.safetensors"


def load_classifier(name: str, device: torch.device | str = "cpu") -> DigitNet:
    """One of the trained classifiers, in eval mode, weights frozen.

    Args:
        name: ``mnist-cnn`` or ``fashion-cnn``.
        device: where to put it.

    Raises:
        GansmithError: no such classifier.
    """
    from safetensors.torch import load_file

    network = DigitNet(len(card(name)["class_names"]))
    network.load_state_dict(load_file(weights_file(name)))
    return network.to(device).eval().requires_grad_(False)


def batches(pictures: Tensor, size: int = 250) -> Iterator[Tensor]:
    """uint8 pictures [N, C, H, W] as float batches in [-1, 1]."""
    for start in range(0, len(pictures), size):
        yield pictures[start : start + size].float() / 127.5 - 1


@torch.no_grad()
def classify(network: DigitNet, pictures: Tensor, batch: int = 250) -> np.ndarray:
    """The most likely class of each uint8 picture [N, C, H, W]: int64 [N]."""
    device = network.head.weight.device
    return np.concatenate([network(x.to(device)).argmax(1).cpu().numpy() for x in batches(pictures, batch)])
