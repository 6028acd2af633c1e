"""Filling holes with patches of the picture itself."""

from __future__ import annotations

import torch

from gansmith.nn.inpainting import smooth_fill
from gansmith.nn.patches import patch_fill


def stripes(size: int = 48) -> torch.Tensor:
    """Slanted stripes of three tints, [1, 3, size, size]: a pattern that a smooth fill cannot go on with."""
    across = torch.arange(size)
    phase = ((across[:, None] + 2 * across) % 8 < 4).float() * 2 - 1
    return torch.stack([phase * 0.8, phase * 0.5, -phase * 0.6])[None]


def hole(size: int = 48, side: int = 12) -> torch.Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, 18 : 18 + side, 18 : 18 + side] = 1
    return mask


def test_a_pattern_goes_on_and_what_is_known_stays():
    image, mask = stripes(), hole()
    before = image.clone()
    given = torch.where(mask > 0.5, 5.0, image)  # what is lost is not looked at
    made = patch_fill(given, mask)
    error = (made - image)[mask.expand_as(image) > 0.5].abs().mean()
    smooth = (smooth_fill(given, mask) - image)[mask.expand_as(image) > 0.5].abs().mean()
    assert error < 0.1 * smooth
    assert torch.equal(made[mask.expand_as(image) < 0.5], image[mask.expand_as(image) < 0.5])
    assert torch.equal(image, before)
    assert torch.equal(made, patch_fill(given, mask))


def test_the_memory_of_the_picture_is_left_alone():
    image, mask = stripes().contiguous(memory_format=torch.channels_last), hole()
    before = image.clone()
    patch_fill(image, mask)
    assert torch.equal(image, before)


def test_a_sky_that_fades_has_no_seam():
    sky = torch.linspace(-0.6, 0.6, 48)[None, None, :, None].expand(1, 3, 48, 48).contiguous()
    made = patch_fill(sky, hole())
    assert (made - sky).abs().max() < 0.1


def test_every_shape_of_hole_is_filled():
    image = stripes()
    for mask in (torch.zeros(1, 1, 48, 48), torch.ones(1, 1, 48, 48), hole(side=30)):
        assert torch.isfinite(patch_fill(image, mask)).all()
    edge = torch.zeros(1, 1, 48, 48)
    edge[..., :10] = 1
    made = patch_fill(torch.where(edge > 0.5, 0.0, image), edge)
    assert made[..., :10].std() > 0.3
    assert torch.isfinite(patch_fill(image[..., :5, :5], torch.ones(1, 1, 5, 5))).all()
    batch = patch_fill(image.expand(2, -1, -1, -1)[:, :1], torch.cat([hole(), edge]))
    assert batch.shape == (2, 1, 48, 48)
