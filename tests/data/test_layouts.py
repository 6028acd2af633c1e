"""What the names in a set mean: labels, shards, parts, zips, and standard sets told apart from folders."""

from __future__ import annotations

import json
import os
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gansmith.apply.finding import find_pictures
from gansmith.cli import main
from gansmith.data import open_paired, open_pictures
from gansmith.data.check import check
from gansmith.errors import DataError


def save(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (16, 16), value).save(path)
    return path


def stylegan_set(root: Path, labels: Any = "own", count: int = 20, per_folder: int = 10) -> Path:
    """As StyleGAN's dataset_tool.py writes one; class 1 has no pictures."""
    names = [f"{i // per_folder:05d}/img{i:08d}.png" for i in range(count)]
    for i, name in enumerate(names):
        save(root / name, i)
    if labels == "own":
        labels = [[name, (0, 2, 3)[i % 3]] for i, name in enumerate(names)]
    if labels != "none":
        (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    return root


def zipped(folder: Path, name: str = "set.zip") -> Path:
    with zipfile.ZipFile(folder.parent / name, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder))
    return folder.parent / name


# --- dataset.json --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_labels_of_a_stylegan_set(tmp_path: Path, packed: bool) -> None:
    root = stylegan_set(tmp_path / "in")
    spec = zipped(root) if packed else root
    pictures = open_pictures(str(spec))
    assert pictures.spec.class_names == ("0", "1", "2", "3")
    _, labels = pictures.fetch(np.arange(20))
    assert labels is not None
    assert labels.tolist() == [(0, 2, 3)[i % 3] for i in range(20)]
    report = check(str(spec))
    assert (report.ignored, report.empty) == ([], ["1"])
    assert "labels come from dataset.json" in report.notes
    assert "3 classes (without pictures, so training leaves them out: 1)" in report.verdict


@pytest.mark.parametrize("packed", [False, True])
def test_labels_null_are_no_labels(tmp_path: Path, packed: bool) -> None:
    root = stylegan_set(tmp_path / "in", None)
    pictures = open_pictures(str(zipped(root) if packed else root))
    assert (len(pictures), pictures.spec.classes) == (20, 0)
    assert "dataset.json says that there are no labels" in pictures.notes


def test_a_set_below_other_folders_and_one_hot_labels(tmp_path: Path) -> None:
    stylegan_set(tmp_path / "ffhq" / "deep")
    assert open_pictures(str(tmp_path)).spec.classes == 4
    names = [f"{i // 10:05d}/img{i:08d}.png" for i in range(20)]
    stylegan_set(tmp_path / "hot", [[name, [int(i % 3 == k) for k in range(3)]] for i, name in enumerate(names)])
    labels = open_pictures(str(tmp_path / "hot")).fetch(np.arange(4))[1]
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([["00000/img00000000.png", [1, 1, 0]]], "vectors, several labels or measurements"),
        ([["00000/img00000000.png", [0.3, 0.1, 0.9]]], "vectors, several labels or measurements"),
        ([["00000/img00000000.png", "cat"]], "whole numbers from 0; one is cat"),
        ([["00000/img00000000.png", -1]], "whole numbers from 0"),
        ([["00000/img00000000.png", True]], "whole numbers from 0"),
        ([["00000/img00000000.png", 5_000_000]], "go up to 5000000"),
        ([["other.png", 0]], "1 of 1 pictures in 'set' are not in its dataset.json"),
        (7, r"no list of \[file name, label\]"),
        ([["x"]], r"no list of \[file name, label\]"),
    ],
)
def test_labels_that_are_no_classes_are_refused_in_words(tmp_path: Path, labels: Any, said: str) -> None:
    root = stylegan_set(tmp_path / "set", labels, count=1)
    with pytest.raises(DataError, match=said):
        open_pictures(str(root))
    with pytest.raises(DataError, match=said):
        open_pictures(str(zipped(root)))


