"""A plain discriminator: strided convolutions and no norms, so that penalties act on one picture at a time."""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn

from gansmith.game import ImageSpec
from gansmith.nn.classes import ClassEmbedding

SMALLEST = 4
"""The map is halved until its shorter side is at most so many pixels."""


class PlainDiscriminator(nn.Module):
    """[N, C, H, W] -> logits [N, 1]; conditional ones add a projection of the label's embedding on the last map.

    Layers are 4x4 convolutions of stride 2 with ``width``, 2 ``width``, 4 ``width``, ... channels, up to 8 ``width``, and
    LeakyReLU 0.2; He's initialisation keeps the size of activations (arXiv:1502.01852).
    """

    def __init__(self, width: int, spec: ImageSpec, classes: int, pack: int) -> None:
        super().__init__()
        height, side, halvings = spec.height, spec.width, 0
        while min(height, side) > SMALLEST:
            height, side, halvings = height // 2, side // 2, halvings + 1
        widths = [spec.channels * pack, *(width * min(2**stage, 8) for stage in range(halvings))]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        features = widths[-1] * height * side
        self.logit = nn.Linear(features, 1)
        self.embed = ClassEmbedding(classes, features) if classes else None
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, 0.2, nonlinearity="leaky_relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        if self.embed is not None:  # no stronger than the logit's own weights
            nn.init.normal_(self.embed.weight, 0.0, 1 / math.sqrt(features))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.layers(images)
        logit = self.logit(features)
        if self.embed is not None:  # Miyato & Koyama 2018 (arXiv:1802.05637), Eq. 3
            logit = logit + (self.embed(labels) * features).sum(1, keepdim=True)
        return logit
