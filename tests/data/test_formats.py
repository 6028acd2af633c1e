"""Every kind of picture file that Pillow decodes, colours of inks, pages and frames, and what is passed over."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from gansmith.apply.files import Options, apply_to_pictures
from gansmith.apply.finding import find_pictures
from gansmith.cli import main
from gansmith.data import StreamedPictures, open_paired, open_pictures
from gansmith.data.check import check
from gansmith.data.colours import printed
from gansmith.data.formats import EXTENSIONS, FORMATS, UNREAD, reason_for
from gansmith.data.pack import pack
from gansmith.data.pages import MOST_PAGES
from gansmith.data.specs import open_source
from gansmith.errors import DataError
from gansmith.game import ImageSpec
from gansmith.gans import inpaint


def picture(index: int = 0, height: int = 24, width: int = 32) -> np.ndarray:
    """A smooth gradient whose blue is ``index``; uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, index)], -1).astype(np.uint8)


def everything(spec: Path) -> np.ndarray:
    pictures = open_pictures(str(spec))
    return pictures.fetch(np.arange(len(pictures)))[0].numpy().transpose(0, 2, 3, 1)


# --- formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "needs"),
    [
        *[(ending, "") for ending in ("tga", "pcx", "sgi", "rgb", "dds", "ico", "jp2", "j2k", "apng", "webp", "pnm")],
        ("avif", "avif"),
        ("qoi", "QOI"),
    ],
)
def test_more_formats_are_read_and_written_back(tmp_path: Path, ending: str, needs: str) -> None:
    if needs == "avif" and not ("avif" in features.modules and features.check("avif")):
        pytest.skip("this Pillow has no AVIF")
    if needs == "QOI" and "QOI" not in Image.SAVE:
        pytest.skip("this Pillow writes no QOI")
    size = (32, 32) if ending in ("ico", "dds") else (24, 32)
    options = {"sizes": [(32, 32)]} if ending == "ico" else {}
    Image.fromarray(picture(90, *size)).save(tmp_path / f"p.{ending}", **options)
    made = everything(tmp_path)[0]
    assert np.abs(made.astype(int) - picture(90, *size)).mean() < 6
    game = inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 3)).eval()
    found = find_pictures([str(tmp_path / f"p.{ending}")])
    report = apply_to_pictures(game, found, tmp_path / "out", Options(boxes=((2, 3, 4, 5),)))  # type: ignore[arg-type]
    assert report.failed == []
    with Image.open(tmp_path / f"p.{ending}") as before, Image.open(tmp_path / "out" / f"p.{ending}") as after:
        assert (after.format, after.size) == (before.format, before.size)
    assert np.abs(everything(tmp_path / "out")[0].astype(int) - made).mean() < 12


def test_what_is_read_only_is_said_before_the_work(tmp_path: Path) -> None:
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 24, 32, 8, 3) + bytes(12)
    (tmp_path / "p.psd").write_bytes(head + b"\0\0" + picture(9).transpose(2, 0, 1).tobytes())
    assert np.array_equal(everything(tmp_path)[0], picture(9))
    game = inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 3)).eval()
    found = find_pictures([str(tmp_path / "p.psd")])
    [(_, reason)] = apply_to_pictures(game, found, tmp_path / "out", Options(boxes=((2, 3, 4, 5),))).failed  # type: ignore[arg-type]
    assert "PSD files can be read and not written; save the picture as PNG or TIFF first" in reason


def test_nothing_that_runs_programs_is_among_the_formats() -> None:
    assert not {"EPS", "WMF", "PDF", "BUFR", "GRIB", "HDF5"} & set(FORMATS)
    assert EXTENSIONS.isdisjoint(UNREAD)
    assert all(ending == ending.lower() and ending.startswith(".") for ending in (*EXTENSIONS, *UNREAD))


PHONE, HEAD, REASON = (
    (".jxl", b"\0\0\0\x0cJXL \r\n\x87\n", "convert it to PNG first")
    if "HEIF" in FORMATS
    else (".HEIC", b"\0\0\0\x18ftypheic", "pip install pillow-heif")
)
"""Pictures that cannot be read here: those of phones, unless their plugin is installed."""


