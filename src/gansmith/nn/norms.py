"""Norms: instance norm that can take its statistics from more than one picture, batch norm measured anew, initialisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm, instance_norm

NormName = Literal["instance", "batch", "none"]

_FEW = 4
"""Up to so many pictures, a kernel for each is less work for a GPU than several passes over all."""


class _Normalise(torch.autograd.Function):
    """Instance norm that stays in channels_last; torch's own copies to channels first and back."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, eps: float) -> Tensor:
        pixels = images.permute(0, 2, 3, 1).flatten(1, 2)  # [N, H W, C], a view
        variance, mean = torch.var_mean(pixels.float(), 1, correction=0, keepdim=True)
        scale = (variance + eps).rsqrt()
        normal = ((pixels - mean) * scale).to(images.dtype)
        ctx.save_for_backward(normal, scale)
        return normal.unflatten(1, images.shape[2:]).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        normal, scale = ctx.saved_tensors
        pixels = grad.permute(0, 2, 3, 1).flatten(1, 2)
        along = (pixels * normal).mean(1, keepdim=True)
        result = torch.addcmul(pixels - pixels.mean(1, keepdim=True), normal, along, value=-1).mul_(scale)
        return result.to(grad.dtype).unflatten(1, grad.shape[2:]).permute(0, 3, 1, 2), None


def _in_channels_last(images: Tensor, eps: float) -> Tensor:
    """Instance norm of channels-last pictures, without a copy to NCHW and back."""
    kind = images.device.type
    if kind == "cuda" and len(images) <= _FEW:  # of one picture it is batch norm, whose kernels know the layout
        return torch.cat([batch_norm(one, None, None, training=True, eps=eps) for one in images.split(1)])
    return _Normalise.apply(images, eps) if kind in ("cpu", "cuda") else instance_norm(images, eps=eps)


class InstanceNorm(nn.Module):
    """Every channel of every picture to mean 0 and variance 1 (Ulyanov et al. 2016, arXiv:1607.08022); no weights.

    A picture processed in tiles must be normalised by the statistics of the whole. So the layer has three modes: ``own``
    (each picture by itself), ``pool`` (the batch as one picture, remembering its statistics), and ``held`` (by the
    remembered statistics). Pooling does all layers in one pass; correcting statistics in several passes over tiles
    does not converge, for every layer's error is amplified by the next.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps
        self.mode: Literal["own", "pool", "held"] = "own"
        self.statistics: tuple[Tensor, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        if self.mode == "own":
            if images.shape[2] * images.shape[3] == 1:  # one value has no variance
                return torch.zeros_like(images)
            if self.training and images.is_contiguous(memory_format=torch.channels_last):
                return _in_channels_last(images, self.eps)
            return instance_norm(images, eps=self.eps)
        if self.mode == "pool":
            variance, mean = torch.var_mean(images, (0, 2, 3), correction=0, keepdim=True)
            self.statistics = mean, (variance + self.eps).rsqrt()
        assert self.statistics is not None, "pool statistics before holding them"
        mean, scale = self.statistics
        return (images - mean).mul_(scale)


def instance_norms(network: nn.Module) -> list[InstanceNorm]:
    """Every :class:`InstanceNorm` of a network."""
    return [module for module in network.modules() if isinstance(module, InstanceNorm)]


@contextmanager
def statistics_mode(network: nn.Module, mode: Literal["pool", "held"]) -> Iterator[None]:
    """Run every :class:`InstanceNorm` of a network in a mode."""
    norms = instance_norms(network)
    for norm in norms:
        norm.mode = mode
    try:
        yield
    finally:
        for norm in norms:
            norm.mode = "own"


def forget_statistics(network: nn.Module) -> None:
    """Drop what was remembered."""
    for norm in instance_norms(network):
        norm.statistics = None


class PictureNorm(InstanceNorm):
    """A trained batch norm that takes the statistics of the picture at hand, as in training with batches of one picture."""

    def __init__(self, trained: nn.BatchNorm2d) -> None:
        super().__init__(trained.num_features, trained.eps)
        self.weight, self.bias = trained.weight, trained.bias

    def forward(self, images: Tensor) -> Tensor:
        normal = super().forward(images)
        if self.weight is None:
            return normal
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


class SeededDropout(nn.Module):
    """Dropout that drops the same features of every picture of a size, while it is used.

    Args:
        p: the share of features that are dropped.
        seed: which ones.
    """

    def __init__(self, p: float, seed: int) -> None:
        super().__init__()
        self.p, self.seed = p, seed

    def forward(self, x: Tensor) -> Tensor:
        drawn = torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(self.seed)).to(x.device)
        return x * (drawn >= self.p) / (1 - self.p)


def as_in_training(network: nn.Module) -> int:
    """Let batch norms and dropout do what they do in training, with one picture at a time.

    This is how the testers of the pix2pix and CycleGAN project run networks unless they are given ``--eval``, and how the paper
    describes inference: dropout at test time, and batch norm by the statistics of the test batch (arXiv:1611.07004, section 3.3).

    Returns:
        How many layers it changed; 0 where the network has neither.
    """
    changed = 0
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, PictureNorm(child))
            elif isinstance(child, nn.Dropout):
                setattr(parent, name, SeededDropout(child.p, changed))
            else:
                continue
            changed += 1
    return changed


def make_norm(name: NormName, channels: int) -> nn.Module:
    """A norm layer by name."""
    if name == "instance":
        return InstanceNorm(channels)
    return nn.BatchNorm2d(channels) if name == "batch" else nn.Identity()


def init_he(module: nn.Module) -> None:
    """Weights that keep the size of activations where there is no norm, before LeakyReLU 0.2 (arXiv:1502.01852); biases 0."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, 0.2, nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_normal(module: nn.Module) -> None:
    """Convolutions N(0, .02), batch norm weights N(1, .02), biases 0; for ``nn.Module.apply``."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def batch_norms(network: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm]:
    """Every batch norm of a network."""
    return [module for module in network.modules() if isinstance(module, BATCH_NORMS)]


def measure_anew(network: nn.Module, batches: Sequence[tuple[Tensor | None, ...]]) -> None:
    """Replace the running statistics of a network's batch norms by the plain average over these batches.

    Args:
        network: left in eval mode.
        batches: the arguments of every pass.
    """
    norms = batch_norms(network)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
    network.train()
    for count, given in enumerate(batches, 1):
        for norm in norms:  # a plain average; where momentum is None, every layer asks the GPU for its count
            norm.momentum = 1 / count
        network(*given)
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
