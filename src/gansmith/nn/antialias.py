"""Halving and doubling behind a blur, so that nothing folds over (Zhang 2019, arXiv:1904.11486), as CUT's networks do it.

Filters are binomial and constant; they are no part of a network's weights.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad

from gansmith.nn.resample import BINOMIAL, upfirdn

HALVING = (1.0, 2.0, 1.0)
"""The filter in front of a halving; in front of a doubling it is :data:`gansmith.nn.resample.BINOMIAL`."""


class BlurHalf(nn.Module):
    """[N, C, H, W] -> [N, C, ceil(H / 2), ceil(W / 2)]: a 3x3 blur, its edges mirrored, of which every second pixel is kept."""

    def forward(self, x: Tensor) -> Tensor:
        return upfirdn(pad(x, (1, 1, 1, 1), mode="reflect"), HALVING, down=2)


class BlurDouble(nn.Module):
    """[N, C, H, W] -> [N, C, 2 H, 2 W]: zeros between pixels and a 4x4 blur, its edges repeated."""

    def forward(self, x: Tensor) -> Tensor:
        return upfirdn(pad(x, (1, 1, 1, 1), mode="replicate"), BINOMIAL, up=2, padding=(0, -1, 0, -1), gain=4.0)
