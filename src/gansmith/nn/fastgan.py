"""A light generator after FastGAN (Liu et al. 2021, arXiv:2101.04775): gated convolutions and skip-layer excitation."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from gansmith.game import ImageSpec
from gansmith.nn.classes import ClassEmbedding
from gansmith.nn.stages import base_for, crop_to, stages_for


class Gate(nn.Module):
    """A gated linear unit over channels: [N, 2 C, H, W] -> [N, C, H, W], a * sigmoid(b)."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)  # torch's own glu takes eight times as long on the way back where channels are last
        return a * b.sigmoid()


def _layer(inputs: int, outputs: int, separable: bool) -> list[nn.Module]:
    """A 3x3 convolution, batch norm and a gate."""
    if separable:
        depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        convolution = [depthwise, nn.Conv2d(inputs, 2 * outputs, 1, bias=False)]
    else:
        convolution = [nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False)]
    return [*convolution, nn.BatchNorm2d(2 * outputs), Gate()]


class Excitation(nn.Module):
    """Skip-layer excitation (FastGAN, Eq. 1 and Fig. 3): a small map says which channels of a map 16 times as large count.

    Args:
        inputs: channels of the small map.
        outputs: channels of the large one.
        size: (height, width) that the small map is averaged to.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, size, bias=False),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        factor = small.shape[2] // self.size[0]
        return large * self.layers(avg_pool2d(small, factor) if factor > 1 else small)


class Generator(nn.Module):
    """z [N, latent_dim] -> [N, C, H, W] in (-1, 1): nearest doubling, convolution, batch norm and gate at every scale.

    Every other scale has a second layer, as in FastGAN. Its random noise maps are left out: the same z is the same picture.

    Args:
        width: channels of the layer next to the picture; they double with every halving, up to 16 times this.
        separable: 3x3 convolutions are depthwise-separable.
    """

    def __init__(self, latent_dim: int, width: int, separable: bool, spec: ImageSpec, classes: int) -> None:
        super().__init__()
        self.spec = spec
        stages = stages_for(spec)
        self.base = base_for(spec, stages)
        widths = [width * min(2 ** (stages - stage), 16) for stage in range(stages + 1)]
        self.embed = ClassEmbedding(classes, latent_dim) if classes else None
        latents = latent_dim * (2 if classes else 1)
        self.first = nn.Linear(latents, 2 * widths[0] * math.prod(self.base), bias=False)
        self.first_gate = nn.Sequential(nn.BatchNorm2d(2 * widths[0]), Gate())
        self.blocks = nn.ModuleList()
        for stage, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            layers = _layer(inputs, outputs, separable)
            if stage % 2 == 0:
                layers += _layer(outputs, outputs, separable)
            self.blocks.append(nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), *layers))
        self.excitations = nn.ModuleList(
            Excitation(widths[stage - 4], widths[stage], self.base) for stage in range(4, stages + 1)
        )
        self.to_image = nn.Conv2d(widths[-1], spec.channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], 1)
        z = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        maps = [self.first_gate(self.first(z).unflatten(1, (-1, *self.base)))]
        for stage, block in enumerate(self.blocks, 1):
            x = block(maps[-1])
            maps.append(self.excitations[stage - 4](maps[stage - 4], x) if stage >= 4 else x)
        return crop_to(torch.tanh(self.to_image(maps[-1])), self.spec)
