"""Fast Fourier convolutions (Chi et al. 2020, NeurIPS) in the residual network of LaMa (Suvorov et al. 2021, arXiv:2109.07161).

Some of a layer's channels are local, and go through 3x3 convolutions. The others are global: a 1x1 convolution of their Fourier
transform changes every pixel by every other one, so that a hole of any size is seen from both of its sides. Layers are named
as in LaMa's released weights.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.fft import irfft2, rfft2

from gansmith.nn import fit
from gansmith.nn.mirror import ReflectionPad

Maps = tuple[Tensor, Tensor | None]
"""Local channels [N, L, H, W] and global ones [N, G, H, W], if there are any."""


def spectrum(x: Tensor) -> Tensor:
    """Real and imaginary parts of the orthonormal Fourier transform, in turn: [N, C, H, W] -> [N, 2 C, H, W // 2 + 1]."""
    parts = torch.view_as_real(rfft2(x, norm="ortho"))
    return parts.permute(0, 1, 4, 2, 3).flatten(1, 2)


def of_spectrum(parts: Tensor, height: int, width: int) -> Tensor:
    """The inverse of :func:`spectrum`; imaginary parts that no picture of real numbers has are left out."""
    pairs = parts.unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2).contiguous()
    return irfft2(torch.view_as_complex(pairs), s=(height, width), norm="ortho")


class FourierUnit(nn.Module):
    """A 1x1 convolution, batch norm and ReLU of the Fourier transform: [N, C, H, W] -> [N, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(
            x.device.type, enabled=False
        ):  # Fourier transforms of half precision are for powers of 2 only
            parts = torch.relu(self.bn(self.conv_layer(spectrum(x.float()))))
            return of_spectrum(parts, x.shape[2], x.shape[3]).to(x.dtype)


class SpectralTransform(nn.Module):
    """Half the channels through a Fourier unit and added to themselves: [N, C, H, W] -> [N, C', H, W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1 = nn.Sequential(nn.Conv2d(inputs, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(x + self.fu(x))


class FFC(nn.Module):
    """A convolution between local and global channels (Chi et al., Eq. 1 and 2).

    Args:
        inputs, outputs: local and global channels.
        kernel, stride, padding: of the convolutions; edges are mirrored.
    """

    def __init__(
        self, inputs: tuple[int, int], outputs: tuple[int, int], kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()

        def convolution(channels: int, made: int) -> nn.Conv2d | None:
            if not channels or not made:
                return None
            return nn.Conv2d(channels, made, kernel, stride, padding, bias=False, padding_mode="reflect")

        self.convl2l = convolution(inputs[0], outputs[0])
        self.convl2g = convolution(inputs[0], outputs[1])
        self.convg2l = convolution(inputs[1], outputs[0])
        self.convg2g = SpectralTransform(inputs[1], outputs[1]) if inputs[1] and outputs[1] else None

    def forward(self, maps: Maps) -> Maps:
        local, around = maps
        assert self.convl2l is not None
        made = self.convl2l(local)
        if around is not None and self.convg2l is not None:
            made = made + self.convg2l(around)
        far = None if self.convl2g is None else self.convl2g(local)
        if far is not None and around is not None and self.convg2g is not None:
            far = far + self.convg2g(around)
        return made, far


class FFCLayer(nn.Module):
    """:class:`FFC`, batch norm and ReLU; takes a plain map as local channels."""

    def __init__(
        self, inputs: tuple[int, int], outputs: tuple[int, int], kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.ffc = FFC(inputs, outputs, kernel, stride, padding)
        self.bn_l = nn.BatchNorm2d(outputs[0])
        self.bn_g = nn.BatchNorm2d(outputs[1]) if outputs[1] else None

    def forward(self, maps: Maps | Tensor) -> Maps:
        local, around = self.ffc((maps, None) if isinstance(maps, Tensor) else maps)
        around = around if around is None or self.bn_g is None else torch.relu(self.bn_g(around))
        return torch.relu(self.bn_l(local)), around


class FFCBlock(nn.Module):
    """x + f(x), f two 3x3 layers of local and global channels."""

    def __init__(self, channels: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = FFCLayer(channels, channels, 3, padding=1)
        self.conv2 = FFCLayer(channels, channels, 3, padding=1)

    def forward(self, maps: Maps) -> Maps:
        local, around = self.conv2(self.conv1(maps))
        assert maps[1] is not None
        assert around is not None
        return maps[0] + local, maps[1] + around


class Join(nn.Module):
    """Local and global channels as one map."""

    def forward(self, maps: Maps) -> Tensor:
        return maps[0] if maps[1] is None else torch.cat([maps[0], maps[1]], 1)


class FFCGenerator(fit.Padded):
    """(images [N, C, H, W] in [-1, 1], mask [N, 1, H, W]) -> [N, C, H, W] in [-1, 1], what the holes should hold; any H and W.

    Args:
        channels: of the pictures.
        width: channels at full resolution; they double with every halving, up to 1024.
        blocks: residual blocks; 9 in LaMa, 18 in Big LaMa.
        halvings: how often the size is halved before the blocks.
        share: global channels in the blocks, as a share of all.
    """

    def __init__(self, channels: int, width: int = 64, blocks: int = 9, halvings: int = 3, share: float = 0.75) -> None:
        super().__init__()
        self.multiple = 2 ** (halvings + 1)  # edges of one pixel cannot be mirrored, so that two are the least
        self.step = 2**halvings
        widths = [min(width * 2**i, MOST_CHANNELS) for i in range(halvings + 1)]
        far = int(widths[-1] * share)
        inner = widths[-1] - far, far
        layers: list[nn.Module] = [ReflectionPad(3), FFCLayer((channels + 1, 0), (width, 0), 7)]
        for before, after in itertools.pairwise(widths[:-1]):
            layers.append(FFCLayer((before, 0), (after, 0), 3, 2, 1))
        layers.append(FFCLayer((widths[-2], 0), inner, 3, 2, 1))
        layers += [FFCBlock(inner) for _ in range(blocks)]
        layers.append(Join())
        for before, after in itertools.pairwise(reversed(widths)):
            layers += [nn.ConvTranspose2d(before, after, 3, 2, 1, 1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [ReflectionPad(3), nn.Conv2d(width, channels, 7), nn.Sigmoid()]
        self.model = nn.Sequential(*layers)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        height, width = images.shape[2:]
        x = torch.cat([(images + 1) / 2 * (1 - mask), mask], 1)
        if height < self.multiple or width < self.multiple:
            x = fit.pad_to_multiple(x, self.multiple)
        made = self.model(fit.mirrored_to_multiple(x, self.step))
        return made[:, :, :height, :width] * 2 - 1


MOST_CHANNELS = 1024
"""Channels of a layer do not double beyond this."""
