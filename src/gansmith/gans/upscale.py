"""upscale: make pictures 2 to 16 times larger, or only sharper, with the detail that belongs there (ESRGAN, arXiv:1809.00219).

First the network learns the best guess of every pixel, then the discriminator asks for texture:

    L_G = .01 |y - G(x)| + 1 |F(y) - F(G(x))| + .005 L_relativistic
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import interpolate

from gansmith import damage
from gansmith.config import MANY, Bounds, Decay, HalfLife, OptionalTerm, Share, Weight
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, ImageSpec, Optimizer
from gansmith.nn.losses import AdversarialName
from gansmith.nn.patchgan import SMALLEST, PatchDiscriminator
from gansmith.nn.perceptual import Perceptual
from gansmith.nn.rrdb import RRDBNet, Tail, folding
from gansmith.nn.srvgg import Activation, SRVGGNet
from gansmith.nn.unet_discriminator import UNetDiscriminator
from gansmith.translation import Pair, Paired, PairedConfig


class Size(NamedTuple):
    """What ``--network`` stands for where a setting is left out."""

    width: int
    blocks: int
    width_discriminator: int
    tail: Tail
    lr: float


SIZES = {
    "light": Size(24, 2, 32, "shuffle", 1e-3),
    "compact": Size(64, 16, 64, "shuffle", 5e-4),
    "full": Size(64, 23, 64, "nearest", 2e-4),
}


@dataclass(frozen=True)
class Config(PairedConfig):
    """Settings of upscale."""

    scale: Literal[1, 2, 3, 4, 8, 16] = 4
    """How many times larger; 1 only mends pictures, and goes with --damage wild."""
    network: Literal["light", "compact", "full"] = "light"
    """A light RRDBNet that trains on a CPU; Real-ESRGAN's compact SRVGG of .6 million weights, for films; or ESRGAN's RRDBNet of 16.7 million."""
    width: Annotated[int | None, Bounds(1, memory=MANY, was=0)] = None
    """Channels of the network; by default 24 for the light one and 64 for the others. An RRDBNet's dense layers grow by half of them."""
    blocks: Annotated[int | None, Bounds(1, was=0)] = None
    """Residual dense blocks, or convolutions of the compact network; by default 2 for the light network, 16 for the compact and 23 for the full one."""
    fold: bool = True
    """The full network at scales 1 and 2 folds pixels into channels first, as Real-ESRGAN does; the first ESRGAN did not."""
    activation: Activation = "prelu"
    """Of the compact network."""
    discriminator: Literal["patch", "unet"] = "patch"
    """A PatchGAN that judges windows, or Real-ESRGAN's U-Net that judges every pixel."""
    damage: Literal["bicubic", "wild"] = "bicubic"
    """How small pictures came to be: by bicubic resizing, or by blur, noise, JPEG and resizing, twice, as on the web."""
    lr: Annotated[float | None, Bounds(above=0, was=0)] = None
    """Learning rate; by default 1e-3 for the light network, 5e-4 for the compact and 2e-4 for the full one. Half of it, at most 2e-4, once the discriminator joins in."""
    beta1: Decay = 0.9
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.99
    """Adam's decay of the gradient's mean square."""
    decay_from: Share = 0.8
    """Share of the run with a constant learning rate; from there it falls linearly to 0. 1 keeps it constant."""
    ema_images: HalfLife = 10_000
    """Half-life, in images, of the weight average that the model is made of; 0 takes the last weights."""
    loss: AdversarialName = "relativistic"
    """Which adversarial loss."""
    pixels: Weight = 0.01
    """Weight of the mean absolute difference to the true picture."""
    pixels_unaided: Weight = 0.5
    """The same where the perceptual loss is not VGG-19's: other features say less about single pixels."""
    adversarial: Weight = 0.005
    """Weight of the adversarial loss."""
    perceptual: OptionalTerm = 1.0
    """Weight of the difference in a classifier's features; in the discriminator's own where no such weights are at hand."""
    pretrain: Share = 0.5
    """Share of the run that learns from the pixels alone, before the discriminator joins in; 1 makes the sharpest PSNR."""
    width_discriminator: Annotated[int | None, Bounds(1, memory=MANY, was=0)] = None
    """Channels of the discriminator's first layer, which double up to eight times; by default 32 for the light network and 64 for the others."""
    load_scale: Annotated[float, Bounds(1)] = 1.0
    """Windows are cut from photographs at their own size."""


