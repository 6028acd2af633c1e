"""Settings say what they may be in their annotations, and those of earlier versions are understood."""

from __future__ import annotations

import dataclasses
import math
import typing
from pathlib import Path
from typing import Annotated

import pytest
import yaml

from gansmith import config as configs
from gansmith import registry
from gansmith.commands._parse import parse
from gansmith.config import Bounds, TrainSettings
from gansmith.errors import GansmithError
from gansmith.studio import forms

RECORDED = Path(__file__).parent / "training" / "recorded"
FAMILIES = sorted(registry.families())
CLASSES = [TrainSettings, *(registry.family(name).Config for name in FAMILIES)]
IDS = ["run", *FAMILIES]


def numbers(cls: type) -> dict[str, bool]:
    """Numeric fields by name, and whether they may be None."""
    found = {}
    for name, hint in typing.get_type_hints(cls).items():
        options = typing.get_args(hint) or (hint,)
        if {int, float} & set(options):
            found[name] = type(None) in options
    return found


@pytest.mark.parametrize("cls", CLASSES, ids=IDS)
def test_every_number_has_bounds(cls):
    """So no number is judged by its name, and help and forms can say what it may be."""
    bounds = configs.bounds_of(cls)
    assert set(numbers(cls)) == set(bounds)
    configs.check_numbers(cls())  # the defaults are within them
    for name, own in bounds.items():
        assert own.range, name
        assert not own.off or own.allow(0), name


@pytest.mark.parametrize("cls", CLASSES, ids=IDS)
def test_what_stood_for_the_usual_is_none_now(cls):
    """A number that meant "the family's usual" is none that the setting can have: old files cannot be misread."""
    optional = numbers(cls)
    for name, own in configs.bounds_of(cls).items():
        if own.was is None:
            continue
        assert optional[name], name
        assert not own.allow(own.was), name
        assert getattr(configs.make(cls, {name: own.was}, "it"), name) is None
        with pytest.raises(GansmithError, match="to take the usual"):
            configs.check_numbers(dataclasses.replace(cls(), **{name: own.was}))


@pytest.mark.parametrize("name", sorted(folder.name for folder in RECORDED.iterdir()))
def test_recorded_settings_are_read(name):
    """What version 0.1.0 wrote: every number that stood for the usual is None, everything else is as it was."""
    written = yaml.safe_load((RECORDED / name / "config.yaml").read_text())
    for cls, settings in ((registry.family(name).Config, written["settings"]), (TrainSettings, written["train"])):
        read = configs.to_plain(configs.make(cls, settings, name))
        was = {key: own.was for key, own in configs.bounds_of(cls).items() if own.was is not None}
        changed = {key for key, value in settings.items() if read[key] != value}
        assert changed == {key for key, value in settings.items() if key in was and value == was[key]}
        assert all(read[key] is None for key in changed)
        since = (
            {"discriminator": "residual", "loss": "relativistic", "level": 0, "class_dim": None}
            if (name, cls is TrainSettings) == ("r3gan", False)
            else {}
        )
        assert configs.modern(cls, settings) == settings | dict.fromkeys(changed) | since
    assert registry.family(name).Config().augment_images is None


def test_off_is_not_the_usual():
    """0 switches off, None takes the usual: they were told apart by different numbers in different families."""
    kind = registry.family("stylegan2")
    made = configs.make(kind.Config, {"r1": 0.0, "ema_images": 0, "path_weight": -1.0}, "stylegan2")
    assert (made.r1, made.ema_images, made.path_weight) == (0.0, 0, None)


@pytest.mark.parametrize(
    ("bounds", "words", "inside", "outside"),
    [
        (Bounds(1, unit="pixels"), "in pixels, 1 or more", (1, 9), (0,)),
        (Bounds(above=0), "more than 0", (0.1,), (0, -1)),
        (Bounds(0, 1), "0 to 1", (0, 1), (-0.1, 1.1)),
        (Bounds(0, below=1), "0 to under 1", (0, 0.99), (1,)),
        (Bounds(above=0, most=1), "more than 0 to 1", (1,), (0, 1.1)),
        (Bounds(most=5), "at most 5", (-9, 5), (6,)),
        (Bounds(), "", (-math.pi,), ()),
    ],
)
def test_bounds_in_words(bounds, words, inside, outside):
    assert str(bounds) == words
    assert all(map(bounds.allow, inside))
    assert not any(map(bounds.allow, outside))


@dataclasses.dataclass(frozen=True)
class Mine:
    """Settings of somebody's own."""

    beta_vae: float = 4.0
    """Weight of something."""
    share: Annotated[float | None, Bounds(0, 1, unit="pictures")] = None
    """Some of them; by default all."""


def test_help_and_forms_show_bounds(capsys):
    with pytest.raises(SystemExit):
        parse(Mine, ["--help"], "try", "Try it.")
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Some of them; by default all. (in pictures, 0 to 1)" in said
    assert "Weight of something. (default: 4.0)" in said
    rows = {row["name"]: row for row in forms.fields(Mine)}
    assert (rows["share"]["unit"], rows["share"]["range"], rows["share"]["stands_for"]) == (
        "in pictures",
        "0 to 1",
        "automatic",
    )
    assert (rows["beta_vae"]["unit"], rows["beta_vae"]["range"], rows["beta_vae"]["stands_for"]) == ("", "", "")


def test_flags_give_an_instance_of_the_class_itself():
    made = parse(Mine, ["--share", "0.5"], "try", "Try it.", Mine(beta_vae=-2.0))
    assert made == Mine(-2.0, 0.5)
    assert type(made) is Mine
