"""The contract holds for a family that lives outside the package: every flag that it promises, and what is said where it fails."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import gansmith
from gansmith import registry
from gansmith.cli import main
from gansmith.errors import GansmithError
from gansmith.files.run import Run
from gansmith.game import ImageSpec

ROOT = Path(__file__).parents[2]
SMALL = ["--steps", "4", "--batch", "8", "--width", "8", "--latent-dim", "8", "--snapshots", "1", "--size", "16"]

PLAIN = '''
"""The smallest family: networks alone, the losses and turns of Generation."""
from dataclasses import dataclass
from torch import nn
from gansmith.generation import Generation, GenerationConfig
from gansmith.nn.classes import ClassEmbedding


@dataclass(frozen=True)
class Config(GenerationConfig):
    beta_vae: float = 4.0
    """Weight of something; more than 1 is fine."""
    shift: float = -1.0
    """May be negative."""
    my_width: int = 3
    """May be 0."""


class G(nn.Module):
    def __init__(self, dim, spec):
        super().__init__()
        self.shape, self.layer = spec.shape, nn.Linear(dim, spec.channels * spec.height * spec.width)

    def forward(self, z, labels=None):
        return self.layer(z).unflatten(1, self.shape).tanh()


class D(nn.Module):
    def __init__(self, spec, pack):
        super().__init__()
        self.layer = nn.Linear(pack * spec.channels * spec.height * spec.width, 1)

    def forward(self, images, labels=None):
        return self.layer(images.flatten(1))


class Plain(Generation):
    Config = Config

    def networks(self):
        return {"generator": G(self.config.latent_dim, self.spec), "discriminator": D(self.spec, self.config.pack)}
'''


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Writes a family as a module of its own, and gives its dotted name."""
    package = tmp_path / "code" / "somebodys"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    names = []

    def write(name: str, text: str) -> str:
        (package / f"{name}.py").write_text(text)
        names.append(f"somebodys.{name}")
        return names[-1]

    yield write
    for name in [*names, "somebodys"]:
        sys.modules.pop(name, None)


@pytest.fixture
def example(outside):
    return outside("my_gan", (ROOT / "examples" / "my_gan.py").read_text())


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--conditional",
        "--conditional --class-fade 0.8",
        "--conditional --class-fade 1 --augment ada --accumulate 2",
        "--augment diffaugment --flip",
        "--pack 2",
        "--spectral-norm",
        "--lr 1e-4 --lr-discriminator 4e-4 --beta1 0 --beta2 0.9 --ema-images 100",
        "--clip-grad 1",
    ],
)
def test_the_example_keeps_every_promise(example, flags, npz, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", example, "--data", str(npz), *SMALL, *flags.split(), "--out", str(out), "--save-minutes", "1e-9"]
    assert main(words) == 0, capsys.readouterr().err
    assert main(["train", "--resume", "--out", str(out), "--steps", "6"]) == 0
    assert Run.open(out).facts["images"] == 48
    model = gansmith.load(out)
    assert model.family == example
    assert model.sample(5, seed=1).shape == (5, 16, 16, 3)
    if "--conditional" in flags:
        assert not np.array_equal(model.sample(3, label=0), model.sample(3, label=1))
    assert main(["train", example, "--data", str(npz), *SMALL, *flags.split(), "--init", str(out), "--freeze-d", "1", "--out", str(tmp_path / "next")]) == 0  # fmt: skip


def test_commands_know_it(example, npz, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", example, "--data", str(npz), *SMALL, "--conditional", "--out", str(out)]) == 0
    with pytest.raises(SystemExit):
        main(["train", example, "--help"])
    assert "--class-fade" in capsys.readouterr().out
    assert main(["sample", str(out), "--n", "6", "--out", str(tmp_path / "grid.png")]) == 0
    assert (
        main(["walk", str(out), "--out", str(tmp_path / "walk.gif"), "--seconds", "0.5", "--fps", "4", "--tiles", "1"])
        == 0
    )
    assert main(["evaluate", str(out), "--data", str(npz), "--metrics", "swd", "--n", "24"]) == 0
    assert main(["runs", str(tmp_path)]) == 0
    assert main(["export", str(out), "--to", "torchscript", "--out", str(tmp_path / "model.pt")]) == 0


def test_the_losses_of_a_plain_config(outside, npz, tmp_path):
    """``Generation.discriminator_loss`` and ``generator_loss`` need no setting that GenerationConfig does not have."""
    name = outside("plain", PLAIN)
    words = ["train", name, "--data", str(npz), "--steps", "3", "--batch", "8", "--size", "16", "--snapshots", "1"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert "loss/discriminator" in next(Run.open(tmp_path / "run").records())


def test_a_setting_of_ones_own_is_not_judged_by_its_name(outside, npz, tmp_path):
    name = outside("plain", PLAIN)
    words = ["train", name, "--data", str(npz), "--steps", "1", "--batch", "8", "--size", "16", "--snapshots", "1"]
    own = ["--beta-vae", "2.5", "--shift", "-3", "--my-width", "0"]
    assert main([*words, *own, "--out", str(tmp_path / "run")]) == 0
    assert Run.open(tmp_path / "run").settings["beta_vae"] == 2.5
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "2"]) == 0
    assert main([*words, "--beta1", "1", "--out", str(tmp_path / "no")]) == 2  # what it has from the package is
    assert main([*words, "--latent-dim", "0", "--out", str(tmp_path / "no")]) == 2
    assert main([*words, "--shift", "nan", "--out", str(tmp_path / "no")]) == 2


@pytest.mark.parametrize(
    ("change", "flags", "words"),
    [
        (("ClassEmbedding(classes, config.latent_dim)", "nn.Embedding(classes, config.latent_dim)"), "--conditional --class-fade 1", "ClassEmbedding takes them"),
        (("spec.channels * config.pack", "spec.channels"), "--pack 2", "--pack 2"),
        ((".unflatten(1, self.shape)", ""), "", "should make"),
        (("return out\n", "return out.repeat(1, 3)\n"), "", "one logit each"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_named_before_a_run_begins(outside, change, flags, words, npz, tmp_path, capsys):
    text = (ROOT / "examples" / "my_gan.py").read_text()
    assert change[0] in text
    name = outside("broken", text.replace(*change))
    out = tmp_path / "run"
    assert main(["train", name, "--data", str(npz), *SMALL, *flags.split(), "--out", str(out)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert words in said
    assert "Traceback" not in said
    assert not out.exists()


def test_the_trial_of_its_networks_changes_nothing(example):
    import torch

    registry.use_family(example)
    kind = registry.family(example)
    torch.manual_seed(0)
    game = kind(kind.Config(width=8, conditional=True), ImageSpec(16, 16, 1, 3))
    after = torch.rand(3)
    torch.manual_seed(0)
    kind.networks(game)
    assert torch.equal(after, torch.rand(3))
    assert game.generator.training


def test_the_contributing_guides_skeleton_is_the_contract():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for name in re.findall(r"self\.(\w+)\(", text):
        assert hasattr(gansmith.generation.Generation, name) or name in ("discriminator_loss", "generator_loss"), name


def test_what_the_documentation_includes_is_there():
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert "--8 <" not in text, page
        for name in re.findall(r'--8<-- "([^"]+)"', text):
            if not name.startswith("tables/"):  # written by docs/build.py
                assert (ROOT / name).is_file(), (page, name)


def test_classes_are_asked_for_where_there_are_none():
    kind = registry.family("gan")
    with pytest.raises(GansmithError, match="labelled"):
        kind(kind.Config(conditional=True), ImageSpec(16, 16, 1))
