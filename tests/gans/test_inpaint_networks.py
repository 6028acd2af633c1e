"""The other networks that fill holes: they train, see what they should, and apply gives them the part that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gansmith
from gansmith.apply.holes import around, depth
from gansmith.apply.tiles import translate_picture
from gansmith.errors import GansmithError
from gansmith.game import Clock, ImageSpec
from gansmith.gans import inpaint
from gansmith.nn.ffc import FFCGenerator
from gansmith.nn.migan import MIGANGenerator
from gansmith.training.session import train
from gansmith.training.settings import settings_from

SMALL: dict[str, Any] = {"width": 8, "width_discriminator": 8, "blocks": 1}


def game_of(arch: str, size: int = 32, **settings: Any) -> inpaint.Inpaint:
    torch.manual_seed(0)
    config = inpaint.Config(arch=arch, **{**SMALL, **settings})  # type: ignore[arg-type]
    return inpaint.Inpaint(config, ImageSpec(size, size, 3)).eval()  # type: ignore[return-value]


def test_networks_are_the_papers() -> None:
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in network.parameters())
            for network in (FFCGenerator(3, 64, 18), FFCGenerator(3, 64, 9), MIGANGenerator(3, 512, 64))
        ]
    assert counts == [
        50_975_875,
        27_048_835,
        5_893_158,
    ]  # Big LaMa has 51 million, LaMa 27 and MI-GAN 5.95 with its filters


@pytest.mark.parametrize("arch", ["ffc", "migan"])
def test_they_train_and_load(arch: str, two_folders: tuple[Path, Path], tmp_path: Path) -> None:
    given = {"data": (str(two_folders[0]),), "batch": 4, "size": 32, "snapshots": 1, "steps": 3, "pretrain": 0.3}
    settings, config = settings_from(inpaint.Inpaint, tmp_path / "run", **given, **SMALL, arch=arch)
    train(inpaint.Inpaint, settings=settings, family_config=config, quiet=True)
    game: Any = gansmith.load(tmp_path / "run").game
    assert game.config.arch == arch
    hole = torch.zeros(1, 1, 40, 50)
    hole[:, :, 8:24, 8:24] = 1
    images = torch.rand(1, 3, 40, 50) * 2 - 1
    made = game.translate(images, mask=hole)
    assert torch.equal(made * (1 - hole), images * (1 - hole))
    assert not torch.equal(made, images)


@pytest.mark.parametrize("arch", ["ffc", "migan"])
def test_what_lies_under_the_mask_is_never_looked_at(arch: str) -> None:
    game, hole = game_of(arch), torch.zeros(1, 1, 32, 32)
    hole[:, :, 8:20, 4:30] = 1
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        one, two = (game.translate(torch.where(hole > 0, x, images), mask=hole) for x in (torch.zeros(()), images))
    assert torch.equal(one, two)


def test_fourier_convolutions_see_all_of_a_picture() -> None:
    """A pixel in one corner changes the other corner, 200 pixels away, through one block."""
    game, mask = game_of("ffc", 256), torch.zeros(1, 1, 256, 256)
    images = torch.zeros(1, 3, 256, 256, requires_grad=True)
    game.generator(images, mask)[0, :, -1, -1].sum().backward()
    assert images.grad is not None
    assert images.grad[0, :, :8, :8].abs().max() > 0


def test_the_last_weights_make_the_model_where_batch_norm_belongs_to_them() -> None:
    clock = Clock(images=100_000)
    assert game_of("ffc").ema_beta(clock, 8) == 0
    assert game_of("migan").ema_beta(clock, 8) > 0.9


def test_the_part_around_a_hole_has_at_least_a_window() -> None:
    mask = np.zeros((900, 700), bool)
    mask[450:460, 300:330] = True
    rows, columns = around(mask, 128, 4, 512)
    assert all(512 <= part.stop - part.start < 516 for part in (rows, columns))
    assert rows.start <= 450 - 128
    assert columns.stop >= 330 + 128
    corner = np.zeros((900, 700), bool)
    corner[:3, 690:] = True
    rows, columns = around(corner, 128, 8, 512)
    assert (rows.start, rows.stop, columns.stop) == (0, 512, 700)
    assert columns.start % 8 == 0
    assert columns.start <= 700 - 512
    small = np.ones((40, 50), bool)
    assert around(small, 128, 4, 512) == (slice(0, 40), slice(0, 50))


def test_networks_are_given_their_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """MI-GAN of 256 px: the part around a small hole is as large as what it learned from, though a smaller part would do."""
    game = game_of("migan", 256, width=2)
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(game, "translate", lambda images, **_: seen.append(tuple(images.shape)) or images)
    mask = np.zeros((900, 700), bool)
    mask[450:460, 300:330] = True
    translate_picture(game, np.zeros((900, 700, 3), np.uint8), mask=mask)
    assert len(seen) == 1
    assert min(seen[0][2:]) >= 256
    assert max(seen[0][2:]) < 400


def test_deep_holes_are_filled_on_smaller_pictures_first_where_a_network_reaches_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    game = game_of("migan", 32)
    assert (game.reach, game.window, game.alignment) == (8, 32, 8)
    sizes: list[tuple[int, ...]] = []
    whole = game.translate
    monkeypatch.setattr(
        game, "translate", lambda images, **k: sizes.append(tuple(images.shape[2:])) or whole(images, **k)
    )
    mask = np.zeros((160, 160), bool)
    mask[20:140, 20:140] = True
    picture = np.full((160, 160, 3), 90, np.uint8)
    made = translate_picture(game, picture, mask=mask)
    assert sizes[0] < sizes[-1] == (160, 160), "the smallest first"
    assert np.array_equal(made[~mask], picture[~mask])
    assert depth(mask, 8).sum() > depth(mask, 32).sum() > 0
    everything = translate_picture(game, picture, mask=np.ones_like(mask))
    assert everything.shape == picture.shape


def test_settings_that_make_no_sense() -> None:
    for settings in ({"global_share": 1.0}, {"halvings": 0}):
        with pytest.raises(GansmithError, match="--global-share"):
            game_of("ffc", **settings)
    with pytest.raises(GansmithError, match="--halvings 6"):
        game_of("ffc", halvings=6)