def test_pictures_of_phones_are_not_lost_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(13):
        Image.fromarray(picture(i)).save(tmp_path / f"{i}.jpg")
    for i in range(14):
        (tmp_path / f"IMG_{i}{PHONE}").write_bytes(HEAD + bytes(200))
    (tmp_path / "film.MOV").write_bytes(b"\0\0\0\x14ftypqt  ")
    assert main(["data", "check", str(tmp_path)]) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith(f"13 of 28 pictures can be read (14 {PHONE.lower()}: ")
    assert REASON in last
    assert "1 .mov: films are not read" in last
    assert main(["data", "check", str(tmp_path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["unread"]) == 15
    run = tmp_path.parent / "run"
    words = ["--size", "16", "--steps", "1", "--batch", "4", "--width", "8", "--out", str(run)]
    assert main(["train", "gan", "--data", str(tmp_path), *words]) == 0
    assert f"13 of 28 pictures can be used. 14 {PHONE.lower()}: " in capsys.readouterr().err
    assert len((run / "skipped.tsv").read_text().splitlines()) == 15
    only = tmp_path / "only"
    only.mkdir()
    (tmp_path / f"IMG_0{PHONE}").rename(only / f"a{PHONE}")
    with pytest.raises(DataError, match=rf"no pictures that can be read here: 1 {PHONE.lower()}: .*{REASON}"):
        open_pictures(str(only))
    (only / f"a{PHONE}").rename(only / "a.jpg")
    with pytest.raises(DataError, match="not a picture of a known format: "):
        open_pictures(str(only))


def test_what_apply_cannot_read_fails_with_a_reason(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    (tmp_path / f"b{PHONE}").write_bytes(HEAD + bytes(200))
    game = inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 3)).eval()
    report = apply_to_pictures(game, find_pictures([str(tmp_path)]), tmp_path / "out", Options(boxes=((2, 3, 4, 5),)))  # type: ignore[arg-type]
    assert len(report.written) == 1
    assert "not a picture of a known format: " in dict(report.failed)[str(tmp_path / f"b{PHONE}")]


def test_heif_is_read_where_its_plugin_is(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    Image.fromarray(picture(90)).save(tmp_path / "p.heic", quality=95)
    assert np.abs(everything(tmp_path)[0].astype(int) - picture(90)).mean() < 8
    game = inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 3)).eval()
    found = find_pictures([str(tmp_path / "p.heic")])
    assert apply_to_pictures(game, found, tmp_path / "out", Options(boxes=((2, 3, 4, 5),))).failed == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\0\0\0\x18ftypheic", "pillow-heif"),
        (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
        (b"%PDF-1.7", "export them as PNG"),
        (b"\0\0\0\x14ftypqt  ", "films"),
        (bytes(128) + b"DICM", "16-bit TIFF"),
        (b"hello", "not a picture of a known format"),
    ],
)
def test_content_says_what_it_is(head: bytes, said: str) -> None:
    assert said in reason_for(head)


def test_a_large_colour_profile_is_read_and_kept(tmp_path: Path) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile += np.random.default_rng(0).integers(0, 256, 3 << 20, dtype=np.uint8).tobytes()
    profile[:4] = struct.pack(">I", len(profile))
    for name in ("p.png", "p.jpg", "p.tif"):
        Image.fromarray(picture(7)).save(tmp_path / name, icc_profile=bytes(profile))
    assert len(everything(tmp_path)) == 3
    game = inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 3)).eval()
    report = apply_to_pictures(
        game, find_pictures([str(tmp_path / "p.png")]), tmp_path / "out", Options(boxes=((2, 3, 4, 5),))
    )  # type: ignore[arg-type]
    assert report.failed == []
    with Image.open(tmp_path / "out" / "p.png") as image:
        assert image.info["icc_profile"] == bytes(profile)


