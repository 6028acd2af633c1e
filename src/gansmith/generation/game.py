"""The game of noise and pictures: the usual turns and losses."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from gansmith.game import Batch, Clock, Logs, Turn
from gansmith.generation.judged import Judged, judgement_logs, squared_gradient_norm
from gansmith.generation.settings import AdversarialConfig, GenerationConfigT
from gansmith.nn.losses import ADVERSARIAL, Adversarial
from gansmith.nn.scalars import Scalars


class Generation(Judged[GenerationConfigT]):
    """Noise to pictures, in alternating turns.

    A family replaces what its paper has otherwise: losses, turns, the learning rate. What losses are made of, such as
    :meth:`judge`, is in :class:`gansmith.generation.judged.Judged`.
    """

    def turns(self) -> Sequence[Turn]:
        return (
            Turn("discriminator", self.discriminator_loss, after=self.adapt_augment),
            Turn("generator", self.generator_loss),
        )

    def phase(self, clock: Clock) -> Hashable:
        penalised = self.r1 > 0 and clock.step % self.penalty_every == 0
        augmented = not isinstance(self.augment, Scalars) or self.augment.scalar("p") > 0
        return penalised, augmented, self.class_strength(clock) if self.classes else 1.0

    @property
    def adversarial(self) -> AdversarialConfig:
        """The choice of loss and penalty; the non-saturating loss alone, for families that leave no choice."""
        return self.config if isinstance(self.config, AdversarialConfig) else AdversarialConfig()

    @property
    def adversarial_loss(self) -> Adversarial:
        """The loss that ``config.loss`` names."""
        return ADVERSARIAL[self.adversarial.loss]

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
        penalised = self.r1 > 0 and batch.clock.step % self.penalty_every == 0
        real = batch.images.detach().requires_grad_(penalised)
        real_logits, fake_logits = self.judge_both(real, self.fakes(batch).detach(), self.labels_of(batch))
        adversarial = self.adversarial_loss
        loss = adversarial.discriminator(real_logits, fake_logits)
        logs = judgement_logs(real_logits, fake_logits, relative=adversarial.relative)
        if penalised:
            r1 = squared_gradient_norm(real_logits, real).mean()
            loss = loss + 0.5 * self.r1 * self.penalty_every * r1
            logs["r1"] = r1.detach()
        return loss, logs

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_G = -E log D(G(z)), or the loss that ``config.loss`` names."""
        adversarial, labels = self.adversarial_loss, self.labels_of(batch)
        fake_logits = real_logits = self.judge(self.fakes(batch), labels)
        if adversarial.paired:
            with torch.no_grad():  # what D says of real pictures does not depend on G
                real_logits = self.judge(batch.images, labels)
        return adversarial.generator(fake_logits, real_logits), {}
