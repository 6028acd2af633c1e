"""The game of noise and pictures: turns, losses, and what losses are made of."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from gansmith.game import Batch, Clock, Logs, Optimizer, Turn
from gansmith.generation.model import FromNoise
from gansmith.generation.settings import AdversarialConfig, GenerationConfigT
from gansmith.nn.augment import AdaptiveAugment
from gansmith.nn.batch_norm import BATCH_NORMS
from gansmith.nn.losses import ADVERSARIAL
from gansmith.nn.penalties import squared_gradient_norm
from gansmith.nn.scalars import Scalars
from gansmith.parallel import processes, seeds


class Generation(FromNoise[GenerationConfigT]):
    """Noise to pictures, in alternating turns.

    Labels of networks and losses are weights of classes [N, K] (:meth:`labels_of`), which
    :class:`gansmith.nn.classes.ClassEmbedding` turns into vectors; unconditional networks get None. Labels of people
    (:meth:`sample`) are class numbers [N].

    Attributes:
        generator: (z [N, latent_dim], labels [N, K] or None) -> [N, C, H, W].
        discriminator: (images [N, C * pack, H, W], labels [N, K] or None) -> logits [N] or [N, 1].
    """

    players = {"discriminator": ("discriminator",), "generator": ("generator",)}

    @property
    def classes(self) -> int:
        return self.spec.classes if self.config.conditional else 0

    def turns(self) -> Sequence[Turn]:
        return (
            Turn("discriminator", self.discriminator_loss, after=self.adapt_augment),
            Turn("generator", self.generator_loss),
        )

    def phase(self, clock: Clock) -> Hashable:
        penalised = self.r1 > 0 and clock.step % self.penalty_every == 0
        augmented = not isinstance(self.augment, Scalars) or self.augment.scalar("p") > 0
        return penalised, augmented, class_strength(self.config.class_fade, clock) if self.classes else 1.0

    # --- the losses -----------------------------------------------------------------------------------------------

    @property
    def adversarial(self) -> AdversarialConfig:
        """The choice of loss and penalty; the non-saturating loss alone, for families that leave no choice."""
        return self.config if isinstance(self.config, AdversarialConfig) else AdversarialConfig()

    @property
    def r1(self) -> float:
        """Weight of R1: what the settings say, or else the family's usual one where labels are learned."""
        asked = self.adversarial.r1
        return asked if asked is not None else self.usual_r1 if self.classes else 0.0

    @property
    def penalty_every(self) -> int:
        """Every how many steps R1 is computed."""
        config = self.adversarial
        return config.penalty_every or (4 if config.r1 is None else 1)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_D = -E log D(x) - E log(1 - D(G(z))), or the loss that ``config.loss`` names; plus R1 where asked for."""
        config = self.adversarial
        penalised = self.r1 > 0 and batch.clock.step % self.penalty_every == 0
        real = batch.images.detach().requires_grad_(penalised)
        real_logits, fake_logits = self.judge_both(real, self.fakes(batch).detach(), self.labels_of(batch))
        adversarial = ADVERSARIAL[config.loss]
        loss = adversarial.discriminator(real_logits, fake_logits)
        logs = judgement_logs(real_logits, fake_logits, relative=adversarial.relative)
        if penalised:
            r1 = squared_gradient_norm(real_logits, real).mean()
            loss = loss + 0.5 * self.r1 * self.penalty_every * r1
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
        if not self.classes:
            return None
        weights = self.weights_of(batch.labels)
        strength = class_strength(self.config.class_fade, batch.clock)
        if weights is None or strength == 1:
            return weights
        return (1 - strength) / self.classes + strength * weights

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


def judgement_logs(real_logits: Tensor, fake_logits: Tensor, *, relative: bool = False) -> Logs:
    """What the coach, the curves and ADA want to know of a discriminator's logits.

    Args:
        relative: only differences of logits mean anything (wasserstein and relativistic losses): signs are counted from
            halfway between the two means instead of from 0.
    """
    real, fake = real_logits.detach().float(), fake_logits.detach().float()
    mean_real, mean_fake = real.mean(), fake.mean()
    zero = (mean_real + mean_fake) / 2 if relative else torch.zeros_like(mean_real)
    if relative and seeds.process().world > 1:
        zero = processes.mean(zero)
    signs = {"sign_real": (real - zero).sign().mean(), "sign_fake": (fake - zero).sign().mean()}
    return {"real": mean_real, "fake": mean_fake, **signs}


def class_strength(fade: float, clock: Clock) -> float:
    """How much classes count, 0 to 1, where they fade in over the second half of a share ``fade`` of the run."""
    return min(max(2 * clock.progress / fade - 1, 0.0), 1.0) if fade else 1.0
