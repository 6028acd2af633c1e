"""Adversarial losses on logits: what the discriminator and the generator minimise.

Every discriminator loss takes (real logits, fake logits), every generator loss (fake logits, real logits); each returns
the batch's mean, a scalar. Logits are unbounded; D(x) = sigmoid(logit) where a probability is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus

AdversarialName = Literal["nonsaturating", "saturating", "hinge", "least-squares", "wasserstein", "relativistic"]


class Adversarial(NamedTuple):
    """A pair of opposed losses.

    Attributes:
        discriminator: (real logits, fake logits) -> scalar.
        generator: (fake logits, real logits) -> scalar; only relativistic losses look at the real ones.
        paired: True where the generator's loss needs the logits of real pictures.
        relative: True where only differences of logits count, so that their sign means nothing.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    paired: bool = False
    relative: bool = False


def _log_loss(real: Tensor, fake: Tensor) -> Tensor:
    # -E log D(x) - E log(1 - D(G(z))), since -log sigmoid(t) = softplus(-t)
    return softplus(-real).mean() + softplus(fake).mean()


ADVERSARIAL: dict[AdversarialName, Adversarial] = {
    # Goodfellow et al. 2014 (arXiv:1406.2661), Eq. 1 with the non-saturating generator of section 3
    "nonsaturating": Adversarial(_log_loss, lambda fake, real: softplus(-fake).mean()),
    # the same paper's minimax generator: min E log(1 - D(G(z)))
    "saturating": Adversarial(_log_loss, lambda fake, real: -softplus(fake).mean()),
    # Lim & Ye 2017 (arXiv:1705.02894)
    "hinge": Adversarial(
        lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(), lambda fake, real: -fake.mean()
    ),
    # Mao et al. 2016 (arXiv:1611.04076), targets 1 and 0
    "least-squares": Adversarial(
        lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
        lambda fake, real: 0.5 * (fake - 1).square().mean(),
    ),
    # Arjovsky et al. 2017 (arXiv:1701.07875), Eq. 2: the critic maximises E D(x) - E D(G(z))
    "wasserstein": Adversarial(
        lambda real, fake: fake.mean() - real.mean(), lambda fake, real: -fake.mean(), relative=True
    ),
    # Jolicoeur-Martineau 2018 (arXiv:1807.00734), the paired form of R3GAN (Huang et al. 2024, arXiv:2501.05441), Eq. 2
    "relativistic": Adversarial(
        lambda real, fake: softplus(-(real - fake)).mean(),
        lambda fake, real: softplus(-(fake - real)).mean(),
        paired=True,
        relative=True,
    ),
}
