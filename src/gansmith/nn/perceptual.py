"""Distances in the features of a classifier: what looks alike is close there (arXiv:1603.08155, arXiv:1609.04802)."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, l1_loss

_LAYERS = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}
"""Last convolution of each VGG-19 stage, before its ReLU (ESRGAN, arXiv:1809.00219, section 3.3), and its weight."""


@functools.cache
def vgg_weights() -> Path | None:
    """torchvision's VGG-19 weights where they are already on this machine; nothing is downloaded."""
    from torchvision.models import VGG19_Weights

    file = Path(torch.hub.get_dir()) / "checkpoints" / VGG19_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[1]
    return file if file.is_file() else None


class Perceptual(nn.Module):
    """Weighted mean absolute difference of VGG-19 features of two batches [N, 1|3, H, W] in [-1, 1].

    Args:
        weights: torchvision's file of VGG-19 weights; None leaves them random (tests).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Path | None) -> None:
        super().__init__()
        from torchvision.models import vgg19

        network = vgg19()
        if weights is not None:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        layers = list(network.features.children())
        self.features = nn.Sequential(*layers[: max(_LAYERS) + 1])
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None])
        self.eval().requires_grad_(False)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self._features(true)
        found = self._features(made)
        weighted = zip(_LAYERS.values(), found, wanted, strict=True)
        return torch.stack([weight * l1_loss(a, b) for weight, a, b in weighted]).sum()

    def _features(self, images: Tensor) -> list[Tensor]:
        x = ((images[:, :3] + 1) / 2 - self.mean) / self.deviation
        if min(x.shape[2:]) < 32:  # five halvings need this much
            x = interpolate(x, scale_factor=32 / min(x.shape[2:]), mode="bilinear")
        taken = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _LAYERS:
                taken.append(x)
        return taken
