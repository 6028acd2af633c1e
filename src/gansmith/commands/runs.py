"""List the runs in a folder as a table."""

from __future__ import annotations

import collections
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gansmith.commands._parse import parse, show_table
from gansmith.errors import GansmithError, first_line

if TYPE_CHECKING:
    from gansmith.files.run import Run


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
    """One run in a few words, a broken one with what is wrong, or None where the folder is no run."""
    from gansmith.files.run import Run

    try:
        return _summary(root, Run.open(root))
    except (GansmithError, OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = Run.problem(root) or (f"its log is damaged ({first_line(error)})" if _is_run(root) else "")
    if not what:
        return None
    row = dict.fromkeys(("family", "data", "size", "images", "done", "minutes"), "")
    return {"run": str(root), **row, "status": f"broken: {what}"}


def _is_run(root: Path) -> bool:
    from gansmith.files.run import Run

    try:
        return bool(Run.open(root).family)
    except GansmithError:
        return False


def _summary(root: Path, run: Run) -> dict[str, Any]:
    spec = run.spec
    last: dict[str, Any] = next(iter(collections.deque(run.records(), maxlen=1)), {})
    return {
        "run": str(root),
        "family": run.family,
        "data": str(run.facts["data"]["name"]),
        "size": f"{spec.width}x{spec.height}x{spec.channels}",
        "images": last.get("images", 0),
        "done": f"{100 * last.get('progress', 0):.0f}%",
        "minutes": round(last.get("seconds", 0) / 60, 1),
        "status": str(run.facts.get("status", "running or killed")),
    }
