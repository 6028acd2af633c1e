"""DiffAugment: colour, translation and cutout on every picture that the discriminator sees (Zhao et al. 2020, arXiv:2006.10738)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gansmith.parallel import seeds


class DiffAugment(nn.Module):
    """Colour, translation and cutout on every picture (Zhao et al. 2020, arXiv:2006.10738).

    [N, C, H, W] -> same. An alpha channel, the fourth, moves with the picture but keeps its colour.

    Args:
        policy: which of "color", "translation" and "cutout" to apply, separated by commas, in this order.
    """

    def __init__(self, policy: str = "color,translation,cutout") -> None:
        super().__init__()
        self.policy = tuple(policy.split(","))

    def forward(self, images: Tensor) -> Tensor:
        n, device = len(images), images.device
        if "color" in self.policy:
            images = _jitter(images, seeds.uniform(n, 3, 1, 1, 1, device=device).to(images.dtype))
        if "translation" in self.policy:
            images = _translate(images, seeds.uniform(n, 2, device=device))
        if "cutout" in self.policy:
            images = _cut_out(images, seeds.uniform(n, 2, device=device))
        return images


def _jitter(images: Tensor, amounts: Tensor) -> Tensor:
    """Brightness +-.5, saturation x0 to 2, contrast x.5 to 1.5; amounts [N, 3, 1, 1, 1] in [0, 1)."""
    colour, alpha = images[:, :3], images[:, 3:]
    brightness, saturation, contrast = amounts.unbind(1)
    colour = colour + (brightness - 0.5)
    if colour.shape[1] == 3:
        grey = colour.mean(1, keepdim=True)
        colour = grey + (colour - grey) * (2 * saturation)
    mean = colour.mean((1, 2, 3), keepdim=True)
    colour = mean + (colour - mean) * (contrast + 0.5)
    return torch.cat([colour, alpha], 1) if alpha.shape[1] else colour


def _translate(images: Tensor, amounts: Tensor, reach: float = 0.125) -> Tensor:
    """Shift by whole pixels, up to ``reach`` of the size, zeros coming in; amounts [N, 2] in [0, 1)."""
    n, _, height, width = images.shape
    y, x = (  # [N, H] and [N, W]
        torch.arange(size, device=images.device) - ((amounts[:, axis : axis + 1] * (2 * most + 1)).long() - most)
        for axis, size, most in ((0, height, int(height * reach + 0.5)), (1, width, int(width * reach + 0.5)))
    )
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    index = torch.arange(n, device=images.device)[:, None, None]
    rows, columns = y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None, :]
    moved = images.permute(0, 2, 3, 1)[index, rows, columns].permute(0, 3, 1, 2)
    return moved * inside[:, None]


def _cut_out(images: Tensor, amounts: Tensor, share: float = 0.5) -> Tensor:
    """Zero a window of ``share`` of each side, centred anywhere; amounts [N, 2] in [0, 1)."""
    _, _, height, width = images.shape
    kept = []
    for axis, size in enumerate((height, width)):
        window = int(size * share + 0.5)
        start = (amounts[:, axis : axis + 1] * (size + 1 - window % 2)).long() - window // 2
        place = torch.arange(size, device=images.device)
        kept.append((place < start) | (place >= start + window))  # [N, size]
    return images * (kept[0][:, None, :, None] | kept[1][:, None, None, :])
