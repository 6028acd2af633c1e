"""inpaint: fill holes in pictures; what is known stays bit for bit (gated convolutions, arXiv:1806.03589).

L_G = |y - G(x)| in the hole + L_hinge + feature matching, with a patch discriminator that knows the hole

Other networks play the same game: LaMa's, which sees the whole picture by fast Fourier convolutions (arXiv:2109.07161), and
MI-GAN's, of separable convolutions (ICCV 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from gansmith.config import Bounds, Count, Decay, HalfLife, OptionalTerm, Rate, Share, Units, Weight
from gansmith.damage import holes
from gansmith.errors import GansmithError
from gansmith.game import Clock, ImageSpec
from gansmith.nn.ffc import FFCGenerator
from gansmith.nn.inpainting import InpaintUNet
from gansmith.nn.losses import AdversarialName
from gansmith.nn.migan import MIGANGenerator
from gansmith.nn.patchgan import PatchDiscriminator
from gansmith.parallel import processes
from gansmith.translation import Pair, Paired, PairedConfig


@dataclass(frozen=True)
class Config(PairedConfig):
    """Settings of inpaint."""

    arch: Literal["gated", "ffc", "migan"] = "gated"
    """The network: a gated U-Net that adds to a smooth fill; LaMa's, of fast Fourier convolutions, which sees all of a picture at
    once and goes on with patterns; or MI-GAN's, of separable convolutions, which is quick where pictures are large."""
    width: Units = 16
    """Channels at full resolution. LaMa has 64; MI-GAN 64 for 512 px and 128 for 256 px."""
    blocks: Annotated[int, Bounds(0)] = 9
    """Residual blocks of --arch ffc: 9 in LaMa, 18 in Big LaMa."""
    halvings: Count = 3
    """How often --arch ffc halves the size before its blocks."""
    global_share: Share = 0.75
    """The share of a block's channels, in --arch ffc, that see all of the picture."""
    smallest_hole: Share = 0.1
    """The least share of a picture that is lost while learning."""
    largest_hole: Share = 0.4
    """The largest share of a picture that is lost while learning."""
    lr: Rate = 5e-4
    """Learning rate."""
    beta2: Decay = 0.99
    """Adam's decay of the gradient's mean square."""
    ema_images: HalfLife = 10_000
    """Half-life, in images, of the weight average that the model is made of; 0 takes the last weights, and so does --arch ffc,
    whose batch norms belong to them."""
    loss: AdversarialName = "hinge"
    """Which adversarial loss."""
    pixels: Weight = 10.0
    """Weight of the mean absolute difference to the true picture, in the hole."""
    adversarial: Weight = 0.05
    """Weight of the adversarial loss."""
    perceptual: OptionalTerm = 0.5
    """Weight of the difference in a classifier's features; in the discriminator's own where no such weights are at hand."""
    pretrain: Share = 0.5
    """Share of the run that learns from the pixels alone, before the discriminator joins in."""
    width_discriminator: Units = 32
    """Channels of the discriminator's first layer; they double up to eight times."""
    load_scale: Annotated[float, Bounds(1)] = 1.0
    """Windows are cut from photographs at their own size."""


class Inpaint(Paired[Config]):
    """Picture and mask in, picture out."""

    Config = Config
    data = "crops"
    tiny = {"width": 8, "width_discriminator": 8}
    repair = "inpaint"
    repairs = True
    takes_mask = True
    overlap = 128
    default_batch = 8

    def __init__(self, config: Config, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(config, spec, networks)
        trained = self.trained_size
        self.alignment = {"gated": 4, "ffc": 2**config.halvings, "migan": trained // 4}[config.arch]
        self.window = {"gated": 0, "ffc": 512, "migan": trained}[config.arch]
        self.reach = trained // 4 if config.arch == "migan" else 0

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        if not 0 < config.smallest_hole <= config.largest_hole < 1:
            raise GansmithError("The shares lost must be 0 < --smallest-hole <= --largest-hole < 1.")
        return {
            "generator": self.network(),
            "discriminator": PatchDiscriminator(
                spec.channels + 1, self.width_discriminator, norm="none", spectral=True
            ),
        }

    def network(self) -> nn.Module:
        """(images [N, C, H, W], mask [N, 1, H, W]) -> [N, C, H, W], what the holes should hold."""
        config, channels = self.config, self.spec.channels
        if config.arch == "gated":
            return InpaintUNet(channels, config.width)
        if config.arch == "migan":
            return MIGANGenerator(channels, self.trained_size, config.width)
        if not 0 < config.global_share < 1 or config.halvings < 1:
            raise GansmithError("--arch ffc needs 0 < --global-share < 1 and --halvings of at least 1.")
        if min(self.spec.height, self.spec.width) < 2 ** (config.halvings + 1):
            raise GansmithError(
                f"--halvings {config.halvings} leaves hardly a pixel of pictures of {self.spec.width}x{self.spec.height}: take fewer, or a "
                "larger --size."
            )
        return FFCGenerator(channels, config.width, config.blocks, config.halvings, config.global_share)

    @property
    def trained_size(self) -> int:
        """The side of the pictures that --arch migan is built for: the largest power of 2 that fits into those it learns from."""
        return 2 ** (min(self.spec.height, self.spec.width).bit_length() - 1)

    def ema_beta(self, clock: Clock, batch: int) -> float:
        return 0.0 if self.config.arch == "ffc" else super().ema_beta(clock, batch)

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        mask = (self.holes_for(images) if other is None else other).to(images.device, images.dtype)
        return Pair(torch.where(mask > 0.5, torch.zeros_like(images), images), images, mask)

    def holes_for(self, images: Tensor) -> Tensor:
        """A mask for every picture, [N, 1, H, W] on the CPU, 1 where lost."""
        share = self.config.smallest_hole, self.config.largest_hole
        return holes(len(images), images.shape[2], images.shape[3], share)

    def damage_on_cpu(self) -> Callable[[Tensor], Tensor]:
        return self.holes_for

    def restore(self, pair: Pair) -> Tensor:
        assert pair.mask is not None
        filled = self.generator(pair.given, pair.mask)
        return torch.where(pair.mask > 0.5, filled.to(pair.given.dtype), pair.given)

    def judged(self, pair: Pair, picture: Tensor) -> Tensor:
        assert pair.mask is not None
        return torch.cat([pair.mask, picture], 1)

    def pixel_loss(self, pair: Pair, output: Tensor) -> Tensor:
        assert pair.mask is not None
        lost = (output - pair.target).abs() * pair.mask
        pixels = processes.mean(pair.mask.sum()) * output.shape[1]  # every lost pixel counts alike, in any process
        return lost.sum() / pixels.clamp(min=1)

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        if mask is None:
            raise GansmithError("inpaint needs to know what to fill: a mask, white where to fill.")
        hole = torch.where(mask > 0.5, torch.zeros_like(images), images)
        return self.restore(Pair(hole, images, (mask > 0.5).to(images.dtype))).clamp(-1, 1)
