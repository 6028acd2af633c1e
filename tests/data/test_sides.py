"""Two sides as people have them: in one folder, side by side, with suffixes; aligned whatever their sizes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.cli import main
from gansmith.config import TrainSettings
from gansmith.data import open_paired, open_unpaired
from gansmith.data.check import check
from gansmith.data.training import open_training_data
from gansmith.errors import DataError
from gansmith.gans import cyclegan, pix2pix


def grey(path: Path, value: int, size: tuple[int, int] = (16, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)
    return path


def photograph(seed: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Smooth, without an edge anywhere; uint8 [H, W, 3]."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


LAYOUTS = {
    "trainA": ("trainA/{}.png", "trainB/{}.png"),
    "train_a": ("train_a/{}.png", "train_b/{}.png"),
    "A/train": ("A/train/{}.png", "B/train/{}.png"),
    "train/A": ("train/A/{}.png", "train/B/{}.png"),
    "A and B": ("A/{}.png", "B/{}.png"),
    "a and b, deeper": ("a/x/{}.png", "b/x/{}.png"),
    "suffixes": ("{}_A.png", "{}_B.png"),
    "suffixes below train": ("train/{}-a.png", "train/{}-b.png"),
    "a folder around all": ("maps/trainA/{}.png", "maps/trainB/{}.png"),
}
OTHERS = {
    "trainA": ("testA/{}.png", "testB/{}.png"),
    "A/train": ("A/val/{}.png", "B/val/{}.png"),
    "suffixes below train": ("test/{}-a.png", "test/{}-b.png"),
}


def lay_out(root: Path, name: str) -> Path:
    """Four pairs: A is i, B is i + 100; and of another part two pairs of 250."""
    for i in range(4):
        for side, pattern in enumerate(LAYOUTS[name]):
            grey(root / pattern.format(f"p{i}"), i + 100 * side)
    for i in range(2):
        for pattern in OTHERS.get(name, ()):
            grey(root / pattern.format(f"t{i}"), 250)
    return root


def values(side) -> list[int]:
    return side.fetch(np.arange(len(side)))[0][:, 0, 0, 0].tolist()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_both_sides_in_one_set(tmp_path: Path, name: str, packed: bool) -> None:
    spec = lay_out(tmp_path / "set", name)
    if packed:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for file in sorted(spec.rglob("*.png")):
                archive.write(file, file.relative_to(spec))
        spec = tmp_path / "set.zip"
    two, pairs = open_unpaired(str(spec)), open_paired(str(spec))
    assert (values(two.a), values(two.b)) == ([0, 1, 2, 3], [100, 101, 102, 103])
    assert not two.aligned
    assert (values(pairs.a), values(pairs.b)) == ([0, 1, 2, 3], [100, 101, 102, 103])
    assert pairs.skipped == []
    for opened in (two, pairs):
        assert opened.notes[0].startswith("two sides in one set: ")
        assert "4 + 4 pictures" in opened.notes[0]
        assert ("4 pictures of" in opened.notes[0]) == (name in OTHERS), "what is left out is said"
    assert any("two sides in one set" in note for note in check(str(spec)).notes)


def test_the_other_part_where_it_is_asked_for(tmp_path: Path) -> None:
    spec = str(lay_out(tmp_path / "set", "trainA"))
    assert values(open_paired(spec, part="test").a) == [250, 250]
    assert values(open_paired(str(lay_out(tmp_path / "only", "A and B")), part="test").a) == [0, 1, 2, 3]


def test_a_run_says_which_layout_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(4):
        for side in ("A", "B"):
            Image.fromarray(photograph(i, 32, 32)).save(grey(tmp_path / "set" / f"train{side}" / f"{i}.png", 0))
    words = ["--size", "32", "--steps", "1", "--batch", "2", "--width", "8", "--width-discriminator", "8"]
    assert main(["train", "cyclegan", "--data", str(tmp_path / "set"), *words, "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().err
    assert "two sides in one set: trainA/ and trainB/, 4 + 4 pictures" in shown
    assert "Only 4 pictures a side" in shown
    settings = TrainSettings(data=(str(tmp_path / "set"),))
    data = open_training_data(pix2pix.Pix2Pix, settings, pix2pix.Config(), pytest.fail)
    assert "trainA/ and trainB/" in data.notes[0]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["trainA/1.png", "trainB/1.png", "extra.png"], "1 pictures that belong to neither, such as extra.png"),
        (["1_A.png", "1_B.png", "2_A.png", "2_B.png", "cover.png"], "belong to neither, such as cover.png"),
        (["A/1.png", "B/1.png", "trainA/2.png", "trainB/2.png"], "divided into parts and not"),
        (["trainA/1.png", "testA/1.png", "testB/1.png"], "in its part 'train' side B has no pictures"),
        (["horses/1.png", "zebras/1.png"], r"sub-folders horses and zebras, .*--data \.\.\./horses \.\.\./zebras"),
        (["1.png", "2.png"], "holds one. Two folders are"),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path: Path, files: list[str], said: str) -> None:
    for i, name in enumerate(files):
        grey(tmp_path / name, i)
    with pytest.raises(DataError, match=said):
        open_unpaired(str(tmp_path))
    with pytest.raises(DataError):
        open_paired(str(tmp_path))


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    for i in range(12):
        grey(tmp_path / "A" / f"{i}.png", i)
        grey(tmp_path / "B" / f"{i + 1}.png", i)
    pairs = open_paired(str(tmp_path))
    assert len(pairs.a) == 11
    assert {name for name, _ in pairs.skipped} == {"A/0.png", "B/12.png"}


# --- side by side --------------------------------------------------------------------------------------------------


def side_by_side(root: Path, count: int = 6, height: int = 64, width: int = 96, plain: bool = False) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        a, b = photograph(i, height, width), 255 - photograph(i + 50, height, width)
        if plain:  # drawings and shoes on white
            a, b = np.full_like(a, 255), np.full_like(b, 255)
            a[height // 4 : height // 2, width // 4 : width // 2] = 0
            b[height // 4 : height // 2, width // 4 : width // 2] = (200, 30, 60)
        Image.fromarray(np.hstack([a, b])).save(root / f"{i}.png")
    return root


def test_single_pictures_are_never_cut_in_half(tmp_path: Path) -> None:
    for width, height in ((96, 64), (128, 64)):  # also where they are twice as wide as high
        root = tmp_path / f"{width}"
        root.mkdir()
        for i in range(6):
            Image.fromarray(photograph(i, height, width)).save(root / f"{i}.png")
        with pytest.raises(
            DataError, match=r"look like single ones: their left and right halves run into each other.*halves:FOLDER"
        ):
            open_paired(str(root))
        forced = open_paired(f"halves:{root}")
        assert forced.spec.shape == (3, height, width // 2)
        assert forced.notes[0].startswith("pairs side by side")


def test_two_pictures_side_by_side_are_seen_by_the_edge_between_them(tmp_path: Path) -> None:
    pairs = open_paired(str(side_by_side(tmp_path / "wide")))
    assert pairs.spec.shape == (3, 64, 96)
    assert pairs.notes == ["pairs side by side, A left and B right"]
    a, b = pairs.fetch(np.array([2]))
    assert np.array_equal(a[0].permute(1, 2, 0), photograph(2))
    assert np.array_equal(b[0].permute(1, 2, 0), 255 - photograph(52))
    assert open_paired(str(side_by_side(tmp_path / "plain", height=64, width=64, plain=True))).spec.shape == (3, 64, 64)
    with pytest.raises(DataError, match="not two squares"):
        open_paired(str(side_by_side(tmp_path / "plain and wide", plain=True)))


def test_only_the_train_part_of_side_by_side_pictures(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 2), ("test", 3)):
        side_by_side(tmp_path / part, count)
    pairs = open_paired(str(tmp_path))
    assert len(pairs.a) == 6
    assert pairs.notes == ["pairs side by side, A left and B right; 5 pictures of test and val are left out"]


# --- sizes ---------------------------------------------------------------------------------------------------------


def with_cross(path: Path, size: tuple[int, int]) -> None:
    """Black, with a white cross whose middle lies at 3/4 of the width and 1/4 of the height."""
    width, height = size
    array = np.zeros((height, width), np.uint8)
    array[round(0.25 * height) - height // 16 : round(0.25 * height) + height // 16] = 255
    array[:, round(0.75 * width) - width // 16 : round(0.75 * width) + width // 16] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("other", [(64, 64), (128, 128), (96, 64), (64, 96), (200, 120)])
def test_pairs_of_two_sizes_stay_aligned(tmp_path: Path, other: tuple[int, int], limit: int | None) -> None:
    for i in range(3):
        with_cross(tmp_path / "a" / f"{i}.png", (64, 64))
        with_cross(tmp_path / "b" / f"{i}.png", other)
    for size in (None, 32):
        pairs = open_paired(str(tmp_path / "a"), str(tmp_path / "b"), size=size, memory_limit=limit)
        a, b = pairs.fetch(np.arange(3))
        assert a.shape == b.shape
        assert (a.float() - b.float()).abs().mean() < 16, "the crosses lie on one another"
        told = [note for note in pairs.notes if "brought to the size of A" in note]
        assert bool(told) == (other != (64, 64))


def test_pairs_that_cannot_be_of_one_view_are_left_out(tmp_path: Path) -> None:
    for i in range(20):
        with_cross(tmp_path / "a" / f"{i:02d}.png", (64, 40))
        with_cross(tmp_path / "b" / f"{i:02d}.png", (64, 40) if i else (40, 64))
    pairs = open_paired(str(tmp_path / "a"), str(tmp_path / "b"))
    assert len(pairs.a) == 19
    assert pairs.skipped == [("00.png", "40x64, and its partner 64x40: they cannot show the same view")]


def test_a_window_is_cut_from_both_sides_at_one_place(tmp_path: Path) -> None:
    for i in range(4):
        with_cross(tmp_path / "a" / f"{i}.png", (64, 64))
        with_cross(tmp_path / "b" / f"{i}.png", (96, 128))
    settings = TrainSettings(data=(str(tmp_path / "a"), str(tmp_path / "b")), size=32)
    config = pix2pix.Config(load_scale=1.5)
    data = open_training_data(pix2pix.Pix2Pix, settings, config, pytest.fail)
    batch = data.batches(4, 0, torch.device("cpu"), False).at(0)
    assert batch.other is not None
    assert batch.images.shape == batch.other.shape == (4, 1, 32, 32)
    assert (batch.images - batch.other).abs().mean() < 0.15


# --- too few -------------------------------------------------------------------------------------------------------


def test_one_picture_a_side_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side in ("A", "B"):
        Image.fromarray(photograph(1, 32, 32)).save(grey(tmp_path / side / "1.png", 0))
    for family in ("cyclegan", "pix2pix"):
        words = ["--size", "32", "--steps", "1", "--batch", "2", "--width", "8", "--width-discriminator", "8"]
        assert main(["train", family, "--data", str(tmp_path), *words, "--out", str(tmp_path / "run")]) == 2
        assert "give at least two of each" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_three_sets_are_refused(tmp_path: Path) -> None:
    settings = TrainSettings(data=("a", "b", "c"))
    with pytest.raises(
        DataError, match="two folders, or one that holds both sides as trainA and trainB; --data names 3"
    ):
        open_training_data(cyclegan.CycleGAN, settings, cyclegan.Config(), pytest.fail)
