"""Several processes on this machine that train together: ``gansmith train ... --processes N``.

The environment they get is torchrun's, so the same program also runs under torchrun and accelerate launch. Those wrap
every error of a process in a page of their own; here a person sees the one paragraph that says what to do.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import FrameType
from typing import IO

from gansmith.parallel import isolated

GRACE = 30.0
"""Seconds that the others have to end by themselves, and to save, once one process has ended."""


def launch(count: int, argv: Sequence[str], grace: float = GRACE) -> int:
    """Run ``gansmith ARGV`` in ``count`` processes that find each other. The first one talks.

    Ctrl-C and a polite kill reach all of them: they agree on a step to stop at, and the first one saves.

    Returns:
        The exit code: the first process's, or that of one that failed.
    """
    processes, says = _start(count, isolated.command("gansmith", argv))
    old = {
        n: signal.signal(n, lambda number, frame: _pass_on(processes, number, frame))
        for n in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        codes = _wait(processes, grace)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    return _report(codes, says)


def _start(count: int, command: list[str]) -> tuple[list[subprocess.Popen[bytes]], list[IO[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = str(max(1, (os.cpu_count() or 1) // count))
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    processes, says = [], []
    for rank in range(count):
        environment = (
            {"OMP_NUM_THREADS": threads}
            | isolated.environment()
            | shared
            | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        says.append(tempfile.TemporaryFile())  # noqa: SIM115 - what the others say is shown only where it explains a failure
        quiet = {} if rank == 0 else {"stdout": subprocess.DEVNULL, "stderr": says[-1], "stdin": subprocess.DEVNULL}
        processes.append(subprocess.Popen(command, env=environment, **quiet))  # type: ignore[call-overload]
    return processes, says


def _pass_on(processes: Sequence[subprocess.Popen[bytes]], number: int, frame: FrameType | None) -> None:
    # a terminal sends Ctrl-C to all its processes, ours among them; anybody else sends it to this one alone
    if number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty():
        return
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def _wait(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> list[int]:
    """Wait for all; once one has failed the others have ``grace`` seconds. Exit codes, in order."""
    deadline, asked = float("inf"), False
    while True:
        codes = [process.poll() for process in processes]
        if None not in codes:
            return [code for code in codes if code is not None]
        if any(code not in (None, 0, 130) for code in codes):
            deadline = min(deadline, time.monotonic() + grace)
        if time.monotonic() > deadline:
            for process, code in zip(processes, codes, strict=True):
                if code is None:
                    process.kill() if asked else process.terminate()
            deadline, asked = time.monotonic() + grace / 3, True
        time.sleep(0.1)


def _report(codes: Sequence[int], says: Sequence[IO[bytes]]) -> int:
    """Say what the first process could not, and choose the exit code."""
    failed = [rank for rank, code in enumerate(codes) if code not in (0, 130)]
    if not failed:
        return codes[0]
    killed = [rank for rank in failed if codes[rank] < 0]
    for rank in killed:
        print(f"gansmith: process {rank} of {len(codes)} was killed ({_signal_name(-codes[rank])}).", file=sys.stderr)
    if codes[0] in (0, 130) or killed == [0]:  # the first process has said nothing of it
        for rank in failed[:1] if failed[0] else failed[1:2]:
            says[rank].seek(0)
            sys.stderr.write(says[rank].read().decode(errors="replace")[-4000:])
    code = codes[failed[0]]
    return 128 - code if code < 0 else code


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
