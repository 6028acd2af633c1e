"""Settings of the families that turn noise into pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from gansmith.config import Bounds, Count, Decay, Share, Units
from gansmith.nn.losses import AdversarialName


@dataclass(frozen=True)
class GenerationConfig:
    """Settings of every family that turns noise into pictures."""

    latent_dim: Units = 100
    """Length of the noise vector z ~ N(0, I)."""
    conditional: bool | Literal["auto"] = "auto"
    """Learn one distribution per class; needs labelled data. auto does so in gan, r3gan, stylegan2 (from half the width
    on) and wgan-gp (grey pictures up to 32 px), where half of the classes have 500 pictures or more: elsewhere single classes collapse.
    --no-conditional leaves labels out."""
    lr: Annotated[float | None, Bounds(0)] = 2e-4
    """Learning rate."""
    lr_discriminator: Annotated[float | None, Bounds(above=0, was=0)] = None
    """Learning rate of the discriminator, where it differs (TTUR, arXiv:1706.08500); by default lr."""
    beta1: Decay = 0.5
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.999
    """Adam's decay of the gradient's mean square."""
    ema_images: Annotated[int | None, Bounds(0, unit="images", off=True)] = 10_000
    """Half-life, in images, of the weight average that samples are drawn from; 0 switches it off."""
    spectral_norm: bool = False
    """Spectral normalisation of every layer of the discriminator (arXiv:1802.05957)."""
    augment: Literal["none", "diffaugment", "ada"] = "none"
    """Augment what the discriminator sees: always (DiffAugment, arXiv:2006.10738) or as much as needed (ADA, arXiv:2006.06676)."""
    augment_target: Share = 0.6
    """ADA aims at this mean sign of D on real pictures."""
    augment_images: Annotated[int | None, Bounds(1, unit="images", was=-1)] = None
    """ADA's speed: images for its probability to go from 0 to 1; by default the paper's 500,000, and 100,000 after --init."""
    class_fade: Annotated[float, Bounds(0, 1, off=True)] = 0.0
    """With --conditional: classes fade in over the second half of this share of the run, and until then it is played
    without; keeps classes of few pictures from collapsing (arXiv:2201.06578). 0 has them from the start."""
    pack: Count = 1
    """How many pictures the discriminator judges together, against mode collapse (PacGAN, arXiv:1712.04086)."""


@dataclass(frozen=True)
class AdversarialConfig(GenerationConfig):
    """Settings of families whose paper leaves the choice of loss open."""

    loss: AdversarialName = "nonsaturating"
    """Which adversarial loss."""
    r1: Annotated[float | None, Bounds(0, off=True)] = None
    """Weight gamma of the R1 penalty, gamma / 2 E |grad D(x)|^2 on real pictures (arXiv:1801.04406). By default 3 in gan and dcgan
    where labels are learned, which keeps classes from collapsing to one picture, and else 0."""
    penalty_every: Annotated[int | None, Bounds(1, unit="steps")] = None
    """Compute the penalty at every k-th step only, k times as strong; by default 4 where R1 is left open, and else 1."""


GenerationConfigT = TypeVar("GenerationConfigT", bound=GenerationConfig)
"""The type of a family's settings."""
