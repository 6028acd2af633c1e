"""Distances in the features of a classifier: what looks alike is close there (arXiv:1603.08155, arXiv:1609.04802)."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, l1_loss, normalize

from gansmith.nn import efficientnet

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
        x = (_seen(images) + 1) / 2
        x = (x - self.mean) / self.deviation
        taken = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _LAYERS:
                taken.append(x)
        return taken


class EffNetPerceptual(nn.Module):
    """Mean absolute difference of EfficientNet-Lite0's features of two batches [N, 1|3|4, H, W] in [-1, 1].

    The features after blocks 0, 2, 4, 10 and 15, from half the size to a 32nd of it, are each divided by their usual
    size (``efficientnet.SCALES``) and the five means are added up. Unrelated pictures are about 5 apart, as they are for
    :class:`Perceptual`, so that one weight of the loss suits both.

    Args:
        device: where the pictures are.

    Raises:
        MissingExtra: the extra ``features`` is not installed.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.network = efficientnet.pretrained(device)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.network.maps(_seen(true), efficientnet.SCALES)
        found = self.network.maps(_seen(made), efficientnet.SCALES)
        scaled = zip(efficientnet.SCALES.values(), found, wanted, strict=True)
        return torch.stack([l1_loss(a.float(), b.float()) / scale for scale, a, b in scaled]).sum()


class FeatureDistance(nn.Module):
    """How different two pictures look, [N], in the features of EfficientNet-Lite0: 0 for equal ones, about 1 for unrelated ones.

    Eq. 1 of LPIPS (Zhang et al. 2018, arXiv:1801.03924) with all its learned weights 1: at every place of five levels the
    features are brought to length 1, and their squared difference is averaged over places and levels. It is not LPIPS,
    whose weights were learned from what people see; it is called ``distance[effnet-lite0]``.

    Args:
        device: where the pictures are.

    Raises:
        MissingExtra: the extra ``features`` is not installed.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.network = efficientnet.pretrained(device)

    def forward(self, made: Tensor, true: Tensor, mask: Tensor | None = None) -> Tensor:
        """Distances [N] of pictures [N, 1|3|4, H, W] in [-1, 1].

        Args:
            mask: [N, 1, H, W], 1 where the pictures are to be compared and 0 elsewhere; None compares them everywhere.
        """
        levels = []
        maps = (self.network.maps(_seen(images), efficientnet.SCALES) for images in (made, true))
        for a, b in zip(*maps, strict=True):
            apart = (normalize(a.float(), dim=1) - normalize(b.float(), dim=1)).square().sum(1, keepdim=True)
            if mask is None:
                levels.append(apart.mean((1, 2, 3)))
            else:  # every place counts by its share of the mask
                share = interpolate(mask.float(), apart.shape[2:], mode="area")
                levels.append((apart * share).sum((1, 2, 3)) / share.sum((1, 2, 3)).clamp_min(1e-8))
        return torch.stack(levels).mean(0)


def _seen(images: Tensor) -> Tensor:
    """Pictures as classifiers look at them: RGB without alpha, at least 32 px a side, which five halvings need."""
    images = images[:, :3] if images.shape[1] > 1 else images.expand(-1, 3, -1, -1)
    short = min(images.shape[2:])
    return images if short >= 32 else interpolate(images, scale_factor=32 / short, mode="bilinear")
