"""What was measured of a model on the Models page: kept in its run's folder, shown beside the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gansmith.files.documents import Unreadable
from gansmith.files.documents import read_json as read_document

FILE = "scores.json"
MOST = 12


def kept(root: Path) -> dict[str, Any] | None:
    """The last measurement of a run or model folder: data, n, when, found (the report of ``gansmith evaluate --json``)."""
    try:
        found = read_document(root / FILE)
    except (OSError, Unreadable):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("found"), dict) else None


def values(root: Path) -> dict[str, float]:
    """The same as name -> value; empty where nothing was measured."""
    found = kept(root)
    if found is None:
        return {}
    report = found["found"]
    try:
        if isinstance(report.get("scores"), list):
            return {str(row["name"]): float(row["value"]) for row in report["scores"][:MOST]}
        methods = report["scores"]  # of a model that changes pictures, beside classical methods
        ours = methods.get("model") or next(iter(methods.values()))
        return {str(name): float(value) for name, value in list(ours.items())[:MOST]}
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
        return {}
