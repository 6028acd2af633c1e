"""StyleGAN2-ADA: styles modulate convolutions, the classic of quality on few pictures (Karras et al. 2020).

Networks and losses are those of "Analyzing and Improving the Image Quality of StyleGAN" (arXiv:1912.04958), the
augmentation (``--augment ada``) that of "Training Generative Adversarial Networks with Limited Data" (arXiv:2006.06676).

    L_D = E softplus(D(G(z))) + E softplus(-D(x))        + gamma / 2 E |grad D(x)|^2       every 16th step, 16 times
    L_G = E softplus(-D(G(z)))                           + 2 E (|J_w^T y|_2 - a)^2         every 4th step, 4 times

Weights are drawn from N(0, 1) and scaled at run time by 1 / sqrt(fan-in) (equalised learning rate). Sizes may be any
h x w that halves evenly down to 4 to 15 pixels; the generator starts from a learned constant of that base size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith.config import Bounds, Count, Decay, OptionalTerm, Units
from gansmith.errors import GansmithError
from gansmith.game import Batch, ImageSpec, Logs, Turn
from gansmith.generation import (
    GenerationConfig,
    StyleGeneration,
    StyleGenerator,
    input_gradient,
    judgement_logs,
    squared_gradient_norm,
)
from gansmith.nn import conditioning, styled_discriminator
from gansmith.nn.equalized import Dense
from gansmith.nn.resample import upsample
from gansmith.nn.styled import Mapping, NoiseMode, StyledConv, ToImage
from gansmith.nn.styled_discriminator import Discriminator, levels
from gansmith.parallel import processes, seeds


@dataclass(frozen=True)
class Config(GenerationConfig):
    """Settings of StyleGAN2. Defaults that depend on the pictures or the batch are the paper's choice."""

    latent_dim: Units = 512
    """Length of the noise vector z ~ N(0, I)."""
    style_dim: Count = 512
    """Length of the style vector w."""
    preset: Literal["small", "full"] = "small"
    """small: 2 mapping layers and half the channels; full: 8 layers, all channels from 512 px."""
    width: Annotated[float, Bounds(above=0)] = 1.0
    """Multiplies the channels of every layer: 0.125 or 0.25 make networks for a CPU."""
    mapping_layers: Annotated[int | None, Bounds(0, unit="layers", was=-1)] = None
    """Layers of the mapping network; by default the preset's."""
    channel_base: Annotated[int | None, Bounds(1, was=-1)] = None
    """Channels times resolution; by default the preset's: 16384 (small), 32768 (full, from 512 px)."""
    channel_max: Count = 512
    """Most channels of any layer."""
    clamp: OptionalTerm = 256.0
    """Activations are kept within this, which makes half precision safe; 0 does not clamp."""
    lr: Annotated[float | None, Bounds(0, was=-1)] = None
    """Learning rate; by default the paper's: 0.0025, and 0.002 from 1024 px."""
    beta1: Decay = 0.0
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.99
    """Adam's decay of the gradient's mean square."""
    ema_images: Annotated[int | None, Bounds(0, unit="images", off=True, was=-1)] = None
    """Half-life, in images, of the weight average; by default the paper's 312.5 batches, 0 switches it off."""
    r1: Annotated[float | None, Bounds(0, off=True, was=-1)] = None
    """Weight gamma of R1; by default the paper's 0.0002 * pixels / batch, and 4 for networks narrower than half, of which
    D otherwise wins at once; 0 switches it off."""
    r1_every: Annotated[int, Bounds(1, unit="steps")] = 16
    """Steps between R1 turns (lazy regularisation); the penalty is multiplied by it."""
    path_weight: Annotated[float | None, Bounds(0, off=True, was=-1)] = None
    """Weight of path length regularisation; by default the paper's 2, and none for networks narrower than half, which do not get out
    of an early collapse with it; 0 switches it off."""
    path_every: Annotated[int, Bounds(1, unit="steps")] = 4
    """Steps between path length turns; the penalty is multiplied by it."""
    style_mixing: Annotated[float | None, Bounds(0, 1, off=True, was=-1)] = None
    """Probability of training pictures with two styles, one for the coarse layers and one for the fine ones; by default the
    paper's 0.9, and 0 for networks narrower than half."""


def is_narrow(config: Config) -> bool:
    """Whether networks have less than half of the paper's channels."""
    return config.width < 0.5


