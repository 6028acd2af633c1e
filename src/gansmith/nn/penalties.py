"""Penalties on a discriminator's gradient with respect to its pictures.

All are computed outside autocast (a backward pass under autocast is not supported) and keep the graph, so that the
penalty itself can be minimised.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gansmith.parallel import seeds


def input_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """d(sum of logits)/d(images), same shape as ``images``, with a graph. ``images`` must require gradients."""
    scale = half_precision_scale(images.device)
    with torch.autocast(images.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(_at_least_float32(logits).sum() * scale, images, create_graph=True)
    return _at_least_float32(gradient) / scale


def half_precision_scale(device: torch.device) -> float:
    """What to multiply a sum by before it is differentiated inside a loss: in float16 small derivatives would vanish."""
    kind = device.type
    half = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
    return 256.0 if half else 1.0


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.itemsize < 4 else tensor


def squared_gradient_norm(logits: Tensor, images: Tensor) -> Tensor:
    """|dD/dx|^2 summed over each picture, [N]: twice the R1 penalty on real pictures and R2 on fakes per unit of gamma.

    Mescheder et al. 2018 (arXiv:1801.04406), Eq. 9 and 10: R = gamma / 2 * E |grad D|^2. Where fewer logits than pictures
    judge packs of neighbours, summed over each pack, [N / pack].
    """
    by_picture = input_gradient(logits, images).square().flatten(1).sum(1)
    return by_picture.view(-1, max(1, len(images) // logits.numel())).sum(1)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, target: float = 1.0) -> Tensor:
    """E (|grad D(x_hat)|_2 - target)^2 at random points between pairs (Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3).

    Args:
        critic: pictures [N, ...] -> scores.
        real, fake: [N, ...]; one U(0, 1) mixing weight per pair.
    """
    weight = seeds.uniform(len(real), *[1] * (real.dim() - 1), device=real.device).to(real.dtype)
    between = torch.lerp(real.detach(), fake.detach().to(real.dtype), weight).requires_grad_()
    # the small constant keeps the square root's derivative finite where the gradient vanishes
    norm = (squared_gradient_norm(critic(between), between) + 1e-12).sqrt()
    return (norm - target).square().mean()
