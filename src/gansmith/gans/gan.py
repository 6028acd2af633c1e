"""GAN: the game itself, a generator and a discriminator as small MLPs (Goodfellow et al. 2014, arXiv:1406.2661).

    L_D = -E log D(x) - E log(1 - D(G(z)))
    L_G = -E log D(G(z))

Both are computed on logits. On 28x28 digits this is the widespread first example: z=100, batch 64, Adam 2e-4 / 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gansmith.config import Units
from gansmith.game import ImageSpec
from gansmith.generation import AdversarialConfig, Generation
from gansmith.nn import conditioning
from gansmith.nn.classes import ClassEmbedding


@dataclass(frozen=True)
class Config(AdversarialConfig):
    """Settings of the MLP GAN."""

    width: Units = 256
    """Units of the generator's first hidden layer; the next have two and four times as many."""


class Generator(nn.Module):
    """z [N, latent_dim] -> [N, C, H, W]: three hidden layers of width, 2 width and 4 width."""

    def __init__(self, latent_dim: int, width: int, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        self.shape = spec.shape
        self.embed = ClassEmbedding(classes, latent_dim) if classes else None
        inputs = latent_dim * (2 if classes else 1)
        channels, height, w = spec.shape
        layers: list[nn.Module] = []
        for outputs in (width, 2 * width, 4 * width):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2, inplace=True)]
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, channels * height * w), nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], 1)
        return self.layers(z).unflatten(1, self.shape)


class Discriminator(nn.Module):
    """[N, C, H, W] -> logits [N, 1]: hidden layers of 2 width and width, and a projection of the label's embedding."""

    def __init__(self, width: int, spec: ImageSpec, classes: int, pack: int) -> None:
        super().__init__()
        channels, height, w = spec.shape
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * height * w * pack, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(2 * width, width),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.logit = nn.Linear(width, 1)
        self.embed = ClassEmbedding(classes, width) if classes else None
        if self.embed is not None:  # as strong as the logit's own weights
            nn.init.uniform_(self.embed.weight, -(width**-0.5), width**-0.5)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.features(images)
        logit = self.logit(features)
        if self.embed is not None:  # Miyato & Koyama 2018 (arXiv:1802.05637), Eq. 3
            logit = logit + (self.embed(labels) * features).sum(1, keepdim=True)
        return logit


class GAN(Generation[Config]):
    """Alternating turns of the losses above (``Generation.discriminator_loss`` and ``generator_loss``)."""

    Config = Config
    tiny = {"width": 8, "latent_dim": 8}
    per_class = conditioning.PER_CLASS
    usual_r1 = 3.0  # docs/results/log.md: without it every class collapses to one picture

    def networks(self) -> dict[str, nn.Module]:
        config = self.config
        return {
            "generator": Generator(config.latent_dim, config.width, self.spec, self.classes),
            "discriminator": Discriminator(config.width, self.spec, self.classes, config.pack),
        }
