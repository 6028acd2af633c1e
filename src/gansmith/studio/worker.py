"""Trains the queued runs of a workspace one after another, in a process of its own that outlives the studio.

    python -m gansmith.studio.worker WORKSPACE

One worker per workspace (a lock file says so). It ends when the queue is empty; the studio starts another when there is
work again. A job is a folder in ``.gansmith/studio/jobs``:

    job.json      what to run, written once by the studio
    stop          an empty file: the studio asks to stop it, or not to start it
    state.json    written by the worker: status, pid, exit code
    console.log   everything the training printed
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gansmith.files.atomic import write_atomically
from gansmith.files.documents import Unreadable
from gansmith.files.documents import read_json as read_document
from gansmith.parallel import isolated

POLL = 0.3
"""Seconds between looks at the stop file."""
PATIENCE = 120.0
"""Seconds a training may take to save after it was asked to stop."""


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON file; empty where it is missing or half-written."""
    try:
        found = read_document(path)
    except (OSError, Unreadable):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, content: dict[str, Any] | list[Any]) -> None:
    """Write a small JSON file whole or not at all, also where several requests write it at once."""
    write_atomically(path, json.dumps(content))


def child_environment() -> dict[str, str]:
    """The environment of a process that runs in the workspace and imports nothing from there."""
    return isolated.environment() | {"PYTHONUNBUFFERED": "1", "COLUMNS": "120"}


def next_job(jobs: Path) -> Path | None:
    """The oldest job that waits."""
    for folder in sorted(jobs.glob("*/job.json")):
        if (folder.parent / "state.json").exists() or (folder.parent / "stop").exists():
            continue
        if isinstance(read_json(folder).get("command"), list):  # a damaged file must not stop those behind it
            return folder.parent
    return None


def run_job(job: Path, root: Path) -> int:
    """Train one job to its end, a stop, or a failure; returns the exit code."""
    words = read_json(job / "job.json")["command"]
    with (job / "console.log").open("ab") as console:
        process = subprocess.Popen(
            isolated.command("gansmith", words),
            cwd=root,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        write_json(job / "state.json", {"status": "running", "pid": process.pid, "started": time.time()})
    except OSError:  # a full disk: a training that nobody knows of would be started a second time
        process.kill()
        process.wait()
        raise
    asked = 0.0
    while process.poll() is None:
        asked = heed_stop(job, process, asked)
        time.sleep(POLL)
    code = process.returncode
    status = "done" if code == 0 else "stopped" if asked or code in (130, -signal.SIGTERM) else "failed"
    write_json(job / "state.json", {"status": status, "pid": process.pid, "code": code, "ended": time.time()})
    return code


def heed_stop(job: Path, process: Any, asked: float) -> float:
    """Stop a training where the studio asks for it: one signal, at which it finishes its step and saves, then patience.

    Args:
        process: with ``terminate`` and ``kill``.
        asked: when it was asked, by the monotonic clock; 0 if it was not.

    Returns:
        ``asked`` from now on.
    """
    if not asked and (job / "stop").exists():
        process.terminate()
        return time.monotonic()
    if asked and time.monotonic() - asked > PATIENCE:
        process.kill()
    return asked


def close_orphans(jobs: Path) -> None:
    """Jobs whose worker was killed: follow what is left of them to the end, or call them stopped."""
    import psutil

    for file in jobs.glob("*/state.json"):
        state = read_json(file)
        if state.get("status") != "running":
            continue
        asked = 0.0
        while training_lives(state):
            with contextlib.suppress(psutil.Error):  # it may end just now
                asked = heed_stop(file.parent, psutil.Process(state["pid"]), asked)
            time.sleep(POLL)
        write_json(file, state | {"status": "stopped", "ended": time.time()})


def training_lives(state: dict[str, Any]) -> bool:
    """Is the process a state names still that training, and not another one with its number?"""
    import psutil

    try:
        process = psutil.Process(state["pid"])
        return (
            process.is_running()
            and process.status() != psutil.STATUS_ZOMBIE
            and abs(process.create_time() - state.get("started", 0.0)) < 30
            and "gansmith" in process.cmdline()
        )
    except (psutil.Error, KeyError):
        return False


def main(root: Path) -> int:
    """Work until no job waits."""
    from filelock import FileLock, Timeout

    jobs = root / ".gansmith" / "studio" / "jobs"
    try:
        with FileLock(jobs.parent / "worker.lock").acquire(timeout=0):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            close_orphans(jobs)
            while (job := next_job(jobs)) is not None:
                run_job(job, root)
    except Timeout:
        return 0  # another worker is at it
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
