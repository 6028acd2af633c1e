"""OKLab, a colour space in which equal distances look equal (Ottosson 2020), and colouring that keeps luma.

sRGB pictures here are [N, 3, H, W] in [-1, 1]. OKLab is [N, 3, H, W]: L in [0, 1], a and b about -.4 to .4.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gansmith.nn.constants import constant

Matrix = tuple[tuple[float, ...], ...]

_TO_LMS: Matrix = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB: Matrix = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_LUMA = (0.299, 0.587, 0.114)


@lru_cache
def _inverse(matrix: Matrix) -> Matrix:
    """Inverted in float64 on the CPU: Apple's GPUs have no such numbers, and any GPU would keep the host waiting."""
    return tuple(map(tuple, np.linalg.inv(np.array(matrix)).tolist()))


def _mix(matrix: Matrix, images: Tensor) -> Tensor:
    return torch.einsum("ij,njhw->nihw", constant(matrix, images), images)


def srgb_to_oklab(images: Tensor) -> Tensor:
    """sRGB [N, 3, H, W] in [-1, 1] -> OKLab."""
    rgb = images.float().add(1).div(2).clamp(0, 1)
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)
    # the cube root's slope is infinite at black; this floor is far below one step of an 8-bit picture
    return _mix(_TO_LAB, _mix(_TO_LMS, linear).clamp(min=1e-6) ** (1 / 3))


def oklab_to_srgb(colours: Tensor) -> Tensor:
    """OKLab -> sRGB [N, 3, H, W]; colours that no screen shows come out beyond [-1, 1]."""
    linear = _mix(_inverse(_TO_LMS), _mix(_inverse(_TO_LAB), colours.float()) ** 3)
    bright = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, bright) * 2 - 1


def paint(grey: Tensor, chroma: Tensor) -> Tensor:
    """Colour a grey picture and leave its luma exactly as it is.

    The colour of OKLab (L of the grey, a, b) is moved along the grey axis until its luma is the grey's, then
    pulled towards the grey as far as it takes to be a colour that exists. Neither changes the luma.

    Args:
        grey: [N, 1, H, W] in [-1, 1].
        chroma: [N, 2, H, W], OKLab's a and b.

    Returns:
        [N, 3, H, W] in [-1, 1] with the BT.601 luma ``grey``.
    """
    grey = grey.float().clamp(-1, 1)
    lightness = srgb_to_oklab(grey.expand(-1, 3, -1, -1))[:, :1]
    colour = oklab_to_srgb(torch.cat([lightness, chroma.float()], 1))
    weights = constant(_LUMA, colour)[:, None, None]
    difference = colour - (colour * weights).sum(1, keepdim=True)  # of luma 0
    room = torch.where(difference > 0, 1 - grey, 1 + grey)
    reach = (room / difference.abs().clamp(min=1e-6)).amin(1, keepdim=True).clamp(max=1)
    return grey + reach * difference
