"""Pictures of any size through networks that halve them several times: pad, run, crop."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class Padded(nn.Module):
    """A network that pads pictures to multiples of some number of pixels, and crops its result.

    Attributes:
        multiple: that number. Tiles that start at multiples of it are computed as they are within the whole picture.
    """

    multiple: int


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Extend [N, C, H, W] at the bottom and right to multiples of ``multiple``, by mirroring where there is enough."""
    bottom, right = -images.shape[2] % multiple, -images.shape[3] % multiple
    if not (bottom or right):
        return images
    if bottom < images.shape[2] and right < images.shape[3]:
        return pad(images, (0, right, 0, bottom), mode="reflect")
    return pad(images, (0, right, 0, bottom), mode="replicate")


def mirrored_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Extend [N, C, H, W], not smaller than ``multiple``, likewise, the edge itself repeated: what numpy calls symmetric."""
    bottom, right = -images.shape[2] % multiple, -images.shape[3] % multiple
    images = torch.cat([images, images[:, :, images.shape[2] - bottom :].flip(2)], 2)
    return torch.cat([images, images[:, :, :, images.shape[3] - right :].flip(3)], 3)


def at_any_size(network: Callable[[Tensor], Tensor], images: Tensor, multiple: int) -> Tensor:
    """``network`` on padded pictures, cropped back to [N, C', H, W]."""
    height, width = images.shape[2:]
    if height % multiple == 0 and width % multiple == 0:
        return network(images)
    return network(pad_to_multiple(images, multiple))[:, :, :height, :width]
