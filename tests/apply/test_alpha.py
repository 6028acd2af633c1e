"""Colours under alpha 0 are unknown: in reading, in what networks learn from, in scores and in what is shown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.apply.files import Options, apply_to_pictures, network_input
from gansmith.apply.finding import find_pictures
from gansmith.data import open_pictures
from gansmith.data.batches import Batches
from gansmith.data.depth import centred, resized
from gansmith.data.photographs import open_photographs
from gansmith.files.alpha import batch_on_white, spread_batch
from gansmith.files.pictures import opaque, save
from gansmith.game import ImageSpec
from gansmith.gans import cyclegan, inpaint, upscale
from gansmith.metrics.evaluate import match
from gansmith.metrics.extractors import Extractor

COLOUR = (240, 180, 60)


def sprite(size: int = 40, hidden: tuple[int, int, int] = (0, 0, 0)) -> Image.Image:
    image = Image.new("RGBA", (size, size), (*hidden, 0))
    image.paste((*COLOUR, 255), (size // 4, size // 4, 3 * size // 4, 3 * size // 4))
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, hidden in enumerate(((0, 0, 0), (0, 0, 255), (90, 90, 90))):
        sprite(hidden=hidden).save(tmp_path / f"{i}.png")
    return tmp_path


def test_resizing_leaves_no_dark_edge_and_nothing_of_what_hides(folder: Path) -> None:
    for size in (16, 64):
        x, _ = open_pictures(str(folder), size=size, channels=4).fetch(np.arange(3))
        assert torch.equal(x[0], x[1])
        assert (x[0, :3].float() - torch.tensor(COLOUR)[:, None, None]).abs().max() <= 2, "no other colour anywhere"
        assert x[0, 3].min() == 0


def test_networks_learn_nothing_of_what_hides(folder: Path) -> None:
    batches = Batches(open_pictures(str(folder), channels=4), 3, 0)
    images = batches.at(0).images
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])
    colours = (images[:, :3] + 1) * 127.5
    assert (colours - torch.tensor(COLOUR)[:, None, None]).abs().max() <= 2
    photos = open_photographs(str(folder), channels=3, min_size=16)
    windows = photos.crops(np.arange(3), 32, np.zeros((3, 2)))
    assert torch.equal(windows[0], windows[1])
    assert torch.equal(windows[0], windows[2])


def test_spreading_in_a_batch() -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 4, 13, 21), generator=random).byte()
    images[:, 3] = torch.where(torch.rand(4, 13, 21, generator=random) < 0.5, 0, 200).byte()
    images[3, 3] = 0
    made = spread_batch(images)
    assert torch.equal(made[:, 3], images[:, 3])
    seen = (images[:, 3:] > 0).expand(-1, 3, -1, -1)
    assert torch.equal(made[:, :3][seen], images[:, :3][seen])
    other = images.clone()
    other[:, :3][~seen] = 255 - other[:, :3][~seen]
    assert torch.equal(spread_batch(other), made)
    opaque_ones = images[:, :, :, :].clone()
    opaque_ones[:, 3] = 1
    assert spread_batch(opaque_ones) is opaque_ones


def test_sixteen_bits_are_resized_and_learned_from_alike(tmp_path: Path) -> None:
    deep = [np.asarray(sprite(hidden=h)).astype(np.uint16) * 257 for h in ((0, 0, 0), (0, 0, 255))]
    made = [resized(pixels, (16, 16)) for pixels in deep]
    assert np.array_equal(*made)
    assert np.abs(made[0][..., :3].astype(int) - np.array(COLOUR) * 257).max() <= 257
    signed = torch.from_numpy(np.stack([centred(pixels) for pixels in deep])).permute(0, 3, 1, 2)
    learned = spread_batch(signed)
    assert torch.equal(learned[0], learned[1])
    assert torch.equal(learned[:, 3], signed[:, 3])
    assert np.abs(learned[0, :3, 0, 0].numpy().astype(int) + 32768 - np.array(COLOUR) * 257).max() <= 257


def test_sixteen_bits_are_filled_from_what_is_seen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    game = inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 3)).eval()
    made = []
    for hidden in ((0, 0, 0), (0, 0, 255)):
        pixels = np.asarray(sprite(hidden=hidden)).astype(np.uint16) * 257
        cv2.imwrite(str(tmp_path / "p.png"), pixels[..., [2, 1, 0, 3]])
        options = Options(boxes=((20, 15, 16, 10),), overwrite=True)
        report = apply_to_pictures(game, find_pictures([str(tmp_path / "p.png")]), tmp_path / "out", options)  # type: ignore[arg-type]
        assert report.failed == []
        made.append(cv2.imread(str(tmp_path / "out" / "p.png"), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]])
        assert made[-1].dtype == np.uint16
        hole = np.zeros((40, 40), bool)
        hole[15:25, 20:36] = True
        assert np.array_equal(made[-1][~hole], pixels[~hole])
        assert (made[-1][hole][:, 3] == 65535).all()
    assert np.array_equal(made[0][hole], made[1][hole])


def test_what_a_model_is_given(folder: Path) -> None:
    spec = ImageSpec(32, 32, 3, other_channels=3)
    repairing = upscale.Upscale(upscale.Config(scale=2, width=8, blocks=1, width_discriminator=8), spec)
    inventing = cyclegan.CycleGAN(cyclegan.Config(width=4, blocks=1, width_discriminator=8), spec)
    with_alpha = upscale.Upscale(
        upscale.Config(scale=2, width=8, blocks=1, width_discriminator=8), ImageSpec(32, 32, 4)
    )
    for game, colour in ((repairing, COLOUR), (inventing, (255, 255, 255)), (with_alpha, COLOUR)):
        given = [network_input(game, sprite(hidden=h)) for h in ((0, 0, 0), (0, 0, 255))]
        assert np.array_equal(*given)
        assert np.abs(given[0][0, 0, :3].astype(int) - colour).max() <= 2


def test_scores_see_pictures_as_they_are_seen() -> None:
    images = torch.from_numpy(np.stack([np.asarray(sprite(hidden=h)) for h in ((0, 0, 0), (0, 0, 255))])).permute(
        0, 3, 1, 2
    )
    white = batch_on_white(images)
    assert torch.equal(white[0], white[1])
    assert white[0, :, 0, 0].tolist() == [255] * 3
    assert white[0, :, 20, 20].tolist() == list(COLOUR)
    notes: list[str] = []
    assert torch.equal(match(images, ImageSpec(40, 40, 3), notes), white)
    assert "laid on white" in notes[0]
    grey = match(images, ImageSpec(40, 40, 1), [])
    assert torch.equal(grey[0], grey[1])

    class Colours(Extractor):
        channels = 3

    assert torch.equal(Colours.adapt(Colours.__new__(Colours), images), white)
    half = torch.tensor([100, 128], dtype=torch.uint8).view(1, 2, 1, 1)
    assert batch_on_white(half).item() == round(100 * 128 / 255 + 255 * 127 / 255)


def test_files_and_films_without_alpha_lie_on_white(tmp_path: Path) -> None:
    array = np.asarray(sprite())
    for name in ("g.jpg", "g.bmp"):
        save(tmp_path / name, array)
        assert np.asarray(Image.open(tmp_path / name))[0, 0].min() >= 200
    assert opaque(array)[0, 0].tolist() == [255] * 3
    assert opaque(array[..., :3]) is not None
    assert opaque(array)[20, 20].tolist() == list(COLOUR)
    save(tmp_path / "g.png", array)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "g.png")), array)
