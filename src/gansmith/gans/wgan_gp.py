"""WGAN-GP: a critic kept near 1-Lipschitz by a gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028).

    L_D = E D(G(z)) - E D(x) + lambda E (|grad D(x^)|_2 - 1)^2        x^ between a real picture and a fake
    L_G = -E D(G(z))                                                   at every 5th step in the paper

No batch norm in the critic, since the penalty is about one picture at a time. ``--arch`` chooses the networks: ``cnn``
(DCGAN's, fit for a laptop), or the paper's residual networks for 32 px and for 64 px; each makes 16 to 128 px.

On grey pictures up to 32 px, ``cnn`` has usual settings of its own, since ten minutes of a CPU with the paper's are 1,275
generator turns. The paper's are ``--critic-steps 5 --batch 64`` there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from gansmith.config import MANY, Added, Bounds, Decay, Units, Weight
from gansmith.game import Batch, Clock, ImageSpec, Logs, Optimizer, Turn
from gansmith.generation import Generation, GenerationConfig, judgement_logs, squared_gradient_norm
from gansmith.nn import conditioning, dcgan
from gansmith.nn.norms import init_he
from gansmith.nn.stages import check_size
from gansmith.nn.wgan_resnet import Critic, Generator, Shape
from gansmith.parallel import seeds


@dataclass(frozen=True)
class Config(GenerationConfig):
    """Settings of WGAN-GP. By default settings are what the paper has for the architecture."""

    arch: Literal["cnn", "resnet32", "resnet64"] = "cnn"
    """Networks: DCGAN's, or the paper's residual ones for 32 px or 64 px; all make any size from 16 to 128 px."""
    width: Annotated[int | None, Bounds(1, memory=MANY, was=0)] = None
    """Channels of the layer next to the picture; by default 64 (cnn, resnet64) or 128 (resnet32)."""
    latent_dim: Units = 128
    """Length of the noise vector z ~ N(0, I)."""
    penalty: Weight = 10.0
    """Weight of the gradient penalty: lambda in Eq. 3."""
    penalty_every: Annotated[int | None, Bounds(1, unit="steps"), Added(1)] = None
    """Compute the gradient penalty at every k-th critic turn only, k times as strong; by default 1 as in the paper, and 4 where
    critic_steps has its usual 1."""
    discriminator: Annotated[Literal["auto", "dcgan", "plain"], Added("dcgan")] = "auto"
    """The critic of cnn: DCGAN's without batch norm, or 4x4 convolutions down to a map of 4 px. auto takes those where critic_steps
    has its usual 1: they see larger parts of a small picture."""
    critic_steps: Annotated[int | None, Bounds(1)] = None
    """Critic turns per generator turn, n_critic in Algorithm 1. By default the paper's 5; for grey pictures up to 32 px 1, and then width and
    learning rate are by default 32 and 1e-3."""
    lr: Annotated[float | None, Bounds(above=0, was=0)] = None
    """Learning rate; by default 2e-4, and 1e-4 for resnet64."""
    lr_decay: Literal["auto", "linear", "none"] = "auto"
    """Let the learning rate fall to 0 over the run; auto does, but for resnet64."""
    beta1: Decay = 0.0
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.9
    """Adam's decay of the gradient's mean square."""


@dataclass(frozen=True)
class Arch:
    """What goes with an architecture."""

    width: int
    lr: float
    decay: bool
    shape: Shape | None = None
    """Shape of the residual networks."""
    generator_batch: int = 1
    """Fakes the generator learns from per real picture of the batch."""
    critic_steps: int = 5
    """Critic turns per generator turn."""
    penalty_every: int = 1
    """Critic turns per gradient penalty."""
    plain: bool = False
    """Whether the critic is plain."""


ARCHS = {
    "cnn": Arch(64, 2e-4, decay=True),
    "small": Arch(32, 1e-3, decay=True, critic_steps=1, penalty_every=4, plain=True),
    "resnet32": Arch(128, 2e-4, decay=True, shape="level", generator_batch=2),
    "resnet64": Arch(64, 1e-4, decay=False, shape="pyramid"),
}


def arch_name(config: Config, spec: ImageSpec) -> str:
    """The key of :data:`ARCHS`."""
    small = config.arch == "cnn" and spec.small_and_grey and config.critic_steps is None
    return "small" if small else config.arch


class WGANGP(Generation[Config]):
    """A critic's turn at every step, the generator's at every ``critic_steps``-th."""

    Config = Config
    tiny = {"width": 8, "latent_dim": 8}
    per_class = conditioning.PER_CLASS
    small_grey_batch = 32

    @property
    def arch(self) -> Arch:
        """What goes with ``config.arch``; on small grey pictures ``small`` for ``cnn``, where ``critic_steps`` is left open."""
        return ARCHS[arch_name(self.config, self.spec)]

    @classmethod
    def fewest_per_class(cls, config: Config, spec: ImageSpec) -> float:
        """With the paper's learning rate every class collapses to one picture (docs/results/log.md)."""
        return cls.per_class if arch_name(config, spec) == "small" else math.inf

    @property
    def penalty_every(self) -> int:
        return self.config.penalty_every or self.arch.penalty_every

    def phase(self, clock: Clock) -> Hashable:
        return clock.step % self.penalty_every == 0, super().phase(clock)

    def networks(self) -> dict[str, nn.Module]:
        config, spec, arch = self.config, self.spec, self.arch
        check_size(spec, "wgan-gp", 128)
        width = config.width or arch.width
        if arch.shape is None:
            plain = arch.plain if config.discriminator == "auto" else config.discriminator == "plain"
            if plain:
                critic: nn.Module = dcgan.PlainDiscriminator(width, spec, self.classes, config.pack)
            else:
                critic = dcgan.Discriminator(width, spec, self.classes, config.pack, batch_norm=False).apply(init_he)
            return {
                "generator": dcgan.Generator(config.latent_dim, width, spec, self.classes),
                "discriminator": critic,
            }
        return {
            "generator": Generator(config.latent_dim, arch.shape, width, spec, self.classes),
            "discriminator": Critic(arch.shape, width, spec, self.classes, config.pack),
        }

    def turns(self) -> Sequence[Turn]:
        return (
            Turn("discriminator", self.critic_loss, after=self.adapt_augment),
            Turn("generator", self.generator_loss, every=self.config.critic_steps or self.arch.critic_steps),
        )

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """Eq. 3, on fresh pictures at every critic step."""
        labels = self.labels_of(batch)
        with torch.no_grad():
            fake = self.generate(batch)
        real_scores, fake_scores = self.judge_both(batch.images, fake, labels)
        wasserstein = fake_scores.mean() - real_scores.mean()
        logs = judgement_logs(real_scores, fake_scores, relative=True) | {"distance": -wasserstein.detach()}
        if batch.clock.step % self.penalty_every:
            return wasserstein, logs
        penalty = gradient_penalty(lambda images: self.judge(images, labels), batch.images, fake)
        return wasserstein + self.config.penalty * self.penalty_every * penalty, logs | {"penalty": penalty.detach()}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_G = -E D(G(z))."""
        labels, times = self.labels_of(batch), self.arch.generator_batch
        labels = None if labels is None else torch.cat([labels] * times)
        with seeds.stacked(times):
            fake = self.generator(self.latents(times * len(batch)), labels)
            return -self.judge(fake, labels).mean(), {}

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        config, arch = self.config, self.arch
        usual = super().optimizer(player, clock)
        decay = arch.decay if config.lr_decay == "auto" else config.lr_decay == "linear"
        return replace(usual, lr=usual.lr * (1 - clock.progress)) if decay else usual

    @property
    def usual_lr(self) -> float:
        return self.arch.lr


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """E (|grad D(x^)|_2 - 1)^2 at random points x^ between pairs, the last term of Eq. 3.

    Args:
        critic: pictures [N, ...] -> scores.
        real, fake: [N, ...]; one U(0, 1) mixing weight per pair.
    """
    weight = seeds.uniform(len(real), *[1] * (real.dim() - 1), device=real.device).to(real.dtype)
    between = torch.lerp(real.detach(), fake.detach().to(real.dtype), weight).requires_grad_()
    # the small constant keeps the square root's derivative finite where the gradient vanishes
    norm = (squared_gradient_norm(critic(between), between) + 1e-12).sqrt()
    return (norm - 1).square().mean()
