"""What losses on noise and pictures are made of: latents, labels, fakes, and the discriminator's logits."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from gansmith.game import Batch, Clock, Logs, Optimizer
from gansmith.generation.model import FromNoise
from gansmith.generation.settings import GenerationConfigT
from gansmith.nn.augment import AdaptiveAugment
from gansmith.nn.norms import BATCH_NORMS
from gansmith.parallel import processes, seeds


class Judged(FromNoise[GenerationConfigT]):
    """Two players, a generator and a discriminator that judges its pictures, without losses and turns.

    Labels of networks and losses are weights of classes [N, K] (:meth:`labels_of`), which
    :class:`gansmith.nn.classes.ClassEmbedding` turns into vectors; unconditional networks get None. Labels of people
    (:meth:`sample`) are class numbers [N].
    """

    players = {"discriminator": ("discriminator",), "generator": ("generator",)}

    @property
    def classes(self) -> int:
        return self.spec.classes if self.config.conditional else 0

    def latents(self, n: int) -> Tensor:
        """z ~ N(0, I), [n, latent_dim], where the generator is."""
        return seeds.normal(n, self.config.latent_dim, device=next(self.generator.parameters()).device)

    def labels_of(self, batch: Batch) -> Tensor | None:
        """Weights of classes [N, K] of a batch, where the game is conditional: all alike until classes fade in.

        Fakes take the labels of the real pictures beside them.
        """
        if not self.classes:
            return None
        weights = self.weights_of(batch.labels)
        strength = self.class_strength(batch.clock)
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


def input_gradient(outputs: Tensor, inputs: Tensor) -> Tensor:
    """d(sum of outputs)/d(inputs), of the shape of ``inputs``, with a graph, so that a penalty on it can be minimised.

    Inputs must require gradients. The gradient is taken outside autocast, which supports no backward pass. The sum is scaled in
    float16, where small derivatives would vanish.
    """
    kind = inputs.device.type
    half = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
    scale = 256.0 if half else 1.0
    with torch.autocast(kind, enabled=False):
        (gradient,) = torch.autograd.grad(_at_least_float32(outputs).sum() * scale, inputs, create_graph=True)
    return _at_least_float32(gradient) / scale


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.itemsize < 4 else tensor


def squared_gradient_norm(logits: Tensor, images: Tensor) -> Tensor:
    """|dD/dx|^2 summed over each picture, [N]: twice the R1 penalty on real pictures and R2 on fakes per unit of gamma.

    Mescheder et al. 2018 (arXiv:1801.04406), Eq. 9 and 10: R = gamma / 2 * E |grad D|^2. Where fewer logits than pictures
    judge packs of neighbours, summed over each pack, [N / pack].
    """
    by_picture = input_gradient(logits, images).square().flatten(1).sum(1)
    return by_picture.view(-1, max(1, len(images) // logits.numel())).sum(1)
