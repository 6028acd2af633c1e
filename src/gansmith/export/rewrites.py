"""Functions for recording a model as a graph, in place of functions that branch on sizes or values.

A recorded graph has one way only. Each function here computes what the one it stands in for does, for every size from
``multiple`` on, without a choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

from gansmith.nn import ffc, fit, inpainting, migan, pix2pixhd, resample, resnet_generator, rrdb, unet

LEVELS = 12
"""Halvings of :func:`smooth_fill`: enough for pictures of 4096 px."""


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """:func:`gansmith.nn.fit.pad_to_multiple`, always mirroring, by nothing where the size fits."""
    if multiple == 1:
        return images
    return pad(images, (0, -images.shape[3] % multiple, 0, -images.shape[2] % multiple), mode="reflect")


def at_any_size(network: Callable[[Tensor], Tensor], images: Tensor, multiple: int) -> Tensor:
    """:func:`gansmith.nn.fit.at_any_size`, always padding and cropping."""
    return network(pad_to_multiple(images, multiple))[:, :, : images.shape[2], : images.shape[3]]


def smooth_fill(images: Tensor, mask: Tensor) -> Tensor:
    """:func:`gansmith.nn.inpainting.smooth_fill` with a fixed number of levels.

    The original stops at the first level where enough is known everywhere, which ignores what comes from coarser ones.
    """
    known = 1 - mask
    levels = [(images * known, known)]
    for _ in range(LEVELS):
        levels.append((_half(levels[-1][0]), _half(levels[-1][1])))
    return torch.where(mask > 0.5, inpainting.pull(levels).clamp(-1, 1), images)


def _half(x: Tensor) -> Tensor:
    """2x2 means; at an odd edge, of what is there."""
    edges = (0, x.shape[3] % 2, 0, x.shape[2] % 2)
    there = pad(torch.ones_like(x[:1, :1]), edges)
    return avg_pool2d(pad(x, edges), 2) / avg_pool2d(there, 2)


def laplacian(x: Tensor) -> Tensor:
    """:func:`gansmith.nn.inpainting.laplacian` as one convolution, since a graph of hundreds of them has to stay small."""
    channels = int(x.shape[1])
    kernel = torch.tensor([[[[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]]], dtype=x.dtype)
    return conv2d(pad(x, (1, 1, 1, 1), mode="replicate"), torch.cat([kernel] * channels), groups=channels)


def filter_weights(kernel: tuple[tuple[float, ...], ...], images: Tensor) -> Tensor:
    """The filters of :mod:`gansmith.nn.resample` for as many channels as there are now, a plain constant."""
    return torch.stack([torch.tensor(kernel, dtype=images.dtype)] * int(images.shape[1]))[:, None]


def spectrum(x: Tensor) -> Tensor:
    """:func:`gansmith.nn.ffc.spectrum` as products of matrices, since runtimes know no Fourier transform of any size."""
    height, width = x.shape[2], x.shape[3]
    (cos, sin), (cos_down, sin_down) = _turns(width, x), _turns(height, x)
    half = torch.arange(width // 2 + 1)
    real, imaginary = x @ cos[:, half], -(x @ sin[:, half])
    parts = cos_down @ real + sin_down @ imaginary, cos_down @ imaginary - sin_down @ real
    return torch.stack(parts, 2).flatten(1, 2) / _root(height, width, x)


def of_spectrum(parts: Tensor, height: int, width: int) -> Tensor:
    """:func:`gansmith.nn.ffc.of_spectrum`, likewise."""
    real, imaginary = parts[:, 0::2], parts[:, 1::2]
    (cos, sin), (cos_down, sin_down) = _turns(width, parts), _turns(height, parts)
    real, imaginary = cos_down @ real - sin_down @ imaginary, cos_down @ imaginary + sin_down @ real
    half = torch.arange(parts.shape[3])
    twice = 2 - (half == 0).to(parts.dtype) - (2 * half == width).to(parts.dtype)  # the other half mirrors this one
    return ((real * twice) @ cos[half] - (imaginary * twice) @ sin[half]) / _root(height, width, parts)


def _turns(length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of a Fourier transform, [length, length] each."""
    places = torch.arange(length)
    angles = torch.remainder(places[:, None] * places, length).to(like.dtype) * (2 * math.pi) / length
    return torch.cos(angles), torch.sin(angles)


def _root(height: int, width: int, like: Tensor) -> Tensor:
    return torch.sqrt(torch.ones_like(like[0, 0, 0, 0]) * height * width)


@contextmanager
def recording() -> Iterator[None]:
    """Inside, the networks use the functions of this module."""
    places = [
        (inpainting, "at_any_size", at_any_size),
        (resnet_generator, "at_any_size", at_any_size),
        (unet, "at_any_size", at_any_size),
        (rrdb, "pad_to_multiple", pad_to_multiple),
        (fit, "pad_to_multiple", pad_to_multiple),
        (migan, "at_any_size", at_any_size),
        (pix2pixhd, "at_any_size", at_any_size),
        (resnet_generator, "pad_to_multiple", pad_to_multiple),
        (ffc, "spectrum", spectrum),
        (ffc, "of_spectrum", of_spectrum),
        (inpainting, "smooth_fill", smooth_fill),
        (inpainting, "laplacian", laplacian),
        (resample, "_each_channel", filter_weights),
    ]
    before = [getattr(module, name) for module, name, _ in places]
    for module, name, function in places:
        setattr(module, name, function)
    try:
        yield
    finally:
        for (module, name, _), function in zip(places, before, strict=True):
            setattr(module, name, function)
