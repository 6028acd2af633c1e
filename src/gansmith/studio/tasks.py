"""What the studio computes beside trainings and repairs: a command of gansmith in a process of its own, watched by its words.

A task is measuring a model, exporting it, or estimating a run. It ends with the studio; its result is one JSON document
that the command prints. Trainings are not tasks: they outlive the studio (see :mod:`gansmith.studio.jobs`).
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gansmith.files.documents import Unreadable
from gansmith.files.documents import read_json as read_document
from gansmith.parallel import isolated
from gansmith.studio.errors import Refused
from gansmith.studio.jobs import read_end
from gansmith.studio.words import said
from gansmith.studio.worker import child_environment
from gansmith.studio.workspace import Workspace

AT_ONCE = 2
"""Tasks that compute at the same time; more would only make each other slow."""
KEPT = 30
"""Ended tasks that are remembered."""
_COUNT = re.compile(r"(?:(?P<what>.+?): )?(?P<done>[\d,]+)(?: of |/)(?P<total>[\d,]+)(?:, .+ left|  .*)")
"""How commands tell how far they are: 'sampling: 256 of 1,000, 0:03 left', '50/300  distance 0.1'."""


@dataclass
class Task:
    """A command that runs, or has run.

    Attributes:
        kind: ``evaluate``, ``export``, ``estimate`` or ``invert``.
        about: what it is about, for the page.
        folder: its ``out.json``, ``console.log`` and files of its own.
        status: ``running``, ``done``, ``failed`` or ``stopped``.
        result: what the command printed, once it is done.
    """

    kind: str
    about: dict[str, Any]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    began: float = field(default_factory=time.time)
    status: str = "running"
    result: Any = None
    reason: str = ""


def _printed(folder: Path) -> Any:
    return read_document(folder / "out.json")


class Tasks:
    """Starts, follows and stops tasks."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.state / "tasks" / str(os.getpid())
        self._clear()
        self._tasks: dict[str, Task] = {}
        self._lock = threading.Lock()

    def _clear(self) -> None:
        """Files of studios that were killed."""
        import psutil

        for folder in self.folder.parent.glob("[0-9]*"):
            if not psutil.pid_exists(int(folder.name)):
                shutil.rmtree(folder, ignore_errors=True)

    def start(
        self,
        kind: str,
        words: Callable[[Path], Sequence[str]],
        about: dict[str, Any],
        done: Callable[[Any], None] | None = None,
        ok: tuple[int, ...] = (0,),
        result: Callable[[Path], Any] = _printed,
    ) -> str:
        """Run ``gansmith`` with some words in the workspace.

        Args:
            words: makes the words from the task's own folder.
            done: called with the printed document once the command has ended well.
            ok: exit codes that mean so.
            result: what has been found, from the task's own folder; the printed document where it is left out.

        Returns:
            The task's id.

        Raises:
            Refused: too much is being computed already.
        """
        with self._lock:
            if sum(task.status == "running" for task in self._tasks.values()) >= AT_ONCE:
                raise Refused(f"{AT_ONCE} things are being computed already. Wait for one, or stop it.", 409)
            name = secrets.token_hex(8)
            task = self._tasks[name] = Task(kind, about, self.folder / name)
            for old in list(self._tasks)[:-KEPT]:
                shutil.rmtree(self._tasks.pop(old).folder, ignore_errors=True)
        task.folder.mkdir(parents=True)
        with (task.folder / "out.json").open("wb") as out, (task.folder / "console.log").open("wb") as console:
            task.process = subprocess.Popen(
                isolated.command("gansmith", list(words(task.folder))),
                cwd=self.workspace.root,
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=console,
            )
        threading.Thread(target=self._follow, args=(task, done, ok, result), daemon=True, name=f"{kind} {name}").start()
        return name

    def _follow(
        self,
        task: Task,
        done: Callable[[Any], None] | None,
        ok: tuple[int, ...],
        result: Callable[[Path], Any],
    ) -> None:
        assert task.process is not None
        code = task.process.wait()
        if task.status == "stopped":
            return
        try:
            found = result(task.folder) if code in ok else None
            if done is not None and found is not None:
                done(found)
        except (OSError, Unreadable, KeyError, TypeError, ValueError) as error:
            task.reason, found = f"Its result cannot be used ({error}).", None
        task.result = found
        if found is None and not task.reason:
            task.reason = _last_words(task.folder / "console.log")
        task.status = "done" if found is not None else "failed"

    def of(self, name: str) -> Task:
        """A task by its id."""
        task = self._tasks.get(name)
        if task is None:
            raise Refused("That is not kept any more. Start it again.", 404)
        return task

    def told(self, name: str) -> dict[str, Any]:
        """A task for the page: status, how far it is where that is known, result, and why it failed."""
        task = self.of(name)
        phase, share = _progress(task.folder / "console.log") if task.status == "running" else ("", None)
        return {
            "id": name,
            "kind": task.kind,
            "about": task.about,
            "status": task.status,
            "phase": said(phase),
            "share": share,
            "spent": round(time.time() - task.began, 1),
            "result": in_words(task.result),
            "reason": said(task.reason),
        }

    def all(self) -> list[dict[str, Any]]:
        """Every task that is remembered, newest first."""
        return [self.told(name) for name in reversed(list(self._tasks))]

    def stop(self, name: str) -> None:
        """End a task at once; nothing of it is kept."""
        task = self.of(name)
        if task.status == "running":
            task.status = "stopped"
            if task.process is not None:
                task.process.terminate()

    def close(self) -> None:
        """The studio ends: so do its tasks."""
        for name in list(self._tasks):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)


def _progress(console: Path) -> tuple[str, float | None]:
    """What is being done by a command's last line, and its share."""
    lines = [line.strip() for line in read_end(console, 2000).splitlines() if line.strip()]
    for line in reversed(lines):
        found = _COUNT.fullmatch(line)
        if found:
            done, total = (int(found[key].replace(",", "")) for key in ("done", "total"))
            return found["what"] or "", min(1.0, done / max(total, 1))
    return "", None


def in_words(result: Any) -> Any:
    """A result with its advice in the page's language."""
    if isinstance(result, dict) and isinstance(result.get("advice"), list):
        return result | {"advice": [said(str(line)) for line in result["advice"]]}
    return result


def _last_words(console: Path) -> str:
    """Why a command failed: its last paragraph."""
    lines = [line.strip() for line in read_end(console, 4000).splitlines() if line.strip()]
    if not lines:
        return "It ended without a word; the machine may have run out of memory."
    return lines[-1].removeprefix("gansmith: ")
