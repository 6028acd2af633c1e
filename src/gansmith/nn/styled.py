"""The layers of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958): styles, modulated convolutions, batch statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith.errors import GansmithError
from gansmith.nn.equalized import ROOT2, Dense, activate, normalize
from gansmith.nn.resample import upfirdn
from gansmith.parallel import processes, seeds

NoiseMode = Literal["random", "const", "none"]
"""Per-pixel noise of the synthesis: new every time, the trained model's own, or none."""


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    up: bool = False,
    demodulate: bool = True,
    gain: float = 1.0,
    power: float | Tensor = 1.0,
    padding: int | None = None,
    convolve: Callable[..., Tensor] = F.conv2d,
) -> Tensor:
    """Convolution whose weights each picture scales by its own style (section 2.2 of the paper, Eq. 1 to 3).

    Scaling the activations before and after is the same as scaling the weights, and one convolution serves the batch.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k], scaled here by 1 / sqrt(fan-in).
        style: [N, I].
        up: double the size, filtered (a transposed convolution, then the filter).
        demodulate: to unit variance (Eq. 3), times ``gain``.
        power: mean square of x, by which demodulation divides too.
        padding: zeros around the maps where the size is not doubled; None keeps the size.
        convolve: ``conv2d``, or a function of the same arithmetic.

    Returns:
        [N, O, H, W], twice the size where ``up``, H + 2 padding - k + 1 otherwise.
    """
    scale = 1 / math.sqrt(weight[0].numel())
    style = style.float() * scale
    x = x * style[:, :, None, None].to(x.dtype)
    if up:
        x = upfirdn(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), padding=(1, 1, 1, 1), gain=4)
    else:
        x = convolve(x, weight, padding=weight.shape[-1] // 2 if padding is None else padding)
    if demodulate:
        energy = style.square() @ weight.float().square().sum((2, 3)).t()
        x = x * (((energy + 1e-8 * scale**2) * power).rsqrt() * gain)[:, :, None, None].to(x.dtype)
    return x


class StyledConv(nn.Module):
    """Modulated convolution, noise, activation: [N, I, h, w] -> [N, O, H, W].

    Attributes:
        convolve: ``conv2d``, or a function of the same arithmetic that is faster on a CPU (:mod:`gansmith.nn.cpu`).
    """

    convolve: Callable[..., Tensor] = staticmethod(F.conv2d)

    noise_const: Tensor

    def __init__(
        self, inputs: int, outputs: int, style_dim: int, size: tuple[int, int], up: bool, clamp: float
    ) -> None:
        super().__init__()
        self.affine = Dense(style_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(size))
        self.size, self.up, self.clamp = size, up, clamp

    def forward(self, x: Tensor, w: Tensor, noise: NoiseMode = "random") -> Tensor:
        x = modulated_conv(x, self.weight, self.affine(w), up=self.up, gain=ROOT2, convolve=self.convolve)
        strength = self.noise_strength * ROOT2
        if noise == "random":
            x = x + (seeds.normal(len(x), 1, *self.size, device=x.device) * strength).to(x.dtype)
        elif noise == "const":
            x = x + (self.noise_const * strength).to(x.dtype)
        return activate(x + (self.bias * ROOT2).to(x.dtype)[:, None, None], self.clamp)


class ToImage(nn.Module):
    """Features to colours by a modulated 1x1 convolution: [N, I, H, W] -> [N, C, H, W]."""

    def __init__(self, inputs: int, channels: int, style_dim: int, clamp: float) -> None:
        super().__init__()
        self.affine = Dense(style_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = modulated_conv(x, self.weight, self.affine(w), demodulate=False) + self.bias[:, None, None]
        return F.hardtanh(x, -self.clamp, self.clamp) if self.clamp else x


class Mapping(nn.Module):
    """(z [N, latent_dim] or None, labels) -> w [N, outputs], by a few dense layers that learn 100 times slower.

    Labels are weights of classes [N, K]. With ``track`` it keeps the average of w,
    towards which truncation moves styles.
    """

    w_avg: Tensor

    def __init__(self, latent_dim: int, classes: int, outputs: int, layers: int, track: bool = True) -> None:
        super().__init__()
        self.classes = classes
        self.embed = Dense(classes, outputs) if classes else None
        widths = [latent_dim + (outputs if classes else 0)] + [outputs] * layers
        self.layers = nn.Sequential(*[Dense(before, after, lr=0.01, active=True) for before, after in pairwise(widths)])
        if track:
            self.register_buffer("w_avg", torch.zeros(outputs))

    def forward(self, z: Tensor | None, labels: Tensor | None = None) -> Tensor:
        device = next(self.parameters()).device.type
        with torch.autocast(device, enabled=False):  # styles need full precision
            parts = [] if z is None else [normalize(z.float())]
            if self.embed is not None:
                if labels is None:
                    raise GansmithError("This model makes pictures of a class: say of which one, with labels.")
                parts.append(normalize(self.embed(labels.float())))
            return self.layers(torch.cat(parts, 1))

    @torch.no_grad()
    def track(self, w: Tensor, decay: float = 0.995) -> None:
        """Move the average of w by one batch [N, outputs], over all processes."""
        self.w_avg.lerp_(processes.mean(w.float().mean(0)), 1 - decay)


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """Append one channel: how much the pictures of a group of about four differ, [N, C, H, W] -> [N, C + 1, H, W]."""
    own, x = x, processes.gather(x)  # the groups are those of one process with the whole batch
    n, _, height, width = x.shape
    # where four does not divide the batch, what divides it and is nearest; groups of one would say nothing
    group = min((g for g in range(2, n + 1) if n % g == 0), key=lambda g: abs(g - group), default=1)
    grouped = x.float().unflatten(0, (group, n // group))
    deviation = ((grouped - grouped.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3))  # [N / group]
    deviation = processes.own(deviation.to(x.dtype).repeat(group))
    return torch.cat([own, deviation[:, None, None, None].expand(-1, 1, height, width)], 1)
