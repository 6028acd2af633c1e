"""List the runs in a folder as a table."""

from __future__ import annotations

import collections
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from gansmith.commands._parse import parse, show_table
from gansmith.errors import GansmithError


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith runs``."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """Where the runs are."""
    json: bool = False
    """Print a json list instead."""


def main(argv: list[str]) -> int:
    """Run ``gansmith runs``."""
    options = parse(Options, argv, "runs", __doc__ or "")
    if not options.folder.is_dir():
        raise GansmithError(
            f"There is no folder {options.folder}. Runs are made by 'gansmith train', by default in runs/."
        )
    rows = [summary(path.parent) for path in sorted(options.folder.glob("**/config.yaml"))]
    rows = [row for row in rows if row]
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    names = ["run", "family", "data", "size", "images", "done", "minutes", "status"]
    show_table("", names, [[str(row[name]) for name in names] for row in rows])
    return 0


def summary(root: Path) -> dict[str, Any] | None:
    """One run in a few words, or None where the folder is no run."""
    from gansmith.files.run import Run

    try:
        run = Run.open(root)
        spec, name = run.spec, str(run.facts["data"]["name"])
    except (GansmithError, KeyError, TypeError):
        return None
    last: dict[str, Any] = next(iter(collections.deque(run.records(), maxlen=1)), {})
    return {
        "run": str(root),
        "family": run.family,
        "data": name,
        "size": f"{spec.width}x{spec.height}x{spec.channels}",
        "images": last.get("images", 0),
        "done": f"{100 * last.get('progress', 0):.0f}%",
        "minutes": round(last.get("seconds", 0) / 60, 1),
        "status": run.facts.get("status", "running or killed"),
    }
