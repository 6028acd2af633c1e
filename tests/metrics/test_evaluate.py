from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import gansmith
from gansmith import registry
from gansmith.commands.evaluate import main
from gansmith.data import open_paired, open_pictures
from gansmith.errors import DataError, GansmithError
from gansmith.files.pictures import to_float
from gansmith.game import ImageSpec
from gansmith.metrics.repair import evaluate_translation
from gansmith.metrics.shares import classes_like
from gansmith.models.bundle import Model
from gansmith.training.session import train
from gansmith.training.settings import settings_from


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANSMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "metrics"


@pytest.fixture(scope="module")
def digits():
    """600 embedded digits, uint8 [N, 28, 28]."""
    return open_pictures("mnist10k").fetch(np.arange(0, 10_000, 16)[:600])[0][:, 0].numpy()


@pytest.fixture
def files(tmp_path, digits):
    """Real pictures and somebody's samples, as .npz files."""
    np.savez(tmp_path / "mnist-real.npz", x=digits[::2])
    np.savez(tmp_path / "samples.npz", x=digits[1::2])
    return str(tmp_path / "samples.npz"), str(tmp_path / "mnist-real.npz")


def test_json_of_somebody_elses_samples(files, capsys, cache):
    samples, real = files
    assert main([samples, "--data", real, "--metrics", "fid, kid,is,fid", "--n", "150", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert [score["name"] for score in output["scores"]] == ["FD[mnist-cnn]", "KID[mnist-cnn]", "IS[mnist-cnn]"]
    assert {score["n"] for score in output["scores"]} == {150}
    assert output["scores"][0]["floor"] > 0
    assert sorted(file.suffix for file in cache.iterdir()) == [".json", ".safetensors"]
    assert main([samples, "--data", real, "--metrics", "fid,kid,is", "--n", "150", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == output["scores"]


def test_table_and_memorisation(files, capsys, tmp_path):
    _, real = files
    sheet = tmp_path / "out" / "nearest.png"
    assert main([real, "--data", real, "--metrics", "swd", "--n", "100", "--memorisation", str(sheet)]) == 0
    shown = capsys.readouterr().out
    assert "SWD" in shown
    assert "memorisation: 100.0% of 100 samples" in shown
    assert sheet.stat().st_size > 1000


def test_names_with_brackets_survive_the_table(files, capsys):
    samples, real = files
    assert main([samples, "--data", real, "--metrics", "kid", "--n", "50"]) == 0
    assert "KID[mnist-cnn]" in capsys.readouterr().out


def test_folder_of_samples_in_another_size(files, tmp_path, digits, capsys):
    from PIL import Image

    folder = tmp_path / "folder"
    folder.mkdir()
    for i, picture in enumerate(digits[:60]):
        Image.fromarray(picture.repeat(2, 0).repeat(2, 1)).convert("RGB").save(folder / f"{i}.png")
    with pytest.raises(GansmithError, match="56x56 and the real pictures 28x28"):
        main([str(folder), "--data", files[1], "--metrics", "kid"])
    assert main([str(folder), "--data", files[1], "--metrics", "kid", "--size", "28", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["scores"][0]["n"] == 60
    assert "there are 60 samples, not 10,000" in output["notes"]
    assert not any("Frechet" in note for note in output["notes"]), "nothing of what was not asked for"
    assert "samples in colour were made grey, like the real pictures" in output["notes"]


def model(size: int = 28) -> Model:
    from gansmith import registry

    family = registry.family("gan")
    return Model("gan", family(family.Config(), ImageSpec(size, size, 1)).eval().requires_grad_(False))


def test_untrained_model(files, tmp_path, capsys):
    model().save(tmp_path / "model")
    command = [
        str(tmp_path / "model"),
        "--data",
        files[1],
        "--metrics",
        "fid,prdc,swd",
        "--n",
        "120",
        "--device",
        "cpu",
    ]
    assert main([*command, "--json"]) == 0
    scores = {score["name"]: score for score in json.loads(capsys.readouterr().out)["scores"]}
    assert scores["FD[mnist-cnn]"]["value"] > 5 * scores["FD[mnist-cnn]"]["floor"]
    assert scores["coverage[mnist-cnn]"]["value"] < 0.1
    assert main([*command, "--json", "--seed", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"][0]["value"] != scores["FD[mnist-cnn]"]["value"]


def test_what_can_be_refused_is_refused_before_samples_are_drawn(files, tmp_path, monkeypatch, digits):
    def never(*_, **__):
        raise AssertionError("samples were drawn")

    model().save(tmp_path / "model")
    monkeypatch.setattr(Model, "decode", never)
    command = [str(tmp_path / "model"), "--data", files[1]]
    with pytest.raises(GansmithError, match="no file of weights at"):
        main([*command, "--features", "inception", "--weights", str(tmp_path / "absent.pth")])
    np.savez(tmp_path / "few.npz", x=digits[:60])
    with pytest.raises(GansmithError, match="at least 200 real pictures"):
        main([command[0], "--data", str(tmp_path / "few.npz")])


def test_data_is_brought_to_the_models_size(files, tmp_path, capsys):
    model(20).save(tmp_path / "model")
    assert main([str(tmp_path / "model"), "--data", files[1], "--metrics", "swd", "--n", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"][0]["value"] > 0
    with pytest.raises(GansmithError, match="makes pictures of 20x20"):
        main([str(tmp_path / "model"), "--data", files[1], "--metrics", "swd", "--size", "28"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics", "fid,lpips"], "no metric 'lpips'. Choose from fid, kid, prdc, is, swd"),
        (["--metrics", ","], "No metric"),
        (["--n", "20"], "needs at least 100 samples"),
        (["--features", "vgg"], "no features 'vgg'"),
        (["--features", "inception", "--weights", "absent.pth"], "no file of weights at absent.pth"),
        (["--features", "mnist-cnn", "--weights", "absent.pth"], "leave --weights out"),
        (["--device", "abacus"], "abacus"),
        (["--seed", "-1"], "--seed is 0 or more"),
        (["--memorisation", "nearest.txt"], "--memorisation writes a picture"),
    ],
)
def test_bad_flags(files, flags, message):
    with pytest.raises(GansmithError, match=message):
        main([files[0], "--data", files[1], *flags])


def test_models_that_change_pictures_are_told_apart(files, tmp_path):
    family = registry.family("cyclegan")
    game = family(family.Config(width=4, blocks=1), ImageSpec(32, 32, 3, other_channels=3))
    Model("cyclegan", game.eval().requires_grad_(False)).save(tmp_path / "model")
    with pytest.raises(GansmithError, match="cyclegan model changes pictures"):
        main([str(tmp_path / "model"), "--data", files[1]])


def test_models_that_learn_without_pairs_are_measured_on_pairs(two_folders, tmp_path, capsys):
    class Exact(torch.nn.Module):  # A to B is what it should be; B to A does nothing
        def __init__(self, pictures):
            super().__init__()
            self.a, self.b = pictures

        def forward(self, x):
            matches = (x[:, None] - self.a[None]).abs().flatten(2).sum(2).argmin(1)
            return self.b[matches]

    family = registry.family("cyclegan")
    game = family(family.Config(width=4, blocks=1), ImageSpec(32, 32, 3, other_channels=3)).eval()
    Model("cyclegan", game.requires_grad_(False)).save(tmp_path / "model")
    data = ",".join(map(str, two_folders))
    assert main([str(tmp_path / "model"), "--data", data, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert list(scores) == ["A to B", "A unchanged", "B to A", "B unchanged"]
    sides = open_paired(*map(str, two_folders), size=32)
    pictures = [to_float(side.fetch(np.arange(len(side)))[0]) for side in (sides.a, sides.b)]
    game.generator_ab, game.generator_ba = Exact(pictures), torch.nn.Identity()
    scores = evaluate_translation(game, *pictures)
    assert scores["A to B"]["l1"] == 0
    assert scores["A to B"]["psnr"] == 100
    assert scores["B to A"] == scores["B unchanged"]
    assert scores["B unchanged"]["l1"] > 0


@pytest.mark.parametrize("name", ["inpaint", "colorize", "upscale", "pix2pix"])
def test_models_that_repair_pictures(name, npz, two_folders, tmp_path, capsys):
    game = gansmith.build(name, size=32, channels=3, **({} if name == "upscale" else {"width": 8}))
    Model(name, game.eval().requires_grad_(False)).save(tmp_path / "model")
    data = ",".join(map(str, two_folders)) if name == "pix2pix" else str(npz)
    command = [str(tmp_path / "model"), "--data", data, "--n", "100", "--device", "cpu"]
    assert main([*command, "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["n"] == {"pix2pix": 16, "colorize": 48}.get(name, 100)  # windows of photographs: eight of each
    floor = {"inpaint": "telea", "colorize": "grey", "upscale": "bicubic", "pix2pix": "unchanged"}[name]
    assert output["scores"][floor]["psnr"] > 0
    assert output["scores"]["model"]["l1"] > 0
    assert main(command) == 0
    assert floor in capsys.readouterr().out


def test_bad_paths(files, tmp_path):
    with pytest.raises(GansmithError, match="no model at"):
        main([str(tmp_path / "absent"), "--data", files[1]])
    with pytest.raises(DataError, match="no pictures called"):
        main([files[0], "--data", str(tmp_path / "absent")])
    with pytest.raises(GansmithError, match="--data names the real pictures"):
        main([files[0]])


# --- classes as the data has them -------------------------------------------------------------------------------------

NAMES = ("zero", "one", "two")


def labelled(path, shares, names=NAMES, seed=0):
    """Pictures whose brightness is their class's, of uneven classes."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(shares)), shares))
    x = np.clip(80 * labels[:, None, None] + np.random.default_rng(1).integers(0, 40, (len(labels), 28, 28)), 0, 255)
    np.savez(path, x=x.astype(np.uint8), y=labels, class_names=np.array(names))
    return open_pictures(str(path))


class Bright(torch.nn.Module):
    """Pictures of class k are as bright as those of ``labelled``; classes come as weights [N, K]."""

    def __init__(self):
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1))  # says on which device it is

    def forward(self, z, labels=None):
        noise = torch.rand(len(z), 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 40
        return (80 * labels.argmax(1)[:, None, None, None] + noise) / 127.5 - 1


def perfect(names=NAMES) -> Model:
    kind = registry.family("gan")
    game = kind(kind.Config(conditional=True), ImageSpec(28, 28, 1, len(names), names), {"generator": Bright()})
    return Model("gan", game.eval())


def test_classes_are_drawn_as_the_data_has_them(tmp_path):
    real = labelled(tmp_path / "real.npz", (300, 60, 20))
    labels, note = classes_like(perfect(), real, 380, seed=0)
    assert np.bincount(labels).tolist() == [300, 60, 20]
    assert note == "classes were drawn as often as the data has them"
    few, _ = classes_like(perfect(), real, 50, seed=0)
    assert torch.equal(few, labels[:50])
    many, _ = classes_like(perfect(), real, 760, seed=0)
    assert np.bincount(many).tolist() == [600, 120, 40]


def test_classes_are_matched_by_name(tmp_path):
    real = labelled(tmp_path / "real.npz", (300, 60, 20))
    labels, _ = classes_like(perfect(("two", "zero", "one")), real, 380, seed=0)
    assert np.bincount(labels).tolist() == [20, 300, 60]
    labels, note = classes_like(perfect(("two", "one", "ten")), real, 80, seed=0)
    assert np.bincount(labels).tolist() == [20, 60]
    assert "1 that the model does not know (zero)" in note
    labels, note = classes_like(perfect(("a", "b", "c")), real, 380, seed=0)
    assert np.bincount(labels).tolist() == [300, 60, 20]
    labels, note = classes_like(perfect(("a", "b")), real, 10, seed=0)
    assert labels.tolist() == [0, 1] * 5
    assert "equally often" in note
    np.savez(tmp_path / "bare.npz", x=np.zeros((40, 28, 28), np.uint8))
    labels, note = classes_like(perfect(), open_pictures(str(tmp_path / "bare.npz")), 6, seed=0)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert "no labels" in note
    kind = registry.family("gan")
    plain = Model("gan", kind(kind.Config(conditional=False), ImageSpec(28, 28, 1, 3, NAMES), {"generator": Bright()}))
    assert classes_like(plain, real, 5, 0) == (None, "")


def test_the_command_measures_a_perfect_model_of_uneven_classes_as_perfect(tmp_path, monkeypatch, capsys):
    labelled(tmp_path / "real.npz", (300, 60, 20))
    monkeypatch.setattr("gansmith.models.bundle.load", lambda path, device="cpu": perfect())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()
    words = [str(tmp_path / "model"), "--data", str(tmp_path / "real.npz"), "--metrics", "swd", "--n", "150"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    score = found["scores"][0]
    assert score["value"] < 3 * score["floor"]
    assert "classes were drawn as often as the data has them" in found["notes"]
    assert main(words) == 0
    assert "note: classes were drawn as often as the data has them" in capsys.readouterr().out


def test_measuring_in_training_draws_classes_as_the_data_has_them(tmp_path, monkeypatch):
    labelled(tmp_path / "real.npz", (150, 30, 20))
    given: list[torch.Tensor] = []
    kind = registry.family("gan")
    original = kind.metrics_images

    def metrics_images(self, real, seed):
        given.append(real.labels)
        return original(self, real, seed)

    monkeypatch.setattr(kind, "metrics_images", metrics_images)
    settings, config = settings_from(
        kind, tmp_path / "run", data=str(tmp_path / "real.npz"), steps=1, batch=4, eval_every=4, hold_out=0, conditional=True,
        **kind.tiny,
    )  # fmt: skip
    train(kind, settings=settings, family_config=config, quiet=True)
    labels = torch.cat([part for part in given if len(part) == 64])[:200]
    assert np.bincount(labels).tolist() == [150, 30, 20]  # every picture once: not the same 64 again and again
