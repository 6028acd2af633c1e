"""StyleGAN2 written naively after the paper, with the tensor names and the pickles of the published trainers.

Grouped convolutions with one set of weights per picture, resampling by inserting zeros, labels as one-hot rows. Slow,
obvious, and independent of the package: what the package's networks and importers are compared with.
"""

from __future__ import annotations

import copy
import math
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# --- the published pickles: torch_utils.persistence and dnnlib, as far as they leave traces in a file -----------------

SOURCE = "import os\nos.environ['GANSMITH_TEST_SOURCE_WAS_RUN'] = 'yes'\nraise SystemExit('module source was run')\n"


class EasyDict(dict):
    """A dict with attributes, as dnnlib.util has it."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> Any:
    raise AssertionError("the importer must never call into a pickle")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent(nn.Module):
    """Pickles like a persistent class: its source, its name, its state."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._init_args, self._init_kwargs = copy.deepcopy(args), copy.deepcopy(kwargs)
        self.build(*args, **kwargs)

    def build(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": type(self).__name__.removeprefix("Later"),
            "state": dict(self.__dict__),
        }
        return _reconstruct_persistent_obj, (meta,), None, None, None


def write_pickle(path: Path, content: Any, protocol: int = 4) -> Path:
    """Pickle as the published trainers do; their modules exist only while writing."""
    fakes = {
        name: types.ModuleType(name) for name in ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")
    }
    fakes["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    fakes["dnnlib.util"].EasyDict = EasyDict  # type: ignore[attr-defined]
    sys.modules.update(fakes)
    try:
        with path.open("wb") as file:
            pickle.dump(content, file, protocol=protocol)
    finally:
        for name in fakes:
            del sys.modules[name]
    return path


# --- operations -------------------------------------------------------------------------------------------------------


def upfirdn(
    x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, ...] = (0, 0, 0, 0), gain: float = 1
) -> Tensor:
    n, c, h, w = x.shape
    sparse = x.new_zeros(n, c, h, up, w, up)
    sparse[:, :, :, 0, :, 0] = x
    x = F.pad(sparse.reshape(n, c, h * up, w * up), pad)
    kernel = (kernel * gain).flip(0, 1)[None, None].to(x.dtype)
    x = F.conv2d(x.reshape(n * c, 1, *x.shape[2:]), kernel)
    return x.reshape(n, c, *x.shape[2:])[:, :, ::down, ::down]


