"""Few pictures, classes without any, and messages that do not send people from one refusal to the next."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith.cli import main
from gansmith.config import TrainSettings
from gansmith.data import open_pictures
from gansmith.data.check import check
from gansmith.data.kinds import without_empty_classes
from gansmith.data.planning import FEW, FEWEST
from gansmith.data.training import MEASURABLE, SCORABLE, open_training_data
from gansmith.errors import DataError, GansmithError
from gansmith.gans import gan, inpaint
from gansmith.metrics.evaluate import METRICS, MINIMUM, check_counts
from helpers.pictures import pictures, write_folder

TINY = ["--steps", "1", "--batch", "4", "--width", "8"]


def gan_data(spec: str, **settings: object):
    warnings: list[str] = []
    asked = TrainSettings(data=(spec,), **settings)  # type: ignore[arg-type]
    return open_training_data(gan.GAN, asked, gan.Config(), warnings.append), warnings


# --- how many ------------------------------------------------------------------------------------------------------


def test_too_few_pictures_are_refused_and_leave_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_folder(tmp_path / "data", FEWEST - 1, 16)
    assert main(["train", "gan", "--data", str(data), *TINY, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert f"'data' has {FEWEST - 1} picture(s). At least {FEWEST} are needed" in said
    assert not (tmp_path / "run").exists()
    assert main(["data", "check", str(data)]) == 1
    assert "Too few to make pictures from noise" in capsys.readouterr().out


def test_few_pictures_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_folder(tmp_path / "data", FEWEST, 16)
    assert main(["train", "gan", "--data", str(data), *TINY, "--out", str(tmp_path / "run")]) == 0
    assert re.search(rf"Only {FEWEST} pictures: with fewer than {FEW}", capsys.readouterr().err)
    report = check(str(data))
    assert report.usable
    assert report.notes[0].startswith(f"Only {FEWEST} pictures")
    assert gan_data(f"mnist10k[:{FEW}]")[0].check_enough() == ""


def test_a_run_that_was_begun_with_fewer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_folder(tmp_path / "data", 12, 16)
    run = str(tmp_path / "run")
    assert main(["train", "gan", "--data", str(data), *TINY, "--out", run]) == 0
    monkeypatch.setattr("gansmith.data.training.FEWEST", 1000)
    assert main(["train", "--resume", "--out", run, "--steps", "2"]) == 0


def test_one_photograph_is_enough_where_windows_are_cut(tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    for folder, side in ((large, 256), (small, 200)):
        folder.mkdir()
        Image.fromarray(pictures(1, side)[0]).save(folder / "p.png")
    report = check(str(large))
    assert report.usable
    assert (
        "Families that learn from windows of photographs (inpaint, upscale, ...) take it at --size 64" in report.verdict
    )
    assert not check(str(small)).usable
    for folder in (large, small):
        data = open_training_data(inpaint.Inpaint, TrainSettings(data=(str(folder),)), inpaint.Config(), pytest.fail)
        if folder == large:
            assert data.check_enough() == ""
        else:
            with pytest.raises(DataError, match="holds 9 windows of 64x64 pixels; at least 16 are needed"):
                data.check_enough()


# --- what scores need ----------------------------------------------------------------------------------------------


def test_the_numbers_that_scores_need_are_those_of_the_scores() -> None:
    assert MINIMUM["fid"] == MEASURABLE
    assert 2 * min(MINIMUM.values()) == SCORABLE


@pytest.mark.parametrize("count", [12, 39, 40, 99])
def test_eval_every_points_at_nothing_that_refuses_too(count: int) -> None:
    with pytest.raises(DataError, match=f"there are {count}") as refused:
        gan_data(f"mnist10k[:{count}]", eval_every=100)
    named = re.search(r"--metrics ([a-z,]+)", str(refused.value))
    assert (named is not None) == (count >= SCORABLE)
    if named is not None:
        check_counts(named[1].split(","), 10_000, count // 2)
    else:
        assert "evaluate" not in str(refused.value)


@pytest.mark.parametrize("metric", MINIMUM)
@pytest.mark.parametrize("half", [2, 19, 20, 45, 60, 99])
def test_a_metric_that_refuses_names_only_metrics_that_do_not(metric: str, half: int) -> None:
    if half >= MINIMUM[metric]:
        check_counts([metric], 10_000, half)
        return
    with pytest.raises(GansmithError) as refused:
        check_counts([metric], 10_000, half)
    named = re.search(r"--metrics ([a-z,]+)", str(refused.value))
    assert (named is not None) == (half >= min(MINIMUM.values()))
    if named is not None:
        assert metric not in named[1].split(",")
        assert set(named[1].split(",")) <= set(METRICS)
        check_counts(named[1].split(","), 10_000, half)


# --- classes without pictures --------------------------------------------------------------------------------------


def gaps(tmp_path: Path) -> str:
    """Labels 0, 2 and 4 of five named classes."""
    np.savez(tmp_path / "set.npz", x=pictures(30, 16, 1)[..., 0], y=np.arange(30) % 3 * 2, class_names=list("abcde"))
    return str(tmp_path / "set.npz")


def test_classes_without_pictures_are_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = gaps(tmp_path)
    report = check(spec)
    assert report.empty == ["b", "d"]
    assert "3 classes (without pictures, so training leaves them out: b, d)" in report.verdict
    data, warnings = gan_data(spec)
    assert data.spec.class_names == ("a", "c", "e")
    assert warnings == ["Classes without pictures are left out: b, d."]
    labels = data.source.fetch(np.arange(6))[1]
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert open_pictures(spec).spec.classes == 5, "only training leaves them out"
    run = tmp_path / "run"
    assert main(["train", "gan", "--data", spec, "--conditional", *TINY, "--out", str(run)]) == 0
    assert "left out: b, d" in capsys.readouterr().err
    assert main(["sample", str(run), "--n", "6", "--out", str(tmp_path / "s.npz")]) == 0
    assert sorted(set(np.load(tmp_path / "s.npz")["y"].tolist())) == [0, 1, 2]
    assert main(["sample", str(run), "--class", "b", "--out", str(tmp_path / "b.npz")]) == 2
    assert "Its classes are: a, c, e" in capsys.readouterr().err
    assert main(["train", "--resume", "--out", str(run), "--steps", "2"]) == 0
    assert json.loads((run / "model" / "config.json").read_text())["spec"]["class_names"] == ["a", "c", "e"]


@pytest.mark.parametrize("broken", ["in its head", "in its body"])
@pytest.mark.parametrize("limit", [None, 0])
def test_a_class_whose_files_are_all_broken(tmp_path: Path, broken: str, limit: int | None) -> None:
    for name in ("cat", "dog", "emu"):
        write_folder(tmp_path / name, 20, 16, first=ord(name[0]))
    for file in sorted((tmp_path / "dog").glob("*.png"))[3:]:
        file.unlink()
    for file in (tmp_path / "dog").glob("*.png"):
        content = file.read_bytes()
        file.write_bytes(b"" if broken == "in its head" else content[: len(content) - 40])
    found = open_pictures(str(tmp_path), memory_limit=limit)
    if broken == "in its body" and limit == 0:
        assert without_empty_classes(found) == (), "a streamed set meets them as it goes"
        return
    assert check(str(tmp_path)).empty == ["dog"]
    before = found.hash
    assert without_empty_classes(found) == ("dog",)
    assert found.spec.class_names == ("cat", "emu")
    labels = found.fetch(np.arange(len(found)))[1]
    assert labels is not None
    assert labels.bincount().tolist() == [20, 20]
    assert found.hash != before
    assert without_empty_classes(found) == ()


def test_one_class_that_is_left_is_no_class(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=pictures(20, 16, 1)[..., 0], y=np.full(20, 3))
    data, warnings = gan_data(str(tmp_path / "set.npz"))
    assert (data.spec.classes, data.source.fetch(np.arange(2))[1]) == (0, None)
    assert warnings == ["Classes without pictures are left out: 0, 1, 2."]


def test_sets_without_gaps_keep_their_hash() -> None:
    found = open_pictures("mnist10k[::50]")
    before = found.hash
    assert without_empty_classes(found) == ()
    assert found.hash == before
