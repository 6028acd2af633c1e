from __future__ import annotations

import json
import math
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from gansmith.data import MemoryPictures, TwoSided, open_pictures
from gansmith.errors import GansmithError, MissingExtra, ModelError
from gansmith.game import ImageSpec
from gansmith.metrics import classifier, extractors, features, modes, scores
from gansmith.metrics.cheap import Cheap
from gansmith.metrics.evaluate import check_counts, evaluate
from gansmith.metrics.memorisation import memorisation, save_sheet
from gansmith.metrics.real import RealFeatures


@pytest.fixture(scope="module")
def embedded():
    """All 10,000 embedded digits in their own order, class by class: uint8 [N, 1, 28, 28] and labels [N]."""
    pictures = open_pictures("mnist10k")
    return pictures.fetch(np.arange(len(pictures)))


@pytest.fixture(scope="module")
def digits(embedded):
    """3,000 of them, shuffled."""
    order = torch.from_numpy(np.random.default_rng(5).permutation(10_000)[:3000])
    return embedded[0][order], embedded[1][order]


def as_pictures(x: torch.Tensor, name: str = "some-digits") -> MemoryPictures:
    return MemoryPictures.from_arrays(x.permute(0, 2, 3, 1).numpy(), name=name)


def gaussians(n: int = 400, d: int = 12) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    mix = random.normal(size=(d, d))
    return random.normal(size=(n, d)) @ mix, random.normal(size=(n, d)) @ mix * 1.2 + 0.3


# --- scores -------------------------------------------------------------------------------------------------------


def test_frechet_distance_of_gaussians_in_closed_form():
    """For covariances that commute, it is |m1 - m2|^2 + sum (s1 - s2)^2 over the common axes."""
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(8, 8)))[0]
    s1, s2 = random.uniform(0.1, 3, 8), random.uniform(0.1, 3, 8)
    m1, m2 = random.normal(size=8), random.normal(size=8)
    a = scores.Moments(m1, axes @ np.diag(s1**2) @ axes.T)
    b = scores.Moments(m2, axes @ np.diag(s2**2) @ axes.T)
    expected = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
    assert scores.frechet_distance(a, b) == pytest.approx(expected, abs=1e-9)
    assert scores.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_with_fewer_pictures_than_features():
    few = np.random.default_rng(0).normal(size=(10, 64))
    assert scores.frechet_distance(scores.moments(few), scores.moments(few + 2)) == pytest.approx(64 * 4, rel=1e-6)


def test_frechet_distance_equals_torch_fidelity():
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    a, b = gaussians()
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert scores.frechet_distance(scores.moments(a), scores.moments(b)) == pytest.approx(theirs, rel=1e-6)


def test_kernel_distance_equals_torch_fidelity():
    from torch_fidelity.metric_kid import kid_features_to_metric

    a, b = gaussians()
    theirs = kid_features_to_metric(
        torch.from_numpy(a), torch.from_numpy(b), kid_subsets=7, kid_subset_size=150, rng_seed=3, verbose=False
    )
    mean, deviation = scores.kernel_distance(a, b, subsets=7, size=150, seed=3)
    assert mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert deviation == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


def test_kernel_distance_in_closed_form():
    """One feature, N(0, 1) against N(m, 1)."""
    m = 0.8
    # (xy + 1)^3 = x^3 y^3 + 3 x^2 y^2 + 3 xy + 1, so MMD^2 = dE[x^3]^2 + 3 dE[x^2]^2 + 3 dE[x]^2
    expected = (m**3 + 3 * m) ** 2 + 3 * (m**2) ** 2 + 3 * m**2
    random = np.random.default_rng(0)
    found = [
        scores.kernel_distance(random.normal(size=(300, 1)), random.normal(size=(300, 1)) + m)[0] for _ in range(100)
    ]
    error = np.std(found) / math.sqrt(100)
    assert error < 0.1 * expected
    assert abs(np.mean(found) - expected) < 3 * error


