"""Pictures of more than 8 bits: their range, training on all of it, and results that keep every bit."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from gansmith.apply.deep import trained_range
from gansmith.apply.files import Options, Report, apply_to_pictures
from gansmith.apply.finding import find_pictures
from gansmith.config import TrainSettings
from gansmith.data import open_paired, open_photographs, open_pictures
from gansmith.data.check import check
from gansmith.data.depth import Range, likely_range, stretched, unstretched
from gansmith.data.pack import pack
from gansmith.data.planning import settle_range, survey
from gansmith.data.png16 import png16
from gansmith.data.specs import open_source
from gansmith.data.training import open_training_data
from gansmith.errors import DataError
from gansmith.files.pictures import to_float
from gansmith.game import ImageSpec
from gansmith.gans import colorize, gan, inpaint, upscale
from gansmith.translation import Translation


def wave(index: int, height: int = 32, width: int = 40, top: int = 4095) -> np.ndarray:
    """Smooth, from 0 to ``top``; uint16 [H, W]."""
    y, x = np.mgrid[:height, :width]
    values = (np.sin(x / 7 + index) + np.cos(y / 5 + index) + 2) / 4
    values = (values - values.min()) / np.ptp(values)
    return np.rint(values * top).astype(np.uint16)


def wave_rgb(index: int, **shape: int) -> np.ndarray:
    return np.stack([wave(index + k, **shape) for k in range(3)], -1)


def twelve_bits(folder: Path, count: int = 12) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(wave(i)).save(folder / f"{i:02d}.png")
    return folder


# --- the range ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 255, (0, 255)),
        (17, 900, (0, 1023)),
        (3, 4012, (0, 4095)),
        (0, 20_000, (0, 65535)),
        (0, 65535, (0, 65535)),
        (30_000, 34_000, (30_000, 34_000)),
        (0, 1, (0, 1)),
        (7, 7, (0, 255)),
        (-1000, 3000, (-1000, 3000)),
    ],
)
def test_the_likely_range(low: int, high: int, expected: tuple[int, int]) -> None:
    found = likely_range(low, high)
    assert (found.low, found.high) == expected
    for value in {low, high}:
        given = np.full((1, 1, 1), value, np.int16 if low < 0 else np.uint16)
        assert unstretched(stretched(given, found), given, found) == value, "and back without loss"


def test_the_range_is_that_of_the_whole_set_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gansmith.commands.data import main

    twelve_bits(tmp_path)
    Image.fromarray(np.full((32, 40), 12, np.uint16)).save(tmp_path / "dim.png")
    pictures = open_pictures(str(tmp_path))
    assert pictures.known_range == Range(0, 4095)
    assert pictures.fetch(np.array([12]))[0].unique().tolist() == [1], (
        "12 of 4095, however dim the picture is by itself"
    )
    report = check(str(tmp_path))
    assert report.range == "0 to 4095, 12 bits (by the data)"
    assert main(["check", str(tmp_path)]) == 0
    assert "0 to 4095, 12 bits" in capsys.readouterr().out
    assert pictures.hash != open_pictures(f"{tmp_path}[:12]").hash


def test_tags_tell_the_range_where_the_pictures_keep_to_them(tmp_path: Path) -> None:
    for i in range(3):
        tifffile.imwrite(tmp_path / f"{i}.tif", wave(i, top=1000), extratags=[(281, 3, 1, 4095, True)])
    assert open_pictures(str(tmp_path)).known_range == Range(0, 4095, "tags")
    tifffile.imwrite(tmp_path / "3.tif", wave(3, top=60_000), extratags=[(281, 3, 1, 4095, True)])
    assert open_pictures(str(tmp_path)).known_range == Range(0, 65535, "the data"), "tags that lie"


def test_a_pgm_says_its_largest_number_itself(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 40 32 4095\n" + wave(0, top=2000).astype(">u2").tobytes())
    assert open_pictures(str(tmp_path)).known_range == Range(0, 65535, "tags")
    assert int(open_pictures(str(tmp_path)).fetch(np.array([0]))[0].max()) == round(2000 / 4095 * 255)


def test_signed_numbers_and_floats(tmp_path: Path) -> None:
    for i in range(3):
        tifffile.imwrite(tmp_path / f"{i}.tif", wave(i, top=4000).astype(np.int16) - 1000)
    pictures = open_pictures(str(tmp_path))
    assert pictures.known_range == Range(-1000, 3000)
    assert pictures.fetch(np.array([0]))[0].unique().numel() > 200
    Image.fromarray((wave(0) / 4095).astype(np.float32)).save(tmp_path / "3.tif")
    mixed = open_pictures(str(tmp_path)).fetch_deep(np.array([3]))[0]
    assert torch.equal(
        mixed[0, 0], torch.from_numpy(np.rint((wave(0) / 4095).astype(np.float32) * 65535) - 32768).short()
    )


# --- training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 0])
def test_all_bits_reach_the_networks(tmp_path: Path, limit: int | None) -> None:
    pictures = open_pictures(str(twelve_bits(tmp_path)), memory_limit=limit)
    deep, _ = pictures.fetch_deep(np.array([0, 1]))
    assert deep.dtype == torch.int16
    exact = torch.from_numpy(wave(1) / 4095 * 2 - 1).float()
    assert (to_float(deep)[1, 0] - exact).abs().max() < 2e-5
    assert to_float(deep).unique().numel() > 1000
    eight = pictures.fetch(np.array([1]))[0]
    assert eight.dtype == torch.uint8
    assert (eight[0, 0].numpy() == np.rint(wave(1) / 4095 * 255)).mean() > 0.999


def test_the_batches_of_a_run_have_all_bits_and_its_facts_the_range(tmp_path: Path) -> None:
    twelve_bits(tmp_path, 40)
    settings = TrainSettings(data=(str(tmp_path),), size=32)
    data = open_training_data(gan.GAN, settings, gan.Config(), pytest.fail)
    batch = data.batches(8, 0, torch.device("cpu"), False).at(0)
    assert batch.images.unique().numel() > 1000
    assert data.facts()["range"] == [0, 4095]
    assert "0 to 4095, 12 bits" in data.describe()
    assert trained_range({"data": data.facts()}) == Range(0, 4095, "the model")
    for nonsense in ({}, {"data": {"range": [4, 1]}}, {"data": {"range": "0"}}, {"data": []}):
        assert trained_range(nonsense) is None
    windows = open_training_data(
        inpaint.Inpaint, TrainSettings(data=(str(tmp_path),), size=16), inpaint.Config(), pytest.fail
    )
    assert windows.batches(8, 0, torch.device("cpu"), False).at(0).images.unique().numel() > 500


@pytest.mark.parametrize("limit", [None, 0])
def test_windows_have_all_bits_too(tmp_path: Path, limit: int | None) -> None:
    photographs = open_photographs(str(twelve_bits(tmp_path)), channels=1, min_size=16, memory_limit=limit)
    where = np.array([[0.0, 0.0]])
    assert photographs.crops(np.array([2]), 16, where).dtype == torch.uint8
    deep = photographs.crops(np.array([2]), 16, where, deep=True)
    assert (to_float(deep)[0, 0] - torch.from_numpy(wave(2)[:16, :16] / 4095 * 2 - 1).float()).abs().max() < 2e-5


@pytest.mark.parametrize("kind", ["png", "tif", "planes.tif", "lzw.tif"])
def test_colours_of_16_bits(tmp_path: Path, kind: str) -> None:
    for i in range(2):
        path, array = tmp_path / f"{i}.{kind}", wave_rgb(i)
        if kind == "png":
            path.write_bytes(png16(array))
        elif kind == "lzw.tif":
            import cv2

            cv2.imwrite(str(path), array[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
        else:
            separate = kind == "planes.tif"
            tifffile.imwrite(
                path,
                array.transpose(2, 0, 1).copy() if separate else array,
                photometric="rgb",
                planarconfig="separate" if separate else "contig",
            )
    pictures = open_pictures(str(tmp_path))
    assert pictures.spec.channels == 3
    exact = torch.from_numpy(wave_rgb(1).transpose(2, 0, 1) / 4095 * 2 - 1).float()
    assert (to_float(pictures.fetch_deep(np.array([1]))[0])[0] - exact).abs().max() < 2e-5
    assert check(str(tmp_path)).modes == {"RGB;16": 2}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_deep_pictures_are_set_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    from PIL import ImageOps

    grey, colour = tmp_path / f"grey.{ending}", tmp_path / f"colour.{ending}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(wave(0)).save(grey, exif=exif)
    if ending == "png":
        colour.write_bytes(png16(wave_rgb(0), {"exif": exif}))
    else:
        tifffile.imwrite(colour, wave_rgb(0), photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    with (
        grey.open("rb") as file,
        Image.open(file) as image,
    ):  # given a path, Pillow 12 maps turned TIFFs into memory wrongly
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == ((40, 32) if orientation >= 5 else (32, 40))
    source = open_source(str(tmp_path))
    for i, name in enumerate(source.names):
        held = source.deep(i)
        assert held is not None
        assert (source.header(i).width, source.header(i).height) == (held.shape[1], held.shape[0])
        assert np.array_equal(held[..., 0], expected), name


def test_resizing_grey_alpha_and_arrays(tmp_path: Path) -> None:
    pictures = open_pictures(str(twelve_bits(tmp_path / "a")), size=16)
    deep = pictures.fetch_deep(np.array([0]))[0]
    eight = pictures.fetch(np.array([0]))[0]
    assert deep.unique().numel() > 200
    assert (eight.float() - (deep.float() + 32768) / 257).abs().max() <= 0.51
    np.savez(tmp_path / "set.npz", x=np.stack([wave(i) for i in range(3)]))
    held = open_pictures(str(tmp_path / "set.npz"))
    assert held.known_range == Range(0, 4095)
    assert (
        to_float(held.fetch_deep(np.array([2]))[0])[0, 0] - torch.from_numpy(wave(2) / 4095 * 2 - 1)
    ).abs().max() < 2e-5
    colour = np.stack([wave_rgb(i) for i in range(3)])
    np.savez(tmp_path / "rgb.npz", x=colour)
    grey = open_pictures(str(tmp_path / "rgb.npz"), channels=1, size=(32, 40))
    weighted = (colour[0] @ np.array([0.299, 0.587, 0.114])) / 4095 * 2 - 1
    assert (to_float(grey.fetch_deep(np.array([0]))[0])[0, 0].numpy() - weighted).max() < 1e-4
    alpha = np.full((8, 8, 1), 65535, np.uint16)
    alpha[:4] = 0
    (tmp_path / "alpha.png").write_bytes(png16(np.concatenate([np.full((8, 8, 3), 1000, np.uint16), alpha], 2)))
    source = open_source(str(tmp_path / "alpha.png"))
    settle_range(source, list(survey(source)[0].values()))
    pixels = source.deep_pixels(0, 3, None)
    assert (pixels[:4] == 65535).all(), "transparent pixels lie on white"
    assert (pixels[4:] == round(1000 * 65535 / 1023)).all()


def test_pairs_keep_all_bits(tmp_path: Path) -> None:
    for i in range(4):
        both = np.hstack([wave(i, width=32), 4095 - wave(i, width=32)])
        Image.fromarray(both).save(tmp_path / f"{i}.png")
    pairs = open_paired(f"halves:{tmp_path}")
    a, b = (side.fetch_deep(np.array([1]))[0] for side in (pairs.a, pairs.b))
    assert a.unique().numel() > 500
    assert (to_float(a) + to_float(b)).abs().max() < 5e-5
    assert pairs.known_range == Range(0, 4095)


def test_packing_keeps_all_bits(tmp_path: Path) -> None:
    twelve_bits(tmp_path / "in")
    pack(str(tmp_path / "in"), tmp_path / "same")
    pack(str(tmp_path / "in"), tmp_path / "small", size=16)
    for folder, size in (("same", None), ("small", 16)):
        packed, plain = open_pictures(str(tmp_path / folder)), open_pictures(str(tmp_path / "in"), size=size)
        one, other = (p.fetch_deep(np.arange(12))[0].sort(0)[0].int() for p in (packed, plain))
        assert (one - other).abs().max() <= 1
        assert packed.known_range == Range(0, 4095 if size is None else 65535)
    assert open_source(str(tmp_path / "same")).header(0).bits == 16


# --- results -------------------------------------------------------------------------------------------------------

BOX = (8, 4, 10, 9)


def repairing(channels: int = 1) -> Translation:
    torch.manual_seed(0)
    return inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, channels)).eval()  # type: ignore[return-value]


def applied(path: Path, game: Translation, **options: object) -> Report:
    if game.takes_mask:
        options["boxes"] = (BOX,)
    found = find_pictures([str(path)])
    return apply_to_pictures(game, found, path.parent / "out", Options(overwrite=True, **options))  # type: ignore[arg-type]


def read(path: Path) -> np.ndarray:
    held = open_source(str(path)).deep(0)
    assert held is not None, "16 bits"
    return held


def outside() -> np.ndarray:
    x, y, width, height = BOX
    known = np.ones((32, 40), bool)
    known[y : y + height, x : x + width] = False
    return known


def write_deep(path: Path, orientation: int = 1) -> np.ndarray:
    """A 12-bit picture as the name says; returns its numbers as they lie in the file."""
    exif = Image.Exif()
    if orientation > 1:
        exif[0x0112] = orientation
    tags = [(274, 3, 1, orientation, True)] if orientation > 1 else []
    if path.name in ("grey.png", "grey.tif", "grey.jp2"):
        array = wave(0)[..., None]
        Image.fromarray(array[..., 0]).save(path, **({} if path.suffix == ".jp2" else {"exif": exif}))
    elif path.name == "rgb.png":
        array = wave_rgb(0)
        path.write_bytes(png16(array, {"exif": exif}))
    elif path.name == "rgba.png":
        array = np.dstack([wave_rgb(0), wave(5, top=65535)])
        path.write_bytes(png16(array, {"exif": exif}))
    elif path.name == "rgb.tif":
        array = wave_rgb(0)
        tifffile.imwrite(path, array, photometric="rgb", extratags=tags)
    elif path.name == "signed.tif":
        array = (wave(0).astype(np.int16) - 1000)[..., None]
        tifffile.imwrite(path, array[..., 0], extratags=tags)
    else:
        array = (wave(0) / 4095).astype(np.float32)[..., None]
        Image.fromarray(array[..., 0]).save(path, exif=exif)
    return array


NAMES = ["grey.png", "grey.tif", "grey.jp2", "rgb.png", "rgba.png", "rgb.tif", "signed.tif", "float.tif"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_under_the_mask_comes_back_bit_for_bit(tmp_path: Path, name: str, channels: int) -> None:
    given = write_deep(tmp_path / name)
    assert applied(tmp_path / name, repairing(channels)).failed == []
    made = read(tmp_path / "out" / name)
    assert (made.shape, made.dtype) == (given.shape, given.dtype)
    assert np.array_equal(made[outside()], given[outside()])
    colours = slice(0, 3 if given.shape[2] > 2 else 1)
    filled = made[~outside()][:, colours]
    assert not np.array_equal(filled, given[~outside()][:, colours])
    low, high = given[..., colours].min(), given[..., colours].max()
    middle = (filled.astype(float).mean() - low) / (high - low)
    assert 0.05 < middle < 0.95, "in the range of the picture, not of the format"
    assert len(np.unique(filled)) > 60


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "rgb.png", "rgb.tif"])
def test_deep_files_that_are_turned_stay_turned(tmp_path: Path, name: str, orientation: int) -> None:
    write_deep(tmp_path / name, orientation)
    assert applied(tmp_path / name, repairing()).failed == []
    given, made = read(tmp_path / name), read(tmp_path / "out" / name)
    x, y, width, height = BOX
    known = np.ones(given.shape[:2], bool)
    known[y : y + height, x : x + width] = False
    assert np.array_equal(made[known], given[known])
    assert not np.array_equal(made, given)
    with Image.open(tmp_path / "out" / name) as image:
        assert image.getexif().get(0x0112, 1) == orientation


def test_profile_and_resolution_stay_with_16_bits_of_colour(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "rgb.png").write_bytes(png16(wave_rgb(0), {"icc_profile": profile, "dpi": (300, 300)}))
    tifffile.imwrite(
        tmp_path / "rgb.tif",
        wave_rgb(0),
        photometric="rgb",
        iccprofile=profile,
        resolution=(300, 300),
        resolutionunit=2,
    )
    for name in ("rgb.png", "rgb.tif"):
        assert applied(tmp_path / name, repairing()).failed == []
        with Image.open(tmp_path / "out" / name) as image:
            assert image.info["icc_profile"] == profile
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_the_models_own_range_is_taken_where_the_picture_keeps_to_it(tmp_path: Path) -> None:
    game = repairing()
    dim = wave(0, top=200)
    Image.fromarray(dim).save(tmp_path / "dim.png")
    assert applied(tmp_path / "dim.png", game).failed == []
    by_itself = read(tmp_path / "out" / "dim.png")
    assert applied(tmp_path / "dim.png", game, trained=Range(0, 4095)).failed == []
    as_trained = read(tmp_path / "out" / "dim.png")
    assert by_itself.max() <= 255
    assert not np.array_equal(by_itself, as_trained)
    assert np.array_equal(as_trained[outside()][:, 0], dim[outside()])


def test_a_deep_hole_and_tiles_in_16_bits(tmp_path: Path) -> None:
    from gansmith.apply.tiles import translate_picture

    game, given = repairing(), stretched(wave(0, 160, 160)[..., None], Range(0, 4095))
    mask = np.zeros((160, 160), bool)
    mask[8:152, 8:152] = True
    made = translate_picture(game, given, mask=mask, tile=144)
    eight = translate_picture(game, (given // 257).astype(np.uint8), mask=mask, tile=144)
    assert made.dtype == np.uint16
    assert np.array_equal(made[~mask], given[~mask])
    assert np.abs(made[mask].astype(int) / 257 - eight[mask]).mean() < 2, "the same repair, finer"
    assert len(np.unique(made[mask])) > 2 * len(np.unique(eight[mask]))


def test_enlarged_and_coloured_in_16_bits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = upscale.Config(scale=2, width=8, blocks=1, width_discriminator=8)
    twice: Translation = upscale.Upscale(config, ImageSpec(32, 32, 3)).eval()  # type: ignore[assignment]
    for name in ("grey.png", "rgb.png", "rgba.png", "grey.tif"):
        given = write_deep(tmp_path / name)
        assert applied(tmp_path / name, twice, compare=True).failed == []
        made = read(tmp_path / "out" / name)
        assert made.shape == (64, 80, given.shape[2])
        assert len(np.unique(made[..., 0])) > 300
    torch.manual_seed(0)
    paint: Translation = colorize.Colorize(colorize.Config(width=8, width_discriminator=8), ImageSpec(16, 16, 3)).eval()  # type: ignore[assignment]
    write_deep(tmp_path / "grey.png")
    assert applied(tmp_path / "grey.png", paint).failed == []
    made = read(tmp_path / "out" / "grey.png")
    assert made.shape == (32, 40, 3), "colours of 16 bits"
    assert len(np.unique(made[..., 0])) > 300


def test_a_run_and_its_results_keep_the_range(tmp_path: Path) -> None:
    """From 12-bit files to a trained model and back, by the command line alone."""
    from gansmith.cli import main

    (tmp_path / "data").mkdir()
    (tmp_path / "in").mkdir()
    for i in range(4):
        Image.fromarray(wave(i, 64, 64)).save(tmp_path / "data" / f"{i}.png")
    dim = wave(9, 40, 40, top=500)
    Image.fromarray(dim).save(tmp_path / "in" / "p.png")
    run = tmp_path / "run"
    words = [
        "--size",
        "32",
        "--steps",
        "1",
        "--batch",
        "2",
        "--width",
        "8",
        "--width-discriminator",
        "8",
        "--out",
        str(run),
    ]
    assert main(["train", "inpaint", "--data", str(tmp_path / "data"), *words]) == 0
    assert json.loads((run / "model" / "config.json").read_text())["data"]["range"] == [0, 4095]
    assert (
        main(["apply", str(run), str(tmp_path / "in" / "p.png"), "--box", "4,4,8,8", "--out", str(tmp_path / "out")])
        == 0
    )
    made = read(tmp_path / "out" / "p.png")[..., 0]
    dim[4:12, 4:12] = made[4:12, 4:12] = 0
    assert np.array_equal(made, dim)


def test_numbers_that_are_no_picture_are_refused_with_a_reason(tmp_path: Path) -> None:
    for i in range(20):
        Image.fromarray(wave(i)).save(tmp_path / f"{i:02d}.png")
    tifffile.imwrite(tmp_path / "wide.tif", wave(0).astype(np.uint32) * 70_000)
    Image.fromarray(wave(0).astype(np.float32)).save(tmp_path / "float.tif")
    assert dict(open_pictures(str(tmp_path)).skipped) == {
        "wide.tif": "its pixels are 32-bit integers; save it with 8 or 16 bits",
        "float.tif": "its pixels are floats outside [0, 1]; save it with 8 or 16 bits",
    }
    damaged = bytearray(png16(wave_rgb(0)))
    damaged[60:90] = bytes(30)
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.png").write_bytes(damaged)
    with pytest.raises(DataError, match=r"a\.png"):
        open_pictures(str(tmp_path / "only"))


def test_grey_with_alpha_of_16_bits_is_grey(tmp_path: Path) -> None:
    array = np.dstack([wave(0), np.full((32, 40), 65535, np.uint16)])
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 32, 16, 4, 0, 0, 0))
    (tmp_path / "la.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    )
    pictures = open_pictures(str(tmp_path))
    assert pictures.spec.channels == 1
    assert pictures.fetch_deep(np.array([0]))[0].unique().numel() > 1000
