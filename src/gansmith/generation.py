"""Games that turn noise into pictures: what their families share.

A family adds its networks (``generator(z, labels)`` and ``discriminator(images, labels)``) and, where its paper has
others, its own losses and turns.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from gansmith.abilities import Sampled
from gansmith.config import Bounds, Count, Decay, OptionalTerm, Share, Units
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, Grid, ImageSpec, Logs, Optimizer, Turn
from gansmith.nn import conditioning
from gansmith.nn.augment import AdaptiveAugment, DiffAugment
from gansmith.nn.classes import class_weights
from gansmith.nn.contract import Asked, check_discriminator, check_generator
from gansmith.nn.losses import ADVERSARIAL, AdversarialName
from gansmith.nn.penalties import squared_gradient_norm
from gansmith.nn.scalars import Scalars
from gansmith.parallel import processes, seeds

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class GenerationConfig:
    """Settings of every family that turns noise into pictures."""

    latent_dim: Units = 100
    """Length of the noise vector z ~ N(0, I)."""
    conditional: bool | Literal["auto"] = "auto"
    """Learn one distribution per class; needs labelled data. auto does so in r3gan and stylegan2, where half of the classes have 500
    pictures or more: elsewhere single classes collapse.
    --no-conditional leaves labels out."""
    lr: Annotated[float | None, Bounds(0)] = 2e-4
    """Learning rate."""
    lr_discriminator: Annotated[float | None, Bounds(above=0, was=0)] = None
    """Learning rate of the discriminator, where it differs (TTUR, arXiv:1706.08500); by default lr."""
    beta1: Decay = 0.5
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.999
    """Adam's decay of the gradient's mean square."""
    ema_images: Annotated[int | None, Bounds(0, unit="images", off=True)] = 10_000
    """Half-life, in images, of the weight average that samples are drawn from; 0 switches it off."""
    spectral_norm: bool = False
    """Spectral normalisation of every layer of the discriminator (arXiv:1802.05957)."""
    augment: Literal["none", "diffaugment", "ada"] = "none"
    """Augment what the discriminator sees: always (DiffAugment, arXiv:2006.10738) or as much as needed (ADA, arXiv:2006.06676)."""
    augment_target: Share = 0.6
    """ADA aims at this mean sign of D on real pictures."""
    augment_images: Annotated[int | None, Bounds(1, unit="images", was=-1)] = None
    """ADA's speed: images for its probability to go from 0 to 1; by default the paper's 500,000, and 100,000 after --init."""
    class_fade: Annotated[float, Bounds(0, 1, off=True)] = 0.0
    """With --conditional: classes fade in over the second half of this share of the run, and until then it is played
    without; keeps classes of few pictures from collapsing (arXiv:2201.06578). 0 has them from the start."""
    pack: Count = 1
    """How many pictures the discriminator judges together, against mode collapse (PacGAN, arXiv:1712.04086)."""


@dataclass(frozen=True)
class AdversarialConfig(GenerationConfig):
    """Settings of families whose paper leaves the choice of loss open."""

    loss: AdversarialName = "nonsaturating"
    """Which adversarial loss."""
    r1: OptionalTerm = 0.0
    """Weight gamma of the R1 penalty, gamma / 2 E |grad D(x)|^2 on real pictures (arXiv:1801.04406)."""
    penalty_every: Annotated[int, Bounds(1, unit="steps")] = 1
    """Compute the penalty at every k-th step only, k times as strong."""


GenerationConfigT = TypeVar("GenerationConfigT", bound=GenerationConfig)
"""The type of a family's settings."""


