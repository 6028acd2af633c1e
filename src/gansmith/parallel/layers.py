"""Layers that look at the whole batch of all processes: batch norm and dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from gansmith.parallel import seeds
from gansmith.parallel.processes import gather


class _SyncedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batches of all processes (Ioffe & Szegedy 2015, arXiv:1502.03167, on the global batch).

    nn.SyncBatchNorm does the same on GPUs only, and has no second derivative.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or seeds.process()[1] == 1:
            return super().forward(input)
        x = input.float()
        axes = [0, *range(2, x.dim())]
        variance, mean_ = torch.var_mean(x, axes, correction=0)
        both = gather(torch.stack([mean_, variance])[None])  # [processes, 2, C]
        mean_ = both[:, 0].mean(0)
        variance = both[:, 1].mean(0) + both[:, 0].var(0, correction=0)
        self._remember(mean_.detach(), variance.detach(), x.numel() // x.shape[1] * len(both))
        scale = (variance + self.eps).rsqrt()
        shift = -mean_ * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        shape = [1, -1, *[1] * (x.dim() - 2)]
        return torch.addcmul(shift.view(shape), x, scale.view(shape)).to(input.dtype)

    def _remember(self, mean_: Tensor, variance: Tensor, count: int) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean_, weight)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), weight)


class _SyncedBatchNorm1d(_SyncedBatchNorm, nn.BatchNorm1d):
    pass


class _SyncedBatchNorm2d(_SyncedBatchNorm, nn.BatchNorm2d):
    pass


class _SyncedDropout(nn.Dropout):
    """Dropout that draws for the whole global batch, like :mod:`gansmith.parallel.seeds`: no two processes drop the same."""

    def forward(self, input: Tensor) -> Tensor:
        rank, world = seeds.process()
        if not self.training or world == 1:
            return super().forward(input)
        layout = (
            torch.channels_last if input.dim() == 4 and input.is_contiguous(memory_format=torch.channels_last) else None
        )
        ones = torch.ones(len(input) * world, *input.shape[1:], dtype=input.dtype, device=input.device)
        kept = dropout(ones.contiguous(memory_format=layout or torch.contiguous_format), self.p)
        return input * kept[rank * len(input) : (rank + 1) * len(input)]


_SYNCED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: _SyncedBatchNorm1d,
    nn.BatchNorm2d: _SyncedBatchNorm2d,
    nn.Dropout: _SyncedDropout,
}


def synchronise(networks: nn.Module) -> None:
    """Make layers that look at the whole batch look at all processes' batches; weights and their names stay."""
    if seeds.process()[1] > 1:
        for module in networks.modules():
            module.__class__ = _SYNCED.get(type(module), type(module))