def test_a_profile_that_is_a_bomb_is_still_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(picture(7)).save(content, "PNG")
    data = b"x\0\0" + zlib.compress(bytes(64 << 20), 9)
    chunk = struct.pack(">I", len(data)) + b"iCCP" + data + struct.pack(">I", zlib.crc32(b"iCCP" + data))
    (tmp_path / "p.png").write_bytes(content.getvalue()[:33] + chunk + content.getvalue()[33:])
    with pytest.raises(DataError, match=r"p\.png"):
        open_pictures(str(tmp_path))


# --- inks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ink", "colour"),
    [  # what ISO Coated v2, a profile of this printing condition, gives for solid inks
        ((255, 0, 0, 0), (0, 159, 227)),
        ((0, 255, 0, 0), (230, 0, 126)),
        ((0, 0, 255, 0), (255, 237, 0)),
        ((0, 255, 255, 0), (227, 6, 19)),
        ((255, 0, 255, 0), (0, 150, 64)),
        ((255, 255, 0, 0), (49, 39, 131)),
        ((0, 0, 0, 255), (29, 29, 27)),
        ((0, 0, 0, 0), (255, 255, 255)),
        ((128, 0, 0, 0), (131, 208, 245)),
        ((0, 0, 0, 128), (157, 157, 156)),
    ],
)
def test_cmyk_without_a_profile_looks_printed(ink: tuple[int, ...], colour: tuple[int, ...]) -> None:
    made = printed(Image.new("CMYK", (3, 2), ink))
    assert (made.mode, made.size) == ("RGB", (3, 2))
    assert np.abs(np.array(made.getpixel((1, 1))) - colour).max() <= 8


def cmyk_profile() -> bytes:
    """An ICC profile of inks, made here: device to Lab by a table with two entries an ink, of Lab 50 +- what the ink does."""

    def table(values: np.ndarray, inputs: int) -> bytes:
        grid, entries = 2, 2
        linear = struct.pack(">2H", 0, 65535)
        head = struct.pack(
            ">4s4xBBBx9I2H",
            b"mft2",
            inputs,
            values.shape[-1],
            grid,
            *([65536, 0, 0, 0, 65536, 0, 0, 0, 65536]),
            entries,
            entries,
        )
        return head + linear * inputs + values.astype(">u2").tobytes() + linear * values.shape[-1]

    lab = np.zeros((2, 2, 2, 2, 3))
    for c, m, y, k in np.ndindex(2, 2, 2, 2):
        lightness = 100 * (1 - k) * (1 - 0.2 * (c + m + y))
        lab[c, m, y, k] = (
            lightness / 100 * 65280,
            (128 + 40 * (m - c) * (1 - k)) * 256,
            (128 + 40 * (y - c) * (1 - k)) * 256,
        )
    to_lab = table(lab.reshape(-1, 3), 4)
    to_ink = table(np.zeros((8, 4)), 3)
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = [
        (b"desc", description),
        (b"wtpt", white),
        (b"A2B0", to_lab),
        (b"B2A0", to_ink),
        (b"cprt", b"text\0\0\0\0none\0"),
    ]
    at, listed, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags:
        content += bytes(-len(content) % 4)
        listed += struct.pack(">4s2I", name, at + len(body), len(content))
        body += content
    head = struct.pack(
        ">I4s4s4s4s4s12s4s", at + len(body), b"lcms", b"\x02\x40\0\0", b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + listed + body


@pytest.mark.parametrize("name", ["p.jpg", "p.tif"])
def test_cmyk_goes_through_the_profile_in_the_file(tmp_path: Path, name: str) -> None:
    inks = Image.new("CMYK", (16, 16), (0, 128, 0, 0))
    options = {"quality": 100} if name == "p.jpg" else {}
    inks.save(tmp_path / name, icc_profile=cmyk_profile(), **options)
    given = ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile()))
    expected = ImageCms.profileToProfile(
        inks,
        given,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert expected is not None
    colour = np.array(expected.getpixel((3, 3)))
    assert np.abs(everything(tmp_path)[0, 3, 3].astype(int) - colour).max() <= 2
    naive, print_ = (np.array(image.getpixel((3, 3))) for image in (inks.convert("RGB"), printed(inks)))
    assert np.abs(colour - naive).max() > 30
    assert np.abs(colour - print_).max() > 15


def test_cmyk_with_a_damaged_profile_or_one_of_rgb_is_taken_for_a_print(tmp_path: Path) -> None:
    inks = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8), mode="CMYK")
    rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for i, profile in enumerate((b"nonsense" * 50, cmyk_profile()[:200], rgb)):
        inks.save(tmp_path / f"{i}.tif", icc_profile=profile)
    assert (everything(tmp_path) == np.asarray(printed(inks))).all()


