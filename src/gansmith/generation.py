"""Games that turn noise into pictures: what their families share.

A family adds its networks (``generator(z, labels)`` and ``discriminator(images, labels)``) and, where its paper has
others, its own losses and turns.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.modules.batchnorm import _BatchNorm

from gansmith import conditioning
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, Game, Grid, ImageSpec, Logs, Optimizer, Turn
from gansmith.nn.contract import Asked, check_discriminator, check_generator
from gansmith.nn.losses import ADVERSARIAL, AdversarialName
from gansmith.nn.penalties import squared_gradient_norm
from gansmith.nn.scalars import Scalars
from gansmith.parallel import processes, seeds


@dataclass(frozen=True)
class GenerationConfig:
    """Settings of every family that turns noise into pictures."""

    latent_dim: int = 100
    """Length of the noise vector z ~ N(0, I)."""
    conditional: bool | Literal["auto"] = "auto"
    """Learn one distribution per class; needs labelled data. auto does so in r3gan and stylegan2, where half of the classes have 500
    pictures or more: elsewhere single classes collapse.
    --no-conditional leaves labels out."""
    lr: float = 2e-4
    """Learning rate."""
    lr_discriminator: float = 0.0
    """Learning rate of the discriminator, where it differs (TTUR, arXiv:1706.08500); 0 takes lr."""
    beta1: float = 0.5
    """Adam's decay of the gradient's mean."""
    beta2: float = 0.999
    """Adam's decay of the gradient's mean square."""
    ema_images: int = 10_000
    """Half-life, in images, of the weight average that samples are drawn from; 0 switches it off."""
    spectral_norm: bool = False
    """Spectral normalisation of every layer of the discriminator (arXiv:1802.05957)."""
    augment: Literal["none", "diffaugment", "ada"] = "none"
    """Augment what the discriminator sees: always (DiffAugment, arXiv:2006.10738) or as much as needed (ADA, arXiv:2006.06676)."""
    augment_target: float = 0.6
    """ADA aims at this mean sign of D on real pictures."""
    augment_images: int = -1
    """ADA's speed: images for its probability to go from 0 to 1; -1 takes the paper's 500,000, and 100,000 after --init."""
    class_fade: float = 0.0
    """With --conditional: classes fade in over the second half of this share of the run, and until then it is played
    without; keeps classes of few pictures from collapsing (arXiv:2201.06578). 0 has them from the start."""
    pack: int = 1
    """How many pictures the discriminator judges together, against mode collapse (PacGAN, arXiv:1712.04086)."""


@dataclass(frozen=True)
class AdversarialConfig(GenerationConfig):
    """Settings of families whose paper leaves the choice of loss open."""

    loss: AdversarialName = "nonsaturating"
    """Which adversarial loss."""
    r1: float = 0.0
    """Weight gamma of the R1 penalty, gamma / 2 E |grad D(x)|^2 on real pictures (arXiv:1801.04406)."""
    penalty_every: int = 1
    """Compute the penalty at every k-th step only, k times as strong."""


class Generation(Game):
    """Noise to pictures, in alternating turns.

    Labels are what :meth:`labels_of` gives: class numbers [N], or weights of classes [N, classes] with ``--class-fade``;
    :class:`gansmith.nn.classes.ClassEmbedding` takes either. Unconditional networks get None.

    Attributes:
        generator: (z [N, latent_dim], labels) -> [N, C, H, W].
        discriminator: (images [N, C * pack, H, W], labels) -> logits [N] or [N, 1].
    """

    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    exports = ("generator",)
    per_class: ClassVar[float] = math.inf
    """How many pictures half of the classes must have for ``--conditional auto`` to learn them; infinite where it never does. A family
    gives a number once it is known that its classes do not collapse: those of ``gan``, ``dcgan``, ``wgan-gp`` and ``projected`` did."""
    generator: nn.Module
    discriminator: nn.Module

    def __init__(
        self, config: GenerationConfig, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None
    ) -> None:
        if config.pack < 1:
            raise GansmithError(f"--pack is how many pictures are judged together: 1 or more, not {config.pack}.")
        if config.conditional == "auto":
            config, _ = self.settled(config, spec, ())
        conditioning.check(config.conditional, config, spec)
        if not 0 <= config.class_fade <= 1:
            raise GansmithError(f"--class-fade is a share of the run, from 0 to 1, not {config.class_fade}.")
        super().__init__(config, spec, networks)
        self.augment: Any = make_augment(config)
        if config.spectral_norm and hasattr(self, "discriminator"):
            add_spectral_norm(self.discriminator)
        if not type(self).__module__.startswith("gansmith."):  # those of the package are tested
            self._check_networks()

    @classmethod
    def settled(cls, config: GenerationConfig, spec: ImageSpec, counts: Sequence[int]) -> tuple[Any, list[str]]:
        """``--conditional auto`` as True or False; see :func:`gansmith.conditioning.decide`."""
        if config.conditional is False and config.class_fade:
            raise GansmithError("--class-fade lets classes fade in, so it cannot go with --no-conditional.")
        if config.conditional != "auto":
            return config, []

        def fits() -> bool:  # a family of the package takes labels; another one may not
            if cls.__module__.startswith("gansmith."):
                return True
            try:
                with torch.random.fork_rng(devices=[]):
                    cls(replace(config, conditional=True), spec)
            except GansmithError:
                return False
            return True

        learnt, line = conditioning.decide(config, spec, counts, fits, cls.per_class)
        return replace(config, conditional=learnt), [line] if line else []

    def _check_networks(self) -> None:
        """Raise a GansmithError where networks do not take what the flags ask for."""
        config = self.config
        asked = Asked(type(self).__name__, config.latent_dim, config.pack, self.classes, config.class_fade > 0)
        if hasattr(self, "generator"):
            check_generator(self.generator, self.spec, asked)
        if hasattr(self, "discriminator"):
            check_discriminator(self.discriminator, self.spec, asked)

    @property
    def classes(self) -> int:
        """Classes the networks are conditioned on: 0 when unconditional."""
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
        """The batch's labels where the game is conditional. Fakes take the labels of the real pictures beside them.

        Class numbers [N]; weights of classes [N, classes] as long as classes fade in, all alike before that.
        """
        if not self.classes or batch.labels is None:
            return None
        strength = class_strength(self.config.class_fade, batch.clock)
        if strength == 1:
            return batch.labels
        return (1 - strength) / self.classes + strength * one_hot(batch.labels, self.classes).float()

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
        return any(
            isinstance(m, _BatchNorm) or getattr(m, "mixes_samples", False) for m in self.discriminator.modules()
        )

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
        if self.augment is not None and hasattr(self.augment, "update"):
            self.augment.update(logs["sign_real"], batch.world_size)
            logs["augment_p"] = self.augment.p.clone()

    # --- schedules ------------------------------------------------------------------------------------------------

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        config = self.config
        lr = config.lr_discriminator or config.lr if player == "discriminator" else config.lr
        return Optimizer(lr, (config.beta1, config.beta2))

    def ema_beta(self, clock: Clock, batch: int) -> float:
        # ramp-up of Karras et al. 2020: never average over more than a twentieth of what has been seen
        half_life = min(self.config.ema_images, 0.05 * clock.images)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    # --- the model ------------------------------------------------------------------------------------------------

    def sample(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Pictures [N, C, H, W] in [-1, 1] for latents [N, latent_dim]; truncation < 1 trades variety for quality."""
        return self.generator(z * truncation, labels)

    def seeded_latents(self, n: int, seed: int) -> Tensor:
        """The latents that belong to a seed, [n, latent_dim]; the first k are the same for every n >= k."""
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
        norms = [m for m in self.generator.modules() if isinstance(m, _BatchNorm)]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        generator, latents, labels = torch.Generator().manual_seed(seed), [], []
        for _ in range(16):
            latents.append(torch.randn(batch, self.config.latent_dim, generator=generator))
            labels.append(self._some_classes(batch, generator))
        z = torch.stack(latents).to(self.device)
        y = torch.stack(labels).to(self.device) if self.classes else labels
        for norm in norms:
            norm.reset_running_stats()
        self.generator.train()
        for count, (own_z, own_y) in enumerate(zip(z, y, strict=True), 1):
            for norm in norms:  # a plain average; where momentum is None, every layer asks the GPU for its count
                norm.momentum = 1 / count
            self.generator(own_z, own_y)
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


def make_augment(config: GenerationConfig) -> nn.Module | None:
    """The augmentation that ``config.augment`` names, or None."""
    if config.augment == "none":
        return None
    from gansmith.nn.augment import AdaptiveAugment, DiffAugment

    if config.augment == "diffaugment":
        return DiffAugment()
    images = config.augment_images if config.augment_images > 0 else 500_000
    return AdaptiveAugment(target=config.augment_target, images_per_unit=images)


def add_spectral_norm(network: nn.Module) -> None:
    """Divide every weight matrix of a network by its largest singular value, found by power iteration.

    A layer that begins with zeros has no such value. It begins with random numbers, whose size does not matter then.
    """
    for module in list(network.modules()):
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)):
            if not module.weight.any():
                nn.init.normal_(module.weight)
            nn.utils.parametrizations.spectral_norm(module)
