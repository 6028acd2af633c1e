"""``gansmith data check``."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith.commands.data import main
from gansmith.data.check import check
from gansmith.errors import DataError, GansmithError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve pictures in two classes: two equal ones, one grey; one more is broken, one file is no picture."""
    random = np.random.default_rng(0)
    for i in range(12):
        path = tmp_path / "set" / ("cats" if i < 7 else "dogs") / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 20, 3), dtype=np.uint8)).save(path)
    first = Image.open(tmp_path / "set" / "cats" / "00.png")
    first.convert("RGBA").save(tmp_path / "set" / "dogs" / "08.png")
    first.convert("L").resize((9, 9)).save(tmp_path / "set" / "dogs" / "09.png")
    (tmp_path / "set" / "dogs" / "99.png").write_text("no picture")
    (tmp_path / "set" / "labels.csv").write_text("a,b")
    return tmp_path / "set"


def test_report(pictures):
    report = check(str(pictures))
    assert report.pictures == 12
    assert report.sizes == {"20x16": 11, "9x9": 1}
    assert report.modes == {"RGB": 10, "RGBA": 1, "L": 1}
    assert report.classes == {"cats": 7, "dogs": 5}
    assert report.duplicates == [["cats/00.png", "dogs/08.png"]], "by decoded content, whatever the mode"
    assert [name for name, _ in report.broken] == ["dogs/99.png"]
    assert report.ignored == ["labels.csv"]
    assert report.usable
    assert "--size" in report.verdict
    sized = check(str(pictures), size=16)
    assert sized.enlarged == 1
    assert sized.verdict == "Ready to train on: 12 pictures (1 broken left out), 16x16, RGB, 2 classes."


def test_command_prints_a_table(pictures, capsys):
    assert main(["check", str(pictures), "--size", "16"]) == 0
    shown = capsys.readouterr().out
    for part in ("cats (7)", "20x16 (11)", "dogs/99.png: its content is not a picture", "cats/00.png = dogs/08.png"):
        assert part in shown


def test_command_prints_json(pictures, capsys):
    assert main(["check", str(pictures), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["broken"][0]["file"] == "dogs/99.png"
    assert report["pictures"] == 12


def test_exit_code_says_whether_training_would_refuse(pictures, capsys):
    (pictures / "dogs" / "98.png").write_bytes(b"")
    assert main(["check", str(pictures)]) == 1
    assert "2 of 14 are broken" in capsys.readouterr().out
    for file in pictures.rglob("*.png"):
        file.write_bytes(b"")
    assert main(["check", str(pictures)]) == 1, "even with nothing left"


def test_nothing_to_check_and_wrong_use(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        main(["check", str(tmp_path)])
    for wrong, words in (([], "COMMAND"), (["check"], "spec"), (["check", "mnist10k", "--sze", "3"], "--sze")):
        with pytest.raises(GansmithError, match=words):
            main(wrong)


def test_arrays_are_checked_too(tmp_path):
    x = np.random.default_rng(1).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    x[4] = x[2]
    np.savez(tmp_path / "set.npz", x=x, y=np.array([0, 0, 1, 1, 1, 3]))
    report = check(str(tmp_path / "set.npz"))
    assert report.duplicates == [["set#2", "set#4"]]
    assert report.classes == {"0": 2, "1": 3, "2": 0, "3": 1}


def test_why_there_are_no_labels(pictures):
    (pictures / "cats" / "00.png").rename(pictures / "loose.png")
    assert "no labels (1 lie beside the sub-folders, such as loose.png" in check(str(pictures), size=16).verdict
    (pictures / "loose.png").unlink()
    assert "2 classes" in check(str(pictures), size=16).verdict


def test_names_that_are_no_text(tmp_path, monkeypatch):
    """Linux takes any bytes for a name; the program shows them all the same."""
    import subprocess
    import sys

    name = b"caf\xe9.png"
    for i in range(12):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / f"{i}.png")
    try:
        Path(tmp_path, name.decode("utf-8", "surrogateescape")).write_text("no picture")
    except OSError:
        pytest.skip("this file system wants text")
    command = [sys.executable, "-m", "gansmith", "data", "check", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "caf\\udce9.png: its content is not a picture" in done.stdout
