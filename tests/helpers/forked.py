"""Programs of ours as processes of their own, forked from one that has imported torch: a start takes no seconds.

What such a process does is what ``python -m gansmith`` does from there on: its own pid, signals, environment, folder and
exit code. Tests of what a start itself does (lazy imports, launchers, wheels) start real programs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

if "forkserver" in multiprocessing.get_all_start_methods():
    _server = multiprocessing.get_context("forkserver")
    _server.set_forkserver_preload(["helpers.forked_preload"])
else:  # no such system call: each starts anew
    _server = multiprocessing.get_context("spawn")


def _run(words: Sequence[str], environment: Mapping[str, str], folder: str, stdout: str, stderr: str) -> None:
    """Be the program: words as after ``python``, either ``-m gansmith ...`` or a script with its arguments."""
    for path, number in ((stdout, 1), (stderr, 2)):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if words[0] == "-m":
        sys.argv = ["gansmith", *words[2:]]
        from gansmith.cli import entry

        entry()
    else:
        sys.argv = list(words)
        runpy.run_path(words[0], run_name="__main__")


class Forked:
    """A process with the interface of ``subprocess.Popen``, as far as tests need it.

    Args:
        command: ``[sys.executable, "-m", "gansmith", ...]`` or ``[sys.executable, script, ...]``.
        env: its whole environment.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        assert command[0] == sys.executable, command
        assert command[1] != "-m" or command[2] == "gansmith", command
        self._folder = tempfile.TemporaryDirectory()
        said = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        for path in said:
            path.touch()
        self.stdout, self.stderr = said
        arguments = (list(command[1:]), dict(os.environ if env is None else env), os.getcwd(), *map(str, said))
        self._process = _server.Process(target=_run, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("gansmith", timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said, once it has ended."""
        self.wait(timeout)
        return self.stdout.read_text(errors="replace"), self.stderr.read_text(errors="replace")

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._process.exitcode is None:
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 280
) -> subprocess.CompletedProcess[str]:
    """Run to the end, as ``subprocess.run(..., capture_output=True, text=True)`` does."""
    process = Forked(command, env)
    watch = threading.Timer(timeout, process.kill)
    watch.start()
    try:
        stdout, stderr = process.communicate()
    finally:
        watch.cancel()
    return subprocess.CompletedProcess(list(command), process.wait(), stdout, stderr)
