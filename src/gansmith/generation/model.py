"""A network that turns noise into pictures: how it is built, asked for pictures, and averaged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from gansmith.abilities import Sampled
from gansmith.errors import GansmithError
from gansmith.game import Clock, ImageSpec
from gansmith.generation.settings import GenerationConfig, GenerationConfigT
from gansmith.nn import conditioning
from gansmith.nn.augment import AdaptiveAugment
from gansmith.nn.classes import class_weights
from gansmith.nn.contract import Asked, check_discriminator, check_generator
from gansmith.nn.diffaugment import DiffAugment
from gansmith.nn.norms import batch_norms, measure_anew


class FromNoise(Sampled[GenerationConfigT]):
    """What a game of noise to pictures is before it is played, and when it is used as a model.

    Attributes:
        generator: (z [N, latent_dim], labels [N, K] or None) -> [N, C, H, W].
        discriminator: (images [N, C * pack, H, W], labels [N, K] or None) -> logits [N] or [N, 1].
        per_class: how many pictures half of the classes must have for ``--conditional auto`` to learn them; infinite where it
            never does. A family gives a number once it is known that its classes do not collapse: those of ``gan``,
            ``dcgan``, ``wgan-gp`` and ``projected`` did.
    """

    exports = ("generator",)
    usual_r1: ClassVar[float] = 0.0
    """R1's weight where labels are learned and the settings leave it open."""
    per_class: ClassVar[float] = math.inf
    small_grey_batch: ClassVar[int | None] = None
    """Pictures per step on small grey pictures, where small networks learn most from many steps; None takes the usual number."""
    generator: nn.Module
    discriminator: nn.Module

    def __init__(
        self, config: GenerationConfigT, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None
    ) -> None:
        if config.pack < 1:
            raise GansmithError(f"--pack is how many pictures are judged together: 1 or more, not {config.pack}.")
        if config.conditional == "auto":
            config, _ = self.settled(config, spec, ())
        conditioning.check(config.conditional, config, spec)
        if not 0 <= config.class_fade <= 1:
            raise GansmithError(f"--class-fade is a share of the run, from 0 to 1, not {config.class_fade}.")
        super().__init__(config, spec, networks)
        self.augment = make_augment(config)
        if config.spectral_norm and self.has("discriminator"):
            add_spectral_norm(self.discriminator)
        if not type(self).__module__.startswith("gansmith."):  # those of the package are tested
            self._check_networks()

    @classmethod
    def settled(
        cls, config: GenerationConfigT, spec: ImageSpec, counts: Sequence[int]
    ) -> tuple[GenerationConfigT, list[str]]:
        """``--conditional auto`` as True or False; see :func:`gansmith.nn.conditioning.decide`."""
        if config.conditional is False and config.class_fade:
            raise GansmithError("--class-fade lets classes fade in, so it cannot go with --no-conditional.")
        if config.conditional != "auto":
            return config, []

        def fits() -> bool:  # a family of the package takes labels; another one may not
            if cls.__module__.startswith("gansmith."):
                return True
            try:
                with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
                    cls(replace(config, conditional=True), spec)
            except GansmithError:
                return False
            return True

        learnt, line = conditioning.decide(config, spec, counts, fits, cls.fewest_per_class(config, spec))
        return replace(config, conditional=learnt), [line] if line else []

    def _check_networks(self) -> None:
        """Raise a GansmithError where networks do not take what the flags ask for."""
        config = self.config
        asked = Asked(type(self).__name__, config.latent_dim, config.pack, self.classes)
        if self.has("generator"):
            check_generator(self.generator, self.spec, asked)
        if self.has("discriminator"):
            check_discriminator(self.discriminator, self.spec, asked)

    @classmethod
    def fewest_per_class(cls, config: GenerationConfigT, spec: ImageSpec) -> float:
        """:attr:`per_class` where it depends on the settings or the pictures."""
        return cls.per_class

    @classmethod
    def may_learn_classes(cls, config: GenerationConfigT) -> bool:
        return config.conditional is not False

    @classmethod
    def usual_batch(cls, spec: ImageSpec) -> int:
        return (cls.small_grey_batch if spec.small_and_grey else None) or cls.default_batch

    @classmethod
    def judged_together(cls, config: GenerationConfigT) -> int:
        return config.pack

    @property
    def latent_dim(self) -> int:
        return self.config.latent_dim

    def sample(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        return self.generator(z * truncation, self.weights_of(labels))

    def weights_of(self, numbers: Tensor | None) -> Tensor | None:
        """Class numbers [N] as the weights of classes [N, K] that networks take; None where the game is unconditional."""
        return class_weights(numbers, self.classes) if self.classes and numbers is not None else None

    def class_strength(self, clock: Clock) -> float:
        """How much classes count, 0 to 1: they fade in over the second half of a share ``--class-fade`` of the run."""
        fade = self.config.class_fade
        return min(max(2 * clock.progress / fade - 1, 0.0), 1.0) if fade else 1.0

    def ema_images(self, batch: int) -> float:
        """Half-life of the weight average in images, as asked for or the family's usual one for such a batch."""
        return 10_000 if self.config.ema_images is None else self.config.ema_images

    def ema_beta(self, clock: Clock, batch: int) -> float:
        # ramp-up of Karras et al. 2020: never average over more than a twentieth of what has been seen
        half_life = min(self.ema_images(batch), 0.05 * clock.images)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    def calibrate(self, batch: int, seed: int) -> None:
        """Batch norm remembers the statistics of other weights than the averaged ones: measure them over 16 batches."""
        if not batch_norms(self.generator):
            return
        generator = torch.Generator().manual_seed(seed)
        latents: list[Tensor] = []
        labels: list[Tensor | None] = []
        for _ in range(16):
            latents.append(torch.randn(batch, self.config.latent_dim, generator=generator))
            labels.append(self._some_classes(batch, generator))
        z = torch.stack(latents).to(self.device)  # one upload for all
        known = [numbers for numbers in labels if numbers is not None]
        y = torch.stack(known).to(self.device) if known else labels
        measure_anew(self.generator, [(own_z, self.weights_of(own_y)) for own_z, own_y in zip(z, y, strict=True)])

    def _some_classes(self, n: int, generator: torch.Generator) -> Tensor | None:
        """Random class numbers [n], as often as the data has them; None for unconditional games."""
        if not self.classes:
            return None
        if len(self.class_shares) != self.classes or len(set(self.class_shares)) == 1:
            return torch.randint(self.classes, (n,), generator=generator)
        return torch.multinomial(torch.tensor(self.class_shares), n, replacement=True, generator=generator)


def make_augment(config: GenerationConfig) -> AdaptiveAugment | DiffAugment | None:
    """The augmentation that ``config.augment`` names, or None."""
    if config.augment == "none":
        return None
    if config.augment == "diffaugment":
        return DiffAugment()
    return AdaptiveAugment(target=config.augment_target, images_per_unit=config.augment_images or 500_000)


def add_spectral_norm(network: nn.Module) -> None:
    """Divide every weight matrix of a network by its largest singular value, found by power iteration.

    A layer that begins with zeros has no such value. It begins with random numbers, whose size does not matter then.
    """
    for module in list(network.modules()):
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)):
            if not module.weight.any():
                nn.init.normal_(module.weight)
            nn.utils.parametrizations.spectral_norm(module)
