"""Requests of the Data page: what there is, the check, the picture wall, uploads."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gansmith.errors import GansmithError
from gansmith.studio import checks, sets, trash, uploads
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, failed, failure, get, image, post
from gansmith.studio.errors import Refused
from gansmith.studio.words import said
from gansmith.studio.workspace import plain_name


def routes(studio: Studio) -> list[Route]:
    """Everything this page asks for."""
    return [
        get("/api/data", studio, listed),
        post("/api/data/check", studio, check),
        get("/api/data/check", studio, check_state),
        get("/api/data/wall", studio, wall),
        post("/api/data/set", studio, new_set),
        post("/api/data/set/drop", studio, drop_set),
        post("/api/data/rename", studio, rename),
        post("/api/data/delete", studio, delete),
        post("/api/data/exclude", studio, exclude),
        Route("/api/upload/data", _upload(studio), methods=["POST"]),
    ]


def listed(studio: Studio, arguments: Arguments) -> Any:
    """Standard sets, and what in the workspace looks like pictures."""
    from gansmith.data import standard

    known = [
        {
            "name": name,
            "about": said(found.about),
            "splits": list(found.splits),
            "ready": found.ready,
            "megabytes": found.megabytes,
        }
        for name, found in standard.about_all().items()
    ]
    return {"standard": known, "workspace": sets.found(studio), "root": str(studio.workspace.root)}


def check(studio: Studio, arguments: Arguments) -> Any:
    """Start to check a set; the same set is checked once at a time."""
    spec = studio.workspace.data_spec(arguments.text("spec"))
    key = hashlib.blake2b(spec.encode(), digest_size=8).hexdigest()
    with studio.lock:
        running = studio.checks.get(key)
        if running is None or running.report is not None or running.error:
            if sum(c.report is None and not c.error for c in studio.checks.values()) >= 2:
                raise Refused("Two checks are running. Wait for one to end.", 429)
            studio.checks[key] = checks.Check(spec)
            while len(studio.checks) > 8:
                studio.checks.pop(next(iter(studio.checks)))
            threading.Thread(target=checks.run, args=(studio, studio.checks[key]), daemon=True).start()
    return {"id": key, "spec": spec}


def _found(studio: Studio, arguments: Arguments) -> checks.Check:
    state = studio.checks.get(arguments.text("id", most=40))
    if state is None:
        raise Refused("That check is forgotten. Start it again.", 404)
    return state


def check_state(studio: Studio, arguments: Arguments) -> Any:
    """How far a check is, and what it found."""
    state = _found(studio, arguments)
    return {
        "spec": state.spec,
        "done": state.done,
        "total": state.total,
        "error": said(state.error),
        "report": state.report and _told(state.report),
        "wall": _told_wall(state.wall) if state.report else [],
        "tile": checks.TILE,
        "columns": state.columns,
    }


def _told(report: dict[str, Any]) -> dict[str, Any]:
    """A report in the page's language."""
    files = {name: [row | {"reason": said(row["reason"])} for row in report[name]] for name in ("broken", "unread")}
    notes = [said(note) for note in report["notes"]]
    return report | files | {"verdict": said(report["verdict"]), "notes": notes, "range": said(report["range"])}


def _told_wall(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"about": said(row["about"])} if row["problem"] == "broken" else row for row in rows]


def wall(studio: Studio, arguments: Arguments) -> Response:
    """The wall's pictures as one."""
    return image(_found(studio, arguments).pixels)


def new_set(studio: Studio, arguments: Arguments) -> Any:
    """An empty folder to upload into."""
    folder = uploads.new_set(studio.workspace, arguments.text("name", most=200))
    studio.uploaded.pop(folder, None)
    return {"set": studio.workspace.relative(folder)}


def drop_set(studio: Studio, arguments: Arguments) -> Any:
    """Take a set away again of which no file was taken; one with files stays."""
    folder = studio.workspace.inside(arguments.text("set"))
    if folder.parent != studio.workspace.data or not folder.is_dir():
        raise Refused("That is not a set below data/.", 404)
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(place)
    return {"dropped": not folder.exists()}


def _set(studio: Studio, arguments: Arguments) -> Path:
    """A set that the workspace's data/ holds, at rest."""
    path = studio.workspace.inside(arguments.text("set"))
    if path.parent != studio.workspace.data or not path.exists():
        raise Refused("Only sets below data/ can be renamed or deleted here.", 404)
    name = studio.workspace.relative(path)
    for job in studio.jobs.active_runs().values():
        asked = studio.jobs.asked(job["id"])
        if asked is not None and any(str(spec).startswith(name) for spec in asked["train"].get("data", ())):
            raise Refused(f"'{name}' is trained on at this moment. Stop that training first.", 409)
    return path