def channels_of(config: Config, sizes: list[tuple[int, int]]) -> list[int]:
    """Channels of every level: min(base / resolution, most), times ``config.width``."""
    base = config.channel_base
    if base is None:
        base = 32768 if config.preset == "full" and max(sizes[-1]) >= 512 else 16384
    return styled_discriminator.channels_of(base, config.channel_max, config.width, sizes)


# --- networks ---------------------------------------------------------------------------------------------------------


class Synthesis(nn.Module):
    """Styles [N, L, style_dim] -> pictures [N, C, H, W]; every level adds its colours to those of the one before."""

    def __init__(self, config: Config, spec: ImageSpec) -> None:
        super().__init__()
        sizes = levels(spec.height, spec.width)
        channels, style, clamp = channels_of(config, sizes), config.style_dim, config.clamp
        self.const = nn.Parameter(torch.randn(channels[0], *sizes[0]))
        self.layers = nn.ModuleList([StyledConv(channels[0], channels[0], style, sizes[0], False, clamp)])
        self.to_image = nn.ModuleList([ToImage(channels[0], spec.channels, style, clamp)])
        for before, after, size in zip(channels, channels[1:], sizes[1:], strict=False):
            self.layers.append(StyledConv(before, after, style, size, True, clamp))
            self.layers.append(StyledConv(after, after, style, size, False, clamp))
            self.to_image.append(ToImage(after, spec.channels, style, clamp))
        self.styles = len(self.layers) + 1
        """How many styles L a picture takes: one per convolution, and one for the last colours."""

    def affines(self) -> list[Dense]:
        """The maps from w to what it sets, one per style."""
        layers = [*self.layers, self.to_image[-1]]
        return [cast("StyledConv | ToImage", layer).affine for layer in layers]

    def forward(self, styles: Tensor, noise: NoiseMode = "random") -> Tensor:
        w = styles.unbind(1)
        x = self.layers[0](self.const.expand(styles.shape[0], *self.const.shape), w[0], noise)
        image = self.to_image[0](x, w[1])
        for level in range(1, len(self.to_image)):
            first = 2 * level - 1
            x = self.layers[first](x, w[first], noise)
            x = self.layers[first + 1](x, w[first + 1], noise)
            image = upsample(image) + self.to_image[level](x, w[first + 2])
        return image.float()


class Generator(StyleGenerator):
    """z [N, latent_dim], labels -> pictures [N, C, H, W], about [-1, 1]."""

    def __init__(self, config: Config, spec: ImageSpec, classes: int) -> None:
        depth = {"small": 2, "full": 8}[config.preset] if config.mapping_layers is None else config.mapping_layers
        super().__init__(Mapping(config.latent_dim, classes, config.style_dim, depth), Synthesis(config, spec))

    def forward(
        self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0, noise: NoiseMode = "random"
    ) -> Tensor:
        return self.synthesis(self.styles(z, labels, truncation), noise)


# --- the game ---------------------------------------------------------------------------------------------------------


def path_lengths(images: Tensor, styles: Tensor, directions: Tensor) -> Tensor:
    """|J_w^T y|_2 of each picture, averaged over its styles (Eq. 4 of the paper), with a graph: [N].

    Args:
        images: [N, C, H, W], made of ``styles`` [N, L, D].
        directions: y ~ N(0, I) like images; scaled here so that lengths do not depend on the picture's size.
    """
    y = directions / math.sqrt(images.shape[2] * images.shape[3])
    return input_gradient(images.float() * y, styles).square().sum(2).mean(1).sqrt()


