"""``--conditional auto``: labels are learnt where pictures have them, unless something speaks against it; a line says so."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import gansmith
from gansmith import cli, config, registry
from gansmith.commands.sample import in_rows
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, ImageSpec
from gansmith.generation import Generation, GenerationConfig
from gansmith.studio import forms

LABELLED = ImageSpec(32, 32, 3, 3, ("a", "b", "c"))
PLAIN = ImageSpec(32, 32, 3)
NOISE = [name for name in registry.families() if issubclass(registry.family(name), Generation)]
TINY = ["--steps", "1", "--batch", "8", "--width", "16", "--snapshots", "0", "--device", "cpu", "--precision", "fp32"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "three.npz"
    labels = np.arange(1500) % 3
    noise = np.random.default_rng(0).integers(0, 60, (1500, 16, 16))
    np.savez_compressed(path, x=(noise + (labels * 80)[:, None, None]).astype(np.uint8), y=labels)
    return path


def settled(
    spec: ImageSpec = LABELLED, counts: tuple[int, ...] = (600, 600, 600), **settings: object
) -> tuple[bool, list[str]]:
    kind = registry.family("r3gan")
    made, lines = kind.settled(config.make(kind.Config, settings, "r3gan"), spec, counts)
    return made.conditional, lines


@pytest.mark.parametrize("name", NOISE)
def test_every_family_of_noise_learns_labels_by_default_unless_it_says_otherwise(name: str) -> None:
    kind: Any = registry.family(name)
    assert kind.Config().conditional == "auto"
    made: Any = config.make(kind.Config, kind.tiny, name)
    assert kind(made, LABELLED).classes == (0 if math.isinf(kind.fewest_per_class(made, LABELLED)) else 3)
    assert kind(config.make(kind.Config, {**kind.tiny, "conditional": True}, name), LABELLED).classes == 3
    assert kind(made, PLAIN).classes == 0
    assert kind(config.make(kind.Config, {**kind.tiny, "conditional": False}, name), LABELLED).classes == 0


def test_wgan_gp_learns_labels_with_its_usual_settings_for_small_grey_pictures_alone() -> None:
    kind: Any = registry.family("wgan-gp")
    grey = ImageSpec(28, 28, 1, 3)
    for settings, spec, learnt in (({}, grey, True), ({"critic_steps": 5}, grey, False), ({}, LABELLED, False)):
        made, _ = kind.settled(config.make(kind.Config, settings, "wgan-gp"), spec, (6000,) * 3)
        assert made.conditional is learnt


def test_narrow_stylegan2_leaves_labels_out() -> None:
    kind: Any = registry.family("stylegan2")
    for width, learnt in ((1.0, True), (0.5, True), (0.25, False)):
        made, _ = kind.settled(config.make(kind.Config, {"width": width}, "stylegan2"), LABELLED, (6000,) * 3)
        assert made.conditional is learnt


@pytest.mark.parametrize("name", ["dcgan", "wgan", "projected"])
def test_families_whose_classes_collapse_leave_labels_out_and_say_so(name: str) -> None:
    kind = registry.family(name)
    made, lines = kind.settled(kind.Config(), LABELLED, (6000,) * 3)
    assert made.conditional is False
    assert "may collapse; r3gan learns them" in lines[0]


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_labels_come_with_r1(name: str) -> None:
    """A penalty keeps classes from collapsing (docs/results/log.md); it is played where labels are learned and nobody chose another."""

    def weight(spec: ImageSpec, **settings: object) -> tuple[float, int]:
        kind: Any = registry.family(name)
        game = kind(config.make(kind.Config, {**kind.tiny, **settings}, name), spec)
        return game.r1, game.penalty_every

    assert weight(LABELLED, conditional=True) == (3.0, 4)
    assert weight(LABELLED, conditional=False)[0] == weight(PLAIN)[0] == 0
    assert weight(LABELLED, conditional=True, r1=0.0)[0] == 0
    assert weight(LABELLED, conditional=True, r1=0.5) == (0.5, 1)
    assert weight(LABELLED, conditional=True, penalty_every=2) == (3.0, 2)
    kind: Any = registry.family(name)
    game = kind(config.make(kind.Config, {**kind.tiny, "conditional": True}, name), LABELLED)
    batch = Batch(torch.zeros(3, *LABELLED.shape), torch.arange(3), clock=Clock(step=4))
    assert "r1" in game.discriminator_loss(batch)[1]
    assert not game.judges_across_batch


def test_what_speaks_for_labels_and_against_them() -> None:
    assert settled() == (True, ["labels: 3 classes; the networks learn them (--no-conditional leaves them out)"])
    assert settled(PLAIN, ()) == (False, [])
    assert settled(counts=())[0]  # a stream, whose pictures nobody has counted
    assert settled(counts=(500, 500, 2))[0]
    few, lines = settled(counts=(900, 2, 2))
    assert not few
    assert "half of them have 2 pictures or fewer" in lines[0]
    assert "--conditional" in lines[0]
    assert settled(counts=(9, 9, 9), class_fade=0.6)[0]  # made for classes of few pictures
    packed, lines = settled(pack=2)
    assert not packed
    assert "--pack" in lines[0]
    assert settled(conditional=True, counts=(1, 1, 1)) == (True, [])
    assert settled(conditional=False) == (False, [])


@pytest.mark.parametrize(
    ("spec", "settings", "said"),
    [
        (PLAIN, {"class_fade": 0.5}, "no labels"),
        (LABELLED, {"class_fade": 0.5, "conditional": False}, "--no-conditional"),
    ],
)
def test_classes_that_fade_in_need_classes(spec: ImageSpec, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(GansmithError, match=said):
        settled(spec, **settings)


class _Plain(Generation):
    """Somebody's family, whose networks know nothing of labels."""

    per_class = 500

    Config = GenerationConfig
    __module__ = "somebody.plain"

    def networks(self) -> dict[str, torch.nn.Module]:
        class Generator(torch.nn.Linear):
            def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
                if labels is not None:
                    raise ValueError("what are labels?")
                return super().forward(z).reshape(-1, 3, 32, 32)

        class Discriminator(torch.nn.Linear):
            def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
                return super().forward(images.flatten(1))

        return {"generator": Generator(100, 3072), "discriminator": Discriminator(3072, 1)}


