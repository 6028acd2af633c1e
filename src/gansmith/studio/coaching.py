"""What the coach has said about a run: from the run's own record, or from its log if there is no record."""

from __future__ import annotations

import re
from typing import Any

from gansmith.studio.cures import cures
from gansmith.studio.words import said


def findings(facts: dict[str, Any], records: list[dict[str, Any]], live: bool) -> list[dict[str, Any]]:
    """Everything that the coach has named, the latest state of each.

    Args:
        facts: of config.yaml; a run that has ended lists there what its report lists.
        records: the log.
        live: does the run go on?

    Returns:
        kind, headline, images (when it could first be told), advice, and now: whether the last log line still says so.
    """
    kept = facts.get("findings")
    health = str(records[-1].get("health", "")) if records else ""
    if isinstance(kept, list) and not live:
        rows = [row for row in kept if isinstance(row, dict) and isinstance(row.get("headline"), str)]
        return [
            {
                "kind": str(row.get("kind", "")),
                "headline": row["headline"],
                "images": row.get("images", 0),
                "advice": str(row.get("advice", "")),
                "now": alike(row["headline"], health),
            }
            for row in rows
        ]
    from gansmith.health import coach

    found: dict[str, dict[str, Any]] = {}
    for record in records:
        headline = record.get("health")
        if isinstance(headline, str) and headline not in ("", "healthy"):
            first = found.get(_bare(headline), {"images": record["images"]})["images"]
            row = {"kind": "", "headline": headline, "images": first, "advice": "", "now": False}
            found[_bare(headline)] = row
    for row in found.values():
        row["now"] = alike(row["headline"], health)
    for finding in coach.diagnose(records) if live else []:
        old = found.get(_bare(finding.headline), {})
        found[_bare(finding.headline)] = {
            "kind": finding.kind,
            "headline": finding.headline,
            "images": old.get("images", finding.images),
            "advice": finding.advice,
            "now": True,
        }
    return list(found.values())


def alike(one: str, other: str) -> bool:
    """The same finding? Its numbers change from line to line."""
    return _bare(one) == _bare(other)


def _bare(text: str) -> str:
    return re.sub(r"[\d.,%]+", "#", text)


def told(rows: list[dict[str, Any]], family: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Findings with what can be done, in the page's language."""
    return [
        row
        | {
            "headline": said(row["headline"]),
            "advice": said(row["advice"]),
            "cures": cures(row["advice"], family, settings),
        }
        for row in rows
    ]
