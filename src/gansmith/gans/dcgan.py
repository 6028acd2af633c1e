"""DCGAN: convolutions all the way, with batch norm (Radford et al. 2015, arXiv:1511.06434).

The networks are in ``nn/dcgan.py``: at 64 px the paper's to the last weight, at other sizes one stage more or less per
factor of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import nn

from gansmith.config import MANY, Bounds
from gansmith.generation import AdversarialConfig, Generation
from gansmith.nn.dcgan import Discriminator, Generator
from gansmith.nn.stages import check_size


@dataclass(frozen=True)
class Config(AdversarialConfig):
    """Settings of DCGAN."""

    width: Annotated[int | None, Bounds(1, memory=MANY, was=0)] = None
    """Channels of the layer next to the picture (ngf = ndf); they double with every stage, up to 8 times this. By default the
    paper's 64, and 32 for grey pictures up to 32 px, which come out better when they are seen more often."""


class DCGAN(Generation[Config]):
    """The GAN losses (``Generation.discriminator_loss`` and ``generator_loss``) on convolutional networks."""

    Config = Config
    tiny = {"width": 8, "latent_dim": 8}
    usual_r1 = 3.0

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        check_size(spec, "dcgan")
        width = config.width or (32 if spec.small_and_grey else 64)
        # penalties and spectral norm act on one picture at a time, so they and batch norm exclude each other
        batch_norm = not (config.spectral_norm or self.r1)
        return {
            "generator": Generator(config.latent_dim, width, spec, self.classes),
            "discriminator": Discriminator(width, spec, self.classes, config.pack, batch_norm),
        }
