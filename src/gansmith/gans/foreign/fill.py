"""Fill holes with patches of the picture itself, by search and vote (PatchMatch): no weights, so it is there at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gansmith.config import Share
from gansmith.damage import holes
from gansmith.errors import GansmithError
from gansmith.game import ImageSpec, Turn
from gansmith.nn.patches import patch_fill
from gansmith.translation import Pair, Paired, PairedConfig


@dataclass(frozen=True)
class Config(PairedConfig):
    """Settings of the fill by patches: how it is measured."""

    smallest_hole: Share = 0.1
    """The least share of a picture that is lost in an evaluation."""
    largest_hole: Share = 0.4
    """The largest share of a picture that is lost in an evaluation."""


class PatchFill(nn.Module):
    """(images [N, C, H, W], mask [N, 1, H, W]) -> [N, C, H, W]; see :mod:`gansmith.nn.patches`."""

    place: Tensor
    """Empty; on the device where the pictures are wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("place", torch.empty(0), persistent=False)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        return patch_fill(images, mask)


class Fill(Paired[Config]):
    """Picture and mask in, picture out. What is known stays bit for bit."""

    Config = Config
    data = "crops"
    repair = "inpaint"
    repairs = True
    recorded = False
    takes_mask = True
    overlap = 160
    window = 512

    def __init__(self, config: Config, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        if networks is None:
            raise GansmithError(
                "'fill' takes patches of the picture itself and learns nothing, so it cannot be trained. A network that fills holes is "
                "trained by: gansmith train inpaint"
            )
        super().__init__(config, spec, networks)

    @property
    def device(self) -> torch.device:
        place = self.generator.place
        assert isinstance(place, Tensor)
        return place.device

    @classmethod
    def restored(cls, config: Config, spec: ImageSpec, tensors: Mapping[str, Tensor]) -> Mapping[str, nn.Module]:
        return {"generator": PatchFill()}

    def turns(self) -> tuple[Turn, ...]:
        return ()

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        share = self.config.smallest_hole, self.config.largest_hole
        mask = holes(len(images), images.shape[2], images.shape[3], share).to(images.device, images.dtype)
        return Pair(torch.where(mask > 0.5, torch.zeros_like(images), images), images, mask)

    def restore(self, pair: Pair) -> Tensor:
        assert pair.mask is not None
        return self.generator(pair.given, pair.mask)

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        if mask is None:
            raise GansmithError("fill needs to know what to fill: a mask, white where to fill.")
        return self.generator(images, mask)
