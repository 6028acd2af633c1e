"""StyleGAN3's generator written naively after the paper, with the tensor names and the pickles of the published trainer.

Zeros between samples, filters by their formulas, one set of weights per picture. Slow, obvious, and independent of the package.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.reference_stylegan2 import FullyConnectedLayer, MappingNetwork, Persistent


def bessel_j1(x: np.ndarray) -> np.ndarray:
    """J_1 by its integral: 1 / pi times that of cos(t - x sin t) from 0 to pi."""
    t = (np.arange(2000) + 0.5) * np.pi / 2000
    return np.cos(t - x[..., None] * np.sin(t)).mean(-1)


def kaiser_window(taps: int, width: float) -> np.ndarray:
    attenuation = 2.285 * (taps - 1) * np.pi * width + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation > 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    return np.kaiser(taps, beta)


def design(taps: int, cutoff: float, width: float, rate: float, radial: bool) -> Tensor | None:
    """The filter of a layer: None, [taps], or [taps, taps]."""
    if taps == 1:
        return None
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    window = kaiser_window(taps, width / (rate / 2))
    if not radial:
        line = np.sinc(2 * cutoff * x) * window
        return torch.tensor(line / line.sum(), dtype=torch.float32)
    r = np.hypot(x[:, None], x[None])
    plane = bessel_j1(2 * np.pi * cutoff * r) / r * np.outer(window, window)
    return torch.tensor(plane / plane.sum(), dtype=torch.float32)


def resample(x: Tensor, kernel: Tensor | None, up: int, down: int, pad: tuple[int, ...], gain: float) -> Tensor:
    """Insert zeros, pad or crop, filter, keep every ``down``-th sample."""
    n, c, h, w = x.shape
    sparse = x.new_zeros(n, c, h * up, w * up)
    sparse[:, :, ::up, ::up] = x
    x = F.pad(sparse, pad)
    if kernel is not None:
        plane = torch.outer(kernel, kernel) if kernel.dim() == 1 else kernel
        x = F.conv2d(x.reshape(n * c, 1, *x.shape[2:]), plane.flip(0, 1)[None, None] * gain)
        x = x.reshape(n, c, *x.shape[2:])
    return x[:, :, ::down, ::down]


class SynthesisInput(Persistent):
    def build(self, w_dim, channels, size, sampling_rate, bandwidth):
        self.size, self.sampling_rate, self.bandwidth, self.channels = size, sampling_rate, bandwidth, channels
        angle, radius = torch.rand(channels) * 2 * math.pi, torch.rand(channels).sqrt() * bandwidth
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnectedLayer(w_dim, 4)
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", torch.stack([radius * angle.cos(), radius * angle.sin()], 1))
        self.register_buffer("phases", torch.rand(channels) - 0.5)

    def forward(self, w):
        made = []
        for t in self.affine(w):
            t = t / (t[0] ** 2 + t[1] ** 2).sqrt()
            turn = torch.tensor([[t[0], -t[1], 0], [t[1], t[0], 0], [0, 0, 1]])
            move = torch.tensor([[1, 0, -t[2]], [0, 1, -t[3]], [0, 0, 1]])
            matrix = turn @ move @ self.transform
            picture = torch.zeros(self.channels, self.size, self.size)
            for row in range(self.size):
                for column in range(self.size):
                    x, y = ((k + 0.5 - self.size / 2) / self.sampling_rate for k in (column, row))
                    place = (matrix @ torch.tensor([x, y, 1.0]))[:2]
                    picture[:, row, column] = (2 * math.pi * (self.freqs @ place + self.phases)).sin()
            lengths = (self.freqs @ matrix[:2, :2]).norm(dim=1)
            damp = (1 - (lengths - self.bandwidth) / (self.sampling_rate / 2 - self.bandwidth)).clamp(0, 1)
            made.append(picture * damp[:, None, None])
        return torch.einsum("oc,nchw->nohw", self.weight / math.sqrt(self.channels), torch.stack(made))


class SynthesisLayer(Persistent):
    def build(
        self, w_dim, is_torgb, critical, in_channels, out_channels, in_size, out_size, in_rate, out_rate, in_cutoff,
        out_cutoff, in_half_width, out_half_width, conv_kernel=3, use_radial_filters=False, conv_clamp=256, **unused,
    ):  # fmt: skip
        self.is_torgb, self.kernel, self.conv_clamp = is_torgb, 1 if is_torgb else conv_kernel, conv_clamp
        rate = max(in_rate, out_rate) * (1 if is_torgb else 2)
        self.up, self.down = rate // in_rate, rate // out_rate
        up_taps, down_taps = (1 if is_torgb else 6 * factor for factor in (self.up, self.down))
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, self.kernel, self.kernel))
        self.bias = nn.Parameter(0.1 * torch.randn(out_channels))
        self.register_buffer("magnitude_ema", 0.5 + torch.rand(()))
        self.register_buffer("up_filter", design(up_taps, in_cutoff, in_half_width * 2, rate, False))
        radial = use_radial_filters and not critical
        self.register_buffer("down_filter", design(down_taps, out_cutoff, out_half_width * 2, rate, radial))
        total = (out_size - 1) * self.down + 1 - (in_size + self.kernel - 1) * self.up + up_taps + down_taps - 2
        first = (total + self.up) // 2
        self.padding = [first, total - first, first, total - first]

    def forward(self, x, w):
        styles = self.affine(w)
        made = []
        for one, style in zip(x, styles, strict=True):
            weight = self.weight * style[None, :, None, None]
            if self.is_torgb:
                weight = weight / math.sqrt(weight[0].numel())
            else:
                weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            made.append(F.conv2d(one[None], weight / self.magnitude_ema.sqrt(), padding=self.kernel - 1))
        x = torch.cat(made) + self.bias[:, None, None]
        x = resample(x, self.up_filter, self.up, 1, tuple(self.padding), self.up**2)
        if not self.is_torgb:
            x = F.leaky_relu(x, 0.2) * math.sqrt(2)
        if self.conv_clamp is not None:
            x = x.clamp(-self.conv_clamp, self.conv_clamp)
        return resample(x, self.down_filter, 1, self.down, (0, 0, 0, 0), 1.0)


class SynthesisNetwork(Persistent):
    def build(
        self, w_dim, img_resolution, img_channels, channel_base=32768, channel_max=512, num_layers=14, num_critical=2,
        first_cutoff=2, first_stopband=2**2.1, last_stopband_rel=2**0.3, margin_size=10, **layer_kwargs,
    ):  # fmt: skip
        self.num_ws, last = num_layers + 2, img_resolution / 2
        facts = []
        for index in range(num_layers + 1):
            share = min(index / (num_layers - num_critical), 1)
            cutoff = first_cutoff * (last / first_cutoff) ** share
            stopband = first_stopband * (last * last_stopband_rel / first_stopband) ** share
            rate = 2 ** math.ceil(math.log2(min(stopband * 2, img_resolution)))
            size = img_resolution if index >= num_layers - 1 else rate + 2 * margin_size
            channels = img_channels if index == num_layers else round(min(channel_base / 2 / cutoff, channel_max))
            facts.append((cutoff, max(stopband, rate / 2) - cutoff, rate, size, channels))
        self.input = SynthesisInput(w_dim, facts[0][4], facts[0][3], facts[0][2], facts[0][0])
        self.layer_names = []
        for index, (cutoff, half_width, rate, size, channels) in enumerate(facts):
            before = facts[max(index - 1, 0)]
            layer = SynthesisLayer(
                w_dim, index == num_layers, index >= num_layers - num_critical, before[4], channels, before[3], size, before[2],
                rate, before[0], cutoff, before[1], half_width, **layer_kwargs,
            )  # fmt: skip
            self.layer_names.append(f"L{index}_{size}_{channels}")
            setattr(self, self.layer_names[-1], layer)

    def forward(self, ws):
        w = ws.unbind(1)
        x = self.input(w[0])
        for name, style in zip(self.layer_names, w[1:], strict=True):
            x = getattr(self, name)(x, style)
        return x * 0.25


class Generator(Persistent):
    """What the published G and G_ema are."""

    def build(self, z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs={}, **synthesis_kwargs):  # noqa: B006
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis_kwargs)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **{"num_layers": 2, **mapping_kwargs})

    def forward(self, z, c=None, truncation_psi=1.0):
        return self.synthesis(self.mapping(z, c, truncation_psi))