def test_outside_the_mask_inks_keep_their_look(tmp_path: Path) -> None:
    """In CMYK files the whole picture had been turned to neon colours, not only the hole."""
    inks = Image.fromarray(picture(200)).convert("CMYK")
    inks.save(tmp_path / "p.tif", icc_profile=cmyk_profile())
    game = inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 3)).eval()
    report = apply_to_pictures(
        game, find_pictures([str(tmp_path / "p.tif")]), tmp_path / "out", Options(boxes=((2, 3, 4, 5),))
    )  # type: ignore[arg-type]
    assert report.failed == []
    assert "CMYK" in report.notes[0][1]
    before, after = everything(tmp_path / "p.tif")[0], everything(tmp_path / "out" / "p.tif")[0]
    assert np.array_equal(before[9:], after[9:])
    with Image.open(tmp_path / "out" / "p.tif") as made:
        assert made.mode == "RGB"
        assert made.info.get("icc_profile", bytes(16) + b"RGB ")[16:20] == b"RGB ", "not the one of inks"


def test_lab_is_read(tmp_path: Path) -> None:
    Image.new("LAB", (16, 16), (255, 128, 128)).save(tmp_path / "white.tif")
    assert everything(tmp_path).min() >= 250


# --- pages and frames ----------------------------------------------------------------------------------------------


def frames(count: int) -> list[Image.Image]:
    return [Image.fromarray(picture(20 * i)) for i in range(count)]


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("ending", ["tif", "gif", "webp", "png"])
def test_every_page_and_frame_is_a_picture(tmp_path: Path, ending: str, limit: int | None) -> None:
    options = {"lossless": True} if ending == "webp" else {"duration": 100} if ending == "gif" else {}
    if ending == "gif":
        made = [Image.new("RGB", (32, 24), (20 * i, 0, 255 - 20 * i)) for i in range(5)]
    else:
        made = frames(5)
    made[0].save(tmp_path / f"s.{ending}", save_all=True, append_images=made[1:], **options)
    Image.fromarray(picture(255)).save(tmp_path / "z.png")
    pictures = open_pictures(str(tmp_path), memory_limit=limit)
    assert isinstance(pictures, StreamedPictures) == (limit == 0)
    assert pictures.names == [*(f"s.{ending}#{i}" for i in range(5)), "z.png"]
    rows = np.array([3, 0, 4, 1, 5, 2, 2])
    fetched = pictures.fetch(rows)[0].numpy().transpose(0, 2, 3, 1)
    for slot, row in enumerate(rows):
        expected = picture(255) if row == 5 else np.asarray(made[row])
        assert np.abs(fetched[slot].astype(int) - expected).max() <= 8, row
    assert "5 pictures are pages or frames of 1 file(s), such as s." in pictures.notes[0]
    assert check(str(tmp_path)).pictures == 6
    assert len(set(check(str(tmp_path)).duplicates)) == 0


def test_a_stack_is_many_pictures_also_by_its_own_path_and_in_a_zip(tmp_path: Path) -> None:
    import zipfile

    stack = [Image.fromarray((picture(i)[:, :, 0] + i).astype(np.uint8)) for i in range(30)]
    stack[0].save(tmp_path / "s.tif", save_all=True, append_images=stack[1:])
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "s.tif", "in/s.tif")
    for spec in ("s.tif", "z.zip"):
        pictures = open_pictures(str(tmp_path / spec))
        assert (len(pictures), pictures.spec.channels) == (30, 1)
        assert np.array_equal(pictures.fetch(np.array([7]))[0][0, 0].numpy(), np.asarray(stack[7]))
    packed = pack(str(tmp_path / "s.tif"), tmp_path / "tars")
    assert packed.pictures == 30
    names = open_pictures(f"{tmp_path / 's.tif'}[10:12]").names
    assert names == ["s.tif#10", "s.tif#11"]


