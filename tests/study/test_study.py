"""The study: no leak between its sides, honest intervals, and the right answer where the answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from gansmith import cli
from gansmith.data import MemoryPictures
from gansmith.errors import DataError, GansmithError
from gansmith.game import ImageSpec
from gansmith.study import statistics
from gansmith.study.comparison import (
    BOTH,
    CLASSIC,
    GAN,
    ONLY,
    REAL,
    RESAMPLED,
    StudySettings,
    compare,
    in_words,
    summarise,
)
from gansmith.study.report import study_report, write_study_report
from gansmith.study.statistics import Estimate
from gansmith.study.study import make_pools, mixed_weights, run_arms, sides, study
from gansmith.synthetic import classifier
from gansmith.synthetic.classifier import Pool, Recipe
from gansmith.synthetic.dataset import SyntheticDataset
from gansmith.synthetic.split import Split, digests, hold_out, labelled
from helpers.shapes import NAMES, memory, shapes, write_npz

# --- the split --------------------------------------------------------------------------------------------------------


def test_equal_pictures_never_straddle_the_split():
    x, y = shapes(90, 0)
    x = np.concatenate([x, x[:40], x[:10]])  # many twice, some three times
    y = np.concatenate([y, y[:40], y[:10]])
    y[90:93] = (y[90:93] + 1) % 3  # some of them with another label
    found = digests(torch.from_numpy(x))
    train, test = hold_out(y, found, 0.3, seed=1)
    assert sorted([*train, *test]) == list(range(140))
    assert not {found[i] for i in train} & {found[i] for i in test}
    for label in range(3):
        assert abs((y[test] == label).mean() - (y == label).mean()) < 0.1
    assert 0.22 < len(test) / 140 < 0.38


def test_the_split_depends_on_content_and_seed_alone():
    x, y = shapes(60, 0)
    found = digests(torch.from_numpy(x))
    _, test = hold_out(y, found, 0.2, seed=1)
    mixed = np.random.default_rng(0).permutation(60)
    _, mixed_test = hold_out(y[mixed], [found[i] for i in mixed], 0.2, seed=1)
    assert {found[i] for i in test} == {found[mixed[i]] for i in mixed_test}
    _, other = hold_out(y, found, 0.2, seed=2)
    assert set(other) != set(test)
    assert len(hold_out(y, found, 0.0, seed=1)[1]) == 0


def test_a_stored_split_comes_back(tmp_path):
    split = Split("shapes", "ab", (12, 12), NAMES, 0.2, 3, ("a", "b"), ("c",), test_data="x.npz", guarded=False)
    split.save(tmp_path)
    assert Split.load(tmp_path) == split
    train, test = split.rows(["b", "c", "z", "b"])
    assert train.tolist() == [0, 3]
    assert test.tolist() == [1]
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        Split.load(tmp_path)
    assert Split.load(tmp_path / "nowhere") is None


def test_classes_need_five_different_pictures():
    x, y = shapes(30, 0)
    x[y == 1] = x[1]
    with pytest.raises(DataError, match="'box' has 1"):
        labelled(memory(x, y))


# --- statistics -------------------------------------------------------------------------------------------------------


def crossed(
    random: np.random.Generator, seeds: int, pictures: int, by_seed: float, by_picture: float, rest: float
) -> np.ndarray:
    parts = random.normal(0, by_seed, (seeds, 1)) + random.normal(0, by_picture, (1, pictures))
    return parts + random.normal(0, rest, (seeds, pictures))


@pytest.mark.parametrize(("by_seed", "by_picture", "rest"), [(0.05, 0.3, 0.5), (0.0, 0.5, 0.2), (0.2, 0.1, 0.1)])
def test_intervals_cover_what_they_say(by_seed, by_picture, rest):
    random = np.random.default_rng(5)
    found = [statistics.over_seeds_and_pictures(crossed(random, 5, 120, by_seed, by_picture, rest)) for _ in range(600)]
    covered = np.mean([e.low <= 0 <= e.high for e in found])
    assert 0.92 <= covered <= 0.985
    assert np.mean([e.p < 0.05 for e in found]) == pytest.approx(1 - covered)  # the test and the interval agree


def test_estimates_against_students_t():
    values = np.random.default_rng(0).normal(0.1, 1, (1, 50))  # one seed: the plain t-interval over pictures
    ours, theirs = statistics.over_seeds_and_pictures(values), stats.ttest_1samp(values[0], 0)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    one, two = [0.8, 0.82, 0.81, 0.85], [0.78, 0.81, 0.8, 0.8]
    assert statistics.paired(one, two) == pytest.approx(stats.ttest_rel(one, two).pvalue)
    assert statistics.paired(one, one) == 1.0
    assert statistics.over_seeds(one).half == pytest.approx(3.18245 * stats.sem(one), rel=1e-4)


def test_four_test_pictures_prove_nothing_much():
    sure = statistics.over_seeds_and_pictures(np.ones((5, 4)))
    assert sure.half > 0.5
    assert statistics.over_seeds_and_pictures(np.zeros((5, 4))).p == 1.0


def test_holm_and_calibration_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    # 10 predictions at .95 of which 8 are right, 10 at .55 of which 6 are right
    confidence = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([1] * 8 + [0] * 2 + [1] * 6 + [0] * 4, dtype=float)
    assert statistics.calibration_error(confidence, right) == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_the_answer_in_words():
    assert in_words(Estimate(0.012, 0.004, 0.001)) == "It helps by 1.20 ± 0.40 points."
    assert in_words(Estimate(-0.02, 0.01, 0.001)) == "It hurts by 2.00 ± 1.00 points."
    assert in_words(Estimate(-0.002, 0.01, 0.7)).startswith("No effect: the difference is -0.20 ± 1.00 points")


def test_recalls_and_mean_recall():
    labels = np.array([0, 0, 0, 0, 1, 1])
    good, bad = np.eye(2)[[0, 0, 0, 1, 1, 1]], np.eye(2)[[0, 0, 1, 1, 1, 0]]
    one, two = (summarise(n, np.stack([p, p]).astype(np.float32), labels) for n, p in (("one", good), ("two", bad)))
    assert one.accuracy.mean == pytest.approx(5 / 6)
    assert [e.mean for e in one.recalls] == [0.75, 1.0]
    assert one.balanced.mean == pytest.approx(0.875)
    difference = compare(one, two, labels)
    assert difference.accuracy.mean == pytest.approx(2 / 6)
    assert [e.mean for e in difference.recalls] == pytest.approx([0.25, 0.5])


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_weights_keep_the_ratio_within_each_class():
    real_y, made_y = torch.tensor([0] * 10 + [1] * 40), torch.tensor([0] * 90 + [1] * 40)
    weights = mixed_weights(real_y, made_y, 2, 0.5)
    labels, made = torch.cat([real_y, made_y]), torch.arange(180) >= 50
    assert weights[labels == 0].sum() == pytest.approx(100)  # as frequent as real and synthetic ones together
    assert weights[labels == 1].sum() == pytest.approx(80)
    assert weights[(labels == 0) & made].sum() == pytest.approx(50)  # but half of what is shown is real
    assert weights[(labels == 1) & made].sum() == pytest.approx(40)
    assert mixed_weights(real_y, made_y, 2, 0.0)[made].sum() == 0


def test_pictures_are_shown_as_often_as_their_weight_says():
    weights = torch.tensor([1.0] * 8 + [3.0] * 4)
    pool = Pool(torch.zeros(12, 1, 8, 8), torch.zeros(12), torch.zeros(12), lambda progress: weights)
    torch.manual_seed(0)
    counts = torch.bincount(classifier.order(pool, 1200), minlength=12).float()
    assert counts[:8].mean() == pytest.approx(60, abs=3)
    assert counts[8:].mean() == pytest.approx(180, abs=6)
    even = Pool(pool.images, pool.labels, pool.made, lambda progress: torch.ones(12))
    assert sorted(classifier.order(even, 24).tolist()) == sorted([*range(12)] * 2)


def test_filling_up_a_class_is_compared_with_repeating_its_pictures():
    x = torch.zeros(50, 1, 8, 8, dtype=torch.uint8)
    real_y, made_y = torch.tensor([0] * 45 + [1] * 5), torch.ones(40, dtype=torch.int64)
    pools = make_pools((x, real_y, x[:40], made_y), 2, StudySettings())
    assert RESAMPLED in pools
    assert ONLY not in pools
    pool, augment = pools[RESAMPLED]
    shown = pool.weights(0.0)
    assert augment
    assert shown[real_y == 1].sum() == pytest.approx(float(shown[real_y == 0].sum()))
    even = make_pools((x, torch.arange(50) % 2, x[:40], torch.arange(40) % 2), 2, StudySettings())
    assert RESAMPLED not in even


def test_label_smoothing_is_torchs_own():
    logits, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0, 1])
    for smoothing in (0.0, 0.2):
        theirs = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        assert torch.allclose(classifier.smoothed_loss(logits, labels, torch.full((6,), smoothing)), theirs)


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (28, 28, 1), (32, 48, 3), (128, 128, 4)])
def test_the_classifier_takes_every_size(height, width, channels):
    spec = ImageSpec(height, width, channels, 7)
    network = classifier.make_classifier("small", spec)
    assert network(torch.zeros(2, *spec.shape)).shape == (2, 7)
    assert classifier.classic(torch.rand(3, *spec.shape) * 2 - 1, flip=True).abs().max() <= 1


def test_torchvisions_classifiers():
    spec = ImageSpec(32, 32, 1, 3)
    assert classifier.make_classifier("resnet18", spec).eval()(torch.zeros(2, 1, 32, 32)).shape == (2, 3)
    with pytest.raises(GansmithError, match="There is no classifier 'resnet19'"):
        classifier.make_classifier("resnet19", spec)


def test_training_is_the_same_for_a_seed_and_leaves_torchs_randomness_alone():
    x, y = shapes(24, 0)
    pool = Pool(
        torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y), torch.zeros(24), lambda progress: torch.ones(24)
    )
    spec = ImageSpec(12, 12, 1, 3)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, two = (classifier.train(pool, spec, Recipe(steps=3), augment=True, seed=1) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(classifier.predict(one, pool.images), classifier.predict(two, pool.images))


# --- whole studies ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few() -> MemoryPictures:
    """18 pictures to learn from, 180 to test on."""
    return memory(*shapes(198, 1))


@pytest.fixture(scope="module")
def split(few) -> Split:
    found = digests(few.x)
    return Split("shapes", few.hash, (12, 12), NAMES, 0.9, 0, tuple(found[:18]), tuple(found[18:]))


def synthetic(count: int, shift: int = 0) -> SyntheticDataset:
    """A perfect model's pictures; with ``shift`` their labels are wrong."""
    x, y = shapes(count, 2)
    return SyntheticDataset(torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy((y + shift) % 3), NAMES)


