"""Damage that networks learn to undo, and the colour mathematics of colouring."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith import damage
from gansmith.errors import GansmithError
from gansmith.nn.inpainting import smooth_fill
from gansmith.nn.oklab import oklab_to_srgb, paint, srgb_to_oklab
from gansmith.parallel import seeding, seeds


def pictures(n: int = 2, size: int = 48, channels: int = 3) -> torch.Tensor:
    """Smooth shapes with edges, [n, channels, size, size] in [-1, 1]."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, 6, 6, generator=random) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_downscale_is_pillows_bicubic(factor: int) -> None:
    images = damage.round_to_bytes(pictures())
    small = damage.downscale(images, factor)
    array = ((images[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    expected = np.asarray(Image.fromarray(array).resize((48 // factor, 48 // factor), Image.Resampling.BICUBIC)).astype(
        int
    )
    found = ((small[0] + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(int)
    assert np.abs(found - expected).max() <= 1


def test_downscale_refuses_a_size_that_does_not_divide() -> None:
    with pytest.raises(GansmithError, match="multiple of 5"):
        damage.downscale(pictures(), 5)


def test_wild_damage_varies_and_repeats() -> None:
    images = pictures(1).repeat(4, 1, 1, 1)
    seeding.seed_step(0, 1)
    first = damage.degrade(images, 2)
    seeding.seed_step(0, 1)
    again = damage.degrade(images, 2)
    assert first.shape == (4, 3, 24, 24)
    assert torch.equal(first, again)
    assert (first[0] - first[1]).abs().mean() > 0.005, "every picture takes a course of its own"
    near = torch.nn.functional.interpolate(images, size=(24, 24), mode="area")
    assert (first - near).abs().mean() < 0.25, "it is still the same picture"


def test_holes_have_the_share_asked_for() -> None:
    seeding.seed_step(0, 1)
    masks = damage.holes(64, 64, 48, (0.2, 0.3))
    assert masks.shape == (64, 1, 64, 48)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    shares = masks.mean((1, 2, 3))
    assert shares.min() >= 0.2
    assert shares.max() < 0.45, "a last stroke may go a little beyond"
    assert 0.22 < shares.mean() < 0.33
    seeding.seed_step(0, 1)
    assert torch.equal(masks, damage.holes(64, 64, 48, (0.2, 0.3)))


def test_each_process_sees_its_own_rows_of_one_batch() -> None:
    seeding.seed_step(0, 1)
    whole = damage.holes(4, 32, 32)
    parts = []
    for rank in range(2):
        seeds.set_process(rank, 2)
        try:
            seeding.seed_step(0, 1)
            parts.append(damage.holes(2, 32, 32))
        finally:
            seeds.set_process(0, 1)
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("kind", ["canny", "sobel"])
def test_edges_are_dark_lines_where_brightness_jumps(kind: damage.EdgeName) -> None:
    images = torch.full((1, 3, 32, 32), -0.8)
    images[:, :, :, 16:] = 0.8
    drawn = damage.edges(images, kind)
    assert drawn.shape == (1, 1, 32, 32)
    assert drawn[..., 14:18].amin() < -0.5
    assert (drawn[..., :10] == 1).all()
    assert (drawn[..., 22:] == 1).all()


def test_luma_is_pillows() -> None:
    array = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    images = torch.from_numpy(array).permute(2, 0, 1)[None] / 127.5 - 1
    expected = np.asarray(Image.fromarray(array).convert("L")).astype(int)
    found = ((damage.luma(images)[0, 0] + 1) * 127.5).round().numpy().astype(int)
    assert np.abs(found - expected).max() <= 1


def test_oklab_is_perceptual_and_goes_back() -> None:
    images = pictures(2) * 0.9
    back = oklab_to_srgb(srgb_to_oklab(images))
    assert (back - images).abs().max() < 2e-3
    white = srgb_to_oklab(torch.ones(1, 3, 1, 1)).flatten()
    assert torch.allclose(white, torch.tensor([1.0, 0.0, 0.0]), atol=1e-3)
    red = srgb_to_oklab(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)).flatten()  # sRGB's red in CSS Color 4
    assert torch.allclose(red, torch.tensor([0.6279554, 0.2248631, 0.1258463]), atol=1e-3)


def test_paint_keeps_luma_exactly_whatever_the_chroma() -> None:
    grey = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)
    chroma = (torch.rand(8, 2, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1) * 0.35
    painted = paint(grey.expand(8, -1, -1, -1), chroma)
    assert painted.min() >= -1 - 1e-6
    assert painted.max() <= 1 + 1e-6
    assert (damage.luma(painted) - grey).abs().max() < 2e-6
    assert (painted.amax(1) - painted.amin(1)).mean() > 0.2, "and there is colour"
    as_bytes = ((painted + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for image in as_bytes:  # after rounding to a file's 8 bits too
        grey_again = np.asarray(Image.fromarray(image).convert("L")).astype(int)
        assert np.abs(grey_again - np.arange(256).reshape(16, 16)).max() <= 1


def test_smooth_fill_keeps_what_is_known_and_continues_it() -> None:
    ramp = torch.linspace(-1, 1, 40).expand(1, 3, 30, 40).clone()
    mask = torch.zeros(1, 1, 30, 40)
    mask[..., 10:20, 15:27] = 1
    filled = smooth_fill(torch.where(mask > 0, torch.tensor(9.0), ramp), mask)
    assert torch.equal(filled[mask.expand_as(filled) == 0], ramp[mask.expand_as(ramp) == 0])
    assert ((filled - ramp).abs() * mask).max() < 0.35
    everything = smooth_fill(ramp, torch.ones_like(mask))
    assert torch.isfinite(everything).all()


# --- sinc filters -----------------------------------------------------------------------------------------------------


def test_a_sinc_filter_cuts_off_sharply_and_rings():
    kernel = damage.sinc_kernel(math.pi / 2, 40)
    response = torch.fft.fft2(kernel, s=(128, 128)).abs()
    along = response[0, :65]  # frequencies 0 to pi
    assert along[:24].min() > 0.85  # what lies below the cut-off passes
    assert along[42:].max() < 0.15  # and nothing above
    edge = torch.cat([torch.full((1, 1, 40, 40), -0.5), torch.full((1, 1, 40, 40), 0.5)], 3)
    ringing = damage._filtered(edge, damage.sinc_kernel(math.pi / 3, 10))
    assert ringing.max() > 0.53  # overshoots where a Gaussian never does
    assert torch.allclose(kernel, kernel.T)
    assert abs(kernel.sum().item() - 1) < 1e-5


def test_wild_damage_rings_now_and_then(monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[float, int]] = []
    kernel = damage.sinc_kernel
    monkeypatch.setattr(
        damage, "sinc_kernel", lambda cutoff, radius: seen.append((cutoff, radius)) or kernel(cutoff, radius)
    )
    seeding.seed_step(0, 0, "test")
    made = damage.degrade(torch.rand(40, 3, 32, 32) * 2 - 1, 4)
    assert made.shape == (40, 3, 8, 8)
    assert torch.isfinite(made).all()
    assert 25 <= len(seen) <= 60  # .1 + .1 + .8 of each of the forty
    assert all(math.pi / 5 <= cutoff <= math.pi and 3 <= radius <= 10 for cutoff, radius in seen)
