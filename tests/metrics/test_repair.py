"""Scores of restored pictures against their definitions, and the classical floors they stand beside."""

from __future__ import annotations

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from gansmith.damage import luma
from gansmith.game import ImageSpec
from gansmith.gans import colorize, inpaint, upscale
from gansmith.metrics.repair import (
    FLOORS,
    biharmonic,
    evaluate_repair,
    lpips,
    lpips_weights,
    psnr,
    score,
    ssim,
    unchanged,
)
from gansmith.nn.inpainting import smooth_fill
from gansmith.translation import Pair

SPEC = ImageSpec(32, 32, 3, other_channels=3)


def smooth(n: int = 3, size: int = 32) -> torch.Tensor:
    coarse = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(-1, 1)


def test_scores_are_the_definitions() -> None:
    true = smooth()
    off = (true * 127.5 / 127.5 + 10 / 127.5).clamp(-1, 1)
    a, b = (((x + 1) * 127.5).round().numpy() for x in (off, true))
    for i, found in enumerate(psnr(off, true).tolist()):
        assert found == pytest.approx(peak_signal_noise_ratio(b[i], a[i], data_range=255), abs=1e-6)
    assert math.isinf(psnr(true, true)[0])
    windows = psnr(off, true, parts_of=[5, 2, 5]).tolist()  # photographs 2 and 5; windows of one count as one picture
    assert windows[0] == pytest.approx(psnr(off, true)[1].item())
    both = peak_signal_noise_ratio(b[[0, 2]], a[[0, 2]], data_range=255)
    assert windows[1] == pytest.approx(both, abs=1e-6)
    assert ssim(true, true).tolist() == pytest.approx([1.0] * 3)
    noisy = (true + 0.3 * torch.randn(true.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)
    assert ssim(noisy, true).mean() < 0.9
    mask = torch.zeros(3, 1, 32, 32)
    mask[..., :8] = 1
    changed = torch.where(mask > 0, true.clamp(max=0.5) + 0.2, true)
    assert score(changed, true, mask)["l1"] == pytest.approx(4 * score(changed, true)["l1"], rel=1e-6)
    assert (lpips(true, true) is None) == (lpips_weights() is None)


def test_floors_beat_doing_nothing() -> None:
    true = smooth()
    small = torch.nn.functional.interpolate(true, scale_factor=0.5, mode="bicubic", antialias=True)
    mask = torch.zeros(3, 1, 32, 32)
    mask[..., 10:20, 8:24] = 1
    pairs = {
        "upscale": Pair(small, true),
        "inpaint": Pair(torch.where(mask > 0, torch.zeros(()), true), true, mask),
    }
    nothing = {
        "upscale": torch.nn.functional.interpolate(small, scale_factor=2, mode="nearest"),
        "inpaint": pairs["inpaint"].given,
    }
    for kind, pair in pairs.items():
        for name, method in FLOORS[kind].items():
            made = method(pair)
            assert made.shape == true.shape
            assert (made - true).abs().mean() < 0.7 * (nothing[kind] - true).abs().mean(), name
            if pair.mask is not None:
                assert (((made - true).abs()) * (1 - mask)).max() < 0.005, "what is known stays"


@pytest.mark.parametrize("family", ["upscale", "inpaint", "colorize"])
def test_the_table_repeats_and_has_every_method(family: str) -> None:
    torch.manual_seed(0)
    game = {
        "upscale": lambda: upscale.Upscale(upscale.Config(scale=2, width_discriminator=8), SPEC),
        "inpaint": lambda: inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), SPEC),
        "colorize": lambda: colorize.Colorize(colorize.Config(width=8, width_discriminator=8), SPEC),
    }[family]().eval()
    tables = [evaluate_repair(game, smooth(), seed=3, batch=2) for _ in range(2)]
    assert tables[0] == tables[1]
    assert list(tables[0]) == ["model", *FLOORS[game.repair]]
    assert all({"psnr", "ssim", "l1"} <= set(scores) for scores in tables[0].values())


def test_the_smooth_fill_is_near_the_biharmonic_one() -> None:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    plane = (0.4 * rows + 0.3 * columns)[None, None]
    wave = torch.sin(4 * rows + 2 * columns)[None, None] * 0.8
    true = torch.cat([plane, wave])
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 20:36, 24:40] = 1
    mask[..., 50:54, 4:60] = 1
    given = torch.where(mask > 0, torch.full((), 9.0), true)  # what is under the mask is not looked at
    filled = smooth_fill(given, mask)
    assert torch.equal(filled[mask == 0], true[mask == 0])
    error = ((filled - true).abs() * mask).flatten(1).sum(1) / mask.flatten(1).sum(1)
    classical = (
        (biharmonic(Pair(torch.where(mask > 0, torch.zeros(()), true), true, mask)) - true).abs() * mask
    ).flatten(1)
    assert error[0] < 0.01, "a slope goes on"
    assert error[1] < 2 * classical.sum(1)[1] / mask[1].sum() + 0.01
    whole = smooth_fill(torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16))
    assert torch.isfinite(whole).all(), "nothing known at all"


@pytest.mark.parametrize("given", [1, 3, 4])
@pytest.mark.parametrize("target", [1, 3, 4])
def test_doing_nothing_between_grey_colour_and_alpha(given: int, target: int) -> None:
    picture = torch.rand(2, given, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    left = unchanged(Pair(picture, torch.zeros(2, target, 8, 8)))
    assert left.shape == (2, target, 8, 8)
    if target == 1:
        assert torch.allclose(left, luma(picture)), "grey is all three colours, not the red one"
    else:
        assert torch.equal(left[:, :3], picture[:, :3].expand(-1, 3, -1, -1))
    if target == 4:
        assert torch.equal(left[:, 3:], picture[:, 3:] if given == 4 else torch.ones(2, 1, 8, 8))


def test_pictures_too_small_for_lpips_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gansmith.metrics.repair.lpips_weights", lambda: "weights")
    assert lpips(smooth(size=24), smooth(size=24)) is None


def test_the_network_of_lpips_is_built_once_for_all_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    class Lpips:
        def __init__(self, net_type: str) -> None:
            built.append(net_type)
            self.net = torch.nn.Identity()
            self.net.forward = lambda a, b: (a - b).square().mean((1, 2, 3), keepdim=True)

    monkeypatch.setattr("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", Lpips)
    monkeypatch.setattr("gansmith.metrics.repair.lpips_weights", lambda: "weights")
    made, true = torch.zeros(3, 1, 32, 32), torch.linspace(0, 1, 3).view(3, 1, 1, 1).expand(3, 1, 32, 32)
    found = lpips(made, true)
    assert found is not None
    assert found.tolist() == pytest.approx([0, 0.25, 1])
    assert built == ["alex"]
