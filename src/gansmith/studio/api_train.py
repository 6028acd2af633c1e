"""Requests of the Train page: families and their forms, the queue, what a run is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.routing import Route

from gansmith import registry
from gansmith.config import TrainSettings
from gansmith.errors import GansmithError
from gansmith.studio import advice, forms, presets
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, post
from gansmith.studio.cures import cures, fields_named
from gansmith.studio.errors import Refused
from gansmith.studio.wishes import GOALS, command_line, goal_of, known_family, new_name, specs_of, wished
from gansmith.studio.words import said

_ASKED = ("data", "out", "images", "steps", "minutes", "resume")
"""Run settings that the page asks for in its own way."""


def routes(studio: Studio) -> list[Route]:
    """Everything this page asks for."""
    return [
        get("/api/families", studio, families),
        get("/api/family", studio, family),
        get("/api/jobs", studio, jobs),
        post("/api/train", studio, start),
        post("/api/train/plan", studio, plan),
        get("/api/presets", studio, lambda studio, arguments: presets.listed()),
        post("/api/train/estimate", studio, estimate),
        post("/api/train/again", studio, again),
        get("/api/train/like", studio, like),
        post("/api/jobs/stop", studio, stop),
        post("/api/jobs/forget", studio, forget),
        post("/api/resume", studio, resume),
        get("/api/jobs/console", studio, console),
    ]


def families(studio: Studio, arguments: Arguments) -> Any:
    """Names and first lines, without importing any."""
    return [{"name": name, "about": said(about)} for name, about in registry.families().items()]


def family(studio: Studio, arguments: Arguments) -> Any:
    """A family's forms."""
    name = known_family(arguments)
    kind = registry.family(name)
    return {
        "name": name,
        "about": said(registry.families()[name]),
        "data": kind.data,
        "family": _told(forms.fields(kind.Config)),
        "run": _told(forms.fields(TrainSettings, leave_out=_ASKED)),
    }


