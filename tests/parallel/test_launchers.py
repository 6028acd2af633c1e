"""The launch commands that docs/scaling.md prints, run over the loopback interface with fewer processes and no GPU.

All of them train the same run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import safetensors.torch
import torch

from gansmith.files.run import Run
from helpers import ENVIRONMENT, SETTINGS, free_port

DOCS = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
SHELL = ENVIRONMENT | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def documented(beginning: str) -> str:
    """The command of the docs that begins so, with tiny settings, on this machine."""
    (line,) = [line for line in DOCS.splitlines() if line.startswith(beginning)]
    line = line.replace("torchrun ", f"{sys.executable} -m torch.distributed.run ").replace("10.0.0.1", "127.0.0.1")
    return re.sub(r"--nproc-per-node \d+", "--nproc-per-node 1" if "--nnodes" in line else "--nproc-per-node 2", line)


def test_the_readme_shows_the_same_commands() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = [line for line in readme.splitlines() if line.startswith(("torchrun", "srun"))]
    assert len(shown) == 3
    assert set(shown) <= set(DOCS.splitlines())


def play(commands: list[str], out: Path, npz: Path, *more: str, **variables: str) -> None:
    """Run commands side by side until all have ended well."""
    tiny = " ".join(["--data", str(npz), *SETTINGS, "--out", str(out), *more])
    commands = [re.sub(r"--data mnist10k( --out runs/both)?", tiny, command) for command in commands]
    started = [
        subprocess.Popen(
            ["bash", "-c", command], env=SHELL | variables | {"NODE": str(node)}, stderr=subprocess.PIPE, text=True
        )
        for node, command in enumerate(commands)
    ]
    said = [process.communicate(timeout=280)[1] for process in started]
    assert [process.returncode for process in started] == [0] * len(started), said
    assert any("2 processes" in words for words in said)
    run = Run.open(out)
    assert run.facts["status"] == "finished"
    assert run.facts["processes"] == 2


def state_of(out: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(max((out / "checkpoint").iterdir()) / "state.safetensors")


def test_every_launcher_trains_and_resumes_the_same_run_bit_for_bit(npz: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    ours = documented("gansmith train dcgan --data mnist10k --processes").replace("--processes 4", "--processes 2")
    play([ours], whole, npz)
    torchrun = documented("torchrun --standalone")
    play([torchrun], parts, npz, "--save-minutes", "1e-9")
    images = [record["images"] for record in Run.open(parts).records()]
    assert images == list(range(8, 97, 8))  # written once, by the first process
    shutil.rmtree(max((parts / "checkpoint").iterdir()))
    again = re.sub(r"train dcgan --data mnist10k", f"train --resume --out {parts}", torchrun)
    done = subprocess.run(["bash", "-c", again], env=SHELL, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    one, two = state_of(whole), state_of(parts)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_two_machines(npz: Path, tmp_path: Path) -> None:
    command = documented("torchrun --nnodes 2").replace("--master-port 29500", f"--master-port {free_port()}")
    play([command, command.replace("--node-rank 0", "--node-rank 1")], tmp_path / "run", npz)


def test_slurm(npz: Path, tmp_path: Path) -> None:
    """srun starts a task per process and sets SLURM's variables; here bash does."""
    inner = documented("srun bash -c").removeprefix("srun ")
    tasks = [f"SLURM_PROCID={rank} SLURM_NTASKS=2 SLURM_LOCALID={rank} {inner}" for rank in range(2)]
    play(tasks, tmp_path / "run", npz, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
