"""Filling holes: a smooth classical fill first, then a gated U-Net that draws what is missing (arXiv:1806.03589)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu, pad

from gansmith.nn.constants import constant
from gansmith.nn.fit import at_any_size

ENOUGH = 0.25
"""Share of a region that must be known for an average of its own."""
TENSION = 0.1
"""The weight of a membrane in the fill, beside a thin plate. A plate alone overshoots across wide holes."""
LARGEST = 8.0 * (8.0 + TENSION)
"""The largest eigenvalue of the operator that is relaxed; its eigenvector is a checkerboard."""


def chebyshev(count: int, least: float) -> tuple[float, ...]:
    """Lengths of relaxation steps that together best damp all eigenvectors with eigenvalues from ``least`` to ``LARGEST``.

    They are the inverse roots of a Chebyshev polynomial, long steps between short ones, so that no error grows in between.
    ``count`` is a power of 2.
    """
    middle, radius = (LARGEST + least) / 2, (LARGEST - least) / 2
    steps = [1 / (middle + radius * math.cos(math.pi * (2 * k + 1) / (2 * count))) for k in range(count)]
    order = [0]
    while len(order) < count:
        order = [i for k in order for i in (k, 2 * len(order) - 1 - k)]
    return tuple(steps[i] for i in order)


RELAXATIONS = chebyshev(64, 0.125), chebyshev(32, 0.25), chebyshev(16, 0.25)
"""Relaxation steps at full size, at half the size, and at all smaller sizes. On a smaller picture fewer steps reach as far."""

Level = tuple[Tensor, Tensor]
"""A picture at one resolution, [N, C, h, w], zero where nothing is known, and how much of each pixel is known, [N, 1, h, w]."""


def smooth_fill(images: Tensor, mask: Tensor) -> Tensor:
    """Fill holes smoothly: averages of what lies around, near things first, relaxed towards the biharmonic fill.

    Averages come from a pyramid (push-pull, Gortler et al. 1996). A biharmonic surface goes on where its surroundings were
    going, in value and in slope, and is the best of the classical fills, with a little tension (Smith & Wessel 1990, Eq. 3);
    relaxations on every level of the pyramid come near it in a small part of the time of solving for it.

    Args:
        images: [N, C, H, W] in [-1, 1]; what is under the mask is not looked at.
        mask: [N, 1, H, W], 1 where lost.

    Returns:
        [N, C, H, W], the known pixels unchanged.
    """
    known = 1 - mask
    levels: list[Level] = [(images * known, known)]
    while max(images.shape[2:]) > 1 << (len(levels) - 1) and not _known_everywhere(levels[-1][1]):
        sums, weights = (avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) for x in levels[-1])
        levels.append((sums, weights))
    with torch.autocast(images.device.type, enabled=False):
        return torch.where(mask > 0.5, pull(levels).clamp(-1, 1), images)


def _known_everywhere(weights: Tensor) -> bool:
    """Whether levels above this one can be left out. A GPU is not asked, since the host would have to wait for its answer."""
    return weights.device.type == "cpu" and bool((weights >= ENOUGH).all())


def pull(levels: list[Level]) -> Tensor:
    """[N, C, H, W] from the pyramid, coarse to fine: averages where enough is known, a smooth surface elsewhere.

    Where enough is known everywhere, a level is its own averages, whatever lies above.
    """
    sums, weights = levels[-1]
    filled = sums / weights.clamp(min=1e-6)
    for level, (sums, weights) in reversed(list(enumerate(levels[:-1]))):
        trust = (weights / ENOUGH).clamp(max=1)
        own, free = trust * (sums / weights.clamp(min=1e-6)), 1 - trust
        filled = own + free * interpolate(filled, size=sums.shape[2:], mode="bilinear")
        filled = own + free * (filled - laplacian(filled) / 4)  # takes the edges of the enlarged pixels away
        steps = RELAXATIONS[min(level, len(RELAXATIONS) - 1)]
        filled = (
            relax(filled, free, steps) if filled.device.type == "cpu" else relax_in_few_kernels(filled, free, steps)
        )
    return filled


def relax(filled: Tensor, free: Tensor, steps: Sequence[float]) -> Tensor:
    """Steps towards the surface, where pixels are ``free`` [N, 1, H, W], 0 to 1."""
    for step in steps:
        bend = laplacian(filled)
        filled = filled - step * free * (laplacian(bend) + TENSION * bend)
    return filled


def relax_in_few_kernels(filled: Tensor, free: Tensor, steps: Sequence[float]) -> Tensor:
    """:func:`relax` in five kernels a step, where starting kernels takes longer than what they do.

    All channels of all pictures are the channels of one picture, so one grouped convolution serves them. No GPU rounds its float32 numbers.
    """
    n, channels, height, width = filled.shape
    if n * channels == 1:
        return relax(filled, free, steps)
    planes = filled.reshape(1, n * channels, height, width)
    free = free.expand_as(filled).reshape(planes.shape)
    bend_of, pull_of = (
        constant((((0.0, -1.0, 0.0), (-1.0, 4.0 + more, -1.0), (0.0, -1.0, 0.0)),), filled)
        .expand(n * channels, 1, 3, 3)
        .contiguous()
        for more in (0.0, TENSION)
    )
    for step in steps:
        bend = conv2d(pad(planes, (1, 1, 1, 1), mode="replicate"), bend_of, groups=n * channels)
        pulled = conv2d(pad(bend, (1, 1, 1, 1), mode="replicate"), pull_of, groups=n * channels)
        planes = torch.addcmul(planes, free, pulled, value=-step)
    return planes.view(filled.shape)


def laplacian(x: Tensor) -> Tensor:
    """Four times every pixel less its four neighbours, [N, C, H, W]; the edge goes on as it is.

    Sums of shifted pictures are several times as fast as a convolution of so few channels.
    """
    around = pad(x, (1, 1, 1, 1), mode="replicate")
    total = around[:, :, :-2, 1:-1] + around[:, :, 2:, 1:-1]
    total = total + around[:, :, 1:-1, :-2] + around[:, :, 1:-1, 2:]
    return 4 * x - total


class GatedConv(nn.Module):
    """A convolution with a gate for each output that learns where features count: lrelu(f(x)) * sigmoid(g(x)) (arXiv:1806.03589, Eq. 3).

    At first every gate is half open, as in a plain convolution. Gates that begin far from there soon close and stay closed: the
    network adds to a good guess, so the loss penalises whatever it adds at first, and a closed gate gets no gradient.

    Args:
        gain: of the features at first; below 1 where the result is added to something.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 2 * outputs, kernel, stride, dilation * (kernel // 2), dilation)
        nn.init.kaiming_normal_(self.conv.weight, 0.2)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.conv.weight[:outputs] *= gain
            self.conv.weight[outputs:] *= 0.1

    def forward(self, x: Tensor) -> Tensor:
        features, gate = self.conv(x).chunk(2, 1)
        return leaky_relu(features, 0.2) * (2 * torch.sigmoid(gate))


class InpaintUNet(nn.Module):
    """(images [N, C, H, W], mask [N, 1, H, W]) -> [N, C, H, W], what the holes should hold; any H and W.

    Dilated convolutions at a quarter of the resolution see about 130 pixels around (Iizuka et al. 2017).

    Args:
        channels: of the pictures.
        width: channels at full resolution; twice and four times as many below.
    """

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.first = GatedConv(channels + 1, width, 5)
        self.halved = nn.Sequential(GatedConv(width, 2 * width, 3, 2), GatedConv(2 * width, 2 * width))
        self.quartered = GatedConv(2 * width, 4 * width, 3, 2)
        dilations = (1, 2, 4, 8, 2, 1)  # six layers add to the same map, so each begins small (gain)
        self.middle = nn.ModuleList([GatedConv(4 * width, 4 * width, dilation=d, gain=0.3) for d in dilations])
        self.to_half = GatedConv(6 * width, 2 * width)
        self.to_full = GatedConv(3 * width, width)
        self.last = nn.Conv2d(width, channels, 3, 1, 1)
        self.last.weight.data.mul_(0.1)  # begins near the smooth fill

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        filled = smooth_fill(images.float(), mask.float())
        return at_any_size(self._residual, torch.cat([filled, mask.float()], 1), 4) + filled

    def _residual(self, x: Tensor) -> Tensor:
        first = self.first(x)
        half = self.halved(first)
        middle = self.quartered(half)
        for layer in self.middle:
            middle = middle + layer(middle)
        up = self.to_half(torch.cat([_twice(middle), half], 1))
        return self.last(self.to_full(torch.cat([_twice(up), first], 1)))


def _twice(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")
