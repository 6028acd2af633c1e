"""``gansmith apply``: which pictures, masks and boxes are meant."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.apply.files import Options, apply_to_pictures
from gansmith.apply.finding import find_pictures
from gansmith.commands.apply import parse_box, spread_boxes
from gansmith.errors import DataError, GansmithError
from gansmith.game import ImageSpec
from gansmith.gans import inpaint
from gansmith.translation import Translation

BOX = Options(boxes=((2, 3, 4, 5),))


def game() -> Translation:
    torch.manual_seed(0)
    config = inpaint.Config(width=8, width_discriminator=8)
    return inpaint.Inpaint(config, ImageSpec(32, 32, 3)).eval()  # type: ignore[return-value]


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_earlier_results_are_no_pictures_to_translate(tmp_path: Path) -> None:
    (tmp_path / "out" / "compare").mkdir(parents=True)
    for place in ("a.png", "out/a.png", "out/compare/a.png"):
        Image.fromarray(noise()).save(tmp_path / place)
    out = tmp_path / "out"

    def found(*specs: str) -> list[str]:
        return [str(item.relative) for item in find_pictures([str(tmp_path / spec) for spec in specs], out)]

    assert found("") == ["a.png"]
    assert found("*") == ["a.png"]
    assert found("**/*.png") == ["a.png"]
    assert found("a.png", "out") == ["a.png"], "as a shell spells *"
    assert found("a.png", "a.png") == ["a.png"], "named twice is done once"
    assert found("out") == ["a.png"], "in place, without the strips"
    assert found("out/*.png") == ["a.png"]
    with pytest.raises(DataError, match="no picture"):
        find_pictures(["~nobody/such.png"])
    with pytest.raises(DataError, match="There is no picture"):
        find_pictures(["x" * 300])


def test_linked_folders_and_names_in_zips(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "elsewhere").mkdir()
    Image.fromarray(noise()).save(tmp_path / "elsewhere" / "A B.PNG")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "gone.png").symlink_to(tmp_path / "nothing.png")
    items = find_pictures([str(tmp_path / "set")])
    assert [str(item.relative) for item in items] == ["gone.png", "link/A B.PNG"]
    report = apply_to_pictures(game(), items, tmp_path / "out", BOX)
    assert [reason for _, reason in report.failed] == ["the file is gone"]
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in ("12:30 noon.png", "C:/x.png", "/root.png", "../up.png", "__MACOSX/._x.png", "notes.txt"):
            archive.writestr(name, (tmp_path / "elsewhere" / "A B.PNG").read_bytes())
    assert [str(item.relative) for item in find_pictures([str(tmp_path / "p.zip")])] in (["12:30 noon.png"], [])


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p.png", b"\0" * 100_000)
    monkeypatch.setattr("gansmith.data.folders._MAX_MEMBER", 1000)
    [(_, reason)] = apply_to_pictures(game(), find_pictures([str(tmp_path / "p.zip")]), tmp_path / "out", BOX).failed
    assert "too large for a picture" in reason


def test_masks_with_alpha_in_sub_folders_and_broken_ones(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for place in ("p.png", "sub/p.png"):
        Image.fromarray(noise()).save(tmp_path / "in" / place)
    (tmp_path / "masks" / "sub").mkdir(parents=True)
    for place, box in (("p.png", (0, 0, 4, 4)), ("sub/p.jpg", (10, 10, 26, 20))):
        mask = Image.new("RGBA", (32, 24), (255, 255, 255, 0))  # white, but nothing drawn
        mask.paste((255, 255, 255, 255), box)
        buffer = io.BytesIO()
        mask.save(buffer, "PNG")
        (tmp_path / "masks" / place).write_bytes(buffer.getvalue())
    options = Options(mask=tmp_path / "masks")
    report = apply_to_pictures(game(), find_pictures([str(tmp_path / "in")]), tmp_path / "out", options)
    assert report.failed == []
    for place, box in (("p.png", (0, 0, 4, 4)), ("sub/p.png", (10, 10, 26, 20))):
        before, after = (np.asarray(Image.open(tmp_path / d / place)) for d in ("in", "out"))
        changed = Image.fromarray((before != after).any(2))
        assert changed.getbbox() is not None
        inside = Image.new("1", (32, 24))
        inside.paste(1, box)
        assert not (np.asarray(changed) & ~np.asarray(inside)).any()
    (tmp_path / "broken.png").write_text("no picture")
    items, options = (
        find_pictures([str(tmp_path / "in" / "p.png")]),
        Options(mask=tmp_path / "broken.png", overwrite=True),
    )
    report = apply_to_pictures(game(), items, tmp_path / "out", options)
    assert "broken.png cannot be used" in report.failed[0][1]


def test_boxes_on_the_command_line() -> None:
    assert spread_boxes(["m", "--box", "1,2,3,4", "5,6,7,8", "p.png"]) == [
        "m", "--box", "1,2,3,4", "--box", "5,6,7,8", "p.png",
    ]  # fmt: skip
    assert spread_boxes(["m", "p.png", "--box", "1,2,3,4"]) == ["m", "p.png", "--box", "1,2,3,4"]
    assert parse_box("1,2,3,4") == (1, 2, 3, 4)
    for wrong in ("1,2,0,4", "-1,2,3,4", "1,2,3,-4"):
        with pytest.raises(GansmithError, match="at least 1x1"):
            parse_box(wrong)