def modulated_conv(x: Tensor, weight: Tensor, styles: Tensor, kernel: Tensor, up: int, demodulate: bool) -> Tensor:
    n, inputs = styles.shape
    outputs, _, k, _ = weight.shape
    w = weight[None] * styles[:, None, :, None, None]
    if demodulate:
        w = w * (w.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    pad = k // 2
    if up == 2:
        x = upfirdn(x, kernel, up=2, pad=(pad + 2, pad + 1, pad + 2, pad + 1), gain=4)
        w, pad = w.flip(3, 4), 0
    x = F.conv2d(x.reshape(1, n * inputs, *x.shape[2:]), w.reshape(n * outputs, inputs, k, k), padding=pad, groups=n)
    return x.reshape(n, outputs, *x.shape[2:])


def lrelu(x: Tensor, bias: Tensor, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    x = F.leaky_relu(x + bias.reshape(1, -1, *[1] * (x.dim() - 2)), 0.2) * (math.sqrt(2) * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def moment2(x: Tensor) -> Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def binomial() -> Tensor:
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(line, line) / 64


# --- networks ---------------------------------------------------------------------------------------------------------


class FullyConnectedLayer(Persistent):
    def build(self, in_features, out_features, activation="linear", lr_multiplier=1.0, bias_init=0.0):
        self.activation, self.lr_multiplier = activation, lr_multiplier
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([out_features], float(bias_init)) + 0.1 * torch.randn(out_features))
        self.weight_gain = lr_multiplier / np.sqrt(in_features)  # a numpy scalar, as in the published files

    def forward(self, x):
        x = x @ (self.weight * float(self.weight_gain)).t()
        b = self.bias * self.lr_multiplier
        return lrelu(x, b) if self.activation == "lrelu" else x + b


class Conv2dLayer(Persistent):
    def build(self, in_channels, out_channels, kernel_size, bias=True, activation="lrelu", down=1, conv_clamp=None):
        self.down, self.conv_clamp = down, conv_clamp
        self.register_buffer("resample_filter", binomial())
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(0.1 * torch.randn(out_channels)) if bias else None

    def forward(self, x, gain=1.0):
        w = self.weight * self.weight_gain
        pad = w.shape[-1] // 2
        if self.down == 2:
            x = upfirdn(x, self.resample_filter, pad=(pad + 1,) * 4)
            x = F.conv2d(x, w, stride=2)
        else:
            x = F.conv2d(x, w, padding=pad)
        return x * gain if self.bias is None else lrelu(x, self.bias, gain, self.conv_clamp)


class MappingNetwork(Persistent):
    def build(self, z_dim, c_dim, w_dim, num_ws, num_layers=8, w_avg_beta=0.995):
        self.z_dim, self.c_dim, self.w_dim, self.num_ws, self.num_layers = z_dim, c_dim, w_dim, num_ws, num_layers
        if c_dim:
            self.embed = FullyConnectedLayer(c_dim, w_dim)
        widths = [z_dim + (w_dim if c_dim else 0)] + [w_dim] * num_layers
        for i in range(num_layers):
            setattr(
                self, f"fc{i}", FullyConnectedLayer(widths[i], widths[i + 1], activation="lrelu", lr_multiplier=0.01)
            )
        if num_ws is not None:
            self.register_buffer("w_avg", torch.randn(w_dim))

    def forward(self, z, c=None, truncation_psi=1.0):
        x = None
        if self.z_dim:
            x = moment2(z)
        if self.c_dim:
            y = moment2(self.embed(c))
            x = y if x is None else torch.cat([x, y], 1)
        for i in range(self.num_layers):
            x = getattr(self, f"fc{i}")(x)
        if self.num_ws is None:
            return x
        x = self.w_avg + truncation_psi * (x - self.w_avg)
        return x[:, None].repeat(1, self.num_ws, 1)


class SynthesisLayer(Persistent):
    def build(self, in_channels, out_channels, w_dim, resolution, up=1, conv_clamp=None, use_noise=True):
        self.up, self.conv_clamp, self.use_noise = up, conv_clamp, use_noise
        self.register_buffer("resample_filter", binomial())
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(0.3 * torch.randn([]))
        self.bias = nn.Parameter(0.1 * torch.randn(out_channels))

    def forward(self, x, w):
        x = modulated_conv(x, self.weight, self.affine(w), self.resample_filter, self.up, True)
        if self.use_noise:
            x = x + self.noise_const * self.noise_strength
        return lrelu(x, self.bias, clamp=self.conv_clamp)


class ToRGBLayer(Persistent):
    def build(self, in_channels, out_channels, w_dim, conv_clamp=None):
        self.conv_clamp = conv_clamp
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(0.1 * torch.randn(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x, w):
        x = modulated_conv(x, self.weight, self.affine(w) * self.weight_gain, torch.ones(1, 1), 1, False)
        x = x + self.bias[None, :, None, None]
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)


class SynthesisBlock(Persistent):
    def build(self, in_channels, out_channels, w_dim, resolution, img_channels, conv_clamp=None, **layer_kwargs):
        self.in_channels = in_channels
        layer_kwargs["conv_clamp"] = conv_clamp
        self.register_buffer("resample_filter", binomial())
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(in_channels, out_channels, w_dim, resolution, up=2, **layer_kwargs)
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, **layer_kwargs)
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, conv_clamp=conv_clamp)

    def forward(self, x, img, ws):
        if self.in_channels == 0:
            x = self.conv1(self.const[None].repeat(len(ws[0]), 1, 1, 1), ws[0])
        else:
            x = self.conv1(self.conv0(x, ws[0]), ws[1])
        y = self.torgb(x, ws[-1])
        return x, y if img is None else upfirdn(img, self.resample_filter, up=2, pad=(2, 1, 2, 1), gain=4) + y


