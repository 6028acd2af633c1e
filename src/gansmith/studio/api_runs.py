"""Requests about runs: lists, curves, grids, rename, delete."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse
from starlette.routing import Route

from gansmith import config as configs
from gansmith.studio import logs
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, post
from gansmith.studio.errors import Refused
from gansmith.studio.jobs import is_stamp
from gansmith.studio.workspace import plain_name

_SERVED = re.compile(r"samples/(?:\d+\.png|film\.png|film\.mp4)|report/[\w-]+\.png|[\w-]+\.png", re.ASCII)
_KINDS = {".png": "image/png", ".mp4": "video/mp4"}


def routes(studio: Studio) -> list[Route]:
    """Everything that pages ask about runs."""
    return [
        get("/api/runs", studio, listed),
        get("/api/run", studio, one),
        get("/api/run/log", studio, log),
        get("/api/run/file", studio, file),
        post("/api/run/rename", studio, rename),
        post("/api/run/delete", studio, delete),
        get("/api/trash", studio, trash),
        post("/api/trash/restore", studio, restore),
        post("/api/trash/empty", studio, empty),
    ]


def listed(studio: Studio, arguments: Arguments) -> Any:
    """Every run in a few numbers, newest first."""
    jobs = {job["run"]: job for job in studio.jobs.all()}
    rows = []
    for root in studio.workspace.all_runs():
        name = studio.workspace.relative(root)
        row = studio.logs.summary(root, name, jobs.get(name))
        if row is not None:
            rows.append(row)
    return rows


def one(studio: Studio, arguments: Arguments) -> Any:
    """A run with its settings, sample grids and report."""
    root = studio.workspace.run(arguments.text("id"))
    name = studio.workspace.relative(root)
    job = studio.jobs.last(name)
    row = studio.logs.summary(root, name, job)
    run = studio.logs.run(root)
    if row is None or run is None:
        raise Refused((row or {}).get("problem") or "This run's config.yaml is damaged.", 422)
    report = root / "report.md"
    return {
        **row,
        "settings": run.settings,
        "train": configs.to_plain(configs.make(configs.TrainSettings, run.train, "train")) if run.train else {},
        "facts": {key: value for key, value in run.facts.items() if isinstance(value, (str, int, float))},
        "grids": logs.grids(root),
        "failure": (job or {}).get("reason", ""),
        "film": (root / "samples" / "film.mp4").is_file(),
        "report": report.read_text("utf-8", "replace")[:40_000] if report.is_file() else "",
    }


def log(studio: Studio, arguments: Arguments) -> Any:
    """What is new in a run's log; of a run that has not begun, how its job stands."""
    name = arguments.text("id")
    job = None if (studio.workspace.inside(name) / "config.yaml").is_file() else studio.jobs.last(name)
    if job is not None:
        return {"generation": -1, "total": 0, "whole": True, "records": [], "grids": [], "waiting": job}
    root = studio.workspace.run(name)
    generation, after = arguments.integer("generation", -1, 10**9, -1), arguments.integer("after", 0, 10**9, 0)
    return studio.logs.since(root, generation, after) | {"grids": logs.grids(root)}


def file(studio: Studio, arguments: Arguments) -> Any:
    """One of a run's pictures or its film."""
    name = arguments.text("name")
    if not _SERVED.fullmatch(name):
        raise Refused("Only a run's pictures are served.", 404)
    path = (studio.workspace.run(arguments.text("id")) / name).resolve()
    if not path.is_relative_to(studio.workspace.root) or not path.is_file():
        raise Refused("That picture is gone.", 404)
    # asked for again each time: a resumed run makes its pictures anew, and another run may take a deleted one's name
    kind, headers = _KINDS[path.suffix], {"Cache-Control": "no-cache"}
    return FileResponse(path, media_type=kind, headers=headers, stat_result=path.stat())


def _resting(studio: Studio, text: str) -> Path:
    """A run that nothing writes to."""
    root = studio.workspace.run(text)
    name = studio.workspace.relative(root)
    if any(job == name or job.startswith(f"{name}/") for job in studio.jobs.active_runs()):
        raise Refused("This run is in the queue or running. Stop it first.", 409)
    row = studio.logs.summary(root, name, studio.jobs.last(name))
    if row is not None and row["status"] == "running":
        raise Refused(
            "This run seems to be running, started from a terminal. Stop it there; if it was killed, wait a few minutes.",
            409,
        )
    return root


def rename(studio: Studio, arguments: Arguments) -> Any:
    """Give a run folder another name, in the same place."""
    new = plain_name(arguments.text("name", most=80), "A run’s name")
    with studio.moving:
        root = _resting(studio, arguments.text("id"))
        target = root.with_name(new)
        if target.exists():
            raise Refused(f"There is a folder called '{new}' already.", 409)
        _move(root, target)
        studio.jobs.follow(studio.workspace.relative(root), studio.workspace.relative(target))
    studio.logs.forget(root)
    studio.models.forget(root)
    return {"id": studio.workspace.relative(target)}


def delete(studio: Studio, arguments: Arguments) -> Any:
    """Move a run to the studio's trash, from which it can come back."""
    with studio.moving:
        root = _resting(studio, arguments.text("id"))
        folder = studio.workspace.state.parent / "trash" / f"{time.time_ns():020d}"
        folder.mkdir(parents=True)
        (folder / "from.txt").write_text(studio.workspace.relative(root), encoding="utf-8")
        try:
            _move(root, folder / "run")
        except Refused:
            shutil.rmtree(folder)
            raise
        studio.jobs.follow(studio.workspace.relative(root), None)
    studio.logs.forget(root)
    studio.models.forget(root)
    return {"trash": folder.name}


def _move(root: Path, target: Path) -> None:
    try:
        root.rename(target)
    except OSError as error:
        raise Refused(f"'{root.name}' cannot be moved: {error.strerror}.", 409) from None


def trash(studio: Studio, arguments: Arguments) -> Any:
    """What lies in the trash."""
    rows = []
    for note in sorted((studio.workspace.state.parent / "trash").glob("*/from.txt"), reverse=True):
        if not (note.parent / "run").is_dir():
            continue  # being put there or taken out this moment
        size = sum(f.stat().st_size for f in note.parent.rglob("*") if f.is_file())
        rows.append({"id": note.parent.name, "run": note.read_text("utf-8"), "bytes": size})
    return rows


def restore(studio: Studio, arguments: Arguments) -> Any:
    """Take a run out of the trash."""
    key = arguments.text("id")
    folder = studio.workspace.state.parent / "trash" / key
    if not is_stamp(key) or not (folder / "from.txt").is_file():
        raise Refused("That is not in the trash any more.", 404)
    name = (folder / "from.txt").read_text("utf-8")
    target = studio.workspace.inside(name)
    with studio.moving:
        if target.exists() or name in studio.jobs.active_runs():
            raise Refused(f"There is a run called '{name}' again. Rename it first.", 409)
        target.parent.mkdir(parents=True, exist_ok=True)
        _move(folder / "run", target)
    shutil.rmtree(folder)
    return {"id": name}


def empty(studio: Studio, arguments: Arguments) -> Any:
    """Delete what lies in the trash, for good."""
    shutil.rmtree(studio.workspace.state.parent / "trash", ignore_errors=True)
    return {"ok": True}