def test_networks_of_ones_own_that_take_no_labels_are_left_without() -> None:
    made, lines = _Plain.settled(GenerationConfig(), LABELLED, (600, 600, 600))
    assert made.conditional is False
    assert "this family's take none" in lines[0]
    assert _Plain(GenerationConfig(), LABELLED).classes == 0
    with pytest.raises(GansmithError, match="what are labels"):
        _Plain(GenerationConfig(conditional=True), LABELLED)


def test_a_run_says_what_it_does_with_labels_and_writes_it_down(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "r3gan", "--data", str(labelled), *TINY]
    for flags, learnt, said in (
        ([], True, "labels: 3 classes; the networks learn them"),
        (["--conditional", "auto", "--pack", "2"], False, "learn without them"),
        (["--no-conditional"], False, ""),
        (["--conditional"], True, ""),
    ):
        out = tmp_path / "-".join(["run", *flags])
        assert cli.main([*words, *flags, "--out", str(out)]) == 0
        shown = capsys.readouterr().err
        assert ("labels:" in shown) == bool(said)
        assert said in shown
        assert yaml.safe_load((out / "config.yaml").read_text())["settings"]["conditional"] is learnt
        assert json.loads((out / "model" / "config.json").read_text())["settings"]["conditional"] is learnt


def test_a_run_without_labels_stays_without_when_it_goes_on(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert cli.main(["train", "r3gan", "--data", str(labelled), *TINY, "--no-conditional", "--out", str(out)]) == 0
    common = {"data": str(labelled), "out": out, "batch": 8, "width": 16, "device": "cpu", "precision": "fp32"}
    model = gansmith.train("r3gan", resume=True, steps=2, quiet=True, **common)
    assert model.classes == 0


def test_the_studio_offers_all_three() -> None:
    row = next(row for row in forms.fields(registry.family("dcgan").Config) if row["name"] == "conditional")
    assert (row["kind"], row["choices"], row["default"]) == ("choice", ["auto", True, False], "auto")
    assert forms.changed(registry.family("dcgan").Config, {"conditional": False}, "dcgan") == {"conditional": False}


@pytest.mark.parametrize("value", ["maybe", 2, None])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(GansmithError, match="true, false or auto"):
        config.make(GenerationConfig, {"conditional": value}, "dcgan")


def test_a_grid_has_rows_for_each_class(labelled: Path, tmp_path: Path) -> None:
    labels = torch.arange(14) % 3
    images = labels[:, None, None, None].float().expand(-1, 1, 2, 2) / 4
    rows, columns = in_rows(images, labels)
    assert columns == 5
    shown = rows[:, 0, 0, 0].reshape(-1, columns)
    assert shown.tolist() == [[0] * 5, [0.25] * 5, [0.5] * 4 + [1.0]]
    assert in_rows(images, labels, 2)[0][:, 0, 0, 0].reshape(-1, 2)[:4].tolist() == [
        [0, 0],
        [0, 0],
        [0, 1],
        [0.25, 0.25],
    ]
    assert in_rows(images[:6], labels[:6])[1] == 2  # too few for rows: in turn
    assert in_rows(images, None)[0] is images
