"""A family of your own: the least squares GAN (Mao et al. 2017, arXiv:1611.04076) on two small MLPs.

    L_D = 1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2
    L_G = 1/2 E (D(G(z)) - 1)^2

Train it by its dotted name, from the folder above: ``gansmith train examples.my_gan --data mnist10k``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from gansmith.game import Batch, ImageSpec, Logs, Turn
from gansmith.generation import Generation, GenerationConfig, judgement_logs
from gansmith.nn.classes import ClassEmbedding


@dataclass(frozen=True)
class Config(GenerationConfig):
    """Settings of MyGAN."""

    width: int = 256
    """Units of the hidden layers."""


class Generator(nn.Module):
    """z [N, latent_dim] -> pictures [N, C, H, W] in [-1, 1]."""

    def __init__(self, config: Config, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        self.shape = spec.shape
        self.of_class = ClassEmbedding(classes, config.latent_dim) if classes else None
        pixels = spec.channels * spec.height * spec.width
        self.layers = nn.Sequential(
            nn.Linear(config.latent_dim, config.width), nn.LeakyReLU(0.2),
            nn.Linear(config.width, 2 * config.width), nn.LeakyReLU(0.2),
            nn.Linear(2 * config.width, pixels), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.of_class is not None:
            z = z * self.of_class(labels)
        return self.layers(z).unflatten(1, self.shape)


class Discriminator(nn.Module):
    """Pictures [N, C * pack, H, W] -> a number each, 1 for real and 0 for fake: [N, 1]."""

    def __init__(self, config: Config, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        pixels = spec.channels * config.pack * spec.height * spec.width
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, config.width), nn.LeakyReLU(0.2))
        self.out = nn.Linear(config.width, 1)
        self.of_class = ClassEmbedding(classes, config.width) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.body(images)
        out = self.out(features)
        if self.of_class is not None:
            out = out + (self.of_class(labels) * features).sum(1, keepdim=True)
        return out


class MyGAN(Generation[Config]):
    """Both players at every step, the discriminator first."""

    Config = Config
    tiny: ClassVar = {"width": 8, "latent_dim": 8}

    def networks(self) -> dict[str, nn.Module]:
        return {
            "generator": Generator(self.config, self.spec, self.classes),
            "discriminator": Discriminator(self.config, self.spec, self.classes),
        }

    def turns(self) -> Sequence[Turn]:
        return (
            Turn("discriminator", self.discriminator_loss, after=self.adapt_augment),
            Turn("generator", self.generator_loss),
        )

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        real, fake = self.judge_both(batch.images, self.fakes(batch).detach(), self.labels_of(batch))
        loss = 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()  # Eq. 2
        return loss, judgement_logs(real - 0.5, fake - 0.5)  # signs count from between the two targets

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        fake = self.judge(self.fakes(batch), self.labels_of(batch))
        return 0.5 * (fake - 1).square().mean(), {}
