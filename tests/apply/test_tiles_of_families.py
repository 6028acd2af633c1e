"""Tiles where families differ: U-Nets that look far, holes larger than a tile, pictures of a few pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gansmith.apply.tiles import translate_picture
from gansmith.game import ImageSpec
from gansmith.gans import inpaint, pix2pix, upscale

SPEC = ImageSpec(32, 32, 3, other_channels=3)


def scene(height: int, width: int) -> np.ndarray:
    """Large shapes, and fine texture in one half. uint8 [H, W, 3]."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.random((1, 3, 6, 8)))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    smooth[:, width // 2 :] += random.normal(0, 0.08, (height, width - width // 2, 1))
    return (smooth.clip(0, 1) * 255).astype(np.uint8)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


def inpaint_game() -> inpaint.Inpaint:
    torch.manual_seed(0)
    return inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), SPEC).eval()  # type: ignore[return-value]


def test_large_holes_are_filled_from_their_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inpaint.Inpaint, "overlap", 32)
    monkeypatch.setattr("gansmith.apply.holes.REACH", 16)
    game = inpaint_game()
    torch.nn.init.zeros_(game.generator.last.weight)  # type: ignore[union-attr]
    rows, columns = np.mgrid[0:201, 0:303]
    picture = np.stack([rows / 201 * 250, columns / 303 * 250, rows * 0 + 250], 2).astype(np.uint8)
    mask = np.zeros((201, 303), bool)
    mask[10:191, 10:293] = True
    whole, tiled = (translate_picture(game, picture, mask=mask, tile=tile) for tile in (512, 64))
    assert np.array_equal(tiled[~mask], picture[~mask])
    worse = difference(tiled, picture)[mask].mean() - difference(whole, picture)[mask].mean()
    assert worse < 3, "a tile that sees nothing of the picture is grey"
    everything = translate_picture(game, picture, mask=np.ones_like(mask), tile=64)
    assert everything.shape == picture.shape


def test_only_what_lies_around_a_hole_is_looked_at() -> None:
    game, picture = inpaint_game(), scene(310, 420)
    mask = np.zeros((310, 420), bool)
    mask[143:159, 200:220] = True
    told: list[tuple[int, int]] = []
    tiled = translate_picture(game, picture, mask=mask, tile=280, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 1)]
    assert np.array_equal(tiled[~mask], picture[~mask])
    assert difference(tiled, translate_picture(game, picture, mask=mask))[mask].mean() < 2


def pix2pix_game(generator: str, norm: str, depth: int = 0) -> pix2pix.Pix2Pix:
    torch.manual_seed(0)
    config = pix2pix.Config(generator=generator, norm=norm, width=4, depth=depth, blocks=2, width_discriminator=8)  # type: ignore[arg-type]
    game = pix2pix.Pix2Pix(config, SPEC)
    for parameter in game.generator.parameters():  # untrained weights of N(0, .02) hardly look at the picture
        if parameter.ndim == 4:
            torch.nn.init.kaiming_normal_(parameter)
    for module in game.modules():  # running statistics of what it will see, as after training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        game.generator(torch.from_numpy(scene(256, 256)).permute(2, 0, 1)[None] / 127.5 - 1)
    return game.eval()  # type: ignore[return-value]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (2, 9), (7, 5)])
def test_pictures_of_a_few_pixels(height: int, width: int) -> None:
    mask = np.zeros((height, width), bool)
    mask[0, 0] = True
    games = (
        pix2pix_game("resnet", "instance"),
        pix2pix_game("resnet", "batch"),
        pix2pix_game("unet", "instance"),
        upscale.Upscale(upscale.Config(scale=3, width=8, blocks=1, width_discriminator=8), ImageSpec(36, 36, 3)).eval(),
    )
    for game in (*games, inpaint_game()):
        made = translate_picture(game, scene(height, width), mask=mask if game.takes_mask else None)
        assert made.shape == (height * game.scale, width * game.scale, 3)


@pytest.mark.parametrize(("height", "width"), [(300, 500), (20, 900)])
def test_statistics_where_a_window_is_less_than_the_network_halves(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gansmith.apply.tiles.STATISTICS_PIXELS", 10_000)
    monkeypatch.setattr("gansmith.apply.tiles._WINDOW", 32)
    game = pix2pix_game("unet", "instance", depth=6)
    assert game.alignment == 64
    assert translate_picture(game, scene(height, width), tile=128).shape == (height, width, 3)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_tiled_u_nets_agree_with_the_whole(norm: str) -> None:
    game, picture = pix2pix_game("unet", norm, depth=6), scene(700, 500)
    told: list[tuple[int, int]] = []
    whole = translate_picture(game, picture, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 1)], "what needs little memory goes through whole"
    tiled = translate_picture(game, picture, tile=512)
    assert whole.std() > 20
    assert 0 < difference(whole, tiled).mean() < 1.2