class Generation(Sampled[GenerationConfigT]):
    """Noise to pictures, in alternating turns.

    Labels of networks and losses are weights of classes [N, K] (:meth:`labels_of`), which
    :class:`gansmith.nn.classes.ClassEmbedding` turns into vectors; unconditional networks get None. Labels of people
    (:meth:`sample`) are class numbers [N].

    Attributes:
        generator: (z [N, latent_dim], labels [N, K] or None) -> [N, C, H, W].
        discriminator: (images [N, C * pack, H, W], labels [N, K] or None) -> logits [N] or [N, 1].
    """

    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    exports = ("generator",)
    per_class: ClassVar[float] = math.inf
    """How many pictures half of the classes must have for ``--conditional auto`` to learn them; infinite where it never does. A family
    gives a number once it is known that its classes do not collapse: those of ``gan``, ``dcgan``, ``wgan-gp`` and ``projected`` did."""
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

        learnt, line = conditioning.decide(config, spec, counts, fits, cls.per_class)
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
    def judged_together(cls, config: GenerationConfigT) -> int:
        return config.pack

    @property
    def latent_dim(self) -> int:
        return self.config.latent_dim

    @property
    def classes(self) -> int:
        return self.spec.classes if self.config.conditional else 0

    def turns(self) -> Sequence[Turn]:
        return (
            Turn("discriminator", self.discriminator_loss, after=self.adapt_augment),
            Turn("generator", self.generator_loss),
        )

    def phase(self, clock: Clock) -> Hashable:
        config = self.adversarial
        penalised = config.r1 > 0 and clock.step % config.penalty_every == 0
        augmented = not isinstance(self.augment, Scalars) or self.augment.scalar("p") > 0
        return penalised, augmented, class_strength(self.config.class_fade, clock) if self.classes else 1.0

    # --- the losses -----------------------------------------------------------------------------------------------

    @property
    def adversarial(self) -> AdversarialConfig:
        """The choice of loss and penalty; the non-saturating loss alone, for families that leave no choice."""
        return self.config if isinstance(self.config, AdversarialConfig) else AdversarialConfig()

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_D = -E log D(x) - E log(1 - D(G(z))), or the loss that ``config.loss`` names; plus R1 where asked for."""
        config = self.adversarial
        penalised = config.r1 > 0 and batch.clock.step % config.penalty_every == 0
        real = batch.images.detach().requires_grad_(penalised)
        real_logits, fake_logits = self.judge_both(real, self.fakes(batch).detach(), self.labels_of(batch))
        adversarial = ADVERSARIAL[config.loss]
        loss = adversarial.discriminator(real_logits, fake_logits)
        logs = judgement_logs(real_logits, fake_logits, relative=adversarial.relative)
        if penalised:
            r1 = squared_gradient_norm(real_logits, real).mean()
            loss = loss + 0.5 * config.r1 * config.penalty_every * r1
            logs["r1"] = r1.detach()
        return loss, logs

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_G = -E log D(G(z)), or the loss that ``config.loss`` names."""
        adversarial = ADVERSARIAL[self.adversarial.loss]
        fake_logits = self.judge(self.fakes(batch), self.labels_of(batch))
        real_logits = self.judge(batch.images, self.labels_of(batch)) if adversarial.paired else fake_logits
        return adversarial.generator(fake_logits, real_logits), {}

    # --- what losses are made of ----------------------------------------------------------------------------------

    def latents(self, n: int) -> Tensor:
        """z ~ N(0, I), [n, latent_dim]."""
        return seeds.normal(n, self.config.latent_dim, device=self.device)

    def labels_of(self, batch: Batch) -> Tensor | None:
        """Weights of classes [N, K] of a batch, where the game is conditional: all alike until classes fade in.

        Fakes take the labels of the real pictures beside them.
        """
        weights = self.weights_of(batch.labels)
        strength = class_strength(self.config.class_fade, batch.clock)
        if weights is None or strength == 1:
            return weights
        return (1 - strength) / self.classes + strength * weights

    def weights_of(self, numbers: Tensor | None) -> Tensor | None:
        """Class numbers [N] as the weights of classes [N, K] that networks take; None where the game is unconditional."""
        return class_weights(numbers, self.classes) if self.classes and numbers is not None else None

    def generate(self, batch: Batch) -> Tensor:
        """New fakes for a batch, [N, C, H, W]."""
        return self.generator(self.latents(len(batch)), self.labels_of(batch))

    def fakes(self, batch: Batch) -> Tensor:
        """The step's fakes: one pass of the generator serves both players, as its weights move last."""
        return batch.keep("fakes", lambda: self.generate(batch))

    def judge(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Logits [N / pack] of pictures as the discriminator sees them: augmented, and packed."""
        if self.augment is not None:
            images = self.augment(images)
        if self.config.pack > 1:
            n, channels, *rest = images.shape
            images = images[: n - n % self.config.pack].reshape(-1, channels * self.config.pack, *rest)
        return self.discriminator(images, labels).flatten()

    @cached_property
    def judges_across_batch(self) -> bool:
        """Whether the discriminator's logit of a picture depends on the others beside it."""
        return any(isinstance(m, BATCH_NORMS) for m in self.discriminator.modules())

    def judge_both(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits of real and of fake pictures: in one pass, unless the discriminator looks across its batch."""
        if self.judges_across_batch:
            return self.judge(real, labels), self.judge(fake, labels)
        with seeds.stacked(2):
            both = self.judge(
                torch.cat([real, fake.to(real.dtype)]), None if labels is None else torch.cat([labels, labels])
            )
        real_logits, fake_logits = both.chunk(2)
        return real_logits, fake_logits

    def adapt_augment(self, batch: Batch, logs: Logs) -> None:
        """ADA: look at how sure D is of real pictures, and augment more or less from now on."""
        if isinstance(self.augment, AdaptiveAugment):
            self.augment.update(logs["sign_real"], batch.world_size)
            logs["augment_p"] = self.augment.p.clone()

    # --- schedules ------------------------------------------------------------------------------------------------

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        config, lr = self.config, self.lr
        if player == "discriminator" and config.lr_discriminator is not None:
            lr = config.lr_discriminator
        return Optimizer(lr, (config.beta1, config.beta2))

    @property
    def lr(self) -> float:
        """The learning rate that was asked for, or the family's usual one."""
        return self.usual_lr if self.config.lr is None else self.config.lr

    @property
    def usual_lr(self) -> float:
        return 2e-4

    def ema_images(self, batch: int) -> float:
        """Half-life of the weight average in images, as asked for or the family's usual one for such a batch."""
        return 10_000 if self.config.ema_images is None else self.config.ema_images

    def ema_beta(self, clock: Clock, batch: int) -> float:
        # ramp-up of Karras et al. 2020: never average over more than a twentieth of what has been seen
        half_life = min(self.ema_images(batch), 0.05 * clock.images)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    # --- the model ------------------------------------------------------------------------------------------------

    def sample(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        return self.generator(z * truncation, self.weights_of(labels))

    def seeded_latents(self, n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        # one draw for each: of one draw for all, torch would make the last 16 numbers anew
        rows = [torch.randn(self.config.latent_dim, generator=generator) for _ in range(n)]
        return torch.stack(rows).to(self.device) if rows else torch.empty(0, self.config.latent_dim, device=self.device)

    def preview(self, real: Batch, seed: int) -> Grid:
        """64 fixed latents; when conditional, a row per class."""
        columns, rows = 8, 8
        labels = None
        if self.classes:
            columns, rows = 10, min(self.classes, 10)
            labels = torch.arange(rows, device=self.device).repeat_interleave(columns)
        return Grid(self.sample(self.seeded_latents(rows * columns, seed), labels), columns)

    def metrics_images(self, real: Batch, seed: int) -> Tensor:
        return self.sample(self.seeded_latents(len(real), seed), real.labels if self.classes else None)

    def calibrate(self, batch: int, seed: int) -> None:
        """Batch norm remembers the statistics of other weights than the averaged ones: measure them anew."""
        norms = [m for m in self.generator.modules() if isinstance(m, BATCH_NORMS)]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        generator = torch.Generator().manual_seed(seed)
        latents: list[Tensor] = []
        labels: list[Tensor | None] = []
        for _ in range(16):
            latents.append(torch.randn(batch, self.config.latent_dim, generator=generator))
            labels.append(self._some_classes(batch, generator))
        z = torch.stack(latents).to(self.device)
        classes = [label for label in labels if label is not None]
        y = torch.stack(classes).to(self.device) if classes else labels
        for norm in norms:
            norm.reset_running_stats()
        self.generator.train()
        for count, (own_z, own_y) in enumerate(zip(z, y, strict=True), 1):
            for norm in norms:  # a plain average; where momentum is None, every layer asks the GPU for its count
                norm.momentum = 1 / count
            self.generator(own_z, self.weights_of(own_y))
        self.generator.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def _some_classes(self, n: int, generator: torch.Generator) -> Tensor | None:
        """Random class numbers [n], as often as the data has them; None for unconditional games."""
        if not self.classes:
            return None
        if len(self.class_shares) != self.classes or len(set(self.class_shares)) == 1:
            return torch.randint(self.classes, (n,), generator=generator)
        return torch.multinomial(torch.tensor(self.class_shares), n, replacement=True, generator=generator)


def judgement_logs(real_logits: Tensor, fake_logits: Tensor, *, relative: bool = False) -> Logs:
    """What the coach, the curves and ADA want to know of a discriminator's logits.

    Args:
        relative: only differences of logits mean anything (wasserstein and relativistic losses): signs are counted from
            halfway between the two means instead of from 0.
    """
    real, fake = real_logits.detach().float(), fake_logits.detach().float()
    mean_real, mean_fake = real.mean(), fake.mean()
    zero = processes.mean((mean_real + mean_fake) / 2) if relative else torch.zeros_like(mean_real)
    signs = {"sign_real": (real - zero).sign().mean(), "sign_fake": (fake - zero).sign().mean()}
    return {"real": mean_real, "fake": mean_fake, **signs}


def class_strength(fade: float, clock: Clock) -> float:
    """How much classes count, 0 to 1, where they fade in over the second half of a share ``fade`` of the run."""
    return min(max(2 * clock.progress / fade - 1, 0.0), 1.0) if fade else 1.0


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
