"""Kinds of pictures that look alike, in place of labels that nobody gave."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gansmith
from gansmith.data import MemoryPictures, kinds, open_pictures
from gansmith.data.sources import StreamedPictures
from gansmith.errors import DataError, GansmithError
from gansmith.game import ImageSpec
from gansmith.gans.dcgan import DCGAN
from gansmith.gans.pix2pix import Pix2Pix
from gansmith.gans.r3gan import R3GAN
from gansmith.metrics.shares import classes_like
from gansmith.models.bundle import Model, load

GREY = ImageSpec(28, 28, 1)


def motifs(counts: tuple[int, ...], size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures of so many horizontal stripes, vertical stripes and discs, mixed: [N, H, W] and which is which [N]."""
    random = np.random.default_rng(3)
    row, column = np.mgrid[:size, :size]
    disc = np.hypot(row - size / 2, column - size / 2) < size / 3
    clean = [row // 4 % 2 == 0, column // 4 % 2 == 0, disc]
    which = random.permutation(np.repeat(np.arange(len(counts)), counts))
    pictures = np.stack([clean[i] for i in which]) * 180.0 + random.uniform(0, 60, (len(which), size, size))
    return pictures.astype(np.uint8), which


def unlabelled(path: Path, counts: tuple[int, ...] = (50, 20, 10)) -> str:
    np.savez(path, x=motifs(counts)[0])
    return str(path)


def test_pictures_that_look_alike_are_of_one_kind_and_the_first_kind_is_the_largest():
    x, which = motifs((20, 90, 50))
    numbers, found = kinds.find(MemoryPictures.from_arrays(x), 3)
    assert found == 3
    assert [set(numbers[which == true]) for true in range(3)] == [{2}, {0}, {1}]
    again, _ = kinds.find(MemoryPictures.from_arrays(x), 3)
    assert (numbers == again).all()


def test_colours_tell_kinds_apart():
    x = np.zeros((40, 16, 16, 3), np.uint8)
    x[::2, ..., 0] = x[1::2, ..., 2] = 200  # red and blue of the same brightness
    x += np.random.default_rng(0).integers(0, 20, x.shape, dtype=np.uint8)
    numbers, _ = kinds.find(MemoryPictures.from_arrays(x), 2)
    assert len(set(numbers[::2])) == len(set(numbers[1::2])) == 1
    assert numbers[0] != numbers[1]


def test_kinds_are_the_classes_of_a_set_in_memory_and_of_one_that_is_streamed(tmp_path):
    for i, pixels in enumerate(motifs((50, 20, 10))[0]):
        Image.fromarray(pixels).save(tmp_path / f"{i:02d}.png")
    whole, streamed = open_pictures(str(tmp_path)), open_pictures(str(tmp_path), memory_limit=0)
    assert isinstance(streamed, StreamedPictures)
    before = whole.hash
    for pictures in (whole, streamed):
        kinds.label(pictures, 3)
        assert pictures.spec.classes == 3
        assert pictures.spec.class_names == ("kind 1", "kind 2", "kind 3")
        labels = pictures.fetch(np.arange(80))[1]
        assert labels is not None
        assert torch.bincount(labels).tolist() == [50, 20, 10]
    assert whole.hash == streamed.hash != before


def test_kinds_that_cannot_be_found_are_refused(tmp_path):
    alike = MemoryPictures.from_arrays(np.full((30, 16, 16), 9, np.uint8))
    with pytest.raises(DataError, match="look alike"):
        kinds.label(alike, 4)
    with pytest.raises(DataError, match="--kinds 31 asks for"):
        kinds.label(alike, 31)
    with pytest.raises(DataError, match="--kinds 1 asks for"):
        kinds.label(alike, 1)
    assert alike.spec.classes == 0


def test_who_gets_kinds_without_asking():
    x, which = motifs((25, 25, 25))
    config = R3GAN.Config()
    assert [R3GAN.usual_kinds(config, GREY, n) for n in (4_999, 5_000, 10_000, 60_000)] == [0, 5, 10, 50]
    assert (
        R3GAN.usual_kinds(config, ImageSpec(28, 28, 3), 60_000)
        == R3GAN.usual_kinds(config, ImageSpec(64, 64, 1), 60_000)
        == 0
    )
    for other in ({"conditional": False}, {"pack": 2}, {"loss": "relativistic"}, {"discriminator": "residual"}):
        assert R3GAN.usual_kinds(R3GAN.Config(**other), GREY, 60_000) == 0
    few = MemoryPictures.from_arrays(x)
    assert not kinds.group(few, None, R3GAN, config)
    assert few.spec.classes == 0
    many = MemoryPictures.from_arrays(np.tile(x, (67, 1, 1)))  # 5,025
    assert kinds.group(many, None, R3GAN, config)
    assert many.spec.classes == 5
    labelled = MemoryPictures.from_arrays(np.tile(x, (67, 1, 1)), np.tile(which, 67))
    assert not kinds.group(labelled, None, R3GAN, config)
    assert labelled.spec.class_names != many.spec.class_names
    unasked = MemoryPictures.from_arrays(np.tile(x, (67, 1, 1)))
    assert not kinds.group(unasked, 0, R3GAN, config)
    assert not kinds.group(unasked, None, DCGAN, DCGAN.Config())


def test_families_that_learn_no_classes_refuse_kinds():
    pictures = MemoryPictures.from_arrays(motifs((5, 5, 5))[0])
    with pytest.raises(DataError, match="--no-conditional"):
        kinds.group(pictures, 3, R3GAN, R3GAN.Config(conditional=False))
    with pytest.raises(DataError, match="pix2pix"):
        kinds.group(pictures, 3, Pix2Pix, Pix2Pix.Config())


def test_a_run_learns_kinds_and_its_model_draws_them_as_often_as_they_are(tmp_path):
    data = unlabelled(tmp_path / "x.npz")
    run = tmp_path / "run"
    gansmith.train("r3gan", data=data, out=run, kinds=3, steps=2, batch=8, width=16, hold_out=0)
    model = load(run)
    assert model.classes == 3
    assert model.kind_shares == (0.625, 0.25, 0.125)
    labels = model.labels(800)
    assert labels is not None
    assert np.abs(torch.bincount(labels).numpy() - [500, 200, 100]).max() <= 2
    assert (model.labels(20) == labels[:20]).all()  # the first are the same for every n
    drawn, note = classes_like(model, open_pictures(data), 800, 0)
    assert drawn is not None
    assert (drawn == labels).all()
    assert "as often" in note
    longer = gansmith.train("r3gan", data=data, out=run, kinds=3, steps=3, batch=8, width=16, hold_out=0, resume=True)
    assert longer.kind_shares == model.kind_shares
    assert longer.info["images"] == 24


def test_an_odd_list_of_shares_in_a_model_is_not_believed(tmp_path):
    data = unlabelled(tmp_path / "x.npz")
    root = tmp_path / "run"
    gansmith.train("r3gan", data=data, out=root, kinds=3, steps=1, batch=8, width=16)
    file = root / "model" / "config.json"
    document = json.loads(file.read_text())
    for odd in ([0.5], "many", [1, "a", 2], [0, 0, 0], [-1, 1, 1], None):
        document["data"]["kinds"] = odd
        file.write_text(json.dumps(document))
        labels = Model.labels(load(root), 6)
        assert labels is not None
        assert labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_kinds_are_for_families_that_make_pictures_from_noise(tmp_path):
    with pytest.raises(GansmithError, match="Leave it out"):
        gansmith.train("pix2pix", data=unlabelled(tmp_path / "x.npz"), out=tmp_path / "run", kinds=3, steps=1)
