"""Networks whose features scores are made of: a classifier for digits, one for clothes, EfficientNet-Lite0, Inception, DINOv2."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith.errors import MissingExtra, ModelError, first_line
from gansmith.files.alpha import batch_on_white
from gansmith.game import ImageSpec
from gansmith.metrics.classifier import load_classifier, to_grey, weights_file
from gansmith.metrics.loading import (
    INCEPTION_DIGEST,
    download_inception,
    file_digest,
    inception_network,
    load_state,
    read_weights,
)
from gansmith.nn import efficientnet
from gansmith.nn.constants import constant

_DINO = "vit_large_patch14_dinov2.lvd142m"

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Extractor:
    """Turns pictures into feature vectors.

    Attributes:
        name: as asked for, e.g. ``mnist-cnn``.
        label: what scores are called after: the name, or name and file where the weights are the user's own.
        fingerprint: stands for the exact weights; what is cached is filed under it.
        channels: 1 or 3, what the network looks at.
        device: where it computes.
    """

    name: ClassVar[str]
    channels: ClassVar[int]

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.label = self.name
        self.fingerprint = self.name

    def features(self, pictures: Tensor) -> Tensor:
        """uint8 pictures [N, channels, H, W] -> features [N, d], float32."""
        raise NotImplementedError

    def logits(self, features: np.ndarray) -> np.ndarray | None:
        """Class scores [N, K] from features [N, d], or None where the network is no classifier."""
        return None

    def adapt(self, pictures: Tensor) -> Tensor:
        """Pictures of any kind [N, C, H, W] as the network wants them: laid on white, grey repeated or RGB made grey."""
        pictures = batch_on_white(pictures)
        if self.channels == 1:
            return pictures if pictures.shape[1] == 1 else to_grey(pictures).round().to(torch.uint8)
        return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures

    def note(self, spec: ImageSpec) -> str:
        """What ``adapt`` does to pictures like these, in words; empty if nothing."""
        if spec.channels == self.channels:
            return ""
        before = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}.get(spec.channels, f"{spec.channels}-channel")
        after = "grey" if self.channels == 1 else "RGB"
        return f"{before} pictures were converted to {after} for the features of {self.name}"


class Classifier(Extractor):
    """The penultimate layer of one of the embedded classifiers: [N, 128]."""

    channels = 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        self.network = load_classifier(self.name, self.device)
        self.fingerprint = file_digest(weights_file(self.name))

    def features(self, pictures: Tensor) -> Tensor:
        return self.network.features(pictures.float() / 127.5 - 1)

    def logits(self, features: np.ndarray) -> np.ndarray:
        head = self.network.head
        return features.astype(np.float64) @ head.weight.cpu().double().numpy().T + head.bias.cpu().double().numpy()


class MnistCnn(Classifier):
    """Features for handwritten digits."""

    name = "mnist-cnn"


class FashionCnn(Classifier):
    """Features for Fashion-MNIST."""

    name = "fashion-cnn"


class EffNetLite0(Extractor):
    """The vector before EfficientNet-Lite0's classifier, pictures brought to the 224 px it was trained on: [N, 1280].

    Raises:
        MissingExtra: the package of its weights is not installed.
        ModelError: they cannot be read.
    """

    name = "effnet-lite0"
    channels = 3
    size = 224
    _AT_ONCE = 32  # pictures; the first maps of one take 5 MB

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        efficientnet.require("Measuring on the features of EfficientNet-Lite0")
        self.network = efficientnet.pretrained(self.device)
        file = efficientnet.weights_file()
        assert file is not None
        self.fingerprint = file_digest(file)

    def features(self, pictures: Tensor) -> Tensor:
        return torch.cat([self.network.features(self._fit(part)) for part in pictures.split(self._AT_ONCE)])

    def _fit(self, pictures: Tensor) -> Tensor:
        x = pictures.float() / 127.5 - 1
        if x.shape[2:] != (self.size, self.size):
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return x.contiguous(memory_format=torch.channels_last)

    def logits(self, features: np.ndarray) -> np.ndarray:
        head = self.network.classifier
        return features.astype(np.float64) @ head.weight.cpu().double().numpy().T + head.bias.cpu().double().numpy()


class Inception(Extractor):
    """The 2048 features FID is defined on, by torch-fidelity (bit-exact to the original network's resizing and weights).

    Args:
        weights: torch-fidelity's ``weights-inception-2015-12-05-6726825d.pth`` (or the same as .safetensors); without
            it, it is downloaded once.

    Raises:
        ModelError: the weights cannot be had or read; says how to get them.
    """

    name = "inception"
    channels = 3

    def __init__(self, device: torch.device | str = "cpu", weights: Path | None = None) -> None:
        super().__init__(device)
        if weights is None:
            state = download_inception()
        else:
            state = read_weights(weights)
            digest = file_digest(weights)
            if not digest.startswith(INCEPTION_DIGEST):  # not provably the network FID is defined on
                self.label, self.fingerprint = f"inception:{weights.stem}", digest
        self.network = inception_network(state).to(self.device)

    def features(self, pictures: Tensor) -> Tensor:
        return self.network(pictures)[0]

    def logits(self, features: np.ndarray) -> np.ndarray:
        # The Inception score is defined without the bias.
        return features.astype(np.float64) @ self.network.fc.weight.cpu().double().numpy().T


class DinoV2(Extractor):
    """The class token of DINOv2 ViT-L/14 at 224 px, [N, 1024]; closer to how people judge than Inception.

    Source: Stein et al. 2023, arXiv:2306.04675.

    Args:
        weights: a file of timm's weights; without it, they are downloaded once from the Hugging Face hub.

    Raises:
        MissingExtra: timm is not installed.
        ModelError: the weights cannot be had or read.
    """

    name = "dinov2"
    channels = 3

    def __init__(self, device: torch.device | str = "cpu", weights: Path | None = None) -> None:
        super().__init__(device)
        try:
            timm: Any = importlib.import_module("timm")
        except ImportError:
            raise MissingExtra("timm", "metrics", "Measuring on DINOv2 features") from None
        settings: dict[str, Any] = {"img_size": 224, "num_classes": 0}
        if weights is not None:
            self.label, self.fingerprint = f"dinov2:{weights.stem}", file_digest(weights)
            network = timm.create_model(_DINO, pretrained=False, **settings)
            load_state(network, read_weights(weights), f"{weights} is not timm's {_DINO}")
        else:
            try:
                network = timm.create_model(_DINO, pretrained=True, **settings)
            except Exception as error:  # the hub client raises many kinds; all of them mean no weights
                raise ModelError(
                    f"The DINOv2 weights could not be downloaded ({first_line(error)}). On a machine with a network, "
                    f"download timm/{_DINO} from huggingface.co and give its model.safetensors with --weights."
                ) from None
        self.network: nn.Module = network.to(self.device).eval().requires_grad_(False)

    def features(self, pictures: Tensor) -> Tensor:
        x = F.interpolate(pictures.float(), (224, 224), mode="bicubic", antialias=True, align_corners=False)
        mean, std = (constant(v, x).view(1, 3, 1, 1) for v in _IMAGENET)
        return self.network((x.clamp(0, 255) / 255 - mean) / std)
