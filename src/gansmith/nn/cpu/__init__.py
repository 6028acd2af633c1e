"""What makes networks fast on CPUs, behind one door: :func:`speed_up`.

Networks elsewhere are written with torch's own layers. When a run starts on a CPU, ``speed_up`` replaces the class of some of
these layers by a faster one of the same arithmetic. Weights, their names and so checkpoints stay as they are. In eval mode, on
other devices and in other precisions than its own, a faster layer computes what torch's layer computes.

| file | layers | faster because | a step without it takes |
| --- | --- | --- | --- |
| thin.py | one channel on one side, or a map of one pixel | one matrix product, where kernels for many channels idle | 12 % longer (wgan-gp, 28 px) |
| conv3x3.py | 3x3 in fp32, 128 channels or more, first derivatives only | Winograd's algorithm in memory of its own | 32 % longer (cyclegan, 128 px) |
| winograd.py | 3x3 in fp32, 192 channels or more, any derivative | Winograd's algorithm of torch's operations | 26 % longer (stylegan2, 32 px) |
| strided.py | 4x4 of stride 2 in bf16, 128 channels or more | the weights' gradient is one matrix product | 47 % longer (pix2pix, 64 px) |

The last column is processor time of one thread, measured by ``benchmarks/cpu_layers.py`` on a CPU with bf16 units.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any, cast

from torch import nn

from gansmith.nn.cpu.conv3x3 import Conv3x3
from gansmith.nn.cpu.strided import StridedConv2d, StridedConvTranspose2d
from gansmith.nn.cpu.thin import MapToPixel, NoiseToMap, ThinConv2d, ThinConvTranspose2d
from gansmith.nn.cpu.winograd import convolve
from gansmith.nn.equalized import Conv as EqualizedConv
from gansmith.nn.styled import StyledConv

FASTER: dict[str, tuple[type[nn.Module], ...]] = {
    "thin": (MapToPixel, NoiseToMap, ThinConv2d, ThinConvTranspose2d),
    "conv3x3": (Conv3x3,),
    "strided": (StridedConv2d, StridedConvTranspose2d),
}
"""Way of being faster -> its layers. Each has a base class of torch and says by ``stands_for`` which of its layers it replaces."""


def speed_up(network: nn.Module, ways: Collection[str] = ("thin", "conv3x3", "strided", "winograd")) -> None:
    """Let a network's layers take the faster way on a CPU.

    Args:
        network: changed in place: the classes of its layers, not its weights.
        ways: which of the files above to use.
    """
    kinds = [kind for way in ways for kind in FASTER.get(way, ())]
    for module in network.modules():
        if "winograd" in ways and isinstance(module, (EqualizedConv, StyledConv)):
            module.convolve = convolve
        for kind in kinds:
            if type(module) is kind.__base__ and kind.stands_for(module):  # type: ignore[attr-defined]
                cast(Any, module).__class__ = kind
                break
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            _keep_views(list(module))


def _keep_views(layers: list[nn.Module]) -> None:
    """Let activations behind thin layers make new maps. A thin layer's output is a view, on which working in place takes longer."""
    for layer, after in itertools.pairwise(layers):
        if isinstance(layer, ThinConv2d) and isinstance(after, (nn.ReLU, nn.LeakyReLU)):
            after.inplace = False


__all__ = ["FASTER", "speed_up"]
