"""R3GAN's networks written naively, with the module names and the pickles of the published trainer: plain modules of torch."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from helpers.reference_stylegan2 import binomial, upfirdn


class Convolution(nn.Module):
    def __init__(self, inputs, outputs, kernel, groups=1):
        super().__init__()
        self.Layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)

    def forward(self, x):
        return self.Layer(x)


class BiasedActivationCUDA(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.Bias = nn.Parameter(0.2 * torch.randn(units))

    def forward(self, x):
        return F.leaky_relu(x + self.Bias[:, None, None], 0.2)


class ResidualBlock(nn.Module):
    def __init__(self, channels, cardinality, expansion):
        super().__init__()
        inner = channels * expansion
        self.LinearLayer1, self.LinearLayer3 = Convolution(channels, inner, 1), Convolution(inner, channels, 1)
        self.LinearLayer2 = Convolution(inner, inner, 3, cardinality)
        self.NonLinearity1, self.NonLinearity2 = BiasedActivationCUDA(inner), BiasedActivationCUDA(inner)

    def forward(self, x):
        y = self.NonLinearity1(self.LinearLayer1(x))
        return x + self.LinearLayer3(self.NonLinearity2(self.LinearLayer2(y)))


class InterpolativeUpsamplerCUDA(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("Kernel", binomial())

    def forward(self, x):
        return upfirdn(x, self.Kernel, up=2, pad=(2, 1, 2, 1), gain=4)


class InterpolativeDownsamplerCUDA(InterpolativeUpsamplerCUDA):
    def forward(self, x):
        return upfirdn(x, self.Kernel, down=2, pad=(1, 1, 1, 1))


class UpsampleLayer(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.Resampler = InterpolativeUpsamplerCUDA()
        if inputs != outputs:
            self.LinearLayer = Convolution(inputs, outputs, 1)

    def forward(self, x):
        return self.Resampler(self.LinearLayer(x) if hasattr(self, "LinearLayer") else x)


class DownsampleLayer(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.Resampler = InterpolativeDownsamplerCUDA()
        if inputs != outputs:
            self.LinearLayer = Convolution(inputs, outputs, 1)

    def forward(self, x):
        x = self.Resampler(x)
        return self.LinearLayer(x) if hasattr(self, "LinearLayer") else x


class GenerativeBasis(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.Basis = nn.Parameter(torch.randn(outputs, 4, 4))
        self.LinearLayer = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x):
        return self.Basis * self.LinearLayer(x)[:, :, None, None]


class DiscriminativeBasis(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.Basis = nn.Conv2d(inputs, inputs, 4, groups=inputs, bias=False)
        self.LinearLayer = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x):
        return self.LinearLayer(self.Basis(x).flatten(1))


class GeneratorStage(nn.Module):
    def __init__(self, first, channels, cardinality, blocks, expansion):
        super().__init__()
        self.Layers = nn.ModuleList([first, *(ResidualBlock(channels, cardinality, expansion) for _ in range(blocks))])
        self.DataType = torch.bfloat16

    def forward(self, x):
        for layer in self.Layers:
            x = layer(x)
        return x


class DiscriminatorStage(GeneratorStage):
    def __init__(self, last, channels, cardinality, blocks, expansion):
        super().__init__(last, channels, cardinality, blocks, expansion)
        self.Layers = nn.ModuleList([*self.Layers[1:], last])


class _Network(nn.Module):
    def embed(self, classes, length):
        if classes:
            self.EmbeddingLayer = nn.Linear(classes, length, bias=False)


class InnerGenerator(_Network):
    def __init__(self, noise, widths, cardinalities, blocks, expansion, classes):
        super().__init__()
        firsts = [GenerativeBasis(noise * (2 if classes else 1), widths[0])]
        firsts += [UpsampleLayer(a, b) for a, b in itertools.pairwise(widths)]
        self.MainLayers = nn.ModuleList(
            GeneratorStage(*each, expansion) for each in zip(firsts, widths, cardinalities, blocks, strict=True)
        )
        self.AggregationLayer = Convolution(widths[-1], 3, 1)
        self.embed(classes, noise)

    def forward(self, x, y=None):
        x = x if y is None else torch.cat([x, self.EmbeddingLayer(y)], 1)
        for layer in self.MainLayers:
            x = layer(x)
        return self.AggregationLayer(x)


class InnerDiscriminator(_Network):
    def __init__(self, widths, cardinalities, blocks, expansion, classes):
        super().__init__()
        lasts = [DownsampleLayer(a, b) for a, b in itertools.pairwise(widths)]
        lasts.append(DiscriminativeBasis(widths[-1], widths[-1] if classes else 1))
        self.ExtractionLayer = Convolution(3, widths[0], 1)
        self.MainLayers = nn.ModuleList(
            DiscriminatorStage(*each, expansion) for each in zip(lasts, widths, cardinalities, blocks, strict=True)
        )
        self.embed(classes, widths[-1])

    def forward(self, x, y=None):
        x = self.ExtractionLayer(x)
        for layer in self.MainLayers:
            x = layer(x)
        return x[:, 0] if y is None else (x * self.EmbeddingLayer(y)).sum(1)


class Generator(nn.Module):
    """What the published G and G_ema are."""

    def __init__(self, noise, widths, cardinalities, blocks, expansion=2, classes=0, size=32):
        super().__init__()
        self.Model = InnerGenerator(noise, widths, cardinalities, blocks, expansion, classes)
        self.z_dim, self.c_dim, self.img_resolution = noise, classes, size

    def forward(self, x, c=None):
        return self.Model(x, c)


class Discriminator(nn.Module):
    """What the published D is."""

    def __init__(self, widths, cardinalities, blocks, expansion=2, classes=0):
        super().__init__()
        self.Model = InnerDiscriminator(widths, cardinalities, blocks, expansion, classes)

    def forward(self, x, c=None):
        return self.Model(x, c)


_PLACES = {
    "training.networks": (Generator, Discriminator),
    "R3GAN.Networks": (InnerGenerator, InnerDiscriminator, GeneratorStage, DiscriminatorStage, GenerativeBasis, DiscriminativeBasis,
                       UpsampleLayer, DownsampleLayer, ResidualBlock, Convolution),
    "R3GAN.FusedOperators": (BiasedActivationCUDA,),
    "R3GAN.Resamplers": (InterpolativeUpsamplerCUDA, InterpolativeDownsamplerCUDA),
}  # fmt: skip


@contextlib.contextmanager
def published_names() -> Iterator[None]:
    """While it lasts, the classes above are found where the published trainer has them."""
    kinds = [(kind, place) for place, found in _PLACES.items() for kind in found]
    mine = [(kind, kind.__module__, kind.__qualname__) for kind, _ in kinds]
    modules = {name: types.ModuleType(name) for name in (*_PLACES, "training", "R3GAN")}
    for kind, place in kinds:
        kind.__module__, kind.__qualname__ = place, kind.__name__.removeprefix("Inner")
        setattr(modules[place], kind.__qualname__, kind)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        for kind, module, qualname in mine:
            kind.__module__, kind.__qualname__ = module, qualname


def write_pickle(path: Path, content: Any, protocol: int = 4) -> Path:
    """Pickle as the published trainer does."""
    with published_names(), path.open("wb") as file:
        pickle.dump(content, file, protocol=protocol)
    return path
