"""The layers of StyleGAN3 (Karras et al. 2021, arXiv:2106.12423): pictures as signals without aliases.

A map is the samples of a signal whose frequencies end below half its sampling rate. Lengths are measured in units of the
picture's longer side, so that a picture of 64 px has 64 samples per unit. Every layer makes such a signal of such a
signal: where the input is moved by any distance, the output moves with it. Pointwise nonlinearities, which make new
frequencies, work at twice the rate, and a low-pass filter takes away what the lower rate cannot hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith.nn import lowpass
from gansmith.nn.equalized import ROOT2, Dense
from gansmith.nn.resample import filter_down, upfirdn
from gansmith.nn.styled import modulated_conv
from gansmith.parallel import processes

TAPS = 6
"""Length of a filter, in samples of the lower of the two rates."""
OVERSAMPLING = 2
"""Nonlinearities work at so many times the higher of the two rates."""


@dataclass(frozen=True)
class Signal:
    """What a layer's output holds.

    Attributes:
        rate: samples per unit of length.
        cutoff: frequency up to which it is kept, in cycles per unit of length.
        half_width: half the transition band above and below it.
        height, width: samples, margins included.
        channels: how many maps.
    """

    rate: int
    cutoff: float
    half_width: float
    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class Resampling:
    """What a nonlinearity does between two signals: up by filter, leaky ReLU, down by filter.

    Attributes:
        up, down: factors.
        up_taps: one axis of the separable filter.
        down_taps: likewise, or a plane [taps, taps] that is not separable.
        padding: left, right, top, bottom, in samples of the high rate; negative numbers crop.
        clamp: activations are kept within this; 0 does not clamp.
    """

    up: int
    down: int
    up_taps: lowpass.Line
    down_taps: lowpass.Line | lowpass.Plane
    padding: tuple[int, int, int, int]
    clamp: float


def resampling(before: Signal, after: Signal, kernel: int, *, radial: bool, clamp: float) -> Resampling:
    """Filters and padding of the layer between two signals (section 3.2 and appendix C of the paper).

    Args:
        kernel: of the convolution before it, which adds ``kernel - 1`` samples to every axis.
        radial: filter down with a radially symmetric filter.
    """
    high = max(before.rate, after.rate) * OVERSAMPLING
    up, down = high // before.rate, high // after.rate
    up_taps = lowpass.separable(TAPS * up, before.cutoff, before.half_width, high)
    design = lowpass.radial if radial else lowpass.separable
    down_taps = design(TAPS * down, after.cutoff, after.half_width, high)

    def pads(inputs: int, outputs: int) -> tuple[int, int]:
        needed = (outputs - 1) * down + 1 + len(up_taps) + len(down_taps) - 2  # behind zeros and both filters
        total = needed - (inputs + kernel - 1) * up
        first = (total + up) // 2  # samples lie in the middle of their cells
        return first, total - first

    padding = (*pads(before.width, after.width), *pads(before.height, after.height))
    return Resampling(up, down, up_taps, down_taps, padding, clamp)


def filtered_activation(x: Tensor, plan: Resampling) -> Tensor:
    """Up by filter, leaky ReLU .2 and clamp, down by filter: [N, C, h, w] -> [N, C, H, W] (Eq. 3 of the paper).

    The gain that keeps the variance is in what comes in, as :func:`gansmith.nn.equalized.activate` says.
    """
    x = upfirdn(x, plan.up_taps, up=plan.up, padding=plan.padding, gain=plan.up**2)
    x = F.leaky_relu(x, 0.2, inplace=x.requires_grad)  # the filter before it does not need its result
    x = F.hardtanh(x, -plan.clamp, plan.clamp) if plan.clamp else x
    if isinstance(plan.down_taps[0], tuple):
        return filter_down(x, plan.down_taps, down=plan.down)  # type: ignore[arg-type]
    return upfirdn(x, plan.down_taps, down=plan.down)  # type: ignore[arg-type]


class FourierFeatures(nn.Module):
    """Styles [N, D] -> maps [N, C, H, W] of waves at random frequencies, turned and moved as the style says (section 3.2).

    Attributes:
        freqs: [C, 2], in cycles per unit of length along x and y.
        phases: [C], in cycles.
    """

    freqs: Tensor
    phases: Tensor

    def __init__(self, style_dim: int, signal: Signal) -> None:
        super().__init__()
        self.signal, channels = signal, signal.channels
        freqs = torch.randn(channels, 2)
        radius = freqs.square().sum(1, keepdim=True).sqrt()
        # evenly in the disc of the passed frequencies: of a normal distribution, 1 - exp(-r^2 / 2) lies within r
        freqs = freqs / radius * (1 - (-radius.square() / 2).exp()).sqrt() * signal.cutoff
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = Dense(style_dim, 4)
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias[0] = 1.0  # no turn, no move

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        """
        Args:
            transform: [2, 3], where in the canvas the picture's place x is looked up: A x + b, in units of length.
        """
        with torch.autocast(w.device.type, enabled=False):  # places need full precision
            return self._waves(w.float(), transform)

    def _waves(self, w: Tensor, transform: Tensor | None) -> Tensor:
        signal = self.signal
        placed = self.affine(w)
        cosine, sine, *moved = (placed / placed[:, :2].norm(dim=1, keepdim=True)).unbind(1)
        turn = torch.stack([cosine, -sine, sine, cosine], 1).view(-1, 2, 2)
        move = -torch.stack(moved, 1)[:, :, None]  # [N, 2, 1]
        if transform is not None:
            move, turn = turn @ (transform[:, 2:] + move), turn @ transform[:, :2]
        else:
            move = turn @ move
        phases = self.phases + (self.freqs @ move)[:, :, 0]  # [N, C]
        freqs = self.freqs @ turn  # [N, C, 2]
        above = (freqs.norm(dim=2) - signal.cutoff) / (signal.rate / 2 - signal.cutoff)
        kept = (1 - above).clamp(0, 1)  # a transform that magnifies must not bring frequencies that alias
        y, x = (_centred(n, w) / signal.rate for n in (signal.height, signal.width))
        cycles = y[:, None, None] * freqs[:, None, None, :, 1] + x[:, None] * freqs[:, None, None, :, 0]
        waves = (2 * math.pi * (cycles + phases[:, None, None])).sin() * kept[:, None, None]  # [N, H, W, C]
        return (waves @ (self.weight / math.sqrt(signal.channels)).t()).permute(0, 3, 1, 2)


def _centred(count: int, like: Tensor) -> Tensor:
    """Middles of ``count`` samples around 0."""
    return torch.arange(count, device=like.device, dtype=torch.float32) - (count - 1) / 2


class _Scaled(nn.Module):
    """A layer that divides by the usual size of its input, whose mean square it averages (section 3.2)."""

    magnitude: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("magnitude", torch.ones(()))

    def power(self, x: Tensor, decay: float | None) -> Tensor:
        """The mean square of inputs; ``decay`` moves the average by this batch, over all processes."""
        if decay is not None:
            with torch.no_grad():
                mean = processes.mean(x.float().square().mean())
                moved = mean.lerp(self.magnitude, decay)
                # a step that overflowed in float16 is skipped, and must not stay in the average
                self.magnitude.copy_(torch.where(moved.isfinite(), moved, self.magnitude))
        return self.magnitude.clone()  # what is kept for derivatives must not move at the next step


class FilteredConv(_Scaled):
    """Modulated convolution, bias, filtered nonlinearity: one signal to the next.

    Args:
        kernel: 3 for translation alone, 1 where rotations are to be followed too.
        radial: filter down with a radially symmetric filter.
        clamp: activations are kept within this; 0 does not clamp.

    Attributes:
        nonlinearity: :func:`filtered_activation`, or a function of the same arithmetic that is faster on a CPU.
    """

    nonlinearity: Callable[[Tensor, Resampling], Tensor] = staticmethod(filtered_activation)

    def __init__(
        self, before: Signal, after: Signal, style_dim: int, *, kernel: int, radial: bool, clamp: float
    ) -> None:
        super().__init__()
        self.affine = Dense(style_dim, before.channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(after.channels, before.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.plan = resampling(before, after, kernel, radial=radial, clamp=clamp)

    def forward(self, x: Tensor, w: Tensor, decay: float | None = None) -> Tensor:
        power, pad = self.power(x, decay), self.weight.shape[-1] - 1
        x = modulated_conv(x, self.weight, self.affine(w), gain=ROOT2, power=power, padding=pad)
        return self.nonlinearity(x + (self.bias * ROOT2).to(x.dtype)[:, None, None], self.plan)


class FilteredToImage(_Scaled):
    """Features to colours by a modulated 1x1 convolution: [N, I, H, W] -> [N, C, H, W]."""

    def __init__(self, before: Signal, channels: int, style_dim: int, clamp: float) -> None:
        super().__init__()
        self.affine = Dense(style_dim, before.channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels, before.channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor, decay: float | None = None) -> Tensor:
        style = self.affine(w) * self.power(x, decay).rsqrt()
        x = modulated_conv(x, self.weight, style, demodulate=False) + self.bias[:, None, None]
        return F.hardtanh(x, -self.clamp, self.clamp) if self.clamp else x
