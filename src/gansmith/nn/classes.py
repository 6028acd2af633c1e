"""Classes as vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassEmbedding(nn.Embedding):
    """Weights of classes [N, K] -> vectors [N, D], which mix the classes' own vectors by their weights."""

    def forward(self, labels: Tensor) -> Tensor:  # type: ignore[override]
        with torch.autocast(labels.device.type, enabled=False):  # one class alone is its own vector, to the last bit
            return labels.to(self.weight.dtype) @ self.weight


def class_weights(numbers: Tensor, classes: int) -> Tensor:
    """Class numbers [N] as weights of classes [N, K], float32: 1 for the class and 0 for the others."""
    return (numbers[:, None] == torch.arange(classes, device=numbers.device)).float()
