"""How many times a picture is halved, for networks that grow it from a small map or shrink it to one."""

from __future__ import annotations

import math

from torch import Tensor

from gansmith.errors import GansmithError
from gansmith.game import ImageSpec


def check_size(spec: ImageSpec, family: str, largest: int = 256) -> None:
    """Refuse pictures that a family's networks cannot make.

    Raises:
        GansmithError: a side is below 16 px or above ``largest``.
    """
    if min(spec.height, spec.width) < 16 or max(spec.height, spec.width) > largest:
        raise GansmithError(
            f"{family} makes pictures of 16 to {largest} px, and these are {spec.width}x{spec.height}. Choose a size with --size."
        )


def stages_for(spec: ImageSpec) -> int:
    """How many times the picture is halved to a map whose shorter side is 4 to 7."""
    return int(math.log2(min(spec.height, spec.width) / 4))


def base_for(spec: ImageSpec, stages: int) -> tuple[int, int]:
    """(height, width) of the smallest map that ``stages`` doublings make at least as large as the picture."""
    return math.ceil(spec.height / 2**stages), math.ceil(spec.width / 2**stages)


def crop_to(images: Tensor, spec: ImageSpec) -> Tensor:
    """The middle of [N, C, H', W'] at the pictures' own size."""
    top, left = (images.shape[2] - spec.height) // 2, (images.shape[3] - spec.width) // 2
    return images[:, :, top : top + spec.height, left : left + spec.width]
