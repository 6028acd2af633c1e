"""CycleGAN: translate between two sets of pictures that have no pairs (Zhu et al. 2017, arXiv:1703.10593).

    L(G_AB, G_BA) = |D_B(G_AB(a)) - 1|^2 + |D_A(G_BA(b)) - 1|^2
                    + 10 (|G_BA(G_AB(a)) - a| + |G_AB(G_BA(b)) - b|) + 5 (|G_BA(a) - a| + |G_AB(b) - b|)
    L(D_B)        = 1/2 (|D_B(b) - 1|^2 + |D_B(a kept fake)|^2), and the same for D_A

Day to night is this on two folders of pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from gansmith.config import Bounds, OptionalTerm, Units, Weight
from gansmith.errors import GansmithError
from gansmith.game import Batch, Grid, ImageSpec, Logs, Turn
from gansmith.nn.patchgan import SMALLEST, PatchDiscriminator
from gansmith.nn.pool import ImagePool
from gansmith.nn.resnet_generator import ResnetGenerator, UpsampleName
from gansmith.translation import Translation, TranslationConfig, other_side, rows_of


@dataclass(frozen=True)
class Config(TranslationConfig):
    """Settings of CycleGAN."""

    blocks: Annotated[int | None, Bounds(1, was=0)] = None
    """Residual blocks of a generator; by default 9 from 256 px on, and 6 below."""
    width: Units = 64
    """Channels of a generator's first layer (ngf)."""
    width_discriminator: Units = 64
    """Channels of a discriminator's first layer (ndf)."""
    upsample: UpsampleName = "transposed"
    """How generators double the size: the paper's transposed convolutions, which leave a checkerboard where a run is short, or
    resize or blur (as CUT), which have none."""
    skip: bool = False
    """Add a picture's own colours before a generator's last tanh, by a 1x1 convolution that starts as the identity: large flat
    areas keep their colour, which instance norm otherwise forgets."""
    cycle: Weight = 10.0
    """Weight lambda of the cycle: there and back should be where it began."""
    identity: OptionalTerm = 0.5
    """Weight of leaving alone what is already on the other side, as a share of the cycle's."""
    pool: Annotated[int, Bounds(0, unit="pictures", off=True)] = 50
    """How many older fakes each discriminator is also shown."""


class Made(NamedTuple):
    """One step's pictures, [N, C, H, W] each."""

    fake_a: Tensor
    fake_b: Tensor
    cycled_a: Tensor
    cycled_b: Tensor
    same_a: Tensor | None
    same_b: Tensor | None