def test_kernel_distance_is_unbiased():
    random = np.random.default_rng(1)
    found = [scores.kernel_distance(random.normal(size=(30, 5)), random.normal(size=(30, 5)))[0] for _ in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(200)
    assert min(found) < 0


def test_manifold_scores():
    a, _ = gaussians()
    b = a + np.random.default_rng(2).normal(size=a.shape) * 1e-3
    near = scores.manifold_scores(a, b)
    assert near["precision"] == near["recall"] == near["coverage"] == 1
    assert near["density"] == pytest.approx(1, abs=0.1)
    far = scores.manifold_scores(a, b + 1000)
    assert set(far.values()) == {0.0}
    half = scores.manifold_scores(a, b[:1].repeat(400, 0) + np.random.default_rng(3).normal(size=a.shape) * 1e-2)
    assert half["precision"] == 1
    assert half["coverage"] < 0.2


def test_classifier_score():
    from torch_fidelity.metric_isc import isc_features_to_metric

    random = np.random.default_rng(0)
    logits = random.normal(size=(505, 10)) * 2
    theirs = isc_features_to_metric(torch.from_numpy(logits), 10, True, 2020)
    mean, deviation = scores.classifier_score(logits)
    assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert deviation == pytest.approx(theirs["inception_score_std"], rel=1e-6)
    sure = 1e3 * np.eye(10)[np.arange(1000) % 10]
    assert scores.classifier_score(sure, splits=1)[0] == pytest.approx(10)
    assert scores.classifier_score(sure[:1].repeat(100, 0))[0] == pytest.approx(1)


def test_sliced_distance_of_shifted_points_in_closed_form():
    """Shifting points by m moves every projection by <m, direction>."""
    points = torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, 1.0])
    directions = torch.nn.functional.normalize(torch.randn(6, 70, generator=torch.Generator().manual_seed(1)), dim=0)
    assert scores.sliced_distance(points, points + shift, directions) == pytest.approx(
        float((shift @ directions).abs().mean()), rel=1e-5
    )


@pytest.mark.parametrize("size", [28, 33, 64])
def test_laplacian_pyramid_gives_the_pictures_back(size):
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    levels = scores.laplacian_pyramid(images)
    assert [level.shape[2] for level in levels] == {28: [28, 14], 33: [33, 17], 64: [64, 32, 16]}[size]
    whole = levels[-1]
    for level in reversed(levels[:-1]):
        whole = level + scores.enlarge(whole, level)
    torch.testing.assert_close(whole, images, atol=1e-6, rtol=0)


def test_sliced_wasserstein_tells_worse_from_better(digits):
    x = digits[0][:600]
    noise = torch.randn(300, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    floor = scores.sliced_wasserstein(x[:300], x[300:])["mean"]
    small, large = (
        scores.sliced_wasserstein(x[:300], (x[300:] + noise * s).clamp(0, 255).to(torch.uint8))["mean"]
        for s in (10, 60)
    )
    brighter = scores.sliced_wasserstein(x[:300], (x[300:].float() * 0.5).to(torch.uint8))["mean"]
    assert floor < small < large
    assert brighter > 2 * floor


# --- classifiers --------------------------------------------------------------------------------------------------


def test_digits_classifier_is_as_good_as_its_card_says(embedded):
    """On the 1,000 pictures that training held out."""
    images, labels = embedded
    held = np.random.default_rng(0).permutation(len(images))[:1000]
    network = classifier.load_classifier("mnist-cnn")
    accuracy = float((classifier.classify(network, images[held]) == labels[held].numpy()).mean())
    assert accuracy == pytest.approx(classifier.card("mnist-cnn")["accuracy"], abs=0.002)
    assert accuracy >= 0.985


@pytest.mark.parametrize(("name", "least"), [("mnist-cnn", 0.985), ("fashion-cnn", 0.915)])
def test_classifiers_ship_small_with_their_accuracy(name, least):
    card = classifier.card(name)
    assert card["accuracy"] >= least
    assert len(card["class_names"]) == len(card["accuracy_per_class"]) == 10
    assert classifier.weights_file(name).stat().st_size < 2_000_000
    network = classifier.load_classifier(name)
    assert sum(p.numel() for p in network.parameters()) == card["weights"]
    assert not any(p.requires_grad for p in network.parameters())
    assert network(torch.zeros(2, 3, 40, 32)).shape == (2, 10)


def test_features_are_whitened(digits):
    found = features.extract(features.build("mnist-cnn"), digits[0][:1000].split(250))
    assert found.shape == (1000, 128)
    assert abs(found.mean()) < 0.05
    assert found.var(0).mean() == pytest.approx(1, abs=0.2)


def test_logits_follow_from_features(digits):
    extractor = features.build("mnist-cnn")
    assert isinstance(extractor, extractors.Classifier)
    x = digits[0][:20]
    direct = extractor.network(x.float() / 127.5 - 1).numpy()
    np.testing.assert_allclose(extractor.logits(features.extract(extractor, [x])), direct, atol=1e-4)


def test_class_shares(digits):
    images, labels = digits
    shares = modes.class_shares(images[:500], "mnist-cnn")
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares, np.bincount(labels[:500], minlength=10) / 500, atol=0.01)