SETTINGS = StudySettings(seeds=3, classifier="tiny", classifier_steps=40)


@pytest.fixture(scope="module")
def helped(few, split):
    return study(few, synthetic(240), SETTINGS, split=split, say=lambda line: None)


def test_more_pictures_of_the_same_kind_help(helped, tmp_path):
    assert helped.verdict.startswith("It helps by"), study_report(helped)
    gain = helped.headline.accuracy
    assert gain.p < 0.05
    assert helped.arms[BOTH].accuracy.mean - helped.arms[CLASSIC].accuracy.mean == pytest.approx(gain.mean)
    assert helped.arms[GAN].accuracy.mean > helped.arms[REAL].accuracy.mean
    assert helped.arms[ONLY].accuracy.mean > 0.6
    write_study_report(helped, tmp_path)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert helped.verdict in report
    for name in (REAL, CLASSIC, GAN, BOTH, ONLY, *NAMES):
        assert f"| {name} |" in report
    for plot in ("accuracy.svg", "recall.svg", "calibration.svg"):
        assert plot in report
        assert (tmp_path / plot).read_text(encoding="utf-8").count("<path") > 5
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["arms"][BOTH]["accuracy"]["mean"] == pytest.approx(helped.arms[BOTH].accuracy.mean, abs=1e-6)
    assert content["settings"]["test_pictures"] == 180


