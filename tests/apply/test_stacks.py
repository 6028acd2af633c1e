"""Every page of a TIFF goes through a model, and the results are pages of one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from gansmith import config, registry
from gansmith.apply.files import Options, Report, apply_to_pictures, find_pictures
from gansmith.data import pages
from gansmith.game import ImageSpec
from gansmith.translation import Translation


def game(family: str = "inpaint") -> Translation:
    torch.manual_seed(0)
    kind: Any = registry.family(family)
    return kind(config.make(kind.Config, dict(kind.tiny), family), ImageSpec(32, 32, 1)).eval()


def slices(count: int = 4, high: int = 4095) -> np.ndarray:
    """uint16 [N, 40, 36]: discs whose brightness differs from slice to slice."""
    y, x = np.mgrid[:40, :36]
    disc = ((y - 20) ** 2 + (x - 18) ** 2 < 150).astype(np.uint16)
    return np.stack([disc * (high // (n + 1)) + 3 * x.astype(np.uint16) for n in range(count)])


def applied(path: Path, model: Translation | None = None, **options: Any) -> Report:
    options.setdefault("boxes", ((10, 10, 6, 6),) if model is None else ())
    return apply_to_pictures(
        model or game(), find_pictures([str(path)], path.parent / "out"), path.parent / "out", Options(**options)
    )


def test_every_page_keeps_its_bits_outside_of_the_hole(tmp_path: Path) -> None:
    given = slices()
    tifffile.imwrite(tmp_path / "scan.tif", given, photometric="minisblack")
    report = applied(tmp_path / "scan.tif")
    assert report.failed == []
    assert "each of its 4 pages was done, with the same mask" in {note for _, note in report.notes}
    made = tifffile.imread(tmp_path / "out" / "scan.tif")
    assert made.dtype == np.uint16
    assert made.shape == given.shape
    hole = np.zeros((40, 36), bool)
    hole[10:16, 10:16] = True
    assert np.array_equal(made[:, ~hole], given[:, ~hole])
    assert all((one[hole] != two[hole]).any() for one, two in zip(made, given, strict=True))
    with Image.open(tmp_path / "out" / "scan.tif") as image:  # and Pillow reads the same pages
        assert image.n_frames == 4  # type: ignore[attr-defined]
        for number in range(4):
            image.seek(number)
            assert np.array_equal(np.asarray(image), made[number])


def test_all_pages_have_one_range(tmp_path: Path) -> None:
    """Two slices that hold the same pixels come out the same, whatever else is in the stack."""
    given = slices(3)
    given[2] = given[1]
    for name, stack in (("three", given), ("two", given[1:])):
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, photometric="minisblack")
        assert applied(tmp_path / f"{name}.tif").failed == []
    three, two = (tifffile.imread(tmp_path / "out" / f"{name}.tif") for name in ("three", "two"))
    assert np.array_equal(three[1], three[2])
    assert np.array_equal(two[0], two[1])


def test_colour_of_8_bits_turned_pages_and_enlarged_ones(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    pages = [Image.fromarray(generator.integers(0, 256, (24, 20, 3), np.uint8)) for _ in range(3)]
    exif = Image.Exif()
    exif[0x0112] = 6
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:], exif=exif, dpi=(300, 300))
    assert applied(tmp_path / "p.tif", game("upscale")).failed == []
    with Image.open(tmp_path / "p.tif") as before, Image.open(tmp_path / "out" / "p.tif") as after:
        assert after.n_frames == 3  # type: ignore[attr-defined]
        assert after.getexif().get(0x0112) == before.getexif().get(0x0112)
        for number in range(3):
            before.seek(number)
            after.seek(number)
            assert after.mode == "RGB"
            small = after.convert("RGB").resize(before.convert("RGB").size, Image.Resampling.BOX)
            difference = np.asarray(small, float) - np.asarray(before.convert("RGB"), float)
            assert np.abs(difference).mean() < 60, "page for page, in the same order"


def test_more_pages_than_are_taken_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 2)
    tifffile.imwrite(tmp_path / "scan.tif", slices(3), photometric="minisblack")
    report = applied(tmp_path / "scan.tif")
    assert "the first 2 of its 3 pages were done; the rest was left out" in {note for _, note in report.notes}
    assert len(tifffile.TiffFile(tmp_path / "out" / "scan.tif").pages) == 2


def test_smaller_copies_are_no_pages(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "p.tif") as writer:
        writer.write(slices()[0], photometric="minisblack")
        writer.write(slices()[0, ::2, ::2], photometric="minisblack", subfiletype=1)
    report = applied(tmp_path / "p.tif")
    assert report.failed == []
    with tifffile.TiffFile(tmp_path / "out" / "p.tif") as file:
        assert len(file.pages) == 1


@pytest.mark.parametrize("cut", [0.4, 0.9])
def test_a_stack_that_is_cut_short_fails_whole_and_says_the_page(tmp_path: Path, cut: float) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", slices(), photometric="minisblack")
    content = (tmp_path / "scan.tif").read_bytes()
    (tmp_path / "scan.tif").write_bytes(content[: int(len(content) * cut)])
    report = applied(tmp_path / "scan.tif")
    assert report.written == []
    assert [reason for _, reason in report.failed if "page 2 cannot be read" in reason]
    assert not (tmp_path / "out" / "scan.tif").exists()
