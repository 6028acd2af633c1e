"""Several processes are one: the same gradients, and an end when one of them dies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gansmith import registry
from gansmith.errors import GansmithError
from gansmith.files.run import Run
from gansmith.parallel import launch, processes, seeds
from helpers import ENVIRONMENT, SETTINGS, free_port, run, start

HERE = Path(__file__).parents[1] / "helpers"


def test_two_halves_of_a_batch_have_the_gradients_of_the_whole(tmp_path):
    port, out = free_port(), tmp_path / "found.json"
    both = [start([sys.executable, str(HERE / "distributed_worker.py"), str(out)], rank, port) for rank in (0, 1)]
    said = [process.communicate(timeout=280)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    found = json.loads(out.read_text())
    assert found["wrong"] == []
    rows = found["gradients"]
    assert {row["family"] for row in rows} == set(registry.families())
    for row in rows:
        assert row["tensors"] > 20
        assert row["difference"] < 1e-5, row


def test_killing_one_process_ends_the_others_and_the_run_goes_on_alone(npz, tmp_path):
    out, port = tmp_path / "run", free_port()
    settings = ["1000000" if word == "12" else word for word in SETTINGS]
    train = [
        sys.executable,
        "-m",
        "gansmith",
        "train",
        "gan",
        "--data",
        str(npz),
        *settings,
        "--out",
        str(out),
        "--log-images",
        "8",
    ]
    first, second = (start(train, rank, port) for rank in (0, 1))
    deadline = time.monotonic() + 200
    while not list(Run(out, "gan").records()) and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.1)
    second.kill()
    killed = time.monotonic()
    said = first.communicate(timeout=60)[1]
    second.communicate()
    assert time.monotonic() - killed < 60
    assert first.returncode == 2, said
    assert "Another process of this run ended" in said
    assert f"gansmith train --resume --out {out} --processes 2" in " ".join(said.split())
    assert Run.open(out).facts["status"] == "stopped"
    done = run(sys.executable, "-m", "gansmith", "train", "--resume", "--out", str(out), "--steps", "3")
    assert done.returncode == 0, done.stderr
    assert "was trained by 2 process(es) and goes on with 1" in " ".join(done.stderr.split())


@pytest.fixture
def two_machines():
    """Two network namespaces joined by a cable: (name, address) of each."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the program 'ip'")
    names = [f"gansmith{os.getpid()}{side}" for side in "ab"]
    commands = [["netns", "add", name] for name in names]
    commands.append(
        ["link", "add", "cable0", "netns", names[0], "type", "veth", "peer", "name", "cable1", "netns", names[1]]
    )
    for i, name in enumerate(names):
        commands += [["-n", name, "address", "add", f"10.77.0.{i + 1}/24", "dev", f"cable{i}"]]
        commands += [["-n", name, "link", "set", device, "up"] for device in ("lo", f"cable{i}")]
    try:
        for words in commands:
            done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"network namespaces cannot be made here: ip {' '.join(words)}: {done.stderr.strip()}")
        yield [(name, f"10.77.0.{i + 1}") for i, name in enumerate(names)]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def test_two_machines_train_together(two_machines, npz, tmp_path):
    both = []
    for rank, (name, _) in enumerate(two_machines):
        train = [
            sys.executable,
            "-m",
            "gansmith",
            "train",
            "gan",
            "--data",
            str(npz),
            *SETTINGS,
            "--out",
            str(tmp_path / "run"),
        ]
        both.append(start(["ip", "netns", "exec", name, *train], rank, 29400, two_machines[0][1]))
    said = [process.communicate(timeout=280)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "2 processes" in said[0]
    assert Run.open(tmp_path / "run").facts["status"] == "finished"


def test_a_process_that_does_not_come_is_named(monkeypatch):
    monkeypatch.setenv("GANSMITH_JOIN_SECONDS", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    for rank, message in (("0", "waited 1 s at 127.0.0.1:.* for process 1"), ("1", "found nobody within 1 s at")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("MASTER_PORT", str(free_port()))
        with pytest.raises(GansmithError, match=message):
            processes.join(torch.device("cpu"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("MASTER_PORT", str(taken.getsockname()[1]))
        with pytest.raises(GansmithError, match="MASTER_PORT a port that is free"):
            processes.join(torch.device("cpu"))
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(GansmithError, match="do not say where they meet"):
        processes.join(torch.device("cpu"))
    assert seeds.process() == (0, 1)


def test_one_process_instead_of_several_is_said(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes.lonely() is None
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert "started one process only" in processes.lonely()


def test_rows_of_stacked_batches_belong_to_their_own():
    def draw(rank: int, world: int) -> torch.Tensor:
        seeds.set_process(rank, world)
        torch.manual_seed(0)
        with seeds.stacked(2):  # real pictures, then fakes
            return seeds.normal(8 // world, 1)

    try:
        whole, halves = draw(0, 1), [draw(rank, 2) for rank in (0, 1)]
    finally:
        seeds.set_process(0, 1)
    real, fake = whole.chunk(2)
    assert torch.equal(halves[0], torch.cat([real[:2], fake[:2]]))
    assert torch.equal(halves[1], torch.cat([real[2:], fake[2:]]))


def test_a_launch_reports_what_went_wrong_once(monkeypatch, capfd):
    code = "import os, sys, time; sys.exit('no memory left') if os.environ['RANK'] == '1' else time.sleep(60)"
    original = launch._start
    monkeypatch.setattr(launch, "_start", lambda count, command: original(count, [sys.executable, "-c", code]))
    began = time.monotonic()
    assert launch.launch(2, ["train"], grace=0.5) != 0
    assert time.monotonic() - began < 50
    assert capfd.readouterr().err.count("no memory left") == 1


def test_a_polite_kill_reaches_every_process(monkeypatch, tmp_path):
    code = (
        "import os, pathlib, signal, sys, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
        "(here / os.environ['RANK']).touch()\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", "import sys; from gansmith.parallel import launch; start = launch._start\n"
         f"launch._start = lambda count, command: start(count, [sys.executable, '-c', {code!r}])\n"
         "sys.exit(launch.launch(2, []))"], env=ENVIRONMENT)  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        parent.wait(timeout=30)
    parent.kill()
    assert parent.wait() == 130
