"""Quality apart from variety: samples that do not look real yet are called undertrained, alike ones collapsed; and what to type next."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gansmith import cli, config, registry
from gansmith.commands._parse import parse
from gansmith.commands.train import combined
from gansmith.config import TrainSettings
from gansmith.data import open_pictures
from gansmith.files.pictures import to_float
from gansmith.files.run import Run
from gansmith.game import ImageSpec
from gansmith.health.believable import Believable, features_for
from gansmith.health.coach import Finding, diagnose
from gansmith.health.next_step import next_command, quoted
from gansmith.nn import efficientnet

DIGITS = ImageSpec(28, 28, 1, 10)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    pictures = open_pictures("mnist10k")
    return to_float(pictures.fetch(np.random.default_rng(0).permutation(len(pictures))[:512])[0])


def test_real_digits_are_believed_blurred_ones_less_and_one_kind_covers_little(digits: Tensor) -> None:
    found = features_for("mnist10k", DIGITS)
    assert found is not None
    measure = Believable(digits[:256], found[0])
    real = measure(digits[256:])
    assert min(real.values()) > 0.9
    noisy = measure(
        (digits[256:] + 0.9 * torch.randn(256, 1, 28, 28, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    )
    assert noisy["believable"] < 0.6 < real["believable"]
    few = measure(digits[256:264].repeat(32, 1, 1, 1))
    assert few["believable"] > 0.8
    assert few["covered"] < 0.3
    assert Believable(digits[:20], found[0])(digits[256:]) == {}


def test_what_no_classifier_here_knows_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert features_for("landscapes", ImageSpec(64, 64, 1)) is None
    monkeypatch.setattr(efficientnet, "weights_file", lambda: None)
    assert features_for("landscapes", ImageSpec(64, 64, 3)) is None


def records(believable: list[float], diversity: float = 0.9, spread: float = 0.9) -> list[dict[str, Any]]:
    count = len(believable)
    return [
        {
            "images": 5000 * (i + 1),
            "progress": (i + 1) / count,
            "seconds": 10.0 * i,
            "believable": value,
            "covered": value / 2,
            "diversity": diversity,
            "spread": spread,
        }
        for i, value in enumerate(believable)
    ]


def test_few_samples_that_look_real_are_undertrained_and_no_collapse() -> None:
    rising = records([0.01 * i for i in range(40)])
    assert [f.kind for f in diagnose(rising)] == ["undertrained"]
    assert "still rising" in diagnose(rising)[0].advice
    level = records([0.3] * 40)
    assert "no longer rises" in diagnose(level)[0].advice
    assert diagnose(rising[:30]) == []  # the run is not over
    assert diagnose(records([0.8] * 40)) == []
    alike = records([0.3] * 40, diversity=0.2, spread=0.1)
    assert [f.kind for f in diagnose(alike)] == ["collapse"]


def run(tmp_path: Path, family: str = "dcgan", classes: int = 0, settings: Any = (), **train: Any) -> Run:
    kind = registry.family(family)
    spec = dataclasses.asdict(ImageSpec(28, 28, 1, classes))
    mine = config.to_plain(config.make(kind.Config, dict(settings), family))
    asked = config.to_plain(config.make(TrainSettings, {"data": ("my pictures",), "minutes": 3.0} | train, "train"))
    return Run(tmp_path / "my run", family, mine, asked, {"spec": spec, "images": 70_000})


def typed(command: str) -> tuple[str, Any]:
    """The settings that a command line asks for, as the command itself reads them."""
    _, _, family, *flags = shlex.split(command)
    kind = registry.family(family)
    arguments = combined(TrainSettings(), kind.Config())
    return family, parse(type(arguments), flags, "train", "", arguments)


@pytest.mark.parametrize(
    ("kinds", "family", "settings", "expected"),
    [
        (["memorising"], "dcgan", {}, ("dcgan", {"augment": "ada"})),
        (["copies"], "dcgan", {"width": 16}, ("dcgan", {"flip": True, "width": 16})),
        (
            ["oscillation"],
            "gan",
            {"width": 64, "augment": "diffaugment"},
            ("r3gan", {"augment": "diffaugment", "width": 64}),
        ),
        (["missing-classes"], "dcgan", {"conditional": False}, ("dcgan", {"conditional": True})),
        (["collapse", "undertrained"], "r3gan", {}, ("r3gan", {"pack": 2, "conditional": False})),
        (["collapse"], "dcgan", {"conditional": False}, ("r3gan", {"conditional": "auto"})),
        (["oscillation"], "wgan-gp", {"conditional": True}, ("r3gan", {"conditional": "auto"})),
        (["copies"], "dcgan", {"conditional": True}, ("dcgan", {"flip": True, "conditional": True})),
        (["copies"], "r3gan", {"conditional": False}, ("r3gan", {"flip": True, "conditional": False})),
        (["leaking"], "stylegan2", {"augment": "ada"}, ("stylegan2", {"augment": "ada", "augment_target": 0.5})),
    ],
)
def test_the_next_command_changes_what_would_help(
    kinds: list[str], family: str, settings: dict[str, Any], expected: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    found = [Finding(kind, 0, kind, "") for kind in kinds]
    made, arguments = typed(next_command(run(tmp_path, family, 10, settings, batch=32), found, []))
    assert made == expected[0]
    assert (arguments.run.data, arguments.run.minutes, arguments.run.batch) == (("my pictures",), 3.0, 32)
    for name, value in expected[1].items():
        if family == made or name in ("augment", "pack", "conditional"):
            assert getattr(arguments.run if name == "flip" else arguments.family, name) == value


def test_a_run_that_only_needs_time_goes_on(tmp_path: Path) -> None:
    rising = [Finding("undertrained", 0, "", "Their quality was still rising")]
    assert next_command(run(tmp_path), rising, [{}]) == f"gansmith train --resume --out '{tmp_path}/my run' --minutes 6"
    assert next_command(run(tmp_path, minutes=0.0, images=100), [], [{}]).endswith("--images 200")
    level = [Finding("undertrained", 0, "", "their quality no longer rises")]
    assert typed(next_command(run(tmp_path), level, [{}]))[0] == "r3gan"
    assert next_command(run(tmp_path, "r3gan"), level, [{}]) == ""


def test_a_run_ends_with_its_shares_and_a_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = [
        "train",
        "gan",
        "--data",
        "mnist10k",
        "--steps",
        "40",
        "--batch",
        "16",
        "--width",
        "16",
        "--snapshots",
        "0",
    ]
    assert cli.main([*words, "--device", "cpu", "--out", str(out)]) == 0
    shares = [record["believable"] for record in Run.open(out).records() if "believable" in record]
    assert shares
    assert all(0 <= share <= 1 for share in shares)
    report = (out / "report.md").read_text()
    assert "The best next step:" in report
    assert "gansmith train" in report


def test_words_of_a_command_are_printable_and_what_a_shell_takes():
    for word in ("plain", "two words", "it's", "caf\udce9", "esc\x1b[31m", "line\nend", "猫", "back\\slash\n'"):
        said = quoted(word)
        assert said.isprintable()
        echoed = subprocess.run(["bash", "-c", f"printf %s {said}"], capture_output=True, check=True).stdout
        assert echoed == os.fsencode(word)