def test_damaged_and_foreign_files_of_that_name(tmp_path: Path) -> None:
    for content in ("{", "[" * 100_000, "\udcff"):
        root = stylegan_set(tmp_path / "a", "none")
        (root / "dataset.json").write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(DataError, match="no JSON"):
            open_pictures(str(root))
    (root / "dataset.json").write_text('{"name": "something else"}')
    pictures = open_pictures(str(root))
    assert pictures.spec.classes == 0
    assert check(str(root)).ignored == ["dataset.json"]


# --- folders -------------------------------------------------------------------------------------------------------


def test_shards_are_no_classes(tmp_path: Path) -> None:
    root = stylegan_set(tmp_path / "a", "none")
    assert open_pictures(str(root)).spec.classes == 0
    assert "the folders 00000 to 00001 are shards of one set" in check(str(root)).notes[0]
    for i in (0, 999, 1000, 1999, 2000):
        save(tmp_path / "ffhq" / f"{i // 1000 * 1000:05d}" / f"{i:05d}.png")
    assert open_pictures(str(tmp_path / "ffhq")).spec.classes == 0


def test_folders_of_numbers_that_are_classes(tmp_path: Path) -> None:
    for sign in range(3):  # as the German traffic signs have them: files begin anew in every folder
        for i in range(4):
            save(tmp_path / "signs" / f"{sign:05d}" / f"{i:05d}_{i:05d}.png")
            save(tmp_path / "short" / f"{sign}" / f"{4 * sign + i:06d}.png")
            save(tmp_path / "named" / f"{sign:05d}" / f"{'abcd'[i]}.png")
    assert open_pictures(str(tmp_path / "signs")).spec.class_names == ("00000", "00001", "00002")
    assert open_pictures(str(tmp_path / "short")).spec.classes == 3
    assert open_pictures(str(tmp_path / "named")).spec.classes == 3


def test_names_that_unicode_writes_in_two_ways_are_one_class(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "café")
        for i in range(3):
            save(tmp_path / name / f"{form}{i}.png", i)
        save(tmp_path / "thé" / f"{form}.png")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system keeps one form")
    pictures = open_pictures(str(tmp_path))
    assert pictures.spec.class_names == (unicodedata.normalize("NFC", "café"), "thé")
    assert len(pictures) == 8
    assert "café" in pictures.notes[0]
    assert check(str(tmp_path)).classes == {unicodedata.normalize("NFC", "café"): 6, "thé": 2}


def test_pairs_match_whatever_way_unicode_writes_their_names(tmp_path: Path) -> None:
    for side, form in (("a", "NFC"), ("b", "NFD")):
        for name in ("été", "plain"):
            save(tmp_path / side / f"{unicodedata.normalize(form, name)}.png", len(name))
    assert len(open_paired(str(tmp_path / "a"), str(tmp_path / "b")).a) == 2


# --- zips ----------------------------------------------------------------------------------------------------------


def zip_with_raw_names(path: Path, names: list[bytes]) -> Path:
    """A zip whose names are these bytes, without a word on their encoding, as older programs write them."""
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            archive.writestr("?" * len(name) + str(i), save(path.parent / "one.png", i).read_bytes())
    content = path.read_bytes()
    for i, name in enumerate(names):
        content = content.replace(b"?" * len(name) + str(i).encode(), name + str(i).encode())
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("encoding", "cats", "dogs"),
    [
        ("gbk", "小猫", "小狗"),
        ("cp932", "ねこたち", "いぬたち"),
        ("utf-8", "小猫", "小狗"),
        ("cp437", "Müller", "crème"),
        ("cp437", "Ärger", "élan"),
    ],
)
def test_names_in_zips_without_an_encoding(tmp_path: Path, encoding: str, cats: str, dogs: str) -> None:
    names = [f"{folder}/{i}.png/".encode(encoding) for folder in (cats, dogs) for i in range(2)]
    path = zip_with_raw_names(tmp_path / "z.zip", [name[:-1] + b"." for name in names])
    content = path.read_bytes()
    for i in range(4):
        content = content.replace(f".png.{i}".encode(), f"{i}x.png".encode())
    path.write_bytes(content)
    pictures = open_pictures(str(path))
    assert pictures.spec.class_names == tuple(sorted((cats, dogs)))
    assert [str(item.relative).split("/")[0] for item in find_pictures([str(path)])].count(cats) == 2
    assert any("encoded" in note for note in pictures.notes) == (encoding in ("gbk", "cp932"))


