"""Requests of the Welcome page: three first steps, Data, Train, Play, and how far somebody is with them in this workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.routing import Route

from gansmith.studio import models, sets
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, post
from gansmith.studio.worker import read_json, write_json

STEPS = ("data", "train", "play")
_ACTIVE = ("queued", "running", "stopping")


def routes(studio: Studio) -> list[Route]:
    """Everything this page asks for."""
    return [get("/api/welcome", studio, state), post("/api/welcome", studio, note)]


def state(studio: Studio, arguments: Arguments) -> Any:
    """How far the first steps are.

    Returns:
        ``active`` (they lead now), ``done`` (by step), ``run`` (the run to play with, or None), ``status`` of its training (empty
        where none is queued), ``progress`` from 0 to 1, and ``model`` (there is something to play with).
    """
    kept, jobs = _kept(studio), studio.jobs.all()
    run = _started(studio, kept, jobs)
    runs = [] if run is not None else studio.workspace.all_runs()
    run = run or _newest(studio, runs)
    job = next((job for job in reversed(jobs) if job["run"] == run), None)
    status = job["status"] if job is not None and job["status"] in (*_ACTIVE, "failed") else ""
    looked, played = ("data" in kept["seen"], "play" in kept["seen"])
    done = {"data": looked or run is not None, "train": run is not None and status != "failed", "play": played}
    model = run is not None and (studio.workspace.root / run / "model" / "config.json").is_file()
    progress = studio.logs.progress(studio.workspace.root / run) if run is not None and status in _ACTIVE else 0.0
    told = {"done": done, "run": run, "status": status, "progress": progress, "model": model}
    return {"active": _active(studio, kept, bool(run or runs)), **told}


def note(studio: Studio, arguments: Arguments) -> Any:
    """Note a step that was taken (``step``, with the ``run`` that was started), that somebody wants no more of it, or wants it again."""
    with studio.moving:  # one note after the other, so that none is lost
        kept = _kept(studio)
        if arguments.values.get("leave") is True:
            kept = {"seen": [], "run": None, "left": True, "again": False}
        elif arguments.values.get("again") is True:
            kept = {"seen": [], "run": None, "left": False, "again": True}
        else:
            step = arguments.choice("step", STEPS)
            kept["seen"] = list(dict.fromkeys([*kept["seen"], step]))
            if "run" in arguments.values:
                kept["run"] = studio.workspace.relative(studio.workspace.inside(arguments.text("run")))
            if step == "play":
                kept |= {"left": True, "again": False}  # the last step ends them; the page that shows it says so
            elif not kept["left"]:
                kept["again"] = True  # once begun, they lead on although the workspace is empty no more
        write_json(studio.workspace.state / "welcome.json", kept)
    return {"ok": True}


def _kept(studio: Studio) -> dict[str, Any]:
    """What was noted; nothing where the file is damaged or not there."""
    found = read_json(studio.workspace.state / "welcome.json")
    seen = found.get("seen")
    run = found.get("run")
    return {
        "seen": [step for step in seen if step in STEPS] if isinstance(seen, list) else [],
        "run": run if isinstance(run, str) else None,
        "left": found.get("left") is True,
        "again": found.get("again") is True,
    }


def _started(studio: Studio, kept: dict[str, Any], jobs: list[dict[str, Any]]) -> str | None:
    """The run that these steps have started, if it is still there."""
    queued = {job["run"] for job in jobs if job["status"] in _ACTIVE}
    if kept["run"] in queued or (kept["run"] and (studio.workspace.root / kept["run"] / "config.yaml").is_file()):
        return kept["run"]
    return None


def _newest(studio: Studio, runs: list[Path]) -> str | None:
    """The newest run that makes pictures from noise."""
    for root in runs:
        found = studio.logs.run(root)
        if found is not None and not models.translates(found.family):
            return studio.workspace.relative(root)
    return None


def _active(studio: Studio, kept: dict[str, Any], has_runs: bool) -> bool:
    """They lead where they were begun or called again, and in a workspace without runs, sets and models; not once they were left."""
    if kept["left"] or kept["again"]:
        return kept["again"] and not kept["left"]
    place = studio.workspace
    return not has_runs and not place.lone_models() and not sets.found(studio)
