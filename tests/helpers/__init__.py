"""What several test files use: processes that train together on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from helpers import forked
from helpers.forked import Forked

ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")} | {
    "OMP_NUM_THREADS": "1"
}
SETTINGS = ["--steps", "12", "--batch", "8", "--width", "8", "--latent-dim", "8", "--snapshots", "1", "--device", "cpu"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(
    command: list[str], rank: int, port: int, host: str = "127.0.0.1", **variables: str
) -> subprocess.Popen | Forked:
    environment = ENVIRONMENT | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": host,
        "MASTER_PORT": str(port),
        **variables,
    }
    if command[:3] == [sys.executable, "-m", "gansmith"] or command[1].endswith(".py"):
        return Forked(command, environment)
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def run(*words: str) -> subprocess.CompletedProcess:
    if words[:3] == (sys.executable, "-m", "gansmith") and "--processes" not in words:
        return forked.run(words, ENVIRONMENT)
    return subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=280, check=False)
