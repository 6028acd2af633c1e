"""Tables of what was measured, for the pages of ``docs/results``; ``docs/build.py`` calls this module.

Every family has a file ``benchmarks/results/runs/FAMILY.json``. Each of its rows tells one measurement:

- ``date``, ``data``, ``time``, ``seen`` (pictures seen), ``score``, ``command``, ``machine``: text;
- ``picture``: a file of ``docs/images``, where there is one;
- ``page``: the page of ``docs/results`` that tells more; the family's own page where it is left out;
- ``source``: the result file that a benchmark wrote (``file``) and the row meant in it (``where``). Then
  ``{column}`` and ``{column|.2f}`` in any text are filled from that row, or else from the file's top level.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
COLUMNS = {"data": "data", "time": "time", "seen": "pictures seen", "score": "score", "machine": "machine"}
"""Columns of a family's own table, and their headings."""


def runs() -> dict[str, list[dict[str, Any]]]:
    """What was measured of every family, with numbers filled in, in the order of the families' names."""
    found = {}
    for file in sorted((RESULTS / "runs").glob("*.json")):
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        found[file.stem] = [filled(row) for row in rows]
    return found


def filled(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose texts have the numbers of the result file that it names.

    Raises:
        KeyError: the result file has no such row or column.
    """
    if "source" not in row:
        return row
    content = json.loads((RESULTS / row["source"]["file"]).read_text(encoding="utf-8"))
    where = row["source"].get("where", {})
    rows = content.get("rows", [{}]) if where else [{}]
    found = [one for one in rows if all(one.get(column) == value for column, value in where.items())]
    if len(found) != 1:
        raise KeyError(f"{row['source']}: {len(found)} rows of the result file are meant, not one.")
    values = {**content, **found[0]}

    def value(match: re.Match[str]) -> str:
        return format(values[match[1]], match[2] or "")

    return {
        key: re.sub(r"\{([^{}|]+)(?:\|([^{}]+))?\}", value, text) if isinstance(text, str) else text
        for key, text in row.items()
    }


def index() -> str:
    """The table of all measurements, for ``docs/results/index.md``."""
    head = ["family", "data", "time", "score", "command", "picture", "date"]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for family, rows in runs().items():
        for row in rows:
            page = row.get("page", family)
            picture = f"[picture](../images/{row['picture']})" if row.get("picture") else ""
            texts = [cell(row.get(key, "")) for key in ("data", "time", "score")]
            cells = [f"[{family}]({page}.md)", *texts, f"`{cell(row['command'])}`", picture, row["date"]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def family_table(rows: list[dict[str, Any]]) -> str:
    """The measurements of one family, without their commands, which its page prints."""
    lines = [f"| {' | '.join(COLUMNS.values())} |", "|" + " --- |" * len(COLUMNS)]
    lines += [f"| {' | '.join(cell(row.get(key, '')) for key in COLUMNS)} |" for row in rows]
    return "\n".join(lines) + "\n"


def tables() -> dict[str, str]:
    """The generated tables by the name of their file below ``docs/tables``, without its ending."""
    return {"index": index()} | {f"runs/{family}": family_table(rows) for family, rows in runs().items()}


def cell(text: str) -> str:
    """Text inside a table."""
    return " ".join(text.split()).replace("|", "\\|")