class StyleGAN2(StyleGeneration[Config]):
    """Four turns: each player's loss at every step, and lazily its regulariser."""

    Config = Config
    tiny = {"latent_dim": 8, "style_dim": 8, "width": 1 / 32, "path_weight": 2.0, "style_mixing": 0.9}
    per_class = conditioning.PER_CLASS  # as for CIFAR-10 in the ADA paper, section 4.3
    path_mean: Tensor

    def __init__(self, config: Config, spec: ImageSpec, networks: dict[str, nn.Module] | None = None) -> None:
        super().__init__(config, spec, networks)
        self.register_buffer("path_mean", torch.zeros(()))
        """Moving average a of path lengths."""

    def networks(self) -> dict[str, nn.Module]:
        if self.config.spectral_norm:
            raise GansmithError("stylegan2 keeps its discriminator smooth by R1 (--r1), so leave out --spectral-norm.")
        config, spec, sizes = self.config, self.spec, levels(self.spec.height, self.spec.width)
        channels = channels_of(config, sizes)
        return {
            "generator": Generator(config, spec, self.classes),
            "discriminator": Discriminator(spec.channels * config.pack, sizes, channels, self.classes, config.clamp),
        }

    def turns(self) -> tuple[Turn, ...]:
        config = self.config
        turns = [Turn("discriminator", self.discriminator_loss, after=self.adapt_augment)]
        if config.r1 != 0:
            turns.append(Turn("discriminator", self.r1_penalty, every=config.r1_every))
        turns.append(Turn("generator", self.generator_loss))
        if self.path_weight > 0:
            turns.append(Turn("generator", self.path_penalty, every=config.path_every))
        return tuple(turns)

    @property
    def narrow(self) -> bool:
        """Whether the networks are so much smaller than the paper's that its regularisers do not suit them."""
        return is_narrow(self.config)

    @classmethod
    def fewest_per_class(cls, config: Config, spec: ImageSpec) -> float:
        """In narrow networks every class collapses to one picture (docs/results/log.md)."""
        return math.inf if is_narrow(config) else cls.per_class

    @property
    def path_weight(self) -> float:
        """Weight of path length regularisation."""
        return self._asked(self.config.path_weight, 2.0)

    @property
    def style_mixing(self) -> float:
        """Probability of two styles per picture."""
        return self._asked(self.config.style_mixing, 0.9)

    def _asked(self, value: float | None, paper: float) -> float:
        """A setting as asked for, or else the paper's, or none for narrow networks."""
        if value is not None:
            return value
        return 0.0 if self.narrow else paper

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        labels = self.labels_of(batch)
        fake, real = self.judge(self.fakes(batch).detach(), labels), self.judge(batch.images, labels)
        return F.softplus(fake).mean() + F.softplus(-real).mean(), judgement_logs(real, fake)

    def r1_penalty(self, batch: Batch) -> tuple[Tensor, Logs]:
        real = batch.images.detach().requires_grad_()
        r1 = squared_gradient_norm(self.judge(real, self.labels_of(batch)), real).mean()
        gamma = self.config.r1
        if gamma is None:
            usual = 0.0002 * self.spec.height * self.spec.width / batch.world_size
            gamma = max(usual, 4.0) if self.narrow else usual
        return 0.5 * gamma * self.config.r1_every * r1, {"r1": r1.detach()}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        return F.softplus(-self.judge(self.fakes(batch), self.labels_of(batch))).mean(), {}

    def path_penalty(self, batch: Batch) -> tuple[Tensor, Logs]:
        half, labels = max(len(batch) // 2, 1), self.labels_of(batch)
        styles = self.mixed_styles(half, None if labels is None else labels[::2][:half])  # the same ones in parts
        images = self.styled.synthesis(styles)
        lengths = path_lengths(images, styles, seeds.normal(half, *images.shape[1:], device=images.device))
        average = self.path_mean.lerp(processes.mean(lengths.mean()), 0.01)
        # a step that overflowed in float16 is skipped, and must not stay in the average
        self.path_mean.copy_(torch.where(average.isfinite(), average, self.path_mean).detach())
        penalty = (lengths - average).square().mean()
        logs = {"path_length": lengths.detach().mean(), "path_penalty": penalty.detach()}
        return self.path_weight * self.config.path_every * penalty, logs

    def generate(self, batch: Batch) -> Tensor:
        return self.styled.synthesis(self.mixed_styles(len(batch), self.labels_of(batch), track=True))

    def mixed_styles(self, n: int, labels: Tensor | None, track: bool = False) -> Tensor:
        """Styles [n, L, style_dim] of new latents, mostly of two each, crossing over at a random layer."""
        mapping, count = self.styled.mapping, self.layers
        w = mapping(self.latents(n), labels)
        if track:
            mapping.track(w)
        styles = w[:, None].expand(-1, count, -1)
        if self.style_mixing > 0:
            other = mapping(self.latents(n), labels)
            mixes = torch.rand((), device=w.device) < self.style_mixing
            crossover = torch.where(mixes, torch.randint(1, count, (), device=w.device), count)
            first = torch.arange(count, device=w.device) < crossover
            styles = torch.where(first[None, :, None], styles, other[:, None])
        return styles

    def lazy_every(self, player: str) -> int:
        if player == "discriminator":
            return self.config.r1_every if self.config.r1 != 0 else 0
        return self.config.path_every if self.path_weight > 0 else 0

    @property
    def usual_lr(self) -> float:
        return 0.002 if max(self.spec.height, self.spec.width) >= 1024 else 0.0025
