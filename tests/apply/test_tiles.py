"""``gansmith apply``: tiles without seams, files kept as they were, errors that name the picture."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from gansmith.apply.files import Options, apply_to_pictures, comparison, find_pictures
from gansmith.apply.spans import spans
from gansmith.apply.tiles import translate_picture
from gansmith.commands.apply import main
from gansmith.errors import DataError, GansmithError
from gansmith.game import ImageSpec
from gansmith.gans import colorize, cyclegan, inpaint, upscale
from gansmith.models import bundle

SPEC = ImageSpec(32, 32, 3, other_channels=3)


def scene(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Something like a photograph: large shapes, a horizon, fine texture in one half. uint8 [H, W, C]."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.random((1, channels, 6, 8)))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    smooth[: height // 3] = smooth[: height // 3] * 0.3 + 0.6
    smooth[:, width // 2 :] += random.normal(0, 0.08, (height, width - width // 2, 1))
    return (smooth.clip(0, 1) * 255).astype(np.uint8)


def cyclegan_game() -> cyclegan.CycleGAN:
    torch.manual_seed(0)
    game = cyclegan.CycleGAN(cyclegan.Config(width=8, blocks=2, width_discriminator=8), SPEC)
    for parameter in game.generator_ab.parameters():  # untrained weights of N(0, .02) hardly look at the picture
        if parameter.ndim == 4:
            torch.nn.init.kaiming_normal_(parameter)
    return game.eval()  # type: ignore[return-value]


def inpaint_game() -> inpaint.Inpaint:
    torch.manual_seed(0)
    return inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), SPEC).eval()  # type: ignore[return-value]


def upscale_game() -> upscale.Upscale:
    torch.manual_seed(0)
    return upscale.Upscale(upscale.Config(scale=2, width_discriminator=8), SPEC).eval()  # type: ignore[return-value]


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


# --- tiles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "align", "scale"), [(1000, 256, 64, 4, 1), (301, 128, 32, 8, 2), (100, 128, 32, 4, 4)]
)
def test_shares_of_tiles_add_up_to_one(length: int, tile: int, overlap: int, align: int, scale: int) -> None:
    total = torch.zeros(length * scale)
    found = spans(length, tile, overlap, align, scale)
    for span in found:
        assert span.start % align == 0
        assert 0 <= span.stop - span.start < tile + align
        total[span.start * scale : span.stop * scale] += span.share
    assert found[0].start == 0
    assert found[-1].stop == length
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5)


def test_tiled_cyclegan_agrees_with_the_whole() -> None:
    game, picture = cyclegan_game(), scene(310, 426)
    whole = translate_picture(game, picture, tile=1024)
    told: list[tuple[int, int]] = []
    tiled = translate_picture(game, picture, tile=192, progress=lambda done, of: told.append((done, of)))
    assert whole.shape == tiled.shape == picture.shape
    assert whole.std() > 20, "the network does something"
    assert difference(whole, tiled).mean() < 2
    assert len(told) == told[-1][0] == told[-1][1] > 3
    again = translate_picture(game, picture, tile=1024)
    assert np.array_equal(whole, again), "nothing is left behind in the norms"


def test_statistics_from_windows_of_a_large_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    game, picture = cyclegan_game(), scene(512, 768)
    whole = translate_picture(game, picture, tile=1024)
    monkeypatch.setattr("gansmith.apply.tiles.STATISTICS_PIXELS", 200_000)
    monkeypatch.setattr("gansmith.apply.tiles._WINDOW", 64)
    tiled = translate_picture(game, picture, tile=256)
    alone = np.concatenate([translate_picture(game, part) for part in np.split(picture, 2, 1)], 1)
    assert difference(whole, tiled).mean() < 0.5 * difference(whole, alone).mean(), "each part by itself is much worse"


def test_tiled_upscale_agrees_with_the_whole() -> None:
    game, picture = upscale_game(), scene(100, 150)
    whole = translate_picture(game, picture)
    tiled = translate_picture(game, picture, tile=72)
    assert whole.shape == (200, 300, 3)
    assert difference(whole, tiled).mean() < 0.1


def test_inpaint_in_tiles_changes_the_hole_only() -> None:
    game, picture = inpaint_game(), scene(300, 420)
    mask = np.zeros((300, 420), bool)
    mask[40:60, 30:200] = True
    whole = translate_picture(game, picture, mask=mask)
    tiled = translate_picture(game, picture, mask=mask, tile=260)
    for made in (whole, tiled):
        assert np.array_equal(made[~mask], picture[~mask])
        assert not np.array_equal(made[mask], picture[mask])
    assert difference(whole, tiled)[mask].mean() < 2


def test_colorize_decides_on_the_whole_of_a_large_picture() -> None:
    torch.manual_seed(0)
    game = colorize.Colorize(colorize.Config(width=8, width_discriminator=8), SPEC).eval()
    torch.nn.init.normal_(game.generator.model.model[3].weight, 0, 0.5)  # type: ignore[union-attr]
    picture = scene(300, 400, 1)
    made = translate_picture(game, picture)  # type: ignore[arg-type]
    grey = np.asarray(Image.fromarray(made).convert("L"))
    assert difference(grey, picture[..., 0]).max() <= 1
    assert (made.max(2).astype(int) - made.min(2)).mean() > 3


# --- files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return bundle.save(tmp_path / "model", bundle.Model("inpaint", inpaint_game()))


def jpeg_with_everything(path: Path) -> None:
    image = Image.fromarray(scene(40, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show
    exif[0x010F] = "a camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(path, exif=exif, icc_profile=profile, quality=95)


def test_orientation_profile_and_exif_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    jpeg_with_everything(path)
    out = tmp_path / "out"
    options = Options(boxes=((2, 3, 10, 20),), compare=True)
    report = apply_to_pictures(inpaint_game(), find_pictures([str(path)]), out, options)
    assert report.failed == []
    assert report.written == [out / "photo.jpg"]
    with Image.open(path) as before, Image.open(out / "photo.jpg") as after:
        assert after.format == "JPEG"
        assert after.size == before.size
        assert after.getexif()[0x0112] == 6
        assert after.getexif()[0x010F] == "a camera"
        assert after.info["icc_profile"] == before.info["icc_profile"]
        upright, shown = (np.asarray(ImageOps.exif_transpose(i)) for i in (before, after))
    assert upright.shape == (60, 40, 3)
    changed = difference(upright, shown).max(2) > 40
    assert not changed[24:, :].any(), "the box lies where a person sees it"
    assert not changed[:, 13:].any(), "the box lies where a person sees it"
    with Image.open(out / "compare" / "photo.png") as strip:
        assert strip.size == (2 * 40 + 8, 60)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.png", "RGBA"),
        ("b.png", "L"),
        ("c.png", "LA"),
        ("d.webp", "RGBA"),
        ("e.tif", "RGB"),
        ("f.bmp", "RGB"),
        ("g.gif", "L"),
    ],
)
def test_modes_and_formats_are_kept(tmp_path: Path, name: str, mode: str) -> None:
    image = Image.fromarray(scene(40, 60)).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))))
    options: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    image.save(tmp_path / name, **options)
    with Image.open(tmp_path / name) as opened:
        kind = opened.format
    report = apply_to_pictures(upscale_game(), find_pictures([str(tmp_path / name)]), tmp_path / "out", Options())
    assert report.failed == []
    with Image.open(tmp_path / "out" / name) as made:
        assert made.format == kind
        assert made.size == (120, 80)
        if mode.endswith("A"):
            assert made.mode == mode
            alpha = np.asarray(made.getchannel("A"))
            assert np.abs(alpha[40, 4:-4].astype(int) - np.arange(120)[4:-4] * 2).max() < 5
        elif name != "g.gif":
            assert made.mode == mode


def test_inpaint_keeps_a_grey_file_grey_and_known_pixels_exact(tmp_path: Path) -> None:
    Image.fromarray(scene(40, 60, 1)[..., 0]).save(tmp_path / "grey.png")
    report = apply_to_pictures(
        inpaint_game(), find_pictures([str(tmp_path / "grey.png")]), tmp_path / "out", Options(boxes=((5, 5, 10, 10),))
    )
    assert report.failed == []
    before, after = (np.asarray(Image.open(tmp_path / d / "grey.png")) for d in (".", "out"))
    assert after.shape == (40, 60)
    outside = np.ones((40, 60), bool)
    outside[5:15, 5:15] = False
    assert np.array_equal(before[outside], after[outside])


def test_folders_globs_and_zips_and_one_bad_file(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for name in ("one.png", "sub/two.png"):
        Image.fromarray(scene(24, 24)).save(source / name)
    (source / "bad.png").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(source / "one.png", "inside/three.png")
        archive.write(source / "one.png", "../escape.png")
    out = tmp_path / "out"
    command = [
        str(model),
        str(source),
        str(tmp_path / "more.zip"),
        "--out",
        str(out),
        "--box",
        "2,2,5,5",
        "--device",
        "cpu",
    ]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "3 of 4 pictures" in said.out
    assert "bad.png" in said.err
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.png")) == ["inside/three.png", "one.png", "sub/two.png"]
    with pytest.raises(GansmithError, match="Nothing was written"):  # results are never overwritten
        main(command)
    assert "--overwrite" in capsys.readouterr().err
    (source / "bad.png").unlink()
    assert main([*command, "--overwrite"]) == 0
    assert [i.relative.name for i in find_pictures([str(source / "*.png")])] == ["one.png"]


def test_masks_are_checked(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(scene(24, 32)).save(tmp_path / "p.png")
    Image.new("L", (24, 32), 255).save(tmp_path / "turned.png")
    Image.new("L", (32, 24), 0).save(tmp_path / "black.png")
    base = [str(model), str(tmp_path / "p.png"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    with pytest.raises(GansmithError, match="--mask"):
        main(base)
    with pytest.raises(GansmithError, match="whole pixels"):
        main([*base, "--box", "1,2,3"])
    with pytest.raises(DataError, match=r"nothing\.png"):
        main([str(model), str(tmp_path / "nothing.png"), "--out", str(tmp_path / "out"), "--box", "1,1,2,2"])
    for flags, reason in (
        (["--mask", "turned.png"], "same size"),
        (["--mask", "black.png"], "black"),
        (["--box", "30,0,9,9"], "does not lie"),
    ):
        flags = [str(tmp_path / f) if f.endswith("png") else f for f in flags]
        with pytest.raises(GansmithError, match=reason):
            main([*base, *flags])
    assert not (tmp_path / "out").exists()


def test_comparison_is_bounded() -> None:
    small, large = Image.new("RGB", (400, 300)), Image.new("RGB", (4000, 3000), "red")
    assert comparison(small, large).size == (2 * 1024 + 8, 768)
