"""R3GAN: a relativistic loss with R1 and R2 on plain residual networks (Huang et al. 2024, arXiv:2501.05441).

    L_D = E softplus(-(D(x) - D(G(z)))) + gamma / 2 (E |grad D(x)|^2 + E |grad D(G(z))|^2)
    L_G = E softplus(-(D(G(z)) - D(x)))

Real and fake pictures are compared pair by pair, which leaves no reason to drop a mode; the two penalties make the game
converge. One ``--width`` sizes the networks. The paper's CIFAR-10 model is ``--width 768 --taper 1 --stem 1 --blocks 2
--gamma .05 --gamma-end .005 --lr 2e-4 --lr-end 5e-5 --penalty-every 1 --burn-in 20000000 --ema-images 5000000 --augment ada
--augment-p .55`` at 32 px. Its gamma depends on the data, from .05 to 150; the one here keeps small networks in balance.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from gansmith.config import Added, Bounds, Count, Decay, Units
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, ImageSpec, Logs, Optimizer, Turn
from gansmith.generation import Generation, GenerationConfig, judgement_logs, squared_gradient_norm
from gansmith.nn import conditioning, dcgan
from gansmith.nn.augment import AdaptiveAugment
from gansmith.nn.dcgan import PlainDiscriminator
from gansmith.nn.losses import ADVERSARIAL, Adversarial
from gansmith.nn.r3gan_resnet import Discriminator, Generator
from gansmith.nn.stages import check_size
from gansmith.parallel import seeds


@dataclass(frozen=True)
class Config(GenerationConfig):
    """Settings of R3GAN. ``A -> B`` means: a cosine from A at the start to B at the end of the burn-in."""

    latent_dim: Units = 64
    """Length of the noise vector z ~ N(0, I)."""
    width: Units = 64
    """Channels at the lowest resolution (4 to 7 px)."""
    generator: Literal["auto", "residual", "dcgan"] = "auto"
    """The paper's residual generator, or DCGAN's of half the width next to the picture: its first layer and its batch norm make
    more different pictures where channels are few. auto takes that for grey pictures up to 32 px."""
    discriminator: Annotated[Literal["auto", "residual", "plain"], Added("residual")] = "auto"
    """The paper's residual discriminator, or 4x4 convolutions of stride 2, of half the width next to the picture. auto takes those for
    grey pictures up to 32 px: they are quicker, and see more of what tells pictures apart."""
    taper: Annotated[float, Bounds(above=0)] = 0.5
    """Channels shrink by this factor with every doubling of the size; the paper's small models have 1."""
    level: Annotated[int, Bounds(0), Added(0)] = 0
    """Doublings of the size before channels begin to shrink; the paper's models of 64 px and more have 3, and a taper of 0.5."""
    class_dim: Annotated[int | None, Bounds(1, was=0), Added(None)] = None
    """Length of the vectors by which D compares classes; by default the noise vector's. The paper's have the width."""
    stem: Literal[1, 2] = 2
    """2: the largest maps are half as large as the picture, at a quarter of the work; 1: as large, as in the paper."""
    blocks: Count = 1
    """Residual blocks at each resolution; the paper has 2."""
    expansion: Count = 2
    """Channels inside a block, as a multiple of those between blocks."""
    group_width: Count = 16
    """Channels per group of the 3x3 convolutions: a cardinality of width * expansion / group_width."""
    loss: Annotated[Literal["auto", "relativistic", "nonsaturating"], Added("relativistic")] = "auto"
    """The paper's loss, or the GAN's own (arXiv:1406.2661) under the same penalties. auto takes that where a plain discriminator learns
    labels: the labels keep all kinds of pictures, and pictures get better sooner."""
    gamma: Annotated[float | None, Bounds(0, off=True)] = None
    """Weight of R1 and R2 at the start; more where D wins, less where pictures stay soft. By default 3, and 1 with the GAN's own loss."""
    gamma_end: Annotated[float | None, Bounds(0)] = None
    """gamma -> gamma_end; by default 0.3, and 0.05 with the GAN's own loss."""
    penalty_every: Annotated[int, Bounds(1, unit="steps")] = 4
    """Compute R1 and R2 at every k-th step only, k times as strong; the paper has 1, which takes about twice the time."""
    lr: Annotated[float | None, Bounds(0, was=-1)] = None
    """Learning rate at the start; by default 0.15 / width, at most 0.002, which is the paper's 0.0002 at its width. For grey pictures up
    to 32 px 0.08 / width, and 0.25 / width with a residual discriminator."""
    lr_end: Annotated[float | None, Bounds(0, was=-1)] = None
    """lr -> lr_end; by default a twentieth of lr."""
    beta1: Decay = 0.0
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.9
    """Adam's decay of the gradient's mean square at the start."""
    beta2_end: Decay = 0.99
    """beta2 -> beta2_end."""
    ema_images: Annotated[int | None, Bounds(0, unit="images", off=True)] = None
    """Half-life, in images, of the weight average that samples are drawn from, 0 -> ema_images; by default a twentieth of the images seen
    so far, and 0 switches it off."""
    augment_p: Annotated[float | None, Bounds(above=0, most=1, was=0)] = None
    """With --augment ada: its probability, 0 -> augment_p; by default it adapts instead."""
    burn_in: Annotated[int | None, Bounds(1, unit="images", was=0)] = None
    """Length of the schedules in images; by default the whole run. It may be given with --resume: a longer run keeps its rates then."""


def cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine from ``start`` to ``end``."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class R3GAN(Generation[Config]):
    """Alternating turns of the losses above, each on real pictures of its own."""

    Config = Config
    tiny = {"width": 16, "latent_dim": 8}
    resumable = ("burn_in",)
    small_grey_batch = 32
    per_class = conditioning.PER_CLASS  # docs/results/log.md: with labels, digits and clothes are better and as various

    @classmethod
    def usual_kinds(cls, config: Config, spec: ImageSpec, count: int) -> int:
        """Where the GAN's own loss would be taken with labels, kinds of pictures do nearly as well (docs/results/log.md)."""
        own = config.discriminator != "residual" and config.loss != "relativistic"
        able = own and spec.small_and_grey and config.conditional == "auto" and config.pack == 1
        return min(count // 1_000, 50) if able and count >= 5_000 else 0

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        check_size(spec, "r3gan")
        if config.width % config.group_width:
            raise GansmithError(f"--width {config.width} must be a multiple of --group-width, {config.group_width}.")
        if config.generator == "dcgan" or (config.generator == "auto" and spec.small_and_grey):
            generator: nn.Module = dcgan.Generator(config.latent_dim, config.width // 2, spec, self.classes)
        else:
            generator = Generator(config, spec, self.classes)
        if self.plain:
            judge: nn.Module = PlainDiscriminator(config.width // 2, spec, self.classes, config.pack)
        else:
            judge = Discriminator(config, spec, self.classes)
        return {"generator": generator, "discriminator": judge}

    @property
    def plain(self) -> bool:
        """Whether the discriminator is plain."""
        chosen = self.config.discriminator
        return self.spec.small_and_grey if chosen == "auto" else chosen == "plain"

    def turns(self) -> Sequence[Turn]:
        return (
            Turn("discriminator", self.discriminator_loss, after=self.adapt_augment),
            Turn("generator", self.generator_loss, fresh=True),
        )

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """Eq. 3: the adversarial loss, R1 and R2, the penalties from one pass over real and fake pictures together."""
        config, labels = self.config, self.labels_of(batch)
        self.schedule_augment(batch.clock)
        penalised = self.gammas[0] > 0 and batch.clock.step % config.penalty_every == 0
        with torch.no_grad():
            fake = self.generate(batch)
        pictures = torch.cat([batch.images, fake.to(batch.images.dtype)]).detach().requires_grad_(penalised)
        with seeds.stacked(2):
            logits = self.judge(pictures, None if labels is None else torch.cat([labels, labels]))
        real_logits, fake_logits = logits.chunk(2)
        loss = self.adversarial_loss.discriminator(real_logits, fake_logits)
        logs = judgement_logs(real_logits, fake_logits, relative=self.adversarial_loss.relative)
        if penalised:
            r1, r2 = squared_gradient_norm(logits, pictures).chunk(2)
            gamma = self.gamma(batch.clock) * config.penalty_every
            loss = loss + 0.5 * gamma * (r1.mean() + r2.mean())
            logs |= {"r1": r1.detach().mean(), "r2": r2.detach().mean()}
        return loss, logs

    @property
    def adversarial_loss(self) -> Adversarial:
        if self.config.loss != "auto":
            return ADVERSARIAL[self.config.loss]
        return ADVERSARIAL["nonsaturating" if self.plain and self.classes else "relativistic"]

    # --- schedules ------------------------------------------------------------------------------------------------

    def burnt(self, clock: Clock) -> float:
        """Share of the burn-in that is over, 0 to 1."""
        return min(clock.images / self.config.burn_in, 1.0) if self.config.burn_in else clock.progress

    def phase(self, clock: Clock) -> Hashable:
        if self.config.augment == "ada" and self.config.augment_p:
            return None  # its probability is another at every step
        penalised = self.gammas[0] > 0 and clock.step % self.config.penalty_every == 0
        return super().phase(clock), self.gamma(clock) if penalised else 0.0

    def gamma(self, clock: Clock) -> float:
        """Weight of R1 and R2 where they are computed at every step."""
        return cosine(*self.gammas, self.burnt(clock))

    @property
    def gammas(self) -> tuple[float, float]:
        """Weight of R1 and R2 at the start and at the end."""
        start, end = (3.0, 0.3) if self.adversarial_loss.relative else (1.0, 0.05)
        config = self.config
        return start if config.gamma is None else config.gamma, end if config.gamma_end is None else config.gamma_end

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        config, progress = self.config, self.burnt(clock)
        start, ratio = self.lr, 1.0
        end = start / 20 if config.lr_end is None else config.lr_end
        if player == "discriminator" and config.lr_discriminator is not None:
            ratio = config.lr_discriminator / start
        return Optimizer(
            ratio * cosine(start, end, progress), (config.beta1, cosine(config.beta2, config.beta2_end, progress))
        )

    @property
    def usual_lr(self) -> float:
        width = self.config.width
        if not self.spec.small_and_grey:
            return min(0.15 / width, 2e-3)
        return 0.08 / width if self.plain else min(0.25 / width, 4e-3)

    def ema_beta(self, clock: Clock, batch: int) -> float:
        # the paper's burn-in ends long before its run does; where all ends together, an average lags behind if it is long
        half_life = (0.25 if self.config.burn_in else 0.05) * clock.images
        if self.config.ema_images is not None:
            half_life = min(cosine(0.0, self.config.ema_images, self.burnt(clock)), half_life)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    def schedule_augment(self, clock: Clock) -> None:
        """The probability of ADA's pipeline as a function of the clock, where the settings say so."""
        if isinstance(self.augment, AdaptiveAugment) and self.config.augment_p:
            self.augment.fixed = True
            self.augment.set_p(cosine(0.0, self.config.augment_p, self.burnt(clock)))
