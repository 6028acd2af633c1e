"""pix2pix: translate pictures, learning from pairs (Isola et al. 2016, arXiv:1611.07004).

    G* = arg min_G max_D E log D(x, y) + E log(1 - D(x, G(x))) + 100 |y - G(x)|

Pairs are two folders with the same file names, or pictures of two halves side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn

from gansmith.config import Bounds, Count, Units
from gansmith.errors import GansmithError
from gansmith.game import ImageSpec
from gansmith.nn.patchgan import SMALLEST, PatchDiscriminator
from gansmith.nn.pix2pixhd import LocalEnhancer, global_network, label_planes
from gansmith.nn.resnet_generator import ResnetGenerator, UpsampleName
from gansmith.nn.unet import UNet, unet_depth
from gansmith.translation import Pair, Paired, PairedConfig


@dataclass(frozen=True)
class Config(PairedConfig):
    """Settings of pix2pix."""

    generator: Literal["unet", "resnet", "global", "local"] = "unet"
    """The paper's U-Net, CycleGAN's residual network, or pix2pixHD's for large pictures: global, and local with enhancers around it."""
    width: Units = 64
    """Channels of the generator's first layer (ngf)."""
    depth: Annotated[int | None, Bounds(2, was=0)] = None
    """Halvings of the U-Net; by default down to one pixel: 8 at 256 px, 6 at 64."""
    blocks: Annotated[int, Bounds(0)] = 9
    """Residual blocks of the residual and the global network."""
    halvings: Count = 4
    """How often pix2pixHD's global network halves the size before its blocks."""
    enhancers: Count = 1
    """Local enhancers of pix2pixHD; each doubles the resolution of the global network inside."""
    blocks_local: Count = 3
    """Residual blocks of a local enhancer."""
    labels: Annotated[int, Bounds(0, off=True)] = 0
    """Imported networks of pix2pixHD: how many labels a label map has; 0 where they take pictures. Such networks are not trained here."""
    instances: bool = False
    """Imported networks of pix2pixHD: they are given the borders of instances beside the labels."""
    upsample: UpsampleName = "transposed"
    """How the residual network doubles the size: the paper's transposed convolutions, or resize or blur (as CUT), which leave no
    checkerboard."""
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
        self.alignment, self.label_maps = self.tile_alignment(), config.labels
        if config.generator in (
            "global",
            "local",
        ):  # their blocks see far, since they work at a sixteenth of the size or less
            self.overlap = 8 * self.alignment

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        if min(spec.height, spec.width) < SMALLEST:
            raise GansmithError(
                f"pix2pix needs pictures of at least {SMALLEST} px, and these are {spec.width}x{spec.height}."
            )
        inputs, outputs = spec.channels, spec.other_channels or spec.channels
        generator = self.generator_of(config.labels + config.instances if config.labels else inputs, outputs)
        discriminator = PatchDiscriminator(inputs + outputs, self.width_discriminator, norm=config.norm)
        return {"generator": generator, "discriminator": discriminator}

    def generator_of(self, inputs: int, outputs: int) -> nn.Module:
        """The network that the settings name, [N, inputs, H, W] -> [N, outputs, H, W]."""
        c = self.config
        if c.generator == "unet":
            depth = c.depth or unet_depth(self.spec.height, self.spec.width)
            return UNet(inputs, outputs, depth, c.width, c.norm, c.dropout)
        if c.generator == "resnet":
            return ResnetGenerator(inputs, outputs, c.width, c.blocks, c.norm, c.dropout, c.upsample)
        if min(c.halvings, c.enhancers, c.blocks_local) < 1:
            raise GansmithError("--halvings, --enhancers and --blocks-local are at least 1.")
        if c.generator == "global":
            return global_network(inputs, outputs, c.width, c.blocks, c.halvings, c.norm)
        return LocalEnhancer(inputs, outputs, c.width, c.blocks, c.halvings, c.enhancers, c.blocks_local, c.norm)

    def prepare(self) -> None:
        if self.config.labels:
            raise GansmithError(
                "Networks of label maps are imported and applied, not trained here. Train on label maps that were painted in colours: they are "
                "pictures like others, without --labels."
            )
        super().prepare()

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        if other is None:
            raise GansmithError(
                "pix2pix learns from pairs: give two folders with the same file names, or side-by-side pictures."
            )
        return Pair(images, other)

    def restore(self, pair: Pair) -> Tensor:
        return self.generator(self.planes(pair.given))

    def planes(self, images: Tensor) -> Tensor:
        """What the network is given: pictures as they are, planes of label maps."""
        labels = self.config.labels
        return label_planes(images, labels, self.config.instances) if labels else images

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        return self.generator(self.planes(images))
