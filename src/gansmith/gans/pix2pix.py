"""pix2pix: translate pictures, learning from pairs (Isola et al. 2016, arXiv:1611.07004).

    G* = arg min_G max_D E log D(x, y) + E log(1 - D(x, G(x))) + 100 |y - G(x)|

Pairs are two folders with the same file names, or pictures of two halves side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn

from gansmith.config import Bounds, Count
from gansmith.errors import GansmithError
from gansmith.game import ImageSpec
from gansmith.nn.patchgan import SMALLEST, PatchDiscriminator
from gansmith.nn.resnet_generator import ResnetGenerator, UpsampleName
from gansmith.nn.unet import UNet, unet_depth
from gansmith.translation import Pair, Paired, PairedConfig


@dataclass(frozen=True)
class Config(PairedConfig):
    """Settings of pix2pix."""

    generator: Literal["unet", "resnet"] = "unet"
    """The paper's U-Net, or CycleGAN's residual network."""
    width: Count = 64
    """Channels of the generator's first layer (ngf)."""
    depth: Annotated[int | None, Bounds(2, was=0)] = None
    """Halvings of the U-Net; by default down to one pixel: 8 at 256 px, 6 at 64."""
    blocks: Annotated[int, Bounds(0)] = 9
    """Residual blocks of the residual network."""
    upsample: UpsampleName = "transposed"
    """How the residual network doubles the size: the paper's transposed convolutions, or resize, which leaves no checkerboard."""
    norm: Literal["batch", "instance"] = "batch"
    """Norm layers of both networks."""
    dropout: bool = True
    """Drop half the features of the U-Net's deep levels while training."""


class Pix2Pix(Paired[Config]):
    """The shared paired game where both sides are given as data."""

    Config = Config
    data = "paired"
    tiny = {"width": 8, "width_discriminator": 8}

    def __init__(self, config: Config, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(config, spec, networks)
        self.alignment = self.tile_alignment()

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        if min(spec.height, spec.width) < SMALLEST:
            raise GansmithError(
                f"pix2pix needs pictures of at least {SMALLEST} px, and these are {spec.width}x{spec.height}."
            )
        outputs = spec.other_channels or spec.channels
        if config.generator == "unet":
            depth = config.depth or unet_depth(spec.height, spec.width)
            generator: nn.Module = UNet(spec.channels, outputs, depth, config.width, config.norm, config.dropout)
        else:
            generator = ResnetGenerator(
                spec.channels, outputs, config.width, config.blocks, config.norm, config.dropout, config.upsample
            )
        discriminator = PatchDiscriminator(spec.channels + outputs, self.width_discriminator, norm=config.norm)
        return {"generator": generator, "discriminator": discriminator}

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        if other is None:
            raise GansmithError(
                "pix2pix learns from pairs: give two folders with the same file names, or side-by-side pictures."
            )
        return Pair(images, other)

    def restore(self, pair: Pair) -> Tensor:
        return self.generator(pair.given)

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        return self.generator(images)
