"""Requests of the Train page: families and their forms, the queue, what a run is doing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from starlette.routing import Route

from gansmith import registry
from gansmith.config import TrainSettings, validate
from gansmith.studio import forms
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, post
from gansmith.studio.errors import Refused
from gansmith.studio.workspace import PICKLES, plain_name

_ASKED = ("data", "out", "images", "steps", "minutes", "resume")
"""Run settings that the page asks for in its own way."""
_GOALS = ("minutes", "images", "steps")


def routes(studio: Studio) -> list[Route]:
    """Everything this page asks for."""
    return [
        get("/api/families", studio, families),
        get("/api/family", studio, family),
        get("/api/jobs", studio, jobs),
        post("/api/train", studio, start),
        post("/api/jobs/stop", studio, stop),
        post("/api/jobs/forget", studio, forget),
        post("/api/resume", studio, resume),
        get("/api/jobs/console", studio, console),
    ]


def families(studio: Studio, arguments: Arguments) -> Any:
    """Names and first lines, without importing any."""
    return [{"name": name, "about": about} for name, about in registry.families().items()]


def family(studio: Studio, arguments: Arguments) -> Any:
    """A family's forms."""
    name = _known_family(arguments)
    kind = registry.family(name)
    return {
        "name": name,
        "about": registry.families()[name],
        "data": kind.data,
        "family": forms.fields(kind.Config),
        "run": forms.fields(TrainSettings, leave_out=_ASKED),
    }


def _known_family(arguments: Arguments) -> str:
    name = arguments.text("name")
    if name not in registry.families():
        raise Refused(f"There is no family '{name}'.", 404)
    return name


def jobs(studio: Studio, arguments: Arguments) -> Any:
    """The queue; failed ones say why."""
    found = studio.jobs.all()
    for job in found:
        if job["status"] == "failed":
            job["reason"] = studio.jobs.reason(job["id"])
    return found[::-1]


def start(studio: Studio, arguments: Arguments) -> Any:
    """Queue a new run."""
    name = _known_family(arguments)
    kind = registry.family(name)
    given = [Arguments({"data": spec}).text("data") for spec in arguments.listed("data", 2)]
    specs = [studio.workspace.data_spec(spec) for spec in given]
    expected = {"images": (1,), "crops": (1,), "unpaired": (1, 2), "paired": (1, 2)}[kind.data]
    alone = kind.data == "unpaired" and len(specs) == 1
    if alone and not _may_hold_two_sides(studio.workspace.absolute_spec(specs[0])):
        raise Refused("This family trains on two sets: choose side A and side B.")
    if len(specs) not in expected:
        raise Refused("Choose the pictures to train on.")
    goal, amount = _goal(arguments, "minutes")
    run_given = {**arguments.mapping("run"), "data": specs, goal: amount}
    for asked in ("out", "resume"):
        run_given.pop(asked, None)
    run_settings = forms.changed(TrainSettings, run_given, "The run")
    validate(TrainSettings(**{**run_settings, "data": tuple(specs)}))
    family_settings = forms.changed(kind.Config, arguments.mapping("family"), name)
    for cls, settings in ((TrainSettings, run_settings), (kind.Config, family_settings)):
        confine(studio, cls, settings)
    wished = arguments.text("called", "", 80).strip()
    settings = {"family": name, "settings": family_settings, "train": run_settings}
    title = f"{name} on {' and '.join(specs)}, {amount:,.10g} {goal}"
    with studio.moving:
        run = _new_name(studio, wished, f"{name}-{'-'.join(spec.rpartition('/')[2] for spec in specs)}")
        job = studio.jobs.add(run, ["train", name, "--config", "{settings}", "--out", run], settings, title, "new")
    return {"job": job, "run": run, "command": command_line(name, specs, run_settings, family_settings, run)}


def _may_hold_two_sides(spec: str) -> bool:
    """Whether a set is of files, whose names can tell two sides; the run looks whether they do."""
    path = Path(spec)
    return path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip")


def _goal(arguments: Arguments, default: str | None = None) -> tuple[str, float]:
    """How long to train: minutes, or whole images or steps."""
    goal = arguments.choice("goal", _GOALS, default)
    if goal == "minutes":
        return goal, arguments.number("amount", 0.01, 1e7)
    return goal, int(arguments.number("amount", 1, 1e12))


def _new_name(studio: Studio, wished: str, stem: str) -> str:
    """The folder of a new run: as it was wished, or after its family and data."""
    taken = {job["run"] for job in studio.jobs.active_runs().values()}
    if not wished:
        return studio.workspace.free_run_name(stem, taken)
    run = f"runs/{plain_name(wished, 'A run’s name')}"
    if run in taken or (studio.workspace.root / run).exists():
        raise Refused(f"There is a run called '{wished}' already.", 409)
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


def stop(studio: Studio, arguments: Arguments) -> Any:
    """Stop a running job, or take a waiting one out."""
    studio.jobs.stop(arguments.text("job"))
    return {"ok": True}


def forget(studio: Studio, arguments: Arguments) -> Any:
    """Remove ended jobs from the list."""
    studio.jobs.forget(arguments.text("job"))
    return {"ok": True}


def resume(studio: Studio, arguments: Arguments) -> Any:
    """Queue the rest of a run, with a new goal where one is given."""
    root = studio.workspace.run(arguments.text("run"))
    name = studio.workspace.relative(root)
    found = studio.logs.run(root)
    if found is None:
        raise Refused("This run's config.yaml is damaged.", 422)
    for spec in found.train.get("data", []):
        studio.workspace.data_spec(studio.workspace.as_inside(str(spec)))
    command = ["train", "--resume", f"--out={name}"]  # one word: a folder may be called --help
    if "amount" in arguments.values:
        goal, amount = _goal(arguments)
        command += [f"--{goal}", str(amount)]
    with studio.moving:
        if name in studio.jobs.active_runs():
            raise Refused("This run is in the queue already.", 409)
        row = studio.logs.summary(root, name, studio.jobs.last(name))
        if row is not None and row["status"] == "running":
            raise Refused("This run is training already, started from a terminal.", 409)
        job = studio.jobs.add(name, command, None, f"{name.removeprefix('runs/')}, going on", "resume")
    return {"job": job, "run": name}


def console(studio: Studio, arguments: Arguments) -> Any:
    """The end of what a training printed."""
    return {"text": studio.jobs.console(arguments.text("job"))}