def test_modes_of_stacked_digits(digits):
    images, labels = digits
    random = np.random.default_rng(0)
    rows = random.integers(len(images), size=(700, 3))
    numbers = labels.numpy()[rows] @ np.array([100, 10, 1])
    shares = np.bincount(numbers, minlength=1000) / 700
    found, divergence = modes.modes_and_kl(images[rows][:, :, 0])
    assert found == pytest.approx(np.count_nonzero(shares), abs=12)
    expected = sum(p * math.log(p * 1000) for p in shares if p)
    assert divergence == pytest.approx(expected, abs=0.05)


def test_modes_of_a_collapsed_model(digits):
    one = digits[0][[3, 5, 7]].reshape(1, 3, 28, 28).repeat(50, 1, 1, 1)
    assert modes.modes_and_kl(one) == (1, pytest.approx(math.log(1000)))
    with pytest.raises(GansmithError, match="three channels"):
        modes.modes_and_kl(digits[0][:5])


# --- extractors ---------------------------------------------------------------------------------------------------


def test_auto_features(monkeypatch):
    monkeypatch.setattr(
        "gansmith.nn.efficientnet.weights_file", lambda: None
    )  # test_efficientnet.py has what is with it
    grey = ImageSpec(28, 28, 1)
    assert features.choose(grey, "mnist10k") == "mnist-cnn"
    assert features.choose(grey, "fashion-mnist:test") == "fashion-cnn"
    assert features.choose(ImageSpec(32, 32, 1), "fashion-mnist") == "fashion-cnn"
    assert features.choose(grey, "letters") == "inception"
    assert features.choose(ImageSpec(28, 28, 3), "mnist10k") == "inception"
    assert features.choose(ImageSpec(64, 64, 1), "mnist10k") == "inception"


def test_pictures_are_converted_for_a_network_and_it_is_said():
    extractor = features.build("mnist-cnn")
    assert extractor.note(ImageSpec(28, 28, 1)) == ""
    assert "RGB pictures were converted to grey" in extractor.note(ImageSpec(28, 28, 3))
    grey = torch.randint(256, (4, 1, 28, 28), dtype=torch.uint8)
    torch.testing.assert_close(extractor.adapt(grey.repeat(1, 3, 1, 1)), grey)
    colour = extractors.Inception.adapt(extractors.Inception.__new__(extractors.Inception), grey)
    assert colour.shape == (4, 3, 28, 28)


def test_unknown_features_and_weights_that_do_not_belong(tmp_path):
    with pytest.raises(GansmithError, match="mnist-cnn, fashion-cnn, effnet-lite0, inception, dinov2"):
        features.build("vgg")
    with pytest.raises(GansmithError, match="leave --weights out"):
        features.build("mnist-cnn", weights=tmp_path / "any.pth")
    with pytest.raises(ModelError, match="no file of weights"):
        features.build("inception", weights=tmp_path / "absent.pth")


def test_absent_inception_weights_say_how_to_get_them(monkeypatch):
    def fail(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(ModelError, match=r"(?s)no network.*--weights.*mnist-cnn.*swd"):
        features.build("inception")


def test_weights_are_never_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ModelError, match="not a readable file of weights"):
        features.build("inception", weights=tmp_path / "evil.pth")
    torch.save({"weights": Evil()}, tmp_path / "evil2.pth")
    with pytest.raises(ModelError, match="not a readable file of weights"):
        features.build("inception", weights=tmp_path / "evil2.pth")
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_network(tmp_path):
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="not torch-fidelity's Inception"):
        features.build("inception", weights=tmp_path / "other.pth")


def test_inception_with_given_weights(tmp_path, monkeypatch):
    """Random weights stand in for the real ones: 2048 features, the bias-free logits, and no claim to be FID."""
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    with monkeypatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = theirs.FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"])
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    extractor = features.build("inception", weights=tmp_path / "mine.pth")
    assert extractor.label == "inception:mine"
    grey = torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected, logits = network(grey.expand(-1, 3, -1, -1))
    found = features.extract(extractor, [grey])
    assert found.shape == (2, 2048)
    np.testing.assert_array_equal(found, expected.numpy())
    np.testing.assert_allclose(extractor.logits(found), logits.numpy(), rtol=1e-4, atol=1e-12)


def test_dinov2_without_its_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"gansmith\[metrics\]"):
        features.build("dinov2")


# --- real pictures, kept -------------------------------------------------------------------------------------------


