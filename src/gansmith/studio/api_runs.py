"""Requests about runs: lists, curves, grids, rename, delete."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gansmith import config as configs
from gansmith import registry
from gansmith.files.atomic import replacing
from gansmith.files.documents import Unreadable
from gansmith.files.documents import read_json as read_document
from gansmith.studio import api_edit, coaching, logs, trash
from gansmith.studio.api_play import rename_favourites
from gansmith.studio.api_train import failure_of
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, as_json, get, post
from gansmith.studio.cures import next_step
from gansmith.studio.errors import Refused
from gansmith.studio.words import said
from gansmith.studio.worker import write_json
from gansmith.studio.workspace import plain_name

_SERVED = re.compile(r"samples/(?:\d+\.png|film\.png|film\.mp4)|report/[\w-]+\.png|[\w-]+\.png", re.ASCII)
THUMB = 96
"""Side of a run's small picture."""
MOST_THUMBS, MOST_TAGS = 2000, 12
_KINDS = {".png": "image/png", ".mp4": "video/mp4"}


def routes(studio: Studio) -> list[Route]:
    """Everything that pages ask about runs."""
    return [
        get("/api/runs", studio, listed),
        get("/api/run", studio, one),
        get("/api/run/log", studio, log),
        get("/api/run/file", studio, file),
        get("/api/run/thumb", studio, thumb),
        post("/api/run/tags", studio, tags),
        post("/api/run/rename", studio, rename),
        post("/api/run/delete", studio, delete),
        get("/api/trash", studio, in_trash),
        post("/api/trash/restore", studio, restore),
        post("/api/trash/empty", studio, empty),
    ]


def listed(studio: Studio, arguments: Arguments) -> Response:
    """Every run in a few numbers, newest first; a list that has not changed is not sent again."""
    jobs = {job["run"]: job for job in studio.jobs.all()}
    rows = []
    for root in studio.workspace.all_runs():
        name = studio.workspace.relative(root)
        row = studio.logs.summary(root, name, jobs.get(name))
        if row is not None:
            rows.append(
                row | {"tags": tags_of(root), "health": said(row["health"]), "problem": said(row.get("problem", ""))}
            )
    answer = as_json(rows)
    answer.headers["ETag"] = f'"{hashlib.blake2b(bytes(answer.body), digest_size=8).hexdigest()}"'
    answer.headers["Cache-Control"] = "no-cache"
    return answer


def tags_of(root: Path) -> list[str]:
    """What somebody has called a run beside its name: a small file in its folder, so that it goes where the run goes."""
    try:
        found = read_document(root / "tags.json")
    except (OSError, Unreadable):
        return []
    return [str(tag) for tag in found[:MOST_TAGS]] if isinstance(found, list) else []


def tags(studio: Studio, arguments: Arguments) -> Any:
    """Give runs tags, and take some away."""
    ids = [str(name) for name in arguments.listed("ids", 500)]
    add = [plain_name(str(tag), "A tag") for tag in (arguments.listed("add", 8) if "add" in arguments.values else [])]
    gone = {str(tag) for tag in (arguments.listed("remove", 32) if "remove" in arguments.values else [])}
    with studio.moving:
        for name in ids:
            root = studio.workspace.run(name)
            now = [tag for tag in dict.fromkeys([*tags_of(root), *add]) if tag not in gone]
            if len(now) > MOST_TAGS:
                raise Refused(f"A run takes up to {MOST_TAGS} tags.")
            if now:
                write_json(root / "tags.json", now)
            else:
                (root / "tags.json").unlink(missing_ok=True)
    return {"ok": True}


def thumb(studio: Studio, arguments: Arguments) -> Response:
    """A small piece of a run's newest sample grid, drawn once and kept: a list of many runs must not load their grids."""
    root = studio.workspace.run(arguments.text("id"))
    name = logs.newest_grid(root)
    if name is None:
        raise Refused("This run has no samples yet.", 404)
    grid = root / "samples" / name
    key = hashlib.blake2b(f"{root} {grid.name} {grid.stat().st_mtime_ns}".encode(), digest_size=12).hexdigest()
    made = studio.workspace.state / "thumbs" / f"{key}.jpg"
    if not made.is_file():
        _draw_thumb(grid, made)
    headers = {"Cache-Control": "private, max-age=86400"}  # its address names the grid
    return FileResponse(made, media_type="image/jpeg", headers=headers)