def test_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(save(tmp_path / "p.png", 10), "a/p.png")
        archive.write(tmp_path / "p.png", "a/q.png")
        save(tmp_path / "p.png", 20)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.write(tmp_path / "p.png", "a/p.png")
    pictures = open_pictures(str(tmp_path / "z.zip"))
    assert pictures.names == ["a/p.png", "a/q.png"]
    assert pictures.fetch(np.array([0]))[0].unique().tolist() == [20], "the last, as unpacking leaves it"
    assert pictures.notes == ["1 name(s) are in the zip more than once, such as a/p.png: the last of each is taken"]
    assert len(find_pictures([str(tmp_path / "z.zip")])) == 2


# --- standard sets -------------------------------------------------------------------------------------------------


def test_a_folder_named_like_a_standard_set_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist10k").mkdir()
    assert len(open_pictures("mnist10k")) == 10_000, "an empty folder is no set"
    save(tmp_path / "mnist10k" / "sub" / "own.png")
    for spec in ("mnist10k", "mnist10k[:5]"):
        with pytest.raises(
            DataError, match=r"'\./mnist10k' for what lies here, or 'standard:mnist10k' for the standard set"
        ):
            open_pictures(spec)
    assert len(open_pictures("./mnist10k")) == 1
    assert len(open_pictures("standard:mnist10k")) == 10_000
    assert open_pictures("standard:mnist10k").name == "mnist10k"
    assert len(open_pictures("standard:mnist10k[:5]")) == 5
    with pytest.raises(DataError, match="no standard set 'mnist11'"):
        open_pictures("standard:mnist11")


def test_the_studio_tells_them_apart_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("starlette")
    from gansmith.data.specs import open_source
    from gansmith.studio.workspace import Workspace

    monkeypatch.chdir(tmp_path)
    save(tmp_path / "mnist10k" / "own.png")
    workspace = Workspace(tmp_path)
    assert workspace.set_name(tmp_path / "mnist10k") == "./mnist10k"
    own, standard = (workspace.data_spec(text) for text in ("./mnist10k", "mnist10k"))
    assert (own, standard) == ("./mnist10k", "mnist10k")
    assert len(open_source(workspace.absolute_spec(own))) == 1
    assert len(open_source(workspace.absolute_spec(standard))) == 10_000


# --- names that are no text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["train", "sample", "apply", "data", "augment", "evaluate", "walk", "toy", "import", "export"]
)
def test_an_out_that_is_no_utf8_is_a_clear_error(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9")
    for words in (["--out", name], [f"--out={name}"]):
        assert main([command, *words]) == 2
        assert "--out caf\\udce9 has a byte that is no UTF-8. Choose a name that is text." in capsys.readouterr().err


def test_the_python_api_says_so_too(tmp_path: Path) -> None:
    import gansmith
    from gansmith.errors import GansmithError

    with pytest.raises(GansmithError, match="no UTF-8"):
        gansmith.train("gan", data="mnist10k", steps=1, out=str(tmp_path / "caf\udce9"), quiet=True)


def test_data_whose_names_are_no_utf8_train_all_the_same(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        for i in range(12):
            save(root / os.fsdecode(b"k" + bytes([0xE8 + i % 2])) / f"{i}.png", i)
    except OSError:
        pytest.skip("this file system wants text")
    run = tmp_path / "run"
    words = ["--steps", "1", "--batch", "4", "--width", "8", "--conditional", "--out", str(run)]
    assert main(["train", "gan", "--data", str(root), *words]) == 0
    assert main(["train", "--resume", "--out", str(run), "--steps", "2"]) == 0
    assert json.loads((run / "model" / "config.json").read_text())["spec"]["class_names"] == ["k\\udce8", "k\\udce9"]