def test_features_of_real_pictures_are_kept(digits, tmp_path, monkeypatch):
    real, extractor = as_pictures(digits[0][:60]), features.build("mnist-cnn")
    calls = []
    monkeypatch.setattr(real, "fetch", lambda rows, fetch=real.fetch: calls.append(len(rows)) or fetch(rows))
    first = RealFeatures(real, extractor, 50, 0, tmp_path)
    again = RealFeatures(real, extractor, 50, 0, tmp_path)
    np.testing.assert_array_equal(first.features, again.features)
    assert calls == [50]
    RealFeatures(real, extractor, 50, 1, tmp_path)
    assert calls == [50, 50]
    assert first.floor("x", lambda: 1.5) == 1.5
    assert RealFeatures(real, extractor, 50, 0, tmp_path).floor("x", lambda: 2.5) == 1.5


def test_damaged_cache_is_computed_anew(digits, tmp_path):
    real, extractor = as_pictures(digits[0][:60]), features.build("mnist-cnn")
    first = RealFeatures(real, extractor, 50, 0, tmp_path)
    first.floor("x", lambda: 1.5)
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged")
    again = RealFeatures(real, extractor, 50, 0, tmp_path)
    np.testing.assert_array_equal(first.features, again.features)
    assert again.floor("x", lambda: 2.5) == 2.5


# --- reports ------------------------------------------------------------------------------------------------------


def test_report_on_real_and_on_noisy_digits(digits, tmp_path):
    x = digits[0][:1200]
    real = as_pictures(x[:800])
    metrics = ("fid", "kid", "prdc", "is", "swd")
    good = evaluate(x[800:], real, metrics=metrics, features="mnist-cnn", n=400, cache=tmp_path)
    names = [score.name for score in good.scores]
    assert names == [
        *("FD[mnist-cnn]", "KID[mnist-cnn]", "precision[mnist-cnn]", "recall[mnist-cnn]", "density[mnist-cnn]"),
        *("coverage[mnist-cnn]", "IS[mnist-cnn]", "SWD"),
    ]
    assert "FID" not in names
    assert {(score.n, score.floor_n) for score in good.scores} == {(400, 400)}
    noisy = (x[800:] + 60 * torch.randn(400, 1, 28, 28, generator=torch.Generator().manual_seed(0))).clamp(0, 255)
    bad = evaluate(noisy.to(torch.uint8), real, metrics=metrics, features="mnist-cnn", n=400, cache=tmp_path)
    for one, other in zip(good.scores, bad.scores, strict=True):
        assert one.floor == other.floor
        worse = other.value > one.value if one.better == "lower" else other.value < one.value
        assert worse, one.name
    assert good["FD"].value == pytest.approx(good["FD"].floor, rel=0.5)
    assert abs(good["KID"].value) < 0.1 * bad["KID"].value
    assert good["precision"].value > 0.6
    json.dumps(good.as_dict())
    repeated = evaluate(x[800:], real, metrics=metrics, features="mnist-cnn", n=400, cache=None)
    assert repeated.scores == good.scores


def test_report_says_what_was_converted_and_counted(digits):
    x = digits[0][:300]
    progress = []
    report = evaluate(
        x[200:].repeat(1, 3, 1, 1),
        as_pictures(x[:200], "mnist-part"),
        metrics=("kid",),
        progress=lambda *now: progress.append(now),
    )
    assert report.scores[0].name == "KID[mnist-cnn]"
    assert (report.scores[0].n, report.scores[0].floor_n) == (100, 100)
    notes = " / ".join(report.notes)
    assert "made grey" in notes
    assert "there are 100 samples" in notes
    assert ("samples, mnist-cnn", 100, 100) in progress


@pytest.mark.parametrize(
    ("samples", "count", "metrics", "message"),
    [
        (99, 300, ("fid",), "fid needs at least 100 samples, and there are 99"),
        (100, 199, ("fid",), "at least 200 real pictures"),
        (19, 300, ("prdc",), "prdc needs at least 20"),
        (100, 300, ("fid", "lpips"), "no metric 'lpips'. Choose from fid, kid, prdc, is, swd"),
        (100, 300, (), "No metric"),
    ],
)
def test_bad_requests(digits, samples, count, metrics, message):
    x = digits[0]
    with pytest.raises(GansmithError, match=message):
        evaluate(x[:samples], as_pictures(x[:count]), metrics=metrics, features="mnist-cnn")


def test_other_sizes_are_refused(digits):
    with pytest.raises(GansmithError, match="14x14 and the real pictures 28x28"):
        evaluate(digits[0][:100, :, ::2, ::2], as_pictures(digits[0][:300]), features="mnist-cnn")