class SynthesisNetwork(Persistent):
    def build(
        self, w_dim, img_resolution, img_channels, channel_base=32768, channel_max=512, conv_clamp=None,
        use_noise=True, **unused,
    ):  # fmt: skip
        self.block_resolutions = [2**i for i in range(2, int(math.log2(img_resolution)) + 1)]
        channels = {r: min(channel_base // r, channel_max) for r in self.block_resolutions}
        self.num_ws = 2 * len(self.block_resolutions)
        for r in self.block_resolutions:
            block = SynthesisBlock(
                channels.get(r // 2, 0), channels[r], w_dim, r, img_channels, conv_clamp=conv_clamp, use_noise=use_noise
            )
            setattr(self, f"b{r}", block)

    def forward(self, ws):
        x = img = None
        first = 0
        for r in self.block_resolutions:
            count = 2 if r == 4 else 3
            x, img = getattr(self, f"b{r}")(x, img, ws.unbind(1)[first : first + count])
            first += count - 1
        return img


class Generator(Persistent):
    """What the published G and G_ema are."""

    def build(self, z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs={}, synthesis_kwargs={}, **more):  # noqa: B006
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis_kwargs, **more)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, num_ws=self.num_ws, **mapping_kwargs)

    def forward(self, z, c=None, truncation_psi=1.0):
        return self.synthesis(self.mapping(z, c, truncation_psi))


class LaterGenerator(Generator):
    """As the StyleGAN3 trainer has it: synthesis settings beside the others, and clamped unless told otherwise."""

    def build(self, z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs={}, **synthesis_kwargs):  # noqa: B006
        synthesis_kwargs = {"conv_clamp": 256, **synthesis_kwargs}
        super().build(z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs, synthesis_kwargs)


class DiscriminatorBlock(Persistent):
    def build(self, in_channels, tmp_channels, out_channels, img_channels, conv_clamp=None):
        self.in_channels = in_channels
        self.register_buffer("resample_filter", binomial())
        if in_channels == 0:
            self.fromrgb = Conv2dLayer(img_channels, tmp_channels, 1, conv_clamp=conv_clamp)
        self.conv0 = Conv2dLayer(tmp_channels, tmp_channels, 3, conv_clamp=conv_clamp)
        self.conv1 = Conv2dLayer(tmp_channels, out_channels, 3, down=2, conv_clamp=conv_clamp)
        self.skip = Conv2dLayer(tmp_channels, out_channels, 1, bias=False, down=2)

    def forward(self, x):
        if self.in_channels == 0:
            x = self.fromrgb(x)
        return self.conv1(self.conv0(x), gain=math.sqrt(0.5)) + self.skip(x, gain=math.sqrt(0.5))


class MinibatchStdLayer(Persistent):
    def build(self, group_size, num_channels=1):
        self.group_size, self.num_channels = group_size, num_channels

    def forward(self, x):
        n, c, h, w = x.shape
        group, parts = n if self.group_size is None else min(self.group_size, n), self.num_channels
        y = x.reshape(group, -1, parts, c // parts, h, w)
        std = ((y - y.mean(0)).square().mean(0) + 1e-8).sqrt().mean((2, 3, 4))
        return torch.cat([x, std.reshape(-1, parts, 1, 1).repeat(group, 1, h, w)], 1)


class DiscriminatorEpilogue(Persistent):
    def build(self, in_channels, cmap_dim, conv_clamp=None, mbstd_group_size=4, mbstd_num_channels=1):
        self.cmap_dim = cmap_dim
        self.mbstd = MinibatchStdLayer(mbstd_group_size, mbstd_num_channels)
        self.conv = Conv2dLayer(in_channels + mbstd_num_channels, in_channels, 3, conv_clamp=conv_clamp)
        self.fc = FullyConnectedLayer(in_channels * 16, in_channels, activation="lrelu")
        self.out = FullyConnectedLayer(in_channels, 1 if cmap_dim == 0 else cmap_dim)

    def forward(self, x, cmap):
        x = self.out(self.fc(self.conv(self.mbstd(x)).flatten(1)))
        return x if cmap is None else (x * cmap).sum(1, keepdim=True) / math.sqrt(self.cmap_dim)


class Discriminator(Persistent):
    """What the published D is."""

    def build(
        self, c_dim, img_resolution, img_channels, channel_base=32768, channel_max=512, conv_clamp=None,
        epilogue_kwargs={}, **unused,  # noqa: B006
    ):  # fmt: skip
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        self.block_resolutions = [2**i for i in range(int(math.log2(img_resolution)), 2, -1)]
        channels = {r: min(channel_base // r, channel_max) for r in [*self.block_resolutions, 4]}
        for r in self.block_resolutions:
            inputs = 0 if r == img_resolution else channels[r]
            setattr(
                self,
                f"b{r}",
                DiscriminatorBlock(inputs, channels[r], channels[r // 2], img_channels, conv_clamp=conv_clamp),
            )
        if c_dim:
            self.mapping = MappingNetwork(z_dim=0, c_dim=c_dim, w_dim=channels[4], num_ws=None)
        cmap_dim = channels[4] if c_dim else 0
        self.b4 = DiscriminatorEpilogue(channels[4], cmap_dim, conv_clamp=conv_clamp, **epilogue_kwargs)

    def forward(self, x, c=None):
        for r in self.block_resolutions:
            x = getattr(self, f"b{r}")(x)
        return self.b4(x, self.mapping(None, c) if self.c_dim else None)
