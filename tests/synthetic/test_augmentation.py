"""Synthetic pictures: what is kept and why, what is written, what other tools read of it, and bad input."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

import gansmith
from gansmith import MixedSampler, SyntheticDataset, cli
from gansmith.data import open_pictures
from gansmith.errors import DataError, GansmithError
from gansmith.game import ImageSpec
from gansmith.synthetic import drawing
from gansmith.synthetic.classifier import Recipe
from gansmith.synthetic.dataset import as_pictures
from gansmith.synthetic.filters import Filters, Judgement, nearest
from gansmith.synthetic.folder import ImageNames, usual_suffix
from gansmith.synthetic.making import study_folder, wanted_counts
from gansmith.synthetic.modelling import family_config, repeated, work_folder
from gansmith.synthetic.settings import AugmentSettings
from gansmith.synthetic.split import Split, digests
from helpers.shapes import NAMES, memory, shapes, write_npz

TINY = ["--width", "32", "--steps", "2", "--batch", "4"]
UNFILTERED = ["--no-agreement", "--no-duplicates", "--no-outliers"]


# --- filters ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filters() -> Filters:
    pictures = memory(*shapes(150, 1))
    return Filters(pictures.x, pictures.y, pictures.spec, recipe=Recipe(steps=150))


def test_good_pictures_pass(filters):
    good = memory(*shapes(90, 2))
    judged = filters.judge(good.x, good.y)
    assert judged.keep.mean() > 0.8
    assert filters.accuracy > 0.8
    assert judged.scores.min() >= 0
    assert judged.scores.mean() > 0.8


def test_pictures_of_another_class_are_dropped(filters):
    good = memory(*shapes(90, 2))
    judged = filters.judge(good.x, (good.y + 1) % 3)
    assert judged.failed["agreement"].mean() > 0.85
    assert not judged.keep[judged.failed["agreement"]].any()
    assert judged.scores.mean() < 0.2


def test_copies_of_training_pictures_are_dropped(filters):
    x, y = shapes(150, 1)
    pictures, noise = memory(x, y), np.random.default_rng(0).normal(0, 4, x.shape)
    nearly = memory((x + noise).clip(0, 255).astype(np.uint8), y)
    assert filters.judge(pictures.x, pictures.y).failed["duplicates"].all()
    assert filters.judge(nearly.x, nearly.y).failed["duplicates"].all()
    new = memory(*shapes(150, 3))
    assert filters.judge(new.x, new.y).failed["duplicates"].mean() < 0.05


@pytest.mark.parametrize("flip", [False, True])
def test_mirrored_copies_are_copies_where_the_model_saw_mirrored_pictures(flip):
    x = torch.randint(0, 256, (40, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 3
    only = Filters(x, labels, memory(*shapes(9, 1)).spec, active=("duplicates",), recipe=Recipe(flip=flip))
    assert only.judge(x, labels).failed["duplicates"].all()
    assert only.judge(x.flip(3), labels).failed["duplicates"].all() == flip


def test_pictures_like_nothing_real_are_dropped(filters):
    bad = torch.randint(0, 256, (60, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    bad[30:] = 255 - bad[30:] // 8
    judged = filters.judge(bad, torch.arange(60) % 3)
    assert judged.failed["outliers"].mean() > 0.6
    good = memory(*shapes(90, 4))
    assert filters.judge(good.x, good.y).failed["outliers"].mean() < 0.2


def test_filters_can_be_switched_off():
    pictures = memory(*shapes(30, 1))
    off = Filters(pictures.x, pictures.y, pictures.spec, active=())
    judged = off.judge(pictures.x, (pictures.y + 1) % 3)
    assert judged.keep.all()
    assert judged.failed == {}
    assert np.isnan(judged.scores).all()
    only = Filters(pictures.x, pictures.y, pictures.spec, active=("duplicates",))
    assert list(only.judge(pictures.x, pictures.y).failed) == ["duplicates"]


def test_nearest_neighbours_by_hand():
    base = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])
    assert nearest(torch.tensor([[0.0, 1.0], [9.0, 12.0]]), base).tolist() == pytest.approx([1.0, 85**0.5])
    assert nearest(base, base, themselves=True).tolist() == pytest.approx([5.0, 1.0, 1.0])


# --- how many, and how they are called --------------------------------------------------------------------------------


def test_how_many_pictures():
    assert wanted_counts([10, 4, 7], AugmentSettings()) == [10, 10, 10]
    assert wanted_counts([10, 4, 7], AugmentSettings(per_class=3)) == [3, 3, 3]
    assert wanted_counts([10, 4, 7], AugmentSettings(balance=True)) == [0, 6, 3]
    with pytest.raises(DataError, match="nothing to balance"):
        wanted_counts([5, 5], AugmentSettings(balance=True))


def test_the_model_sees_every_class_equally_often():
    labels = torch.tensor([0] * 40 + [1] * 10 + [2] * 27)
    shown = Counter(labels[repeated(labels)].tolist())
    assert shown == {0: 40, 1: 40, 2: 27}


def test_class_names_that_are_no_folder_names():
    names = ImageNames(["T-shirt/top", "T-shirt:top", "...", "Bag"], ".png")
    assert names.folders == ["T-shirt-top", "T-shirt-top-1", "class-2", "Bag"]
    assert [names.next(0), names.next(0), names.next(3)] == [
        "T-shirt-top/000000.png",
        "T-shirt-top/000001.png",
        "Bag/000000.png",
    ]
    assert usual_suffix(["a/1.jpg", "a/2.JPG", "b/3.png"]) == ".jpg"
    assert usual_suffix(["mnist10k#0"]) == ".png"


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """What the command makes from 60 pictures of 16 px in three classes, some of them twice."""
    root = tmp_path_factory.mktemp("augment")
    x, y = shapes(60, 0, size=16)
    write_npz(root / "data.npz", np.concatenate([x, x[:9]]), np.concatenate([y, y[:9]]))
    words = [
        "augment",
        "--data",
        str(root / "data.npz"),
        "--out",
        str(root / "made"),
        "--per-class",
        "7",
        *TINY,
        *UNFILTERED,
    ]
    assert cli.main([*words, "--study", "--seeds", "2", "--classifier", "tiny", "--classifier-steps", "2"]) == 0
    return root / "made"


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_folder_manifest_and_report(made):
    rows = rows_of(made)
    assert list(rows[0]) == ["file", "class", "seed", "model", "score"]
    assert Counter(row["class"] for row in rows) == dict.fromkeys(NAMES, 7)
    assert sorted(p.relative_to(made).as_posix() for p in made.glob("*/*")) == sorted(row["file"] for row in rows)
    assert sorted(p.name for p in made.iterdir() if p.is_dir()) == sorted(NAMES)
    assert all(
        Image.open(made / row["file"]).size == (16, 16) and Image.open(made / row["file"]).mode == "L" for row in rows
    )
    report = (made / "report.md").read_text(encoding="utf-8")
    assert "(switched off)" in report
    assert "| all |" in report
    assert (made / "samples.svg").is_file()
    study = (made.with_name("made-study") / "report.md").read_text(encoding="utf-8")
    assert "It helps" in study or "No effect" in study or "It hurts" in study


def test_nothing_held_out_reaches_the_model(made):
    split = Split.load(made)
    assert split is not None
    assert split == Split.load(made.with_name("made-work"))  # stored before the training began
    everything = open_pictures(str(made.with_name("data.npz")))
    assert set(split.train) | set(split.test) == set(digests(everything.x))  # type: ignore[attr-defined]
    assert not set(split.train) & set(split.test)
    seen = open_pictures(str(made.with_name("made-work") / "train.npz"))
    assert set(digests(seen.x)) == set(split.train)  # type: ignore[attr-defined]
    config = json.loads((made.with_name("made-work") / "run" / "model" / "config.json").read_text())
    assert config["data"]["hash"] == seen.hash
    assert config["settings"]["conditional"] is True
    assert config["settings"]["augment"] == "diffaugment"


def test_a_row_of_the_manifest_makes_its_picture_again(made):
    model = gansmith.load(made.with_name("made-work") / "run")
    for row in rows_of(made)[::5]:
        again = model.sample(1, seed=int(row["seed"]), label=row["class"])[0, ..., 0]
        assert np.abs(again.astype(int) - np.asarray(Image.open(made / row["file"]))).max() <= 1
    assert len({row["seed"] for row in rows_of(made)}) == 21
    assert {row["model"] for row in rows_of(made)} == {rows_of(made)[0]["model"]}


def test_torchvision_and_we_read_the_folder(made):
    from torchvision.datasets import ImageFolder

    theirs, ours = ImageFolder(str(made)), SyntheticDataset.load(made)
    assert theirs.classes == sorted(NAMES)
    assert len(theirs) == len(ours) == 21
    assert ours.classes == NAMES  # in the order of the data, not of the alphabet
    assert ours.counts() == dict.fromkeys(NAMES, 7)
    for image, label in (ours[i] for i in (0, 20)):
        assert image.shape == (1, 16, 16)
        assert 0 <= image.min() <= image.max() <= 1
        assert isinstance(label, int)
    assert [ours.classes[t] for t in ours.targets] == [row.label for row in ours.rows]
    removed = made / ours.rows[3].file
    content = removed.read_bytes()
    removed.unlink()
    assert len(SyntheticDataset.load(made)) == 20  # pictures deleted by hand are simply gone
    removed.write_bytes(content)
    with pytest.raises(DataError, match="classes of"):
        SyntheticDataset.load(made, classes=("disc", "box", "star"))


def test_a_finished_model_keeps_to_its_split(made, tmp_path, capsys):
    words = [
        "augment",
        "--data",
        str(made.with_name("data.npz")),
        "--model",
        str(made.with_name("made-work") / "run"),
        *UNFILTERED,
    ]
    assert cli.main([*words, "--out", str(tmp_path / "more"), "--per-class", "2"]) == 0
    assert Split.load(tmp_path / "more") == Split.load(made)
    assert not (tmp_path / "more-work").exists()
    assert rows_of(tmp_path / "more")[0]["model"] == rows_of(made)[0]["model"]
    other = tmp_path / "elsewhere"
    gansmith.load(made.with_name("made-work") / "run").save(other)  # the model alone: what it has seen is not known
    assert cli.main([*words[:4], str(other), *UNFILTERED, "--out", str(tmp_path / "x"), "--study"]) == 2
    assert "what a finished model has seen is not known" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_study_of_a_folder_made_before(made, tmp_path):
    words = ["study", "--data", str(made.with_name("data.npz")), "--synthetic", str(made), "--out", str(tmp_path / "s")]
    assert cli.main([*words, "--seeds", "2", "--classifier", "tiny", "--classifier-steps", "2"]) == 0
    again = json.loads((tmp_path / "s" / "study.json").read_text())
    assert again == json.loads((made.with_name("made-study") / "study.json").read_text())


class Counting:
    """A model whose picture of seed s has the grey level s, and a filter that keeps every third seed."""

    classes, spec = 2, ImageSpec(8, 8, 1, 2, ("b", "a"))

    def latents(self, n: int, seed: int) -> torch.Tensor:
        return torch.tensor([[float(seed)]])

    def decode(self, latents: torch.Tensor, labels: torch.Tensor, truncation: float) -> torch.Tensor:
        self.labels = labels
        return (latents[:, :, None, None] / 127.5 - 1).expand(-1, 1, 8, 8)

    def judge(self, images: torch.Tensor, labels: torch.Tensor) -> Judgement:
        seeds = images[:, 0, 0, 0].numpy()
        failed = {"agreement": seeds % 3 > 0, "outliers": seeds % 3 > 1}
        return Judgement(seeds % 3 == 0, failed, seeds / 255)


def draw_from(both: Counting, wanted: list[int], tries: int, monkeypatch):
    monkeypatch.setattr(drawing, "_ROUND", 8)
    lines: list[str] = []
    return drawing.draw(both, both, wanted, ("a", "b"), AugmentSettings(tries=tries), lines.append), lines  # type: ignore[arg-type]


def test_draws_until_enough_are_kept_and_counts_what_was_dropped(monkeypatch):
    (images, labels, seeds, scores, tallies), lines = draw_from(Counting(), [4, 2], 10, monkeypatch)
    # class a: 0 3 6 of the first eight seeds, then 9; class b starts where a's second round ended: 18 21
    assert seeds == [0, 3, 6, 9, 18, 21]
    assert labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert images[:, 0, 0, 0].tolist() == seeds
    assert scores.tolist() == pytest.approx([s / 255 for s in seeds])
    assert (tallies["a"].drawn, tallies["a"].kept) == (10, 4)  # 0 to 9
    assert tallies["a"].failed == {"agreement": 6, "duplicates": 0, "outliers": 3}
    assert (tallies["b"].drawn, tallies["b"].kept) == (6, 2)  # 16 to 21
    assert "kept 6 of 16: 10 failed agreement, 0 failed duplicates, 5 failed outliers" in lines[-1]


def test_gives_up_on_a_class_that_fails_too_often(monkeypatch):
    (_, labels, _, _, tallies), _ = draw_from(Counting(), [6, 0], 2, monkeypatch)
    assert len(labels) == 4
    assert (tallies["a"].drawn, tallies["a"].kept) == (12, 4)
    never = Counting()
    never.judge = lambda images, labels: Judgement(np.zeros(len(images), bool), {}, np.zeros(len(images)))  # type: ignore[method-assign]
    with pytest.raises(GansmithError, match="dropped every picture"):
        draw_from(never, [3, 3], 2, monkeypatch)


def test_the_models_own_class_numbers_are_used(monkeypatch):
    both = Counting()  # its class 0 is 'b', the data's is 'a'
    draw_from(both, [1, 0], 10, monkeypatch)
    assert both.labels.unique().tolist() == [1]


def test_the_command_filters_by_itself(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(drawing, "usual_steps", lambda pictures: 20)
    data, model = made.with_name("data.npz"), made.with_name("made-work") / "run"
    words = [
        "augment",
        "--data",
        str(data),
        "--model",
        str(model),
        "--out",
        str(tmp_path / "x"),
        "--per-class",
        "5",
        "--tries",
        "2",
    ]
    code = cli.main(words)
    said = capsys.readouterr().err
    assert "the filters' classifier is right on" in said
    (drawn,) = re.findall(r"^kept [\d,]+ of ([\d,]+):", said, re.MULTILINE)
    assert int(drawn) > 15  # two steps of training do not make good pictures
    if code == 0:
        kept = {row["class"] for row in rows_of(tmp_path / "x") if 0 < float(row["score"]) <= 1}
        assert kept
        assert "**Fewer than asked for**" in (tmp_path / "x" / "report.md").read_text(encoding="utf-8")
    else:
        assert "The filters dropped every picture" in said
        assert not (tmp_path / "x").exists()


def test_filling_up_small_classes(tmp_path, capsys):
    x, y = shapes(60, 0, size=16, channels=3)
    keep = (y != 2) | (np.arange(60) < 24)
    write_npz(tmp_path / "data.npz", x[keep], y[keep])
    words = [
        "augment",
        "--data",
        str(tmp_path / "data.npz"),
        "--out",
        str(tmp_path / "made"),
        "--balance",
        "--holdout",
        "0",
        *TINY,
        *UNFILTERED,
    ]
    assert cli.main(words) == 0
    assert Counter(row["class"] for row in rows_of(tmp_path / "made")) == {"kite": 12}
    assert Image.open(tmp_path / "made" / "kite" / "000000.png").mode == "RGB"
    assert SyntheticDataset.load(tmp_path / "made").counts() == {"disc": 0, "box": 0, "kite": 12}
    report = (tmp_path / "made" / "report.md").read_text()  # ImageFolder would call the only folder class 0
    assert "disc, box got no pictures" in report
    assert "target_transform=[2].__getitem__" in report  # of box, disc, kite
    assert "no pictures of disc, box" in capsys.readouterr().err


def test_a_folder_called_as_a_standard_set_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for label in NAMES:
        (Path("mnist10k") / label).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((12, 12), i, np.uint8)).save(Path("mnist10k") / label / f"{i}.png")
    assert SyntheticDataset.load("mnist10k").counts() == dict.fromkeys(sorted(NAMES), 2)


def test_bad_input_is_told_at_once(made, tmp_path, capsys):
    x, y = shapes(30, 0, size=16)
    data, model = str(made.with_name("data.npz")), str(made.with_name("made-work") / "run")
    np.savez(tmp_path / "unlabelled.npz", x=x)
    np.savez(tmp_path / "few.npz", x=x[:24], y=np.append(y[:20], [3, 3, 3, 3]))
    np.savez(tmp_path / "others.npz", x=x, y=y, class_names=np.array(["disc", "box", "star"]))
    write_npz(tmp_path / "large.npz", *shapes(30, 0, size=24))

    def refused(*words: str) -> str:
        out = tmp_path / "out"
        try:
            code = cli.main(["augment", "--out", str(out), "--steps", "2", "--batch", "4", *words])
        except SystemExit as stop:
            code = stop.code
        assert code == 2
        assert not out.exists()
        assert not out.with_name("out-work").exists()
        said = capsys.readouterr()
        return " ".join((said.err + said.out).split())

    assert "'unlabelled' has no labels" in refused("--data", str(tmp_path / "unlabelled.npz"))
    assert "at least 5 different pictures; in 'few' class '3' has 4" in refused("--data", str(tmp_path / "few.npz"))
    assert "The model's classes differ" in refused("--data", str(tmp_path / "others.npz"), "--model", model)
    assert "makes pictures of 16x16 with 1 channel" in refused("--data", str(tmp_path / "large.npz"), "--model", model)
    assert "Give one of --per-class and --balance" in refused("--data", data, "--per-class", "3", "--balance")
    assert "--holdout must be 0 to under 1" in refused("--data", data, "--holdout", "1.5")
    assert "cannot make pictures of a given class" in refused("--data", data, "--family", "upscale")
    assert "--no-conditional" in refused("--data", data, "--no-conditional")
    assert "holds the same pictures" in refused("--data", data, "--test", data)
    assert "nothing is held out" in refused("--data", data, "--holdout", "0", "--study")
    assert "--seeds 2 or more" in refused("--data", data, "--study", "--seeds", "1")
    assert "multiple of --group-width" in refused("--data", data, "--width", "33")
    assert "--lr cannot be negative" in refused("--data", data, "--lr", "-2")
    assert "--seed cannot be negative" in refused("--data", data, "--seed", "-1")
    assert "--truncation must be a finite number" in refused("--data", data, "--truncation", "nan")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("x")
    assert cli.main(["augment", "--data", data, "--out", str(tmp_path / "full")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["precious.txt"]


def test_a_folder_without_a_name(made, tmp_path, monkeypatch, capsys):
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert work_folder(Path()) == tmp_path / "deep-work"
    assert study_folder(Path("..")) == tmp_path.with_name(tmp_path.name + "-study")
    data, model = made.with_name("data.npz"), made.with_name("made-work") / "run"
    words = ["augment", "--data", str(data), "--model", str(model), "--per-class", "1", *UNFILTERED]
    assert cli.main([*words, "--out", "."]) == 0
    assert len(rows_of(tmp_path / "deep")) == 3


def test_a_model_trained_before_is_named(made, capsys):
    out = made.with_name("made-again")
    made.with_name("made-work").rename(out.with_name("made-again-work"))
    try:
        assert cli.main(["augment", "--data", str(made.with_name("data.npz")), "--out", str(out), "--steps", "1"]) == 2
    finally:
        out.with_name("made-again-work").rename(made.with_name("made-work"))
    assert "Draw from it with --model" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_whose_pictures_are_all_gone(made, tmp_path):
    import shutil

    shutil.copytree(made, tmp_path / "made")
    for row in rows_of(made):
        (tmp_path / "made" / row["file"]).rename(tmp_path / "made" / f"{row['file']}.png")
    with pytest.raises(DataError, match="None of the pictures"):
        SyntheticDataset.load(tmp_path / "made")


# --- Python -----------------------------------------------------------------------------------------------------------


class Shapes(torch.utils.data.Dataset):
    """A dataset as people write them."""

    classes = NAMES

    def __init__(self, kind: str, count: int = 30) -> None:
        self.kind, (self.x, self.y) = kind, shapes(count, 0, size=16)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index):
        array = self.x[index]
        if self.kind == "pil":
            return Image.fromarray(array[..., 0]), int(self.y[index])
        tensor = torch.from_numpy(array).permute(2, 0, 1)
        return {"uint8": tensor, "float": tensor.float() / 255, "normalised": tensor.float() / 127.5 - 1}[
            self.kind
        ], int(self.y[index])


def test_augment_in_python_fits_beside_the_dataset():
    real = Shapes("float")
    made = gansmith.augment(
        real, per_class=3, steps=2, batch=4, width=32, agreement=False, outliers=False, duplicates=False, quiet=True
    )
    assert made.folder is None
    assert made.classes == NAMES
    assert made.study is None
    both = ConcatDataset([real, made])
    sampler = MixedSampler(real, made, ratio=0.25, length=16)
    images, labels = next(iter(DataLoader(both, batch_size=16, sampler=sampler)))
    assert images.shape == (16, 1, 16, 16)
    assert images.dtype == torch.float32
    assert labels.max() <= 2


def test_a_model_whose_pictures_all_fail_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Filters, "judge", lambda self, x, y: Judgement(np.zeros(len(x), bool), {}, np.zeros(len(x))))
    with pytest.raises(GansmithError, match="dropped every picture"):
        gansmith.augment(Shapes("uint8"), per_class=3, steps=2, batch=4, width=32, duplicates=False, quiet=True)
    assert len(list(tmp_path.glob("gansmith-*/pictures-work/run/model/model.safetensors"))) == 1
    with pytest.raises(GansmithError, match="--seed"):
        gansmith.augment(Shapes("uint8"), seed=10**13, steps=2, quiet=True)
    assert len(list(tmp_path.glob("gansmith-*"))) == 1


@pytest.mark.parametrize("kind", ["pil", "uint8", "float"])
def test_pictures_from_datasets_come_back_as_they_were(kind):
    real = Shapes(kind)
    pictures, found = as_pictures(real)
    assert found == kind
    assert pictures.spec.class_names == NAMES
    x, y = pictures.fetch(np.arange(30))
    assert torch.equal(x, torch.from_numpy(real.x).permute(0, 3, 1, 2))
    assert y is not None
    image, label = SyntheticDataset(x, y, NAMES, kind=found)[4]
    theirs, _ = real[4]
    assert label == real.y[4]
    assert type(image) is type(theirs)
    assert np.array_equal(np.asarray(image), np.asarray(theirs))
    subset = torch.utils.data.Subset(real, [0, 3])
    assert as_pictures(subset)[0].spec.class_names == NAMES


def test_datasets_that_cannot_be_used():
    with pytest.raises(DataError, match="without its Normalize"):
        as_pictures(Shapes("normalised"))
    with pytest.raises(DataError, match="no labels"):
        as_pictures(TensorDataset(torch.zeros(4, 1, 8, 8)))
    with pytest.raises(DataError, match="different sizes"):
        as_pictures([(torch.zeros(1, 8, 8), 0), (torch.zeros(1, 9, 9), 1)])
    for label in (torch.tensor([0.0, 1.0]), "cat", None, -1):
        with pytest.raises(DataError, match="whole numbers from 0"):
            as_pictures([(torch.zeros(1, 8, 8), label)])
    with pytest.raises(DataError, match="cannot be read from a int"):
        as_pictures(3)
    x, y = shapes(12, 0)
    assert as_pictures((x, y))[0].spec.classes == 3
    with pytest.raises(GansmithError, match="no setting 'minuets'"):
        gansmith.augment((x, y), minuets=3)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 1.0])
def test_the_sampler_mixes_at_its_ratio(ratio):
    sampler = MixedSampler(100, 40, ratio, seed=3)
    first, second = list(sampler), list(sampler)
    assert len(first) == len(sampler) == (round(100 / (1 - ratio)) if ratio < 1 else 40)
    made = np.array(first) >= 100
    assert made.mean() == pytest.approx(ratio, abs=0.01)
    assert max(first) < 140
    if ratio < 1:
        assert sorted(np.array(first)[~made]) == list(range(100))  # every real picture once
    shown = np.bincount(np.array(first)[made] - 100, minlength=40)
    assert shown.max() - shown.min() <= 1
    assert first != second
    again = MixedSampler(100, 40, ratio, seed=3)
    assert list(again) == first
    again.set_epoch(1)
    assert list(again) == second


def test_ratios_that_cannot_be():
    with pytest.raises(GansmithError, match="from 0 to 1"):
        MixedSampler(10, 10, 1.5)
    with pytest.raises(GansmithError, match="cannot be mixed"):
        MixedSampler(10, 0, 0.5)
    with pytest.raises(GansmithError, match="not -1"):
        MixedSampler(10, 10, length=-1)
    assert list(MixedSampler(10, 10, length=0)) == []


def test_workers_load_it_beside_a_real_dataset():
    real = Shapes("float")
    x, y = shapes(12, 5, size=16)
    made = SyntheticDataset(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y), NAMES)
    loader = DataLoader(ConcatDataset([real, made]), batch_size=7, sampler=MixedSampler(real, made), num_workers=2)
    batches = list(loader)
    assert sum(len(labels) for _, labels in batches) == 60
    assert all(images.dtype == torch.float32 and images.shape[1:] == (1, 16, 16) for images, _ in batches)


def test_what_few_pictures_need_is_on():
    settings = family_config("r3gan", {})
    assert (settings.conditional, settings.augment, settings.class_fade) == (True, "diffaugment", 0.6)
    assert family_config("r3gan", {"class_fade": 0.0, "augment": "ada"}).class_fade == 0