class Upscale(Paired[Config]):
    """Small picture in, large picture out; the discriminator sees the large one alone."""

    Config = Config
    data = "crops"
    tiny = {"scale": 2, "width": 8, "blocks": 1, "width_discriminator": 8}
    repair = "upscale"
    matching = 0.025
    guidance = 0.05  # with which it outweighs the pixels' gradient about thirty times, as it does in inpaint and sketch
    repairs = True
    overlap = 32
    default_batch = 8

    def __init__(self, config: Config, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        if spec.height % config.scale or spec.width % config.scale or min(spec.height, spec.width) < SMALLEST:
            raise GansmithError(
                f"upscale learns from windows of at least {SMALLEST} px whose size is a multiple of the scale, {config.scale}; these are "
                f"{spec.width}x{spec.height}. Choose another --size."
            )
        if config.scale == 1 and config.damage == "bicubic":
            raise GansmithError(
                "--scale 1 mends pictures without making them larger: add --damage wild, or another --scale."
            )
        super().__init__(config, spec, networks)
        tail = SIZES[config.network].tail
        self.scale = config.scale
        self.alignment = max(2, folding(config.scale, tail, config.fold))
        # networks that work at the small size need little memory; the full one's last layers work at the large size
        self.tile = 384 if tail == "shuffle" else max(128, 768 // config.scale)

    def networks(self) -> dict[str, nn.Module]:
        config, size = self.config, SIZES[self.config.network]
        width, blocks = config.width or size.width, config.blocks or size.blocks
        channels, compact = self.spec.channels, config.network == "compact"
        return {
            "generator": SRVGGNet(channels, config.scale, width, blocks, config.activation)
            if compact
            else RRDBNet(channels, config.scale, width, blocks, width // 2, size.tail, config.fold),
            "discriminator": UNetDiscriminator(channels, self.width_discriminator)
            if config.discriminator == "unet"
            else PatchDiscriminator(channels, self.width_discriminator, norm="none", spectral=True),
        }

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        base = super().optimizer(player, clock)
        stage = 1.0 if clock.progress < self.config.pretrain else min(0.5, 2e-4 / self.lr)
        return Optimizer(base.lr * stage, base.betas)

    @property
    def usual_lr(self) -> float:
        return SIZES[self.config.network].lr

    @property
    def usual_width_discriminator(self) -> int:
        return SIZES[self.config.network].width_discriminator

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        return Pair(self.smaller(images) if other is None else other, images)

    def smaller(self, images: Tensor) -> Tensor:
        """Pictures as small as the network is given them."""
        shrink = damage.downscale if self.config.damage == "bicubic" else damage.degrade
        return shrink(images, self.config.scale)

    def damage_on_cpu(self) -> Callable[[Tensor], Tensor] | None:
        return self.smaller if self.config.damage == "wild" else None

    def restore(self, pair: Pair) -> Tensor:
        return (
            self.generator((pair.given + 1) / 2).float() * 2 - 1
        )  # the network speaks [0, 1], like the weights people have

    def judged(self, pair: Pair, picture: Tensor) -> Tensor:
        return picture

    def pixel_weight(self) -> float:
        config = self.config
        exact = (
            isinstance(self.perceptual, Perceptual) if config.perceptual else True
        )  # VGG-19's first features see single pixels
        return config.pixels if exact else config.pixels_unaided

    def shown(self, pair: Pair) -> Tensor:
        return interpolate(pair.given, scale_factor=self.scale, mode="nearest")

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        return self.restore(Pair(images, images)).clamp(-1, 1)

    def metrics_images(self, real: Batch, seed: int) -> Tensor:
        return super().metrics_images(real, seed).clamp(-1, 1)