def _draw_thumb(grid: Path, target: Path) -> None:
    """The corner of a grid that holds its first few pictures, about a hundred pixels wide."""
    from PIL import Image

    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(grid, formats=("PNG",)) as image:
        side = min(image.width, image.height, max(THUMB, image.width // 4))
        corner = image.convert("RGB").crop((0, 0, side, side))
    corner.thumbnail((THUMB, THUMB), Image.Resampling.BOX)
    with replacing(target) as temporary:
        corner.save(temporary, "JPEG", quality=82)
    _prune_thumbs(target.parent)


def _prune_thumbs(folder: Path) -> None:
    """Delete the oldest pictures where there are too many, a tenth at once, so that the next ones need no look at all dates."""
    found = [entry for entry in os.scandir(folder) if entry.name.endswith(".jpg")]
    if len(found) <= MOST_THUMBS:
        return
    dated = []
    for entry in found:
        with contextlib.suppress(OSError):  # another request deletes old ones just now
            dated.append((entry.stat().st_mtime, entry.path))
    for _, old in sorted(dated)[: len(dated) - MOST_THUMBS * 9 // 10]:
        Path(old).unlink(missing_ok=True)


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
    told = report.read_text("utf-8", "replace")[:40_000] if report.is_file() else ""
    return {
        **row,
        "settings": _settings(run),
        "train": configs.to_plain(configs.make(configs.TrainSettings, run.train, "train")) if run.train else {},
        "coach": coaching.told(_findings(studio, root, run, row), run.family, {**run.train, **run.settings}),
        "facts": {key: value for key, value in run.facts.items() if isinstance(value, (str, int, float))},
        "grids": logs.grids(root),
        **_failure(studio, job, run.facts),
        "columns": _columns(run.family, row["pictures"]),
        "film": (root / "samples" / "film.mp4").is_file(),
        "report": _report(told),
        "next": next_step(told, run.family),
    }


def _settings(run: Any) -> dict[str, Any]:
    """A run's own settings, in today's words where its family is here."""
    known = run.family in registry.families()
    return configs.modern(registry.family(run.family).Config, run.settings) if known else run.settings


def _report(text: str) -> str:
    """A report line by line in the page's language, without its table of settings, which the page shows in words."""
    text = text.partition("\n## Settings")[0]
    return "\n".join(said(line) if line.strip() else line for line in text.split("\n"))


def _columns(family: str, pictures: Any) -> list[str]:
    """What stands in each column of a run's sample grids, for families that change pictures."""
    from gansmith.abilities import Translates

    kind = registry.family(family) if family in registry.families() else None
    if kind is None or not issubclass(kind, Translates):
        return []
    if len(kind.directions) > 1:
        return ["a", "ab", "aba", "b", "ba", "bab"]
    return ["given", "made", "true"] * (1 if pictures == 1 else 2)


def _findings(studio: Studio, root: Path, run: Any, row: dict[str, Any]) -> list[dict[str, Any]]:
    return coaching.findings(run.facts, studio.logs.tail(root).records, row["status"] == "running")


def _failure(studio: Studio, job: dict[str, Any] | None, facts: dict[str, Any]) -> dict[str, Any]:
    """Why a run's last training failed, and what can be done. Runs that the studio did not start say it in their facts."""
    if job is None or job["status"] != "failed":
        return {"failure": str(facts.get("failure", "")), "cures": []}
    found = failure_of(studio, job)
    return {"failure": found["reason"], "cures": found["cures"]}


def log(studio: Studio, arguments: Arguments) -> Any:
    """What is new in a run's log; of a run that has not begun, how its job stands."""
    name = arguments.text("id")
    job = None if (studio.workspace.inside(name) / "config.yaml").is_file() else studio.jobs.last(name)
    if job is not None:
        job |= failure_of(studio, job) if job["status"] == "failed" else {}
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
        trash.move(root, target)
        studio.jobs.follow(studio.workspace.relative(root), studio.workspace.relative(target))
        studio.repairs.follow(studio.workspace.relative(root), studio.workspace.relative(target))
        rename_favourites(studio, studio.workspace.relative(root), studio.workspace.relative(target))
        api_edit.rename(studio, studio.workspace.relative(root), studio.workspace.relative(target))
    studio.logs.forget(root)
    studio.models.forget(root)
    return {"id": studio.workspace.relative(target)}


def delete(studio: Studio, arguments: Arguments) -> Any:
    """Move a run to the studio's trash, from which it can come back."""
    with studio.moving:
        root = _resting(studio, arguments.text("id"))
        key = trash.put(studio.workspace, root)
        studio.jobs.follow(studio.workspace.relative(root), None)
    studio.logs.forget(root)
    studio.models.forget(root)
    return {"trash": key}


def in_trash(studio: Studio, arguments: Arguments) -> Any:
    """What lies in the trash."""
    return trash.listed(studio.workspace)


def restore(studio: Studio, arguments: Arguments) -> Any:
    """Take a run, a set or files out of the trash."""
    with studio.moving:
        return {"id": trash.restore(studio.workspace, arguments.text("id"), set(studio.jobs.active_runs()))}


def empty(studio: Studio, arguments: Arguments) -> Any:
    """Delete what lies in the trash, for good."""
    trash.empty(studio.workspace)
    return {"ok": True}
