"""The launch commands that docs/scaling.md prints, run over the loopback interface with fewer processes and no GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def play(commands: list[str], out: Path, npz: Path, **variables: str) -> None:
    """Run commands side by side until all have ended well."""
    tiny = f"--data {npz} {' '.join(SETTINGS)} --out {out}"
    commands = [re.sub(r"--data mnist10k( --out runs/both)?", tiny, command) for command in commands]
    started = [
        subprocess.Popen(
            ["bash", "-c", command], env=SHELL | variables | {"NODE": str(node)}, stderr=subprocess.PIPE, text=True
        )
        for node, command in enumerate(commands)
    ]
    said = [process.communicate(timeout=280)[1] for process in started]
    assert [process.returncode for process in started] == [0] * len(started), said
    run = Run.open(out)
    assert run.facts["status"] == "finished"
    assert run.facts["processes"] == 2


@pytest.mark.parametrize("beginning", ["gansmith train dcgan --data mnist10k --processes", "torchrun --standalone"])
def test_one_machine(beginning: str, npz: Path, tmp_path: Path) -> None:
    play([documented(beginning).replace("--processes 4", "--processes 2")], tmp_path / "run", npz)


def test_two_machines(npz: Path, tmp_path: Path) -> None:
    command = documented("torchrun --nnodes 2").replace("--master-port 29500", f"--master-port {free_port()}")
    play([command, command.replace("--node-rank 0", "--node-rank 1")], tmp_path / "run", npz)


def test_slurm(npz: Path, tmp_path: Path) -> None:
    """srun starts a task per process and sets SLURM's variables; here bash does."""
    inner = documented("srun bash -c").removeprefix("srun ")
    tasks = [f"SLURM_PROCID={rank} SLURM_NTASKS=2 SLURM_LOCALID={rank} {inner}" for rank in range(2)]
    play(tasks, tmp_path / "run", npz, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