def test_wrong_labels_hurt(few, helped):
    made, settings = synthetic(240, shift=1), replace(SETTINGS, seeds=1)
    learned, test = (few.x[:18], few.y[:18], made.images, made.targets), (few.x[18:], few.y[18:])
    arms = run_arms(learned, test, few.spec, settings, flip=False, seed=0, device="cpu", say=lambda line: None)
    assert arms[BOTH].accuracy.mean < arms[CLASSIC].accuracy.mean
    assert arms[ONLY].accuracy.mean < 0.3
    for name in (REAL, CLASSIC):  # these are trained alike, whatever the synthetic pictures are
        assert np.array_equal(arms[name].predictions[0], helped.arms[name].predictions[0])


def test_nothing_of_the_test_side_is_learned_from(few, split):
    x, y = labelled(few)
    train, test_x, test_y, notes = sides(split, few, x, y)
    assert set(digests(x[train])) == set(split.train)
    assert set(digests(test_x)) == set(split.test)
    assert len(test_y) == 180
    assert not notes
    leaked = SyntheticDataset(torch.cat([few.x[:4], few.x[20:23]]), torch.cat([few.y[:4], few.y[20:23]]), NAMES)
    found = study(
        few, leaked, StudySettings(seeds=2, classifier="tiny", classifier_steps=1), split=split, say=lambda line: None
    )
    assert any(note.startswith("3 synthetic pictures equal test pictures") for note in found.notes)
    assert sum(found.synthetic) == 4


