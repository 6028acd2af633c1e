"""A run that somebody asks for on the Train page, checked: its family, its pictures, its settings, its goal, its name."""

from __future__ import annotations

import shlex
from typing import Any

from gansmith import registry
from gansmith.config import TrainSettings, validate
from gansmith.studio import advice, forms
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio
from gansmith.studio.errors import Refused
from gansmith.studio.workspace import PICKLES, plain_name

GOALS = ("minutes", "images", "steps")


def wished(studio: Studio, arguments: Arguments) -> tuple[dict[str, Any], list[str], tuple[str, float]]:
    """A run that the page asks for, checked: what its settings file holds, what it trains on, and how long."""
    name = known_family(arguments)
    kind = registry.family(name)
    specs = specs_of(studio, arguments, kind.data)
    goal, amount = goal_of(arguments, "minutes")
    run_given = {**arguments.mapping("run"), "data": specs, goal: amount}
    for asked in ("out", "resume"):
        run_given.pop(asked, None)
    run_settings = forms.changed(TrainSettings, run_given, "The run")
    validate(TrainSettings(**{**run_settings, "data": tuple(specs)}))
    family_settings = forms.changed(kind.Config, arguments.mapping("family"), name)
    for cls, settings in ((TrainSettings, run_settings), (kind.Config, family_settings)):
        confine(studio, cls, settings)
    return {"family": name, "settings": family_settings, "train": run_settings}, specs, (goal, amount)


def specs_of(studio: Studio, arguments: Arguments, data: str) -> list[str]:
    """What to train on, checked: one set, or two where the family has two sides."""
    given = [Arguments({"data": spec}).text("data") for spec in arguments.listed("data", 2)]
    specs = [studio.workspace.data_spec(spec) for spec in given]
    expected = {"images": (1,), "crops": (1,), "unpaired": (1, 2), "paired": (1, 2)}[data]
    if len(specs) not in expected:
        raise Refused("Choose the pictures to train on.")
    advice.check_sides(data, [studio.workspace.absolute_spec(spec) for spec in specs])
    return specs


def goal_of(arguments: Arguments, default: str | None = None) -> tuple[str, float]:
    """How long to train: minutes, or whole images or steps."""
    goal = arguments.choice("goal", GOALS, default)
    if goal == "minutes":
        return goal, arguments.number("amount", 0.01, 1e7)
    return goal, int(arguments.number("amount", 1, 1e12))


def new_name(studio: Studio, called: str, stem: str) -> str:
    """The folder of a new run: as it was called, or after its family and data."""
    taken = {job["run"] for job in studio.jobs.active_runs().values()}
    if not called:
        return studio.workspace.free_run_name(stem, taken)
    run = f"runs/{plain_name(called, 'A run’s name')}"
    if run in taken or (studio.workspace.root / run).exists():
        raise Refused(f"There is a run called '{called}' already.", 409)
    return run


def confine(studio: Studio, cls: type, settings: dict[str, Any]) -> None:
    """Whatever a setting names, a path must not lead out of the workspace, nor to a pickle."""
    for field in forms.fields(cls):
        value = settings.get(field["name"])
        if field["kind"] != "text" or field["name"] == "data" or not value:
            continue
        if studio.workspace.inside(str(value)).suffix.lower() in PICKLES:
            raise Refused(f"'{value}' is a pickle: reading one could run code. Convert it with: gansmith import")


def command_line(
    name: str, specs: list[str], run_settings: dict[str, Any], family_settings: dict[str, Any], run: str
) -> str:
    """The same run as one would start it in a terminal."""
    words = ["gansmith", "train", name, "--data", *specs]
    for key, value in {**run_settings, **family_settings}.items():
        if key == "data":
            continue
        option = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, *(str(item) for item in (value if isinstance(value, list) else [value]))]
    return shlex.join([*words, "--out", run])


def known_family(arguments: Arguments) -> str:
    """The family that was asked for."""
    name = arguments.text("name")
    if name not in registry.families():
        raise Refused(f"There is no family '{name}'.", 404)
    return name