def _told(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fields with their help in the page's language."""
    words = ("help", "unit", "range")
    return [field | {word: said(field[word]) for word in words} for field in fields]


def jobs(studio: Studio, arguments: Arguments) -> Any:
    """The queue; failed ones say why, and what can be done."""
    found = studio.jobs.all()
    for job in found:
        if job["status"] == "failed":
            job |= failure_of(studio, job)
        elif job["status"] == "running":
            job["progress"] = studio.logs.progress(studio.workspace.root / job["run"])
    return found[::-1]


def failure_of(studio: Studio, job: dict[str, Any]) -> dict[str, Any]:
    """Why a job failed, in the page's language, and the changes that would help."""
    reason = studio.jobs.reason(job["id"])
    asked = studio.jobs.asked(job["id"])
    known = {**asked["train"], **asked["settings"]} if asked else {}
    return {"reason": said(reason), "cures": cures(reason, asked["family"], known) if asked else []}


def start(studio: Studio, arguments: Arguments) -> Any:
    """Queue a new run. A refusal names the fields that it is about, and what would help."""
    return _with_cures(arguments, lambda: _start(studio, arguments))


def _mapping(arguments: Arguments, name: str) -> dict[str, Any]:
    value = arguments.values.get(name)
    return value if isinstance(value, dict) else {}


def _with_cures(arguments: Arguments, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except GansmithError as error:
        name = arguments.values.get("name")
        known = registry.families() if isinstance(name, str) else {}
        if name not in known:
            raise
        given = {**_mapping(arguments, "run"), **_mapping(arguments, "family")}
        text = str(error)
        refused = Refused(text, getattr(error, "status", 400))
        refused.more = {"fields": fields_named(text, str(name)), "cures": cures(text, str(name), given)}
        raise refused from None


def estimate(studio: Studio, arguments: Arguments) -> Any:
    """What a run will need: a task, or what was found before of the same settings and pictures."""
    settings, specs, _ = _with_cures(arguments, lambda: wished(studio, arguments))
    stamp = [advice.stamp(studio.workspace.absolute_spec(spec)) for spec in specs]
    return presets.measure(studio.tasks, studio.estimates, presets.key_of(settings, stamp), settings)


def _start(studio: Studio, arguments: Arguments) -> Any:
    settings, specs, (goal, amount) = wished(studio, arguments)
    name, run_settings, family_settings = settings["family"], settings["train"], settings["settings"]
    called = arguments.text("called", "", 80).strip()
    title = f"{name} on {' and '.join(specs)}, {amount:,.10g} {goal}"
    with studio.moving:
        run = new_name(studio, called, f"{name}-{'-'.join(spec.rpartition('/')[2] for spec in specs)}")
        job = studio.jobs.add(run, ["train", name, "--config", "{settings}", "--out", run], settings, title, "new")
    return {"job": job, "run": run, "command": command_line(name, specs, run_settings, family_settings, run)}


def plan(studio: Studio, arguments: Arguments) -> Any:
    """What suits the chosen pictures, and what would stop the run: a quick look at them, before anything is started."""
    name = known_family(arguments)
    kind = registry.family(name)
    try:
        specs = specs_of(studio, arguments, kind.data)
        facts = [advice.look(studio.workspace.absolute_spec(spec)) for spec in specs]
    except GansmithError as error:
        return {"set": {}, "why": [], "problem": {"text": said(str(error)), "cures": []}, "facts": {}}
    chosen, why = advice.settings_for(name, facts[0], facts[1] if len(facts) > 1 else None)
    run_names = {field["name"] for field in forms.fields(TrainSettings)}
    given_run, given_family = arguments.mapping("run"), arguments.mapping("family")
    if arguments.values.get("filled") is not False:
        given_run = {k: v for k, v in chosen.items() if k in run_names} | given_run
        given_family = {k: v for k, v in chosen.items() if k not in run_names} | given_family
    problem = advice.problem_of(name, facts[0], given_run, given_family)
    if problem is not None:
        problem["text"] = said(problem["text"])
    shown = {key: value for key, value in facts[0].items() if key != "class_names"}
    return {"set": chosen, "why": why, "problem": problem, "facts": shown}


def like(studio: Studio, arguments: Arguments) -> Any:
    """The settings of a run or of a queued training, for the form, and the command that starts the same."""
    asked = _asked(studio, arguments)
    name, run_settings, family_settings = asked["family"], dict(asked["train"]), asked["settings"]
    specs = [studio.workspace.as_inside(str(spec)) for spec in run_settings.pop("data", TrainSettings().data)]
    goal = next((goal for goal in GOALS if run_settings.get(goal)), "minutes")
    amount = run_settings.get(goal) or 10
    for other in ("out", "resume", *(g for g in GOALS if g != goal)):
        run_settings.pop(other, None)
    command = command_line(name, specs, run_settings, family_settings, "runs/NAME")
    run_settings.pop(goal, None)
    return {
        "name": name,
        "data": specs,
        "goal": goal,
        "amount": amount,
        "run": run_settings,
        "family": family_settings,
        "command": command.removesuffix(" --out runs/NAME"),
    }


def _asked(studio: Studio, arguments: Arguments) -> dict[str, Any]:
    """What a run or a job was started with, where it differs from the defaults."""
    if "job" in arguments.values:
        asked = studio.jobs.asked(arguments.text("job", most=40))
        if asked is None:
            raise Refused("That training is going on with a run; start again from the run itself.", 409)
        return asked
    found = studio.logs.run(studio.workspace.run(arguments.text("run")))
    if found is None:
        raise Refused("This run's config.yaml is damaged.", 422)
    if found.family not in registry.families():
        raise Refused(f"There is no family '{found.family}'.", 404)
    kind = registry.family(found.family)
    return {
        "family": found.family,
        "settings": forms.changed(kind.Config, found.settings, found.family),
        "train": forms.changed(TrainSettings, found.train, "The run"),
    }


def again(studio: Studio, arguments: Arguments) -> Any:
    """Queue a run with the settings of another one, or of a training that failed, and the given changes."""
    found = like(studio, arguments)
    changes, other = arguments.mapping("set"), arguments.text("family", "", 100)
    run_names = {field["name"] for field in forms.fields(TrainSettings)}
    family = {} if other and other != found["name"] else found["family"]
    if other and other != found["name"]:
        names = {
            field["name"] for field in forms.fields(registry.family(known_family(Arguments({"name": other}))).Config)
        }
        kept = ("conditional", "augment", "class_fade")  # what says something of the pictures, not of the networks
        family = {key: value for key, value in found["family"].items() if key in names and key in kept}
    wish = {
        "name": other or found["name"],
        "data": found["data"],
        "goal": found["goal"],
        "amount": found["amount"],
        "run": found["run"] | {k: v for k, v in changes.items() if k in run_names},
        "family": family | {k: v for k, v in changes.items() if k not in run_names},
        "called": "",
    }
    return start(studio, Arguments(wish))


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
        goal, amount = goal_of(arguments)
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
