"""The convolutional networks of DCGAN (Radford et al. 2015, arXiv:1511.06434), which other families train too.

The generator grows a small map of features by stride-2 transposed convolutions; the discriminator mirrors it. At 64 px
this is the paper's network to the last weight; other sizes take one stage more or less per factor of two. Under gradient
penalties a discriminator without norms stands against the same generator.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from gansmith.game import ImageSpec
from gansmith.nn.classes import ClassEmbedding
from gansmith.nn.norms import init_he, init_normal
from gansmith.nn.stages import base_for, crop_to, stages_for

SMALLEST = 4
"""The map is halved until its shorter side is at most so many pixels."""


def stage_channels(width: int, stages: int) -> list[int]:
    """Channels of each stage from the picture inwards: width, 2 width, 4 width, 8 width, 8 width, ..."""
    return [width * min(2**stage, 8) for stage in range(stages)]


class Generator(nn.Module):
    """z [N, latent_dim] -> [N, C, H, W]. Sizes that are not 4 * 2^k are made a little larger and cropped."""

    def __init__(self, latent_dim: int, width: int, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        self.spec = spec
        stages = stages_for(spec)
        channels = stage_channels(width, stages)[::-1]
        self.embed = ClassEmbedding(classes, latent_dim) if classes else None
        inputs = latent_dim * (2 if classes else 1)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(inputs, channels[0], base_for(spec, stages), bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        ]
        for before, after in itertools.pairwise(channels):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after)]
            layers.append(nn.ReLU(inplace=True))
        layers += [nn.ConvTranspose2d(channels[-1], spec.channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(init_normal)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], 1)
        images = self.layers(z[:, :, None, None])
        return images if images.shape[1:] == self.spec.shape else crop_to(images, self.spec)


class Discriminator(nn.Module):
    """[N, C, H, W] -> logits [N, 1]; conditional ones add a projection of the label's embedding."""

    def __init__(self, width: int, spec: ImageSpec, classes: int, pack: int, batch_norm: bool) -> None:
        super().__init__()
        stages = stages_for(spec)
        channels = stage_channels(width, stages)
        inputs = spec.channels * pack
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in itertools.pairwise(channels):
            layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(after)] if batch_norm else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.features = nn.Sequential(*layers)
        self.logit = nn.Conv2d(channels[-1], 1, (spec.height >> stages, spec.width >> stages), bias=False)
        self.embed = ClassEmbedding(classes, channels[-1]) if classes else None
        self.apply(init_normal)
        if self.embed is not None:  # as strong as the logit: the same vector looks at every place, so its parts add up
            places = (spec.height >> stages) * (spec.width >> stages)
            nn.init.normal_(self.embed.weight, 0.0, 0.02 / math.sqrt(places))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.features(images)
        logit = self.logit(features).flatten(1)
        if self.embed is not None:  # Miyato & Koyama 2018 (arXiv:1802.05637), Eq. 3
            logit = logit + (self.embed(labels) * features.sum((2, 3))).sum(1, keepdim=True)
        return logit


class PlainDiscriminator(nn.Module):
    """[N, C, H, W] -> logits [N, 1], without norms, so that penalties act on one picture at a time; labels as above, on the last map.

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
        self.apply(init_he)
        if self.embed is not None:  # no stronger than the logit's own weights
            nn.init.normal_(self.embed.weight, 0.0, 1 / math.sqrt(features))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.layers(images)
        logit = self.logit(features)
        if self.embed is not None:  # Miyato & Koyama 2018 (arXiv:1802.05637), Eq. 3
            logit = logit + (self.embed(labels) * features).sum(1, keepdim=True)
        return logit
