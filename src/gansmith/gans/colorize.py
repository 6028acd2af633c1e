"""colorize: grey pictures to colour. The network chooses the chroma only, so every pixel's luma stays what it was.

pix2pix (arXiv:1611.07004) where the damage is the loss of colour; the output is the a and b of OKLab.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from gansmith.config import Bounds, Units
from gansmith.damage import luma
from gansmith.game import ImageSpec
from gansmith.nn.oklab import paint
from gansmith.nn.patchgan import PatchDiscriminator
from gansmith.nn.unet import UNet, unet_depth
from gansmith.translation import Pair, Paired, PairedConfig

REACH = 0.35
"""The largest |a| and |b| of OKLab; sRGB's own colours reach .32."""


@dataclass(frozen=True)
class Config(PairedConfig):
    """Settings of colorize."""

    width: Units = 32
    """Channels of the U-Net's first layer."""
    load_scale: Annotated[float, Bounds(1)] = 1.0
    """Pictures are loaded larger than --size by this factor, and a random window is cut out of them."""


class Colorize(Paired[Config]):
    """Luma in, chroma out, painted over the luma."""

    Config = Config
    tiny = {"width": 8, "width_discriminator": 8}
    repair = "colour"
    default_batch = 8

    def __init__(self, config: Config, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(config, spec, networks)
        self.require_colour("colorize")
        self.alignment = self.tile_alignment()
        self.overview_size = 2 * min(spec.height, spec.width)

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        return {
            "generator": UNet(1, 2, min(6, unet_depth(spec.height, spec.width)), config.width, dropout=False),
            "discriminator": PatchDiscriminator(4, self.width_discriminator),
        }

    @property
    def inputs(self) -> int:
        return 1

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        return Pair(luma(images), images)

    def restore(self, pair: Pair) -> Tensor:
        return paint(pair.given, self.chroma(pair.given))

    def chroma(self, grey: Tensor) -> Tensor:
        """OKLab's a and b for grey pictures [N, 1, H, W] in [-1, 1]: [N, 2, H, W]."""
        return self.generator(grey).float() * REACH

    def overview(self, images: Tensor) -> Tensor:
        return self.chroma(luma(images))

    def finish(self, images: Tensor, guide: Tensor) -> Tensor:
        return paint(luma(images), guide)

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        return self.by_overview(luma(images))
