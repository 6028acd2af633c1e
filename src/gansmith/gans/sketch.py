"""sketch: drawings to pictures, learned from any folder of pictures, whose edges a classical detector draws.

pix2pix (arXiv:1611.07004, section 4: edges to photo) where the damage is that only the edges are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from gansmith.config import Bounds, HalfLife, OptionalTerm, Share, Units
from gansmith.damage import EdgeName, edges, luma
from gansmith.game import ImageSpec
from gansmith.nn.patchgan import PatchDiscriminator
from gansmith.nn.unet import UNet, unet_depth
from gansmith.translation import Pair, Paired, PairedConfig


@dataclass(frozen=True)
class Config(PairedConfig):
    """Settings of sketch."""

    edges: EdgeName = "mixed"
    """What a drawing is: thin canny lines, shaded sobel lines, or some of each so that many hands are understood."""
    width: Units = 32
    """Channels of the U-Net's first layer."""
    perceptual: OptionalTerm = 10.0
    """Weight of the difference in a classifier's features, where such weights are at hand."""
    pretrain: Share = 0.5
    """Share of the run that learns from the pixels alone, before the discriminator joins in; 1 leaves it out."""
    ema_images: HalfLife = 4000
    """Half-life, in images, of the weight average that the model is made of; 0 takes the last weights."""
    load_scale: Annotated[float, Bounds(1)] = 1.0
    """Pictures are loaded larger than --size by this factor, and a random window is cut out of them."""


class Sketch(Paired[Config]):
    """Edges in, picture out."""

    Config = Config
    tiny = {"width": 8, "width_discriminator": 8}
    matching = 0.0  # the discriminator's own features draw its grid into a picture that begins with nothing but lines
    default_batch = 8

    def __init__(self, config: Config, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(config, spec, networks)
        self.require_colour("sketch")
        self.alignment = self.tile_alignment()

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        return {
            "generator": UNet(1, 3, min(6, unet_depth(spec.height, spec.width)), config.width),
            "discriminator": PatchDiscriminator(4, self.width_discriminator),
        }

    @property
    def inputs(self) -> int:
        return 1

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        return Pair(self.drawn(images) if other is None else other, images)

    def drawn(self, images: Tensor) -> Tensor:
        """The edges of pictures, [N, 1, H, W]."""
        return edges(images, self.config.edges)

    def damage_on_cpu(self) -> Callable[[Tensor], Tensor]:
        return self.drawn

    def restore(self, pair: Pair) -> Tensor:
        return self.generator(pair.given)

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        """Dark lines on white in, [N, 1 or 3, H, W]; see :func:`gansmith.damage.edges` for drawing those of a photograph."""
        self.check_direction(direction)
        return self.generator(luma(images))
