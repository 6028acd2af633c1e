"""Imports the hostile files of a folder and loads its hostile models, within a limit of memory; says what became of each, as JSON.

python hostile_worker.py FOLDER MEGABYTES
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import resource
import sys
import time
from pathlib import Path

import torch

from gansmith import registry
from gansmith.errors import GansmithError
from gansmith.importers import import_file
from gansmith.models import bundle


def imported(path: Path) -> None:
    """What ``gansmith import`` does, but for writing the model."""
    found = import_file(path)
    bundle.from_tensors(found.family, found.config, found.spec, found.tensors, {}, str(path))


def outcome(path: Path) -> str:
    """``read`` or ``refused``; anything else is a fault."""
    try:
        bundle.load(path) if path.is_dir() else imported(path)
    except GansmithError as error:
        said = str(error)
        return "refused" if said.isprintable() and len(said) < 4000 else f"said too much: {said[:200]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "read"


def bound(megabytes: int) -> None:
    """Let this process have so much more memory than it has, where the system can do that."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        now = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (megabytes << 20), resource.getrlimit(resource.RLIMIT_AS)[1]))


def peak() -> int:
    """Most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)


def main(folder: Path, megabytes: int) -> None:
    torch.set_num_threads(1)
    for name in registry.families():  # so that their memory is not counted
        importlib.import_module(f"gansmith.gans.{name.replace('-', '_')}")
    if importlib.util.find_spec("spandrel"):
        importlib.import_module("spandrel")
    rows = []
    bound(megabytes)
    for path in sorted(folder.iterdir()):
        start, before = time.process_time(), peak()
        row = {"file": path.name, "outcome": outcome(path), "seconds": time.process_time() - start}
        rows.append(row | {"megabytes": peak() - before})
    print(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