def folder_of(path: Path, made: SyntheticDataset) -> Path:
    from PIL import Image

    for i, (image, label) in enumerate(zip(made.images, made.targets, strict=True)):
        (path / NAMES[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path / NAMES[label] / f"{i}.png")
    return path


def test_command_on_somebody_elses_pictures(tmp_path, capsys):
    data, other = write_npz(tmp_path / "data.npz", *shapes(30, 1)), write_npz(tmp_path / "test.npz", *shapes(60, 3))
    made = folder_of(tmp_path / "made", synthetic(12))
    words = [
        "study",
        "--data",
        str(data),
        "--synthetic",
        str(made),
        "--seeds",
        "2",
        "--classifier",
        "tiny",
        "--classifier-steps",
        "2",
    ]
    assert cli.main(words) == 2
    assert "not known which real pictures the model has not seen" in capsys.readouterr().err
    assert cli.main([*words, "--test", str(other)]) == 0
    out = capsys.readouterr()
    assert "report.md" in out.out
    assert out.err.count("of the test pictures right") == 10
    report = (tmp_path / "made-study" / "report.md").read_text(encoding="utf-8")
    assert "It is not known whether the model that made the synthetic pictures has seen the test pictures." in report
    assert cli.main([*words, "--test", str(other)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_command_refuses_what_cannot_be(tmp_path, capsys):
    x, y = shapes(30, 1)
    data = write_npz(tmp_path / "data.npz", x, y)
    made = folder_of(tmp_path / "made", synthetic(12))
    (made / "disc").rename(made / "ball")

    def refused(*more: str, synthetic: Path = made) -> str:
        words = ["study", "--data", str(data), "--synthetic", str(synthetic), "--out", str(tmp_path / "out"), *more]
        assert cli.main(words) == 2
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err

    assert "'ball', which 'the data' does not" in refused("--test", str(data))
    assert "--seeds must be 2 or more" in refused("--seeds", "1")
    assert "no such file or folder" in refused(synthetic=tmp_path / "nowhere")
    (made / "ball").rename(made / "disc")
    assert "holds the same pictures" in refused("--test", str(data))
    words = ["study", "--data", str(data), "--synthetic", str(made), "--out", str(data / "out")]
    assert cli.main(words) == 2, "before anything is trained"
    assert "it is a file, not a folder" in capsys.readouterr().err
    assert "There is no classifier 'vgg'" in refused("--test", str(data), "--classifier", "vgg")
    Split("other", "x", (12, 12), NAMES, 0.2, 0, ("a",), ("b",)).save(made)
    assert "none of its pictures is in 'data'" in refused()


def test_pictures_of_another_size_are_brought_to_the_real_ones_and_it_is_said(tmp_path):
    from PIL import Image

    data, other = write_npz(tmp_path / "data.npz", *shapes(30, 1)), write_npz(tmp_path / "test.npz", *shapes(60, 3))
    made = folder_of(tmp_path / "made", synthetic(12))
    for file in made.rglob("*.png"):
        Image.open(file).resize((30, 20)).save(file)
    words = ["study", "--data", str(data), "--synthetic", str(made), "--test", str(other), "--seeds", "2"]
    assert cli.main([*words, "--classifier", "tiny", "--classifier-steps", "1"]) == 0
    report = (tmp_path / "made-study" / "report.md").read_text(encoding="utf-8")
    assert "The synthetic pictures (30x20) were brought to the size of the real ones, 12x12." in report
    larger = SyntheticDataset(torch.zeros(3, 1, 14, 14, dtype=torch.uint8), torch.arange(3), NAMES)
    with pytest.raises(DataError, match="Bring both to one size"):
        study(memory(*shapes(30, 1)), larger, StudySettings(seeds=2), say=print)
