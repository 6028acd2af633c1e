"""Classes as vectors."""

from __future__ import annotations

from torch import Tensor, nn


class ClassEmbedding(nn.Embedding):
    """Labels to vectors [N, D]: class numbers [N], or weights of classes [N, classes], which mix their vectors."""

    def forward(self, labels: Tensor) -> Tensor:  # type: ignore[override]
        return labels.to(self.weight.dtype) @ self.weight if labels.is_floating_point() else super().forward(labels)
