"""A process that falls silent without ending, as a machine that is cut off does, is named by the others."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from torch.distributed import HashStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from gansmith.parallel.heartbeat import Heartbeat
from helpers import SETTINGS, free_port, run, start


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_silence_is_named_and_a_farewell_is_not() -> None:
    store = HashStore()
    said: list[str] = []
    beats = [Heartbeat(store, rank, 3, 0.4, said.append) for rank in range(2)]
    gone = Heartbeat(store, 2, 3, 0.4, said.append)
    for beat in (*beats, gone):
        beat.start()
    time.sleep(0.6)
    assert not said
    gone.stop()
    time.sleep(0.8)
    assert not said, "a process that left on purpose is not lost"
    beats[1]._ended.set()  # as if it had been cut off
    wait_for(lambda: said)
    assert "Process 0 of 3 ends, as process 1 has not been heard of" in said[0]
    assert "--resume" in said[0]


def test_the_end_of_the_store_is_named() -> None:
    port = free_port()
    keeper = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from torch.distributed import TCPStore\n"
         f"store = TCPStore('127.0.0.1', {port}, is_master=True, wait_for_workers=False); print('ready', flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        store = TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=20), wait_for_workers=False)
        said: list[str] = []
        beat = Heartbeat(store, 1, 2, 1.0, said.append)
        store.add("beat/0", 1)
        beat.start()
    finally:
        keeper.kill()
        keeper.wait()
    wait_for(lambda: said)
    assert "the process that keeps the list of all ended" in said[0] or "process 0 has not been heard of" in said[0]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no way to hold a process on this system")
def test_a_process_that_is_held_is_named_and_the_run_goes_on_alone(npz: Path, tmp_path: Path) -> None:
    out, port = tmp_path / "run", free_port()
    settings = ["1000000" if word == "12" else word for word in SETTINGS]
    command = [sys.executable, "-m", "gansmith", "train", "gan", "--data", str(npz), *settings, "--out", str(out)]
    processes = [start(command, rank, port, GANSMITH_LOST_SECONDS="4") for rank in range(2)]
    try:
        wait_for(lambda: (out / "log.jsonl").is_file(), 200)
        processes[1].send_signal(signal.SIGSTOP)
        held = time.monotonic()
        said = processes[0].communicate(timeout=120)[1]
        assert time.monotonic() - held < 60
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert processes[0].returncode != 0
    assert "process 1 has not been heard of for 4 s" in said
    assert "Traceback" not in said
    done = run(*command[:4], "--resume", "--out", str(out), "--steps", "3")
    assert done.returncode == 0, done.stderr
