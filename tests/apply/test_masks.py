"""Masks as people have them: beside the pictures or in a folder, of any values; what cannot be meant is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from gansmith.apply.files import Options, Report, apply_to_pictures
from gansmith.apply.finding import find_pictures
from gansmith.apply.mask_files import read_mask
from gansmith.commands.apply import main
from gansmith.errors import GansmithError
from gansmith.game import ImageSpec
from gansmith.gans import inpaint
from gansmith.models import bundle
from gansmith.translation import Translation

SIZE = (64, 48)
BOX = (10, 12, 30, 26)


def game() -> Translation:
    torch.manual_seed(0)
    return inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 3)).eval()  # type: ignore[return-value]


def photograph(seed: int = 0, channels: int = 3) -> Image.Image:
    """Noise of many sizes: what photographs have in common."""
    random = np.random.default_rng(seed)
    planes = [sum(gaussian_filter(random.normal(size=SIZE[::-1]), s) * s for s in (1, 3, 9)) for _ in range(channels)]
    array = np.stack([(p - p.min()) / np.ptp(p) * 255 for p in planes], 2).astype(np.uint8)
    return Image.fromarray(array[..., 0] if channels == 1 else array)


def box(black: object = 0, white: object = 255, mode: str = "L") -> Image.Image:
    drawn = Image.new(mode, SIZE, black)  # type: ignore[arg-type]
    drawn.paste(white, BOX)  # type: ignore[arg-type]
    return drawn


def meaning(image: Image.Image, kind: str = "PNG", **how: object) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    buffer.seek(0)
    return read_mask(buffer, "m.png", **how).mask  # type: ignore[arg-type]


def inside(of: tuple[int, int, int, int] = BOX) -> np.ndarray:
    wanted = np.zeros(SIZE[::-1], bool)
    wanted[of[1] : of[3], of[0] : of[2]] = True
    return wanted


def changed(before: Path, after: Path) -> np.ndarray:
    a, b = (np.asarray(Image.open(p).convert("RGB")).astype(int) for p in (before, after))
    return np.abs(a - b).max(2) > 0


def applied(place: Path, mask: Path, out: Path, **options: object) -> Report:
    chosen = Options(mask=mask, **options)  # type: ignore[arg-type]
    items, _ = chosen.masks.pictures_among(find_pictures([str(place)], out))
    return apply_to_pictures(game(), items, out, chosen)


# --- what a mask picture means ------------------------------------------------------------------------------------


def test_black_and_white_in_every_kind_of_file() -> None:
    bilevel = box().convert("1")
    deep = Image.fromarray(np.where(inside(), 65535, 0).astype(np.uint16))
    palette = box().convert("P")
    for image in (box(), bilevel, deep, palette, box().convert("RGB"), box().convert("RGBA"), box().convert("LA")):
        assert np.array_equal(meaning(image), inside()), image.mode
    assert np.array_equal(meaning(Image.fromarray(inside().astype(np.float32)), "TIFF"), inside())
    soft = box().filter(ImageFilter.GaussianBlur(1))
    assert (meaning(soft) != inside()).mean() < 0.01, "smooth edges are edges"
    as_jpeg = meaning(box().convert("RGB"), "JPEG")
    assert np.array_equal(as_jpeg, inside())


def test_alpha_is_the_mask_where_there_is_any() -> None:
    alpha = box()
    for below in (
        Image.new("RGB", SIZE, "black"),
        Image.new("RGB", SIZE, "white"),
        Image.new("RGB", SIZE, "red"),
        photograph(),
    ):
        drawn = below.copy()
        drawn.putalpha(alpha)
        assert np.array_equal(meaning(drawn), inside())
        assert np.array_equal(meaning(drawn, invert=True), ~inside())
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")  # the photograph
    buffer.seek(0)
    assert "--mask-invert" in read_mask(buffer, "m.png").note, "which part was taken is said"
    indexed = box().convert("P")
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG", transparency=indexed.getpixel((0, 0)))
    buffer.seek(0)
    assert np.array_equal(read_mask(buffer, "m.png").mask, inside()), "a palette with a transparent entry"
    flat = box().convert("RGBA")
    flat.putalpha(Image.new("L", SIZE, 0))
    with pytest.raises(GansmithError, match="transparent everywhere"):
        meaning(flat)
    both = box().convert("RGBA")
    both.putalpha(Image.fromarray(np.where(np.arange(SIZE[0]) < 40, 255, 0).astype(np.uint8)[None].repeat(SIZE[1], 0)))
    with pytest.raises(GansmithError, match="two meanings"):
        meaning(both)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (box(0, 1), ["values 0 to 1 of 255", "2 different", "white where to fill", "times 255", "--mask-above 0"]),
        (box(0, 3), ["values 0 to 3 of 255", "--mask-above 0"]),
        (Image.fromarray(inside().astype(np.uint16)), ["values 0 to 1 of 65535"]),
        (box("black", "red", "RGB"), ["coloured", "#ff0000", "#000000", "black where to keep"]),
        (box("white", "red", "RGB"), ["coloured", "#ff0000"]),
        (box("black", (128, 0, 0), "RGB").convert("P", palette=Image.Palette.ADAPTIVE), ["palette of 2 colours", "#800000"]),
        (photograph(), ["coloured"]),
        (photograph(channels=1), ["photograph", "neither black nor white", "--mask-above 127"]),
        (Image.new("L", SIZE, 0), ["black everywhere"]),
    ],
)  # fmt: skip
def test_what_is_no_mask_is_told_with_what_was_found(image: Image.Image, words: list[str]) -> None:
    with pytest.raises(GansmithError) as caught:
        meaning(image)
    for word in ["m.png", *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_brightness_takes_any_mask_and_invert_turns_it() -> None:
    indexed = box("black", (128, 0, 0), "RGB").convert("P", palette=Image.Palette.ADAPTIVE)
    for image in (box(0, 1), box("black", "red", "RGB"), Image.fromarray(inside().astype(np.uint16)), indexed):
        assert np.array_equal(meaning(image, above=0), inside())
    assert np.array_equal(meaning(box(60, 180), above=127), inside())
    assert np.array_equal(meaning(box(), invert=True), ~inside())
    with pytest.raises(GansmithError, match="--mask-invert would fill all"):
        meaning(Image.new("L", SIZE, 0), invert=True)


# --- which mask is whose ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a_mask001.png", "a_mask.png", "a-mask.png", "mask_a.png", "a.mask.jpg", "a.jpg", "a_MASK2.PNG"]
)
def test_masks_beside_their_pictures(tmp_path: Path, name: str) -> None:
    photograph(1).save(tmp_path / "a.png")
    photograph(2).save(tmp_path / "b.png")
    box().convert("L").save(tmp_path / name, "PNG")
    box().save(tmp_path / "b_mask001.png")
    report = applied(tmp_path, tmp_path, tmp_path / "out")
    assert report.failed == []
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "b.png"], "masks are no pictures"
    for picture in ("a.png", "b.png"):
        assert not (changed(tmp_path / picture, tmp_path / "out" / picture) & ~inside()).any()
        assert changed(tmp_path / picture, tmp_path / "out" / picture).sum() > 0.5 * inside().sum()


def test_masks_in_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "set" / "images" / "sub").mkdir(parents=True)
    (tmp_path / "set" / "masks").mkdir()
    photograph(1).save(tmp_path / "set" / "images" / "a.png")
    photograph(2).save(tmp_path / "set" / "images" / "sub" / "b.png")
    box().save(tmp_path / "set" / "masks" / "a.png")
    box().save(tmp_path / "set" / "masks" / "b_mask.png")
    report = applied(tmp_path / "set", tmp_path / "set" / "masks", tmp_path / "out")
    assert report.failed == []
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in report.written) == ["images/a.png", "images/sub/b.png"]
    box().save(tmp_path / "set" / "masks" / "a_mask001.png")
    box().save(tmp_path / "set" / "masks" / "b_mask2.png")
    report = applied(tmp_path / "set" / "images", tmp_path / "set" / "masks", tmp_path / "two")
    assert [path.name for path in report.written] == ["a.png"], "the same name comes first"
    assert "2 masks of it (b_mask.png and b_mask2.png)" in report.failed[0][1]


def test_names_that_only_sound_like_masks_are_pictures(tmp_path: Path) -> None:
    for name in ("damask.png", "da.png", "mask.png", "gas_mask.png", "unmasked.png"):
        photograph(len(name)).save(tmp_path / name)
    (tmp_path / "masks").mkdir()
    for name in ("damask.png", "da.png", "mask.png", "gas_mask.png", "unmasked.png"):
        box().save(tmp_path / "masks" / name)
    report = applied(tmp_path, tmp_path / "masks", tmp_path / "out")
    assert report.failed == []
    assert len(report.written) == 5


def test_a_picture_is_no_mask_of_its_own(tmp_path: Path) -> None:
    drawing = tmp_path / "drawing.png"  # black and white, so that its values do not tell
    box().save(drawing)
    before = drawing.read_bytes()
    copy = tmp_path / "copies" / "drawing.png"
    copy.parent.mkdir()
    copy.write_bytes(before)
    for mask, reason in (
        (drawing, "the picture itself"),
        (tmp_path, "but the picture itself"),
        (copy.parent, "the picture itself"),
        (copy, "the picture itself"),
    ):
        report = applied(drawing, mask, tmp_path / "out")
        assert report.written == []
        assert reason in report.failed[0][1]
        assert not (tmp_path / "out").exists()
    photograph().save(tmp_path / "photo.png")
    report = applied(tmp_path / "photo.png", tmp_path, tmp_path / "out")
    assert "no mask named photo, but the picture itself" in report.failed[0][1]
    assert "photo_mask001.png" in report.failed[0][1]


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(bundle.save(tmp_path / "model", bundle.Model("inpaint", game())))


def test_the_command_knows_masks_among_the_pictures(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place, out = tmp_path / "in", tmp_path / "out"
    place.mkdir()
    photograph().save(place / "a.png")
    box(0, 1).save(place / "a_mask001.png")
    common = [model, str(place), "--device", "cpu"]
    with pytest.raises(GansmithError, match=r"a_mask001\.png: give their folder as --mask"):
        main([*common, "--out", str(out)])
    with pytest.raises(GansmithError, match="values 0 to 1 of 255"):
        main([*common, "--out", str(out), "--mask", str(place)])
    assert "1 masks among the pictures" in capsys.readouterr().err
    assert main([*common, "--out", str(out), "--mask", str(place), "--mask-above", "0"]) == 0
    assert not (changed(place / "a.png", out / "a.png") & ~inside()).any()
    assert (
        main([*common, "--out", str(tmp_path / "turned"), "--mask", str(place), "--mask-above", "0", "--mask-invert"])
        == 0
    )
    assert not changed(place / "a.png", tmp_path / "turned" / "a.png")[inside()].any()
    with pytest.raises(GansmithError, match="0 to 254"):
        main([*common, "--out", str(out), "--mask", str(place), "--mask-above", "255"])
    box().save(place / "m.png")
    assert (
        main(
            [
                model,
                str(place / "a.png"),
                str(place / "m.png"),
                "--mask",
                str(place / "m.png"),
                "--out",
                str(tmp_path / "one"),
            ]
        )
        == 0
    )
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["a.png"]


def test_filling_all_of_a_picture_is_refused(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.png")
    Image.new("L", SIZE, 255).save(tmp_path / "m.png")
    report = applied(tmp_path / "a.png", tmp_path / "m.png", tmp_path / "out")
    assert "nothing is left to fill it from" in report.failed[0][1]
    report = apply_to_pictures(
        game(), find_pictures([str(tmp_path / "a.png")]), tmp_path / "out", Options(boxes=((0, 0, *SIZE),))
    )
    assert "nothing is left to fill it from" in report.failed[0][1]


# --- alpha --------------------------------------------------------------------------------------------------------


def sprite(hidden: tuple[int, int, int]) -> Image.Image:
    """A light disc on nothing, with a colour under the nothing."""
    image = Image.new("RGBA", SIZE, (*hidden, 0))
    ImageDraw.Draw(image).ellipse((12, 4, 52, 44), fill=(230, 190, 90, 255))
    return image


def test_a_hole_in_a_picture_with_alpha_is_filled_and_seen(tmp_path: Path) -> None:
    results = []
    smooth = game()
    torch.nn.init.zeros_(smooth.generator.last.weight)  # type: ignore[union-attr]
    for hidden in ((0, 0, 0), (0, 0, 255)):
        image = sprite(hidden)
        image.paste((0, 0, 0, 0), (44, 20, 60, 30))  # what is to be filled reaches over the edge, and is transparent
        image.save(tmp_path / "s.png")
        options = Options(boxes=((44, 20, 16, 10),), overwrite=True)
        assert (
            apply_to_pictures(smooth, find_pictures([str(tmp_path / "s.png")]), tmp_path / "out", options).failed == []
        )
        made = np.asarray(Image.open(tmp_path / "out" / "s.png"))
        hole = inside((44, 20, 60, 30))
        assert (made[hole][:, 3] == 255).all(), "what was filled is seen"
        assert np.array_equal(made[~hole], np.asarray(image)[~hole]), (
            "and nothing else changes, not even what is hidden"
        )
        results.append(made[hole])
        assert np.abs(made[hole][:, :3].astype(int) - (230, 190, 90)).max() < 12, "only what is seen flows in"
    assert np.array_equal(*results), "what hides under alpha 0 is unknown"
    nothing = Image.new("RGBA", SIZE, (9, 9, 9, 0))
    nothing.save(tmp_path / "s.png")
    report = apply_to_pictures(
        smooth,
        find_pictures([str(tmp_path / "s.png")]),
        tmp_path / "out",
        Options(boxes=((4, 4, 9, 9),), overwrite=True),
    )
    assert "transparent" in report.failed[0][1]


def test_a_model_of_four_channels_makes_the_alpha_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    four = inpaint.Inpaint(inpaint.Config(width=8, width_discriminator=8), ImageSpec(32, 32, 4)).eval()
    made = []
    for hidden in ((0, 0, 0), (0, 0, 255)):
        sprite(hidden).save(tmp_path / "s.png")
        options = Options(boxes=((30, 20, 20, 10),), overwrite=True)
        assert apply_to_pictures(four, find_pictures([str(tmp_path / "s.png")]), tmp_path / "out", options).failed == []  # type: ignore[arg-type]
        made.append(np.asarray(Image.open(tmp_path / "out" / "s.png")))
        hole = inside((30, 20, 50, 30))
        assert np.array_equal(made[-1][~hole], np.asarray(sprite(hidden))[~hole])
    assert np.array_equal(made[0][hole], made[1][hole])
