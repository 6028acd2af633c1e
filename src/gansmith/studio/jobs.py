"""The queue of trainings: files that the studio and the worker share, so that neither needs the other to live."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from gansmith import config as configs
from gansmith.errors import GansmithError
from gansmith.files.yaml_documents import read_settings
from gansmith.parallel import isolated
from gansmith.studio.errors import Refused
from gansmith.studio.worker import child_environment, read_json, training_lives, write_json
from gansmith.studio.workspace import Workspace

MOST_WAITING = 50
KEPT = 100
"""Ended trainings that the list remembers; their runs stay anyway."""


class Jobs:
    """Adds, lists, stops; starts a worker when there is work and none is at it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.state / "jobs"

    def add(self, run: str, command: list[str], settings: dict[str, Any] | None, title: str, kind: str) -> str:
        """Queue a training.

        Args:
            run: the run folder, relative to the workspace.
            command: the words after ``gansmith``; ``{settings}`` in it stands for the settings file.
            settings: content of the settings file, or None.
            title: one line for the page.
            kind: ``new`` or ``resume``.

        Returns:
            The job's id; ids sort by time.
        """
        jobs = self.all()
        if sum(job["status"] == "queued" for job in jobs) >= MOST_WAITING:
            raise Refused(f"{MOST_WAITING} trainings wait already. Remove some from the queue first.")
        for old in [job for job in jobs if job["status"] not in ("queued", "running", "stopping")][:-KEPT]:
            shutil.rmtree(self.folder / old["id"], ignore_errors=True)
        name = f"{time.time_ns():020d}"
        job = self.folder / name
        job.mkdir(parents=True)
        file = self.workspace.relative(job / "settings.yaml")
        command = [word.replace("{settings}", file) for word in command]
        try:
            if settings is not None:
                (job / "settings.yaml").write_text(configs.to_yaml(settings), encoding="utf-8")
            written = {"run": run, "command": command, "title": title, "kind": kind, "created": time.time()}
            write_json(job / "job.json", written)
        except OSError:  # a full disk
            shutil.rmtree(job, ignore_errors=True)
            raise
        self.ensure_worker()
        return name

    def all(self) -> list[dict[str, Any]]:
        """Every job, oldest first: id, run, title, kind, created, status (queued, running, stopping, done, stopped, failed, cancelled)."""
        return [found for file in sorted(self.folder.glob("*/job.json")) if (found := self._read(file.parent))]

    def _read(self, folder: Path) -> dict[str, Any] | None:
        job, state = read_json(folder / "job.json"), read_json(folder / "state.json")
        if "run" not in job or not isinstance(job.get("command"), list):
            return None  # damaged: nothing that could be trained
        stopping = (folder / "stop").exists()
        status = state.get("status") or ("cancelled" if stopping else "queued")
        if status == "running" and not training_lives(state):
            status = "stopped"
        elif status == "running" and stopping:
            status = "stopping"
        shown = {key: job.get(key) for key in ("run", "title", "kind", "created")}
        return {"id": folder.name, **shown, "status": status, "ended": state.get("ended"), "code": state.get("code")}

    def of(self, name: str) -> Path:
        """The folder of a job by its id."""
        if not is_stamp(name) or not (self.folder / name / "job.json").is_file():
            raise Refused("There is no such training in the queue.", 404)
        return self.folder / name

    def stop(self, name: str) -> None:
        """Ask a running job to save and stop, or take a waiting one out of the queue."""
        (self.of(name) / "stop").touch()
        self.ensure_worker()

    def forget(self, name: str) -> None:
        """Remove an ended job from the list (its run stays)."""
        folder = self.of(name)
        found = self._read(folder)
        if found and found["status"] in ("running", "stopping", "queued"):
            raise Refused("Stop it first.", 409)
        shutil.rmtree(folder)

    def follow(self, run: str, now: str | None) -> None:
        """Let a run's ended jobs follow it to its new name; None forgets them, so that none speaks of the next of that name."""
        for job in self.all():
            folder = self.folder / job["id"]
            if job["run"] == run and now is None:
                shutil.rmtree(folder, ignore_errors=True)
            elif job["run"] == run:
                write_json(folder / "job.json", read_json(folder / "job.json") | {"run": now})

    def active_runs(self) -> dict[str, dict[str, Any]]:
        """Run -> its job, for jobs that wait or run."""
        return {job["run"]: job for job in self.all() if job["status"] in ("queued", "running", "stopping")}

    def last(self, run: str) -> dict[str, Any] | None:
        """The newest job of a run; a failed one with its reason."""
        found = next((job for job in reversed(self.all()) if job["run"] == run), None)
        if found is not None and found["status"] == "failed":
            found["reason"] = self.reason(found["id"])
        return found

    def asked(self, name: str) -> dict[str, Any] | None:
        """What a new run was asked for: family, settings, train; None for a job that goes on with one."""
        try:
            found = read_settings(self.of(name) / "settings.yaml")
        except GansmithError:
            return None
        fits = isinstance(found.get("family"), str)
        return found if fits and all(isinstance(found.get(key), dict) for key in ("settings", "train")) else None

    def console(self, name: str, most: int = 16_000) -> str:
        """The end of what a job printed."""
        return read_end(self.of(name) / "console.log", most)

    def reason(self, name: str) -> str:
        """Why a failed job failed: the last thing it said."""
        lines = [line.strip() for line in self.console(name, 4000).splitlines() if line.strip()]
        return (
            lines[-1].removeprefix("gansmith: ")
            if lines
            else "It ended without a word; the machine may have run out of memory."
        )

    def ensure_worker(self) -> None:
        """Start a worker if something waits and none is at it."""
        from filelock import FileLock, Timeout

        waiting = any(job["status"] == "queued" for job in self.all())
        if not waiting:
            return
        try:
            with FileLock(self.folder.parent / "worker.lock").acquire(timeout=0):
                pass
        except Timeout:
            return
        with (self.folder.parent / "worker.log").open("ab") as log:
            subprocess.Popen(
                isolated.command("gansmith.studio.worker", [str(self.workspace.root)]),
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def is_stamp(name: str) -> bool:
    """Does a text look like what :meth:`Jobs.add` names a folder: a time in digits? No other name is looked up on the disk."""
    return name.isascii() and name.isdecimal() and len(name) <= 20


def read_end(path: Path, most: int) -> str:
    """The last bytes of a text file, from the beginning of a line on; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - most))
            text = file.read(most)
    except OSError:
        return ""
    if size > most:
        text = text.partition(b"\n")[2]
    return text.decode("utf-8", "replace")