def rename(studio: Studio, arguments: Arguments) -> Any:
    """Give a set another name, in the same place."""
    new = plain_name(arguments.text("name", most=80), "A set’s name")
    with studio.moving:
        path = _set(studio, arguments)
        target = path.with_name(new)
        if path.is_file() and target.suffix.lower() != path.suffix.lower():
            target = path.with_name(new + path.suffix)
        if target.exists():
            raise Refused(f"There is a set called '{target.name}' already.", 409)
        trash.move(path, target)
    studio.uploaded.pop(path, None)
    return {"set": studio.workspace.relative(target)}


def delete(studio: Studio, arguments: Arguments) -> Any:
    """Move a set to the studio's trash, from which it can come back."""
    with studio.moving:
        path = _set(studio, arguments)
        studio.uploaded.pop(path, None)
        return {"trash": trash.put(studio.workspace, path)}


def exclude(studio: Studio, arguments: Arguments) -> Any:
    """Take the broken files, and all but the first of equal ones, out of a set that was checked; they go to the trash."""
    state = _found(studio, arguments)
    root = checks.own_folder(studio, state.spec)
    if root is None:
        raise Refused("Files can be taken out of folders of the workspace only.")
    what = [str(word) for word in arguments.listed("what", 2)]
    names = (state.broken if "broken" in what else []) + (state.twice if "duplicates" in what else [])
    with studio.moving:
        key, count = trash.put_files(studio.workspace, root, names)
    return {"trash": key, "count": count}


def _upload(studio: Studio) -> Any:
    async def upload(request: Request) -> Response:
        """One file of a set, or a whole zip or npz; the body is the file."""
        from starlette.concurrency import run_in_threadpool

        try:
            arguments = Arguments(dict(request.query_params))
            target = await run_in_threadpool(_target, studio, arguments)
            archive = target.suffix.lower() in sets.ARCHIVES
            most = uploads.ARCHIVE_BYTES if archive else uploads.PICTURE_BYTES
            # beside the data until it is whole and looked at: nobody may train on half a file
            folder = uploads.incoming(studio.workspace) / secrets.token_hex(12)
            folder.mkdir(parents=True)
            try:
                arrived = folder / target.name
                await uploads.receive(request.stream(), arrived, most)
                await run_in_threadpool(uploads.check_archive if archive else uploads.check_picture, arrived)
                target = await run_in_threadpool(_put, studio, arrived, target, archive)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except ClientDisconnect:
            return failure("The upload was broken off.", 400)
        except (GansmithError, OSError) as error:
            return failed(error)
        return JSONResponse({"spec": studio.workspace.relative(target)})

    return upload


def _put(studio: Studio, arrived: Path, target: Path, archive: bool) -> Path:
    """Move a file that was taken to its place; two of one name may have come at once."""
    with studio.lock:
        target = uploads.free_file(target) if archive else target
        if target.exists():
            raise Refused("A file of that name is there already.", 409)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(arrived, target)
    return target


def _target(studio: Studio, arguments: Arguments) -> Path:
    """Where an uploaded file goes."""
    path = uploads.clean_path(arguments.text("path", most=500))
    uploads.refuse_pickles(path.name)
    if Path(path.name).suffix.lower() in sets.ARCHIVES:
        studio.workspace.data.mkdir(parents=True, exist_ok=True)
        return studio.workspace.data / path.name
    from gansmith.data.formats import EXTENSIONS, KNOWN, UNREAD, suffix

    if suffix(path.name) not in EXTENSIONS:
        why = UNREAD.get(suffix(path.name), f"it is no picture. {KNOWN} are taken")
        raise Refused(f"'{path.name}' cannot be taken: {why}.", 415)
    folder = studio.workspace.inside(arguments.text("set"))
    if folder.parent != studio.workspace.data or not folder.is_dir():
        raise Refused("Uploads go into a set below data/.", 400)
    target = folder / path
    if not target.resolve().is_relative_to(folder):
        raise Refused("That file has a path that cannot be used.")
    if target.exists():
        raise Refused("A file of that name is there already.", 409)
    if any(above.is_file() for above in target.parents if above.is_relative_to(folder)):
        raise Refused(f"'{path.parent}' is a file of this set already, not a folder.", 409)
    _count_in(studio, folder)
    return target


def _count_in(studio: Studio, folder: Path) -> None:
    """One file more in a set; sub-folders count too. A folder is counted once, not again for every one of its files."""
    with studio.lock:
        if folder not in studio.uploaded:
            studio.uploaded[folder] = sum(len(files) for _, _, files in os.walk(folder))
        if studio.uploaded[folder] >= uploads.FILES_PER_SET:
            raise Refused(f"A set takes up to {uploads.FILES_PER_SET:,} files. Upload a zip instead.", 413)
        studio.uploaded[folder] += 1
