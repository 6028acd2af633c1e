"""``gansmith apply`` and files as people have them: odd formats, odd metadata, and reasons when it fails."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from gansmith.apply.files import Options, Report, apply_to_pictures, check_out, network_input
from gansmith.apply.finding import find_pictures
from gansmith.apply.storing import read_stored
from gansmith.errors import GansmithError
from gansmith.game import ImageSpec
from gansmith.gans import cyclegan, inpaint, upscale
from gansmith.translation import Translation


def inpaint_game(channels: int = 3) -> Translation:
    torch.manual_seed(0)
    config = inpaint.Config(width=8, width_discriminator=8)
    return inpaint.Inpaint(config, ImageSpec(32, 32, channels)).eval()  # type: ignore[return-value]


def upscale_game(channels: int = 3) -> Translation:
    torch.manual_seed(0)
    config = upscale.Config(scale=2, width=8, blocks=1, width_discriminator=8)
    return upscale.Upscale(config, ImageSpec(32, 32, channels)).eval()  # type: ignore[return-value]


def noise(height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def applied(path: Path, game: Translation | None = None, **options: object) -> Report:
    game = game or inpaint_game()
    if game.takes_mask and "mask" not in options:
        options["boxes"] = ((2, 3, 4, 5),)
    chosen = Options(**options)  # type: ignore[arg-type]
    return apply_to_pictures(game, find_pictures([str(path)]), path.parent / "out", chosen)


def outside_box(array: np.ndarray) -> np.ndarray:
    known = np.ones(array.shape[:2], bool)
    known[3:8, 2:6] = False
    return array[known]


# --- formats and metadata -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["p.png", "p.tif", "p.webp"])
def test_turned_files_stay_turned_and_what_is_known_stays(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if name == "p.webp" else {}
    Image.fromarray(noise()).save(tmp_path / name, exif=exif, **options)
    assert applied(tmp_path / name).failed == []
    with Image.open(tmp_path / name) as before, Image.open(tmp_path / "out" / name) as after:
        assert after.getexif().get(0x0112, 1) == orientation
        upright, shown = (np.asarray(ImageOps.exif_transpose(i).convert("RGB")) for i in (before, after))
    assert upright.shape == ((32, 24, 3) if orientation >= 5 else (24, 32, 3))
    assert np.array_equal(outside_box(upright), outside_box(shown))
    assert not np.array_equal(upright, shown)


def test_gamma_and_primaries_of_a_png_are_kept(tmp_path: Path) -> None:
    chunks = PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 100_000))
    chunks.add(b"cHRM", struct.pack(">8I", *range(10_000, 90_000, 10_000)))
    Image.fromarray(noise()).save(tmp_path / "p.png", pnginfo=chunks)
    assert applied(tmp_path / "p.png").failed == []
    with Image.open(tmp_path / "out" / "p.png") as made:
        made.load()
        assert made.info["gamma"] == 1.0
        assert made.info["chromaticity"][7] == pytest.approx(0.8)


def test_exif_tells_the_size_of_the_result(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8769).update({0xA002: 32, 0xA003: 24})
    Image.fromarray(noise()).save(tmp_path / "p.jpg", exif=exif)
    assert applied(tmp_path / "p.jpg", upscale_game()).failed == []
    with Image.open(tmp_path / "out" / "p.jpg") as made:
        details = made.getexif().get_ifd(0x8769)
        assert made.getexif()[0x010F] == "a camera"
        assert (details[0xA002], details[0xA003]) == made.size == (64, 48)


def test_exif_that_pillow_cannot_write_again_is_kept_byte_by_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.fromarray(noise()).save(tmp_path / "p.jpg", exif=exif)

    def broken(self: Image.Exif, offset: int = 8) -> bytes:
        raise struct.error("'H' format requires 0 <= number <= 65535")

    monkeypatch.setattr(Image.Exif, "tobytes", broken)
    assert applied(tmp_path / "p.jpg").failed == []
    with Image.open(tmp_path / "p.jpg") as before, Image.open(tmp_path / "out" / "p.jpg") as after:
        assert after.info["exif"] == before.info["exif"]


def test_damaged_exif_is_left_out(tmp_path: Path) -> None:
    for name in ("p.png", "p.jpg"):
        Image.fromarray(noise()).save(tmp_path / name, exif=b"Exif\0\0no TIFF header")
        assert applied(tmp_path / name).failed == []
        with Image.open(tmp_path / "out" / name) as made:
            assert "exif" not in made.info


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 72.0), "72", None])
def test_a_resolution_that_is_none_is_left_out(tmp_path: Path, dpi: object, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise()).save(tmp_path / "p.jpg")
    opened = Image.open

    def with_dpi(*args: object, **kwargs: object) -> Image.Image:
        image = opened(*args, **kwargs)  # type: ignore[arg-type]
        image.info["dpi"] = dpi
        return image

    monkeypatch.setattr(Image, "open", with_dpi)
    assert applied(tmp_path / "p.jpg").failed == []


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_is_written_as_lossless_as_it_was(tmp_path: Path, lossless: bool) -> None:
    image = Image.fromarray(noise(channels=4))
    image.save(tmp_path / "p.webp", lossless=lossless, exact=True, icc_profile=b"x" * 201)
    with open(tmp_path / "p.webp", "rb") as file:
        assert read_stored(file).lossless is lossless
    assert applied(tmp_path / "p.webp").failed == []
    before, after = (np.asarray(Image.open(tmp_path / d / "p.webp").convert("RGBA")) for d in (".", "out"))
    assert np.array_equal(outside_box(before), outside_box(after)) is lossless


def test_where_only_the_first_of_several_pictures_is_taken_it_is_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise()).rotate(90 * i) for i in range(3)]
    frames[0].save(tmp_path / "p.gif", save_all=True, append_images=frames[1:])
    said = "the first of its 3 pictures was taken; 2 were left out"
    assert applied(tmp_path / "p.gif").notes == [(str(tmp_path / "p.gif"), said)]


@pytest.mark.parametrize(
    "name", ["palette.png", "bits.png", "deep.png", "cmyk.jpg", "bits.tif", "progressive.JPG", "grey 图.pgm"]
)
def test_kinds_of_pixels(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(noise())
    options: dict[str, Any] = {}
    if name == "palette.png":
        image, options = image.convert("P"), {"transparency": 3}
    elif name.startswith("bits"):
        image = image.convert("1")
    elif name == "deep.png":
        image = Image.fromarray(noise(channels=1).astype(np.uint16) * 257)
    elif name == "cmyk.jpg":
        image = image.convert("CMYK")
    elif name == "progressive.JPG":
        options = {"progressive": True}
    else:
        image = image.convert("L")
    image.save(tmp_path / name, **options)
    for game in (inpaint_game(), upscale_game()):
        assert applied(tmp_path / name, game, overwrite=True).failed == []
        with Image.open(tmp_path / name) as before, Image.open(tmp_path / "out" / name) as after:
            assert after.format == before.format
            assert after.size == (32 * game.scale, 24 * game.scale)


def test_a_colour_under_alpha_does_not_come_out(tmp_path: Path) -> None:
    pixels = np.zeros((24, 32, 4), np.uint8)  # black where nothing is seen
    pixels[6:18, 8:24] = (250, 200, 240, 255)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    torch.manual_seed(0)
    game = upscale_game()
    game.generator.conv_last.weight.data.zero_()  # type: ignore[union-attr]
    assert applied(tmp_path / "p.png", game).failed == []
    made = np.asarray(Image.open(tmp_path / "out" / "p.png")).astype(int)
    seen = made[made[..., 3] > 8]
    assert np.abs(seen[:, :3] - (250, 200, 240)).max() <= 4
    nothing = Image.new("RGBA", (5, 4), (9, 8, 7, 0))
    assert (network_input(game, nothing) == (9, 8, 7)).all(), "nothing is seen at all"


@pytest.mark.parametrize("build", [inpaint_game, upscale_game])
@pytest.mark.parametrize(
    ("channels", "mode", "name"), [(1, "RGB", "p.png"), (1, "RGBA", "p.png"), (4, "RGB", "p.jpg"), (4, "L", "p.png")]
)
def test_models_that_repair_keep_grey_grey_and_colour_coloured(
    tmp_path: Path, build: object, channels: int, mode: str, name: str
) -> None:
    image = Image.fromarray(noise()).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(noise(channels=1)))
    image.save(tmp_path / name)
    game = build(channels)  # type: ignore[operator]
    assert applied(tmp_path / name, game).failed == []
    with Image.open(tmp_path / "out" / name) as made:
        assert made.mode == mode
        if game.takes_mask and name == "p.png":
            assert np.array_equal(outside_box(np.asarray(made)), outside_box(np.asarray(image)))
        if channels == 1:
            colours = np.asarray(made.convert("RGB"))
            assert np.ptp(colours.astype(int), 2).mean() > 20


@pytest.mark.parametrize("sides", [(3, 1), (1, 3)])
def test_both_ways_between_grey_and_colour(tmp_path: Path, sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    config = cyclegan.Config(width=4, blocks=1, width_discriminator=8, identity=0.0)
    game = cyclegan.CycleGAN(config, ImageSpec(32, 32, sides[0], other_channels=sides[1])).eval()
    Image.fromarray(noise()).save(tmp_path / "p.png")
    modes = {1: "L", 3: "RGB"}
    for direction, mode in (("ab", modes[sides[1]]), ("ba", modes[sides[0]])):
        assert applied(tmp_path / "p.png", game, direction=direction, overwrite=True).failed == []  # type: ignore[arg-type]
        with Image.open(tmp_path / "out" / "p.png") as made:
            assert made.mode == mode


# --- what cannot be done ------------------------------------------------------------------------------------------


def test_a_result_that_its_format_cannot_hold_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(noise()).save(tmp_path / "p.webp")
    monkeypatch.setitem(__import__("gansmith.apply.storing", fromlist=["x"])._LONGEST, "WEBP", 60)
    game = upscale_game()
    monkeypatch.setattr(game, "translate", lambda *args, **kwargs: pytest.fail("it was translated"))
    [(_, reason)] = applied(tmp_path / "p.webp", game).failed
    assert "64x48" in reason
    assert "PNG" in reason
    monkeypatch.undo()

    def refuses(self: Image.Image, *args: object, **kwargs: object) -> None:
        raise ValueError("encoding error 5: Image size exceeds WebP limit of 16383 pixels")

    monkeypatch.setattr(Image.Image, "save", refuses)
    [(_, reason)] = applied(tmp_path / "p.webp").failed
    assert "encoding error 5" in reason
    assert list((tmp_path / "out").iterdir()) == [], "nothing is left behind"


def test_large_pictures_are_taken_where_they_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise()).save(tmp_path / "p.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert applied(tmp_path / "p.png").failed == []
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr("gansmith.apply.files._USUAL_PIXELS", 100)
    monkeypatch.setattr("gansmith.apply.files.default_memory_limit", lambda: 1000)
    [(_, reason)] = applied(tmp_path / "p.png", overwrite=True).failed
    assert "GB of memory" in reason
    monkeypatch.setattr("gansmith.apply.files.MOST_PIXELS", 700)
    [(_, reason)] = applied(tmp_path / "p.png", overwrite=True).failed
    assert "32x24 pixels are over the limit" in reason


def test_the_output_is_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_out(tmp_path / "not" / "there" / "yet")
    (tmp_path / "file").write_text("x")
    with pytest.raises(GansmithError, match="not a folder"):
        check_out(tmp_path / "file" / "below")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(GansmithError, match="not a folder"):
        check_out(tmp_path / "link" / "below")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(GansmithError, match="nothing may be written"):
        check_out(tmp_path)


def test_strips_have_names_of_their_own_and_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("p.jpg", "p.png"):
        Image.fromarray(noise()).save(tmp_path / name)
    items, out = find_pictures([str(tmp_path / "p.jpg"), str(tmp_path / "p.png")]), tmp_path / "out"
    options = Options(boxes=((2, 3, 4, 5),), compare=True)

    def strips() -> list[str]:
        return sorted(p.name for p in (out / "compare").iterdir())

    assert apply_to_pictures(inpaint_game(), items, out, options).failed == []
    assert strips() == ["p.png", "p.png.png"]
    first = (out / "compare" / "p.png").read_bytes()
    (out / "p.jpg").unlink()
    assert apply_to_pictures(inpaint_game(), items[:1], out, options).failed == [], "an old strip stops no result"
    assert (out / "p.jpg").exists()
    assert (out / "compare" / "p.png").read_bytes() == first, "and is not replaced"
    assert strips() == ["p.jpg.png", "p.png", "p.png.png"]
    for item in items:  # two runs of one picture each
        assert apply_to_pictures(inpaint_game(), [item], tmp_path / "again", options).failed == []
    assert sorted(p.name for p in (tmp_path / "again" / "compare").iterdir()) == ["p.png", "p.png.png"]

    def full(*args: object, **kwargs: object) -> Image.Image:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gansmith.apply.files.comparison", full)
    report = apply_to_pictures(inpaint_game(), items[:1], tmp_path / "full", options)
    assert report.failed == []
    assert (tmp_path / "full" / "p.jpg").exists()
    assert "strip could not be written" in report.notes[0][1]
