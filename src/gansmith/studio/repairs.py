"""Repairs as folders: what is to be done, how far it is, and what came out. The studio and the repairer share them.

A repair is a folder in ``.gansmith/studio/repairs``, named by its time:

    job.json      its pictures; once it is started, also the model and how; written by the studio
    in/           the files as they came, by their names
    seen/         the same upright, as PNG, for the page; and NUMBER.mask.png where something was painted
    stop          an empty file: the studio asks to stop it
    state.json    written by the repairer: status, tiles done, and what became of each picture
    out/          the results, by the same names
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from gansmith.files.atomic import write_atomically
from gansmith.parallel import isolated
from gansmith.studio.errors import Refused
from gansmith.studio.jobs import is_stamp
from gansmith.studio.repair_files import link, upright
from gansmith.studio.worker import child_environment, read_json, write_json
from gansmith.studio.workspace import Workspace

MOST_PICTURES = 2000
"""Pictures of one repair."""
MOST_WAITING = 50
DRAFTS, DRAFT_DAYS = 20, 2.0
"""Repairs that were not started: so many are kept, for so many days."""
ENDED = ("done", "failed", "cancelled")


class Repairs:
    """Makes, lists, starts and stops repairs; starts a repairer when there is work and none is at it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.state / "repairs"
        self._lock = threading.Lock()

    def of(self, name: str) -> Path:
        """The folder of a repair by its id."""
        if not is_stamp(name) or not (self.folder / name / "job.json").is_file():
            raise Refused("That repair is not kept any more. Drop the picture again.", 404)
        return self.folder / name

    def draft(self) -> Path:
        """A new repair without pictures; old ones that nobody started go away."""
        drafts = [folder for folder in self._folders() if "model" not in read_json(folder / "job.json")]
        oldest = time.time() - 86_400 * DRAFT_DAYS
        for folder in drafts[: max(0, len(drafts) - DRAFTS)] + [d for d in drafts if int(d.name) / 1e9 < oldest]:
            shutil.rmtree(folder, ignore_errors=True)
        made = self.folder / f"{time.time_ns():020d}"
        made.mkdir(parents=True)
        write_json(made / "job.json", {"created": time.time(), "pictures": []})
        return made

    def add(self, folder: Path, name: str, raw: Path, seen: Path, size: tuple[int, int]) -> int:
        """Take a picture into a repair that has not begun; returns its number.

        Args:
            name: a safe relative path; one that is taken gets a number.
            raw, seen: the file as it came and its upright PNG, both moved.
            size: (width, height) of the upright picture.
        """
        with self._lock:
            job = self._not_started(folder)
            if len(job["pictures"]) >= MOST_PICTURES:
                raise Refused(f"A repair takes up to {MOST_PICTURES:,} pictures. Use: gansmith apply", 413)
            taken = {picture["name"].lower() for picture in job["pictures"]}
            path = Path(name)
            number = 2
            while path.as_posix().lower() in taken:
                path = Path(name).with_stem(f"{Path(name).stem}-{number}")
                number += 1
            place = len(job["pictures"])
            for source, target in ((raw, folder / "in" / path), (seen, folder / "seen" / f"{place}.png")):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(source, target)
            picture = {"name": path.as_posix(), "width": size[0], "height": size[1]}
            write_json(folder / "job.json", job | {"pictures": [*job["pictures"], picture]})
            return place

    def _not_started(self, folder: Path) -> dict[str, Any]:
        job = read_json(folder / "job.json")
        if "model" in job:
            raise Refused("This repair has begun. Drop the picture again for another one.", 409)
        return job

    def mask(self, folder: Path, number: int, content: bytes | None) -> None:
        """Keep what was painted over a picture, as a PNG; None takes it away."""
        with self._lock:
            self._not_started(folder)
            place = folder / "seen" / f"{number}.mask.png"
            if content is None:
                place.unlink(missing_ok=True)
                return
            write_atomically(place, content)

    def start(self, folder: Path, settings: dict[str, Any]) -> None:
        """Put a repair into the queue.

        Args:
            settings: model, family, direction, edges.
        """
        with self._lock:
            job = self._not_started(folder)
            if not job["pictures"]:
                raise Refused("Drop a picture first.")
            if sum(row["status"] in ("queued", "running") for row in self.all()) >= MOST_WAITING:
                raise Refused(f"{MOST_WAITING} repairs wait already. Stop some first.")
            write_json(folder / "job.json", job | settings | {"begun": time.time()})
        self.ensure_repairer()

    def again(self, folder: Path, numbers: list[int] | None = None, side: str = "in") -> Path:
        """A new draft with the pictures of a repair, or with its results.

        Args:
            numbers: which of its pictures; None takes all.
            side: ``in`` or ``out``.
        """
        made, job, state = self.draft(), read_json(folder / "job.json"), read_json(folder / "state.json")
        pictures = []
        for number, picture in enumerate(job["pictures"]):
            source = folder / side / picture["name"]
            if (numbers is not None and number not in numbers) or not source.is_file():
                continue
            new, place = dict(picture), len(pictures)
            target = made / "in" / picture["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            link(source, target)
            (made / "seen").mkdir(exist_ok=True)
            if side == "in":
                link(folder / "seen" / f"{number}.png", made / "seen" / f"{place}.png")
                if (mask := folder / "seen" / f"{number}.mask.png").is_file():
                    link(mask, made / "seen" / f"{place}.mask.png")
            else:
                result = (state.get("results") or {}).get(str(number), {})
                new |= {"width": result.get("width", new["width"]), "height": result.get("height", new["height"])}
                upright(source, made / "seen" / f"{place}.png")
            pictures.append(new)
        write_json(made / "job.json", {"created": time.time(), "pictures": pictures})
        return made

    def stop(self, name: str) -> None:
        """Ask a running repair to stop, or take a waiting one out of the queue; what is done of it stays."""
        (self.of(name) / "stop").touch()

    def forget(self, name: str) -> None:
        """Delete a repair with its results."""
        folder = self.of(name)
        if status_of(folder) in ("running", "queued"):
            raise Refused("Stop it first.", 409)
        shutil.rmtree(folder)

    def all(self) -> list[dict[str, Any]]:
        """Every repair that was started, newest first, without its pictures."""
        rows = [self.row(folder) for folder in self._folders()]
        return [row for row in reversed(rows) if row["status"] != "draft"]

    def _folders(self) -> list[Path]:
        return sorted(f.parent for f in self.folder.glob("*/job.json") if is_stamp(f.parent.name))

    def row(self, folder: Path) -> dict[str, Any]:
        """A repair in a few values."""
        job, state = read_json(folder / "job.json"), read_json(folder / "state.json")
        results = state.get("results") or {}
        return {
            "id": folder.name,
            "status": status_of(folder, job, state),
            "stopping": (folder / "stop").exists(),
            "model": job.get("model", ""),
            "family": job.get("family", ""),
            "created": job.get("begun") or job.get("created"),
            "pictures": len(job.get("pictures", ())),
            "first": next((picture["name"] for picture in job.get("pictures", ())), ""),
            "finished": sum(not result.get("reason") for result in results.values()),
            "failed": sum(bool(result.get("reason")) for result in results.values()),
            "seconds": state.get("seconds", 0.0),
            "error": state.get("error", ""),
            "progress": progress_of(job, state),
        }

    def one(self, folder: Path) -> dict[str, Any]:
        """A repair with its pictures and what became of them."""
        job, state = read_json(folder / "job.json"), read_json(folder / "state.json")
        results = state.get("results") or {}
        pictures = [
            {
                **picture,
                "masked": (folder / "seen" / f"{number}.mask.png").is_file(),
                "result": results.get(str(number)),
            }
            for number, picture in enumerate(job["pictures"])
        ]
        return self.row(folder) | {
            "list": pictures,
            "direction": job.get("direction", "ab"),
            "edges": job.get("edges", False),
            "given": [int(file.stem) for file in (folder / "given").glob("*.png")],
        }

    def follow(self, old: str, new: str | None) -> None:
        """A run was renamed: its repairs name it as it is called now."""
        for folder in self._folders():
            job = read_json(folder / "job.json")
            if new is not None and job.get("model") == old:
                write_json(folder / "job.json", job | {"model": new})

    def ensure_repairer(self, warm: bool = False) -> None:
        """Start a repairer if something waits (or one is wished for, to be warm) and none is at it."""
        from filelock import FileLock, Timeout

        if not warm and not any(status_of(folder) == "queued" for folder in self._folders()):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder.parent / "repairer.lock").acquire(timeout=0):
                pass
        except Timeout:
            return
        with (self.folder.parent / "repairer.log").open("ab") as log:
            subprocess.Popen(
                isolated.command("gansmith.studio.repairer", [str(self.workspace.root)]),
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def status_of(folder: Path, job: dict[str, Any] | None = None, state: dict[str, Any] | None = None) -> str:
    """``draft``, ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``."""
    job = read_json(folder / "job.json") if job is None else job
    state = read_json(folder / "state.json") if state is None else state
    if "model" not in job:
        return "draft"
    status = state.get("status")
    if status in ENDED:
        return str(status)
    if status == "running" and time.time() - state.get("updated", 0.0) < 15 and psutil.pid_exists(state.get("pid", -1)):
        return "running"
    # never begun, or its repairer was killed: the next one goes on with the pictures that are left
    return "cancelled" if (folder / "stop").exists() else "queued"


def progress_of(job: dict[str, Any], state: dict[str, Any]) -> dict[str, Any] | None:
    """Where a running repair is: picture, tiles, share of all, and seconds left where that can be told."""
    if state.get("status") != "running":
        return None
    now = time.time()
    pictures, at = job["pictures"], state.get("picture", 0)
    done, of, expected = state.get("done", 0), state.get("of", 0), state.get("expected")
    spent = now - state.get("picture_began", now)
    left = None
    if of > 1 and done:
        per_tile = state.get("tile_seconds") or spent / done
        left = max(0.0, per_tile * (of - done) - (now - state.get("tile_ended", now)))
        share = min(0.99, spent / max(spent + left, 1e-6))
    elif expected:
        left, share = max(0.0, expected - spent), min(0.95, spent / expected)
    else:
        share = done / of if of else 0.0
    pixels = [picture["width"] * picture["height"] for picture in pictures]
    finished = {int(number) for number in state.get("results") or {}}
    ended = sum(p for i, p in enumerate(pixels) if i in finished)
    rest = sum(p for i, p in enumerate(pixels) if i not in finished and i != at)
    mine = pixels[at] if at < len(pixels) and at not in finished else 0
    if left is not None and rest and mine:
        left += (spent + left) * rest / mine
    whole = (ended + share * mine) / max(1, sum(pixels))
    return {
        "picture": at,
        "done": done,
        "of": of,
        "share": round(whole, 4),
        "left": None if left is None else round(left, 1),
        "loading": bool(state.get("loading")),
        "spent": round(now - state.get("started", now), 1),
    }


def rates(workspace: Workspace) -> dict[str, float]:
    """Seconds per million pixels that each model took last."""
    found = read_json(workspace.state / "rates.json")
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def keep_rate(workspace: Workspace, model: str, value: float) -> None:
    """Remember how fast a model was."""
    known = {name: old for name, old in list(rates(workspace).items())[-200:] if name != model}
    write_json(workspace.state / "rates.json", known | {model: round(value, 3)})
