"""pix2pixHD's networks for large pictures of label maps (Wang et al. 2017, arXiv:1711.11585, section 3.2).

The global network is CycleGAN's residual one with more halvings. A local enhancer works at twice the resolution around it: it
adds its own features to the global ones, and draws the picture from both. Layers are named as in the released weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, one_hot, pad

from gansmith.nn.fit import Padded, at_any_size
from gansmith.nn.mirror import ReflectionPad
from gansmith.nn.norms import NormName, init_normal, make_norm
from gansmith.nn.resnet_generator import ResidualBlock, ResnetGenerator


def global_network(
    inputs: int, outputs: int, width: int, blocks: int, halvings: int, norm: NormName
) -> ResnetGenerator:
    """The global generator G1: [N, inputs, H, W] -> [N, outputs, H, W] in [-1, 1]."""
    return ResnetGenerator(inputs, outputs, width, blocks, norm, halvings=halvings, bias=True)


class LocalEnhancer(Padded):
    """[N, inputs, H, W] -> [N, outputs, H, W] in [-1, 1]: the global network at a lower resolution, enhancers around it.

    Args:
        inputs, outputs: channels.
        width: channels at full resolution; the global network begins with twice as many for every enhancer.
        blocks, halvings: of the global network.
        enhancers: each doubles the resolution.
        blocks_local: residual blocks of an enhancer.
        norm: ``instance`` or ``batch``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 32,
        blocks: int = 9,
        halvings: int = 4,
        enhancers: int = 1,
        blocks_local: int = 3,
        norm: NormName = "instance",
    ) -> None:
        super().__init__()
        self.multiple, self.enhancers = 2 ** (halvings + enhancers), enhancers
        inner = global_network(inputs, outputs, width * 2**enhancers, blocks, halvings, norm)
        self.model = inner.model[:-3]  # all but the last convolution
        for number in range(1, enhancers + 1):
            channels = width * 2 ** (enhancers - number)
            down: list[nn.Module] = [
                ReflectionPad(3), nn.Conv2d(inputs, channels, 7), make_norm(norm, channels), nn.ReLU(),
                nn.Conv2d(channels, 2 * channels, 3, 2, 1), make_norm(norm, 2 * channels), nn.ReLU(),
            ]  # fmt: skip
            up: list[nn.Module] = [ResidualBlock(2 * channels, norm, False, True) for _ in range(blocks_local)]
            up += [nn.ConvTranspose2d(2 * channels, channels, 3, 2, 1, 1), make_norm(norm, channels), nn.ReLU()]
            if number == enhancers:
                up += [ReflectionPad(3), nn.Conv2d(channels, outputs, 7), nn.Tanh()]
            self.add_module(f"model{number}_1", nn.Sequential(*down))
            self.add_module(f"model{number}_2", nn.Sequential(*up))
        self.apply(init_normal)

    def forward(self, images: Tensor) -> Tensor:
        return at_any_size(self._drawn, images, self.multiple)

    def _drawn(self, images: Tensor) -> Tensor:
        smaller = [images]
        for _ in range(self.enhancers):
            smaller.append(avg_pool2d(smaller[-1], 3, 2, 1, count_include_pad=False))
        made = self.model(smaller.pop())
        for number in range(1, self.enhancers + 1):
            down, up = (self.get_submodule(f"model{number}_{part}") for part in (1, 2))
            made = up(down(smaller.pop()) + made)
        return made


def label_planes(maps: Tensor, labels: int, instances: bool) -> Tensor:
    """What pix2pixHD's networks are given of label maps.

    Args:
        maps: [N, 1 or 2, H, W] in [-1, 1]: numbers of labels as 8-bit pictures hold them; behind them, where there are two channels,
            borders of instances, above 0 where one runs.
        labels: how many there are; larger numbers are taken for the last.
        instances: the network is given borders too; those between labels, where ``maps`` has none.

    Returns:
        [N, labels + instances, H, W] of 0 and 1.
    """
    numbers = ((maps[:, 0].float() + 1) * 127.5).round().long().clamp(0, labels - 1)
    planes = one_hot(numbers, labels).permute(0, 3, 1, 2).to(maps.dtype)
    if not instances:
        return planes
    borders = (maps[:, 1:] > 0).to(maps.dtype) if maps.shape[1] > 1 else borders_of(numbers[:, None]).to(maps.dtype)
    return torch.cat([planes, borders], 1)


def borders_of(numbers: Tensor) -> Tensor:
    """Pixels whose neighbour (left, right, above, below) has another number: [N, 1, H, W] -> bool of the same shape."""
    across = (numbers[..., 1:] != numbers[..., :-1]).float()
    down = (numbers[..., 1:, :] != numbers[..., :-1, :]).float()
    sides = pad(across, (0, 1)) + pad(across, (1, 0)) + pad(down, (0, 0, 0, 1)) + pad(down, (0, 0, 1, 0))
    return sides > 0
