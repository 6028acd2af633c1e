"""Augmentations do what they say, exactly; and they can be learned through, twice."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from gansmith.nn import augment as A
from gansmith.nn.augment import AdaptiveAugment, Dice, augment, random_colour, random_geometry, sample, warp
from gansmith.nn.diffaugment import DiffAugment
from gansmith.parallel import seeds


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def smooth_picture(size: int) -> torch.Tensor:
    x = (torch.arange(size) - (size - 1) / 2) / 20 * 2 * math.pi
    return (torch.cos(x + 0.5)[:, None] * torch.sin(0.7 * x) + torch.sin(x - 0.2)[:, None])[None, None]


def about_centre(matrix: list[list[float]]) -> torch.Tensor:
    return torch.tensor([matrix])


IDENTITY = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]


# --- the geometry is exact where it can be ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (12, 20), (9, 14)])
def test_doing_nothing_changes_nothing(size: tuple[int, int]) -> None:
    images = torch.randn(2, 3, *size)
    torch.testing.assert_close(warp(images, about_centre(IDENTITY).expand(2, 3, 3)), images, atol=1e-4, rtol=0)


def test_whole_shifts_flips_and_quarter_turns_move_pixels() -> None:
    images = torch.randn(1, 2, 16, 16)
    shifted = warp(images, about_centre([[1, 0, 3.0], [0, 1, -2.0], [0, 0, 1]]))  # output x looks at input x + 3
    torch.testing.assert_close(shifted[..., 2:, :-3], images[..., :-2, 3:], atol=1e-4, rtol=0)
    # the border is a reflection
    torch.testing.assert_close(shifted[..., 2:, -1], images[..., :-2, -4], atol=1e-4, rtol=0)
    # the filter is not symmetric, so mirrored pictures differ a little: compare smooth ones
    images = smooth_picture(24)
    mirrored = warp(images, about_centre([[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]]))
    torch.testing.assert_close(mirrored, images.flip(3), atol=0.03, rtol=0)
    turned = warp(images, about_centre([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)), atol=0.03, rtol=0)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.3])
def test_a_wave_is_scaled_and_shifted_as_the_map_says(scale: float) -> None:
    x = torch.arange(48.0) - 23.5

    def wave(u: torch.Tensor) -> torch.Tensor:
        return torch.cos(2 * math.pi * u / 24 + 0.4)

    images = wave(x).expand(1, 1, 48, 48)
    ours = warp(images, about_centre([[scale, 0, 1.25], [0, scale, 0], [0, 0, 1]]))
    inside = ((scale * x + 1.25).abs() < 18)[None].expand(48, 48)
    expected = wave(scale * x + 1.25).expand(48, 48)
    torch.testing.assert_close(ours[0, 0][inside], expected[inside], atol=0.02, rtol=0)


def test_shrinking_does_not_alias() -> None:
    stripes = (torch.arange(64) % 2 * 2.0 - 1).expand(1, 1, 64, 64)  # the finest pattern there is
    shrunk = warp(stripes, about_centre([[1.7, 0, 0], [0, 1.7, 0], [0, 0, 1]]))
    naive = F.grid_sample(
        stripes,
        F.affine_grid(torch.tensor([[[1.7, 0, 0], [0, 1.7, 0]]]), [1, 1, 64, 64], align_corners=False),
        align_corners=False,
    )
    middle = (slice(None), slice(None), slice(20, 44), slice(20, 44))
    assert shrunk[middle].std() < 0.35 * naive[middle].std()


# --- second derivatives ----------------------------------------------------------------------------------------------


def test_sampling_equals_torch_and_has_second_derivatives() -> None:
    images = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    grid = (torch.rand(2, 3, 6, 2, dtype=torch.float64) - 0.5) * 2.6
    torch.testing.assert_close(sample(images, grid), F.grid_sample(images, grid, align_corners=False))
    assert torch.autograd.gradcheck(lambda x: sample(x, grid).square(), images)
    assert torch.autograd.gradgradcheck(lambda x: sample(x, grid).square(), images)


@pytest.mark.parametrize("kind", ["ada", "diffaugment"])
def test_a_gradient_penalty_can_be_taken_through(kind: str) -> None:
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def logits(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        x = augment(x, 1.0) if kind == "ada" else DiffAugment()(x)
        return x.pow(3).mean((1, 2, 3))

    assert torch.autograd.gradgradcheck(logits, images, gen_non_contig_grad_outputs=False, atol=1e-4)


# --- the draws -------------------------------------------------------------------------------------------------------


def test_how_often_pictures_are_moved() -> None:
    n, p = 20_000, 0.3
    maps = random_geometry(Dice(n, p, torch.device("cpu")), 32, 48)
    rigid = (maps[:, :2, :2].det().abs() - 1).abs() < 1e-5  # the area-changing scale did not happen
    assert abs(rigid.float().mean() - (1 - p)) < 0.015
    mirrored = maps[:, :2, :2].det() < 0
    assert abs(mirrored.float().mean() - p / 2) < 0.01
    untouched = (maps - torch.eye(3)).abs().amax((1, 2)) < 1e-6
    # flip and turn are drawn but neutral in 1 of 2 and 1 of 4 cases; the two rotations happen together with p
    expected = (1 - p / 2) * (1 - 3 * p / 4) * (1 - p) ** 3 * (1 - p) * (1 - p)
    assert abs(untouched.float().mean() - expected) < 0.01
    scales = maps[~rigid][:, :2, :2].det().abs().log2() / 2
    assert abs(scales.std() - 0.2) < 0.01


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_colour_acts_along_and_across_grey(channels: int) -> None:
    matrix, offset = random_colour(Dice(6, 1.0, torch.device("cpu")), channels)
    if channels == 1:
        assert matrix.shape == (6, 1, 1)
        return
    grey = torch.ones(3)
    torch.testing.assert_close(matrix @ grey, (matrix @ grey).mean(1, keepdim=True).expand(6, 3))  # grey stays grey
    across = matrix @ torch.tensor([1.0, -1.0, 0.0])
    torch.testing.assert_close(across.sum(1), torch.zeros(6), atol=1e-5, rtol=0)  # colour does not become grey
    images = torch.rand(6, channels, 5, 7)
    torch.manual_seed(1)
    out = augment(images, 1e-9)  # nothing happens
    torch.testing.assert_close(out, images, atol=1e-6, rtol=0)
    assert offset.shape == (6, 1, 1, 1)


@pytest.mark.parametrize("shape", [(4, 1, 28, 28), (3, 3, 16, 24), (2, 4, 33, 17), (2, 3, 4, 4)])
@pytest.mark.parametrize("kind", ["ada", "diffaugment"])
def test_any_channels_and_size(shape: tuple[int, ...], kind: str) -> None:
    images = (torch.rand(shape) * 2 - 1).requires_grad_()
    out = augment(images, 1.0) if kind == "ada" else DiffAugment()(images)
    assert out.shape == images.shape
    assert out.isfinite().all()
    assert not torch.allclose(out, images)
    (gradient,) = torch.autograd.grad(out.square().sum(), images)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("kind", ["ada", "diffaugment"])
def test_two_processes_augment_as_one_would(kind: str) -> None:
    images = torch.randn(4, 3, 16, 16)

    def run(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        return augment(x, 0.7) if kind == "ada" else DiffAugment()(x)

    whole = run(images)
    try:
        halves = []
        for rank in range(2):
            seeds.set_process(rank, 2)
            halves.append(run(images[2 * rank : 2 * rank + 2]))
    finally:
        seeds.set_process(0, 1)
    torch.testing.assert_close(torch.cat(halves), whole, atol=1e-4, rtol=0)


def test_diffaugment_parts() -> None:
    images = torch.rand(64, 3, 16, 16) + 1
    cut = DiffAugment("cutout")(images)
    share = (cut == 0).all(1).float().mean((1, 2))
    assert share.max() == 0.25  # a window of half the side, where it lies wholly inside
    assert (cut[cut != 0] == images[cut != 0]).all()
    moved = DiffAugment("translation")(images)
    assert {int(r) for r in (moved != 0).any(1).any(2).sum(1)} == {14, 15, 16}  # up to 1/8 of 16 rows are lost
    twisted = DiffAugment("color")(images)
    assert 0.5 <= ((twisted.mean((1, 2, 3)) - images.mean((1, 2, 3))).abs().max() + 0.05) <= 0.56
    assert torch.equal(
        DiffAugment("color")(torch.rand(2, 4, 8, 8).index_fill(1, torch.tensor(3), 0.5))[:, 3],
        torch.full((2, 8, 8), 0.5),
    )


# --- adaptation ------------------------------------------------------------------------------------------------------


def test_p_follows_the_target() -> None:
    ada = AdaptiveAugment(target=0.6, images_per_unit=1000, every=4)
    images = torch.randn(2, 3, 8, 8)
    assert ada(images) is images  # p = 0: nothing to do
    for step in range(8):
        ada.update(torch.ones(5), 10)
        assert ada.p.item() == pytest.approx(0.04 * ((step + 1) // 4))
    for _ in range(4):
        ada.update(torch.tensor(0.2), 10)
    assert ada.p.item() == pytest.approx(0.04)
    for _ in range(40):
        ada.update(torch.tensor(-1.0), 100)
    assert ada.p.item() == 0
    for _ in range(40):
        ada.update(torch.tensor(1.0), 100)
    assert ada.p.item() == 1
    copy = AdaptiveAugment()
    copy.load_state_dict(ada.state_dict())
    assert copy.p.item() == 1


def test_a_fixed_p_stays_and_can_be_scheduled() -> None:
    ada = AdaptiveAugment(fixed=True, images_per_unit=10)
    ada.set_p(0.55)
    for _ in range(8):
        ada.update(torch.ones(4), 100)
    assert ada.p.item() == pytest.approx(0.55)
    assert len(A.SYM6) == 12