def test_cheap_score(digits, tmp_path):
    x = digits[0][:900]
    real = as_pictures(x[:600], "mnist")
    cheap = Cheap(real, n=300, cache=tmp_path)
    assert cheap.name == "FD[mnist-cnn]"
    good, bad = cheap(x[600:]), cheap(x[600:].roll(5, 3))
    assert 0 < good < bad
    assert cheap(x[600:]) == good
    few = cheap.measure(x[600:603].repeat(40, 1, 1, 1))
    many, noise = cheap.measure(x[600:]), cheap.measure(torch.randint(256, (120, 1, 28, 28), dtype=torch.uint8))
    assert few["believable"] > 0.6 > 10 * few["covered"]  # three digits again and again
    assert many["believable"] > 0.6 < many["covered"] * 1.2
    assert noise["believable"] == noise["covered"] == 0
    other = Cheap(as_pictures(x[:600], "letters"), n=300)
    assert other.measure(x[600:]).keys() == {"SWD"}
    assert other.name == "SWD"
    assert other(x[600:]) < other(255 - x[600:])
    with pytest.raises(GansmithError, match="at least 20 samples"):
        cheap(x[:5])
    with pytest.raises(GansmithError, match="at least 100 real"):
        Cheap(as_pictures(x[:50]))
    two = TwoSided(as_pictures(255 - x[:600], "a"), as_pictures(x[:600], "letters"), aligned=False)
    assert Cheap(two, n=300)(x[600:]) == other(x[600:])  # type: ignore[arg-type]  # models of two sides make side B


# --- memorisation -------------------------------------------------------------------------------------------------


def test_memorisation_of_copies_and_of_new_digits(digits, tmp_path):
    x = digits[0][:2500]
    train = as_pictures(x[:1500])
    copies = memorisation(x[[7, 3, 1400]], train)
    assert copies.share == 1
    assert copies.nearest[:, 0].tolist() == [7, 3, 1400]
    assert copies.distances[:, 0].tolist() == [0, 0, 0]
    new = memorisation(x[1500:], train)
    assert new.share < 0.15
    near = (x[:200].float() * 0.95).to(torch.uint8)
    assert memorisation(near, train).share > 0.6
    save_sheet(new, train, tmp_path / "sheet.png")
    from PIL import Image

    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * (8 * 30 + 2), 2 * (12 * 30 + 2))


def test_memorisation_needs_pictures_of_one_kind(digits):
    train = as_pictures(digits[0][:100])
    with pytest.raises(GansmithError, match="cannot be compared"):
        memorisation(torch.zeros(4, 3, 28, 28, dtype=torch.uint8), train)
    with pytest.raises(GansmithError, match="at least 20 training pictures"):
        memorisation(digits[0][:4], as_pictures(digits[0][:10]))


# --- copies among the pictures that are compared ----------------------------------------------------------------------


def test_neighbourhoods_without_extent_are_counted():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 16))
    assert scores.without_extent(x) == 0
    x[10:15] = x[0]  # six of a kind: five copies, radius 0
    assert scores.without_extent(x) == 6
    x[20:24] = x[30]  # five of a kind reach to another picture
    assert scores.without_extent(x) == 6
    x[50:60] = x[40]
    assert scores.without_extent(x + 1e-9 * rng.normal(size=x.shape)) == 17  # rounding of batches does not hide copies
    assert scores.without_extent(np.ones((7, 4))) == 7
    assert scores.without_extent(np.ones((3, 4))) == 0


def test_radii_of_zero_are_named_with_what_to_do():
    digits = open_pictures("mnist10k[:240]")
    x = digits.fetch(np.arange(240))[0]
    x[:200] = x[0]
    real = MemoryPictures.from_arrays(x.permute(0, 2, 3, 1).numpy(), name="mnist-copies")
    report = evaluate(x[:100], real, metrics=["prdc"], n=100)
    (said,) = [note for note in report.notes if "real pictures have five exact copies" in note]
    assert "radius of 0" in said
    assert "fid and kid" in said
    assert any("samples have five exact copies" in note for note in report.notes)
    clean = evaluate(x[200:240].repeat(1, 1, 1, 1), open_pictures("mnist10k[300:400]"), metrics=["prdc"], n=40)
    assert not any("copies" in note for note in clean.notes)


def test_a_refusal_recommends_what_it_would_not_refuse():
    for half, named in ((60, ("kid", "prdc", "swd")), (30, ("prdc", "swd")), (5, ())):
        with pytest.raises(GansmithError) as said:
            check_counts(["fid"], 1000, half)
        text = str(said.value)
        assert all(name in text for name in named)
        assert ("metric for fewer" in text) == bool(named)
    with pytest.raises(GansmithError) as said:
        check_counts(["prdc"], 1000, 12)
    assert "prdc," not in str(said.value)
    assert "swd" not in str(said.value)