class CycleGAN(Translation[Config]):
    """Two generators against two discriminators; the generators also against each other's way back."""

    Config = Config
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generators": ("generator_ab", "generator_ba"),
        "discriminators": ("discriminator_a", "discriminator_b"),
    }
    exports = ("generator_ab", "generator_ba")
    data = "unpaired"
    tiny = {"width": 8, "width_discriminator": 8, "blocks": 1, "pool": 4}
    directions = ("ab", "ba")
    generator_ab: nn.Module
    generator_ba: nn.Module
    discriminator_a: nn.Module
    discriminator_b: nn.Module

    def __init__(self, config: Config, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(config, spec, networks)
        if self.has("discriminator_a"):  # a model to apply has none, and needs no pools
            self.pool_a = ImagePool(config.pool, spec.shape)
            self.pool_b = ImagePool(config.pool, (self.other_channels, spec.height, spec.width))

    @property
    def other_channels(self) -> int:
        """Channels of side B."""
        return self.spec.other_channels or self.spec.channels

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        smaller = min(spec.height, spec.width)
        if smaller < SMALLEST:
            raise GansmithError(
                f"cyclegan needs pictures of at least {SMALLEST} px, and these are {spec.width}x{spec.height}."
            )
        if config.identity and self.other_channels != spec.channels:
            raise GansmithError(
                "The two sides have different channels, so nothing can stay the same: set --identity 0."
            )
        blocks = config.blocks or (9 if smaller >= 256 else 6)
        a, b = spec.channels, self.other_channels

        def generator(inputs: int, outputs: int) -> ResnetGenerator:
            return ResnetGenerator(inputs, outputs, config.width, blocks, upsample=config.upsample, skip=config.skip)

        return {
            "generator_ab": generator(a, b),
            "generator_ba": generator(b, a),
            "discriminator_a": PatchDiscriminator(a, config.width_discriminator),
            "discriminator_b": PatchDiscriminator(b, config.width_discriminator),
        }

    def turns(self) -> Sequence[Turn]:
        return Turn("generators", self.generators_loss), Turn("discriminators", self.discriminators_loss)

    # --- the losses -----------------------------------------------------------------------------------------------

    def generators_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """Least squares against both discriminators, both cycles, both identities."""
        config = self.config
        a, b = batch.images, other_side(batch)
        made = self.made(batch)
        adversarial = (self.discriminator_b(made.fake_b) - 1).square().mean()
        adversarial = adversarial + (self.discriminator_a(made.fake_a) - 1).square().mean()
        cycle = l1_loss(made.cycled_a, a) + l1_loss(made.cycled_b, b)
        loss = adversarial + config.cycle * cycle
        logs = {"adversarial": adversarial.detach(), "cycle": cycle.detach()}
        if made.same_a is not None and made.same_b is not None:
            identity = l1_loss(made.same_a, a) + l1_loss(made.same_b, b)
            loss = loss + config.cycle * config.identity * identity
            logs["identity"] = identity.detach()
        return loss, logs

    def discriminators_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """Half the least squares of real pictures against 1 and of kept fakes against 0, for both sides."""
        made = self.made(batch)
        loss_a, logs_a = self._side_loss(self.discriminator_a, batch.images, self.pool_a.query(made.fake_a.detach()))
        loss_b, logs_b = self._side_loss(
            self.discriminator_b, other_side(batch), self.pool_b.query(made.fake_b.detach())
        )
        return loss_a + loss_b, {name: (logs_a[name] + logs_b[name]) / 2 for name in logs_a}

    @staticmethod
    def _side_loss(discriminator: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Logs]:
        # one pass for both: instance norm looks at each picture by itself
        real_logits, fake_logits = discriminator(torch.cat([real, fake.to(real.dtype)])).chunk(2)
        loss = 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())
        return loss, {"real": real_logits.detach().mean(), "fake": fake_logits.detach().mean()}

    def made(self, batch: Batch) -> Made:
        """The step's translations. Each generator runs twice: on real pictures of both sides at once, then on fakes."""
        return batch.keep("made", lambda: self._make(batch.images, other_side(batch)))

    def _make(self, a: Tensor, b: Tensor) -> Made:
        if self.config.identity:
            fake_b, same_b = self.generator_ab(torch.cat([a, b])).chunk(2)
            fake_a, same_a = self.generator_ba(torch.cat([b, a])).chunk(2)
        else:
            fake_b, fake_a, same_a, same_b = self.generator_ab(a), self.generator_ba(b), None, None
        return Made(fake_a, fake_b, self.generator_ba(fake_b), self.generator_ab(fake_a), same_a, same_b)

    # --- the model ------------------------------------------------------------------------------------------------

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        return (self.generator_ab if direction == "ab" else self.generator_ba)(images)

    def preview(self, real: Batch, seed: int) -> Grid:
        """Rows of A, A->B, A->B->A, B, B->A, B->A->B."""
        a, b = real.images[:8], other_side(real)[:8]
        fake_b, fake_a = self.generator_ab(a), self.generator_ba(b)
        stages = [a, fake_b, self.generator_ba(fake_b), b, fake_a, self.generator_ab(fake_a)]
        return Grid(rows_of(stages), 6, "A | A to B | and back | B | B to A | and back")

    def metrics_images(self, real: Batch, seed: int) -> Tensor:
        return self.generator_ab(real.images)
