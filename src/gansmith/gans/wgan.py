"""WGAN: a critic that measures a distance, kept Lipschitz by clipping its weights (Arjovsky et al. 2017, arXiv:1701.07875).

    L_D = E D(G(z)) - E D(x)        weights clipped to [-c, c] after every critic step
    L_G = -E D(G(z))                at every 5th step

on DCGAN's networks, with RMSprop, as Algorithm 1 has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from gansmith.config import Bounds, Count, Decay, Rate, Units
from gansmith.game import Batch, Clock, Logs, Optimizer, Turn
from gansmith.generation import Generation, GenerationConfig, judgement_logs
from gansmith.nn.dcgan import Discriminator, Generator
from gansmith.nn.stages import check_size


@dataclass(frozen=True)
class Config(GenerationConfig):
    """Settings of WGAN."""

    width: Units = 64
    """Channels of the layer next to the picture; they double with every stage, up to 8 times this."""
    clip: Annotated[float, Bounds(above=0)] = 0.01
    """Weights of the critic stay within +- this: c in Algorithm 1."""
    critic_steps: Count = 5
    """Critic turns per generator turn: n_critic in Algorithm 1."""
    lr: Rate = 5e-5
    """Learning rate."""
    beta1: Decay = 0.0
    """Momentum of RMSprop; the paper advises against any momentum."""
    beta2: Decay = 0.99
    """RMSprop's decay of the gradient's mean square."""


class WGAN(Generation[Config]):
    """A critic's turn at every step, the generator's at every 5th."""

    Config = Config
    tiny = {"width": 8, "latent_dim": 8}

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        check_size(spec, "wgan")
        return {
            "generator": Generator(config.latent_dim, config.width, spec, self.classes),
            "discriminator": Discriminator(config.width, spec, self.classes, config.pack, not config.spectral_norm),
        }

    def turns(self) -> Sequence[Turn]:
        return (
            Turn("discriminator", self.critic_loss, after=self.after_critic),
            Turn("generator", self.generator_loss, every=self.config.critic_steps),
        )

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_D = E D(G(z)) - E D(x), Eq. 2."""
        with torch.no_grad():
            fake = self.generate(batch)
        real_scores, fake_scores = self.judge_both(batch.images, fake, self.labels_of(batch))
        loss = fake_scores.mean() - real_scores.mean()
        return loss, judgement_logs(real_scores, fake_scores, relative=True) | {"distance": -loss.detach()}

    @torch.no_grad()
    def after_critic(self, batch: Batch, logs: Logs) -> None:
        """Clip the weights: line 7 of Algorithm 1."""
        for weight in self.discriminator.parameters():
            weight.clamp_(-self.config.clip, self.config.clip)
        self.adapt_augment(batch, logs)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_G = -E D(G(z))."""
        return -self.judge(self.generate(batch), self.labels_of(batch)).mean(), {}

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        settings = super().optimizer(player, clock)
        return Optimizer(settings.lr, settings.betas, kind="rmsprop")