def test_pages_of_two_stacks_pair_up_by_their_number(tmp_path: Path) -> None:
    for side, change in (("a", 0), ("b", 100)):
        (tmp_path / side).mkdir()
        for name in ("x", "y"):
            stack = [Image.new("L", (16, 16), 10 * i + change + (name == "y")) for i in range(3)]
            stack[0].save(tmp_path / side / f"{name}.tif", save_all=True, append_images=stack[1:])
    pairs = open_paired(str(tmp_path / "a"), str(tmp_path / "b"))
    a, b = (side.fetch(np.arange(6))[0][:, 0, 0, 0].tolist() for side in (pairs.a, pairs.b))
    assert a == [0, 10, 20, 1, 11, 21]
    assert b == [value + 100 for value in a]


def test_smaller_copies_in_a_tiff_are_no_pictures(tmp_path: Path) -> None:
    import tifffile

    with tifffile.TiffWriter(tmp_path / "p.tif") as writer:
        writer.write(picture(1), photometric="rgb")
        writer.write(picture(1)[::2, ::2].copy(), photometric="rgb", subfiletype=1)
        writer.write(picture(9), photometric="rgb")
    assert open_pictures(str(tmp_path)).names == ["p.tif#0", "p.tif#2"]


def test_a_grey_animation_is_grey(tmp_path: Path) -> None:
    made = [Image.new("L", (16, 16), 40 * i) for i in range(4)]
    made[0].save(tmp_path / "a.gif", save_all=True, append_images=made[1:])
    pictures = open_pictures(str(tmp_path))
    assert pictures.spec.channels == 1
    assert pictures.fetch(np.arange(4))[0][:, 0, 0, 0].tolist() == [0, 40, 80, 120]


def test_the_number_of_pages_is_bounded_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_PAGES == 10_000
    monkeypatch.setattr("gansmith.data.pages.MOST_PAGES", 3)
    stack = [Image.new("L", (16, 16), i) for i in range(8)]
    stack[0].save(tmp_path / "s.tif", save_all=True, append_images=stack[1:])
    source = open_source(str(tmp_path))
    assert source.names == ["s.tif#0", "s.tif#1", "s.tif#2"]
    assert "'s.tif' holds 8 pictures, of which the first 3 are taken" in source.notes


def test_a_stack_that_is_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    stack = [Image.fromarray(picture(i)) for i in range(12)]
    stack[0].save(tmp_path / "s.gif", save_all=True, append_images=stack[1:])
    content = (tmp_path / "s.gif").read_bytes()
    (tmp_path / "s.gif").write_bytes(content[: len(content) * 19 // 20])
    report = check(str(tmp_path))
    assert report.pictures >= 11
    assert len(report.broken) <= 1


def test_reading_a_long_animation_takes_time_in_proportion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are decoded one after the other: opening the file anew for each would decode all before it again."""
    from PIL import GifImagePlugin

    made = [Image.new("RGB", (16, 16), (i, 0, 0)) for i in range(60)]
    made[0].save(tmp_path / "a.gif", save_all=True, append_images=made[1:])
    seeks = []
    seek = GifImagePlugin.GifImageFile._seek  # type: ignore[attr-defined]
    monkeypatch.setattr(GifImagePlugin.GifImageFile, "_seek", lambda self, *a: (seeks.append(a), seek(self, *a))[1])
    assert len(open_pictures(str(tmp_path))) == 60
    assert len(seeks) < 60 * 40, "a few passes, one for each thread"


def test_the_plugins_are_registered_in_a_fresh_process(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "p.tga")
    code = f"from gansmith.data import open_pictures; print(len(open_pictures({str(tmp_path)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1", done.stderr
