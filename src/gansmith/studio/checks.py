"""Data checks that run beside the page: what they find, the wall of pictures, and what to begin with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gansmith.errors import GansmithError
from gansmith.studio import advice
from gansmith.studio.core import Studio, failed
from gansmith.studio.cures import cures
from gansmith.studio.models import png, sheet

WALL, TILE = 96, 72
"""Pictures on the wall, and the side of one in pixels."""


@dataclass
class Check:
    """A data check that runs in a thread."""

    spec: str
    done: int = 0
    total: int = 0
    error: str = ""
    report: dict[str, Any] | None = None
    broken: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wall: list[dict[str, Any]] = field(default_factory=list)
    pixels: bytes = b""
    columns: int = 12


def run(studio: Studio, state: Check) -> None:
    """Look at a set, in a thread of its own."""
    from gansmith.data.check import check as examine

    def progress(done: int, total: int) -> None:
        state.done, state.total = done, total

    try:
        spec = studio.workspace.absolute_spec(state.spec)
        begin = _advice(spec)
        report = examine(spec, size=begin.get("set", {}).get("size"), progress=progress)
        state.wall, state.pixels = _draw_wall(spec, report)
        found = report.as_dict()
        state.broken = [name for name, _ in report.broken]
        state.twice = [name for group in report.duplicates for name in group[1:]]
        found["twice_count"] = len(state.twice)
        found["own"] = own_folder(studio, state.spec) is not None
        for name in ("broken", "unread", "ignored", "duplicates"):
            found[f"{name}_count"], found[name] = len(found[name]), found[name][:40]
        found["sizes"] = dict(list(found["sizes"].items())[:12])
        found["advice"] = begin | {"cures": _helpful(report, begin)}
        state.report = found
    except GansmithError as error:
        state.error = str(error)
    except Exception as error:
        failed(error)
        state.error = "The check failed in a way it should not; the studio's terminal shows how."


def _advice(spec: str) -> dict[str, Any]:
    """What to begin with on these pictures: family and settings."""
    try:
        facts = advice.look(spec)
    except GansmithError:
        return {}
    family = advice.family_for(facts)
    chosen, why = advice.settings_for(family, facts)
    return {
        "family": family,
        "set": chosen,
        "why": why,
        "photographs": facts.get("smallest", 0) >= 96 and facts.get("colour", False),
    }


def _helpful(report: Any, begin: dict[str, Any]) -> list[dict[str, Any]]:
    """Changes that the report's own words propose, beside what is filled in anyway."""
    if not begin or not report.usable:
        return []
    text = " ".join([report.verdict, *report.notes])
    return [cure for cure in cures(text, begin["family"], begin["set"]) if "set" in cure]


def _draw_wall(spec: str, report: Any) -> tuple[list[dict[str, Any]], bytes]:
    """Tiles and what is to say about each: problems first, then a sample of the rest."""
    from gansmith.data.specs import open_source
    from gansmith.data.threads import Broken

    source = open_source(spec)
    position = {name: i for i, name in enumerate(source.names)}
    broken = dict(report.broken)
    twice = {name: group[0] for group in report.duplicates for name in group[1:]}
    troubled = [name for name in [*broken, *twice] if name in position][: WALL // 3]
    rest = np.random.default_rng(0).permutation(len(source))
    chosen = troubled + [
        source.names[i] for i in rest if source.names[i] not in broken and source.names[i] not in twice
    ]
    _settle_range(source, [position[name] for name in chosen[:WALL]])
    rows, tiles = [], []
    for name in chosen[:WALL]:
        index = position[name]
        row = {"name": name, "problem": "", "about": ""}
        tile = np.zeros((TILE, TILE, 3), np.uint8)
        try:
            header = source.header(index)
            row["about"] = f"{header.width} x {header.height}"
            tile = source.pixels(index, 3, (TILE, TILE))
        except Broken:
            pass
        if name in broken:
            row |= {"problem": "broken", "about": broken[name]}
        elif name in twice:
            row |= {"problem": "duplicate", "about": twice[name]}
        if source.labels is not None:
            row["label"] = source.class_names[int(source.labels[index])]
        rows.append(row)
        tiles.append(tile)
    return rows, png(sheet(np.stack(tiles), 12))


def _settle_range(source: Any, rows: list[int]) -> None:
    """Black and white of the pictures that are shown, where they have more than 8 bits, so that they can be compared."""
    from gansmith.data.planning import settle_range, survey

    part = source.select(np.array(rows, np.int64))
    headers, _ = survey(part)
    part = part.select(np.array(list(headers), np.int64))
    settle_range(part, list(headers.values()))
    source.known_range = part.known_range


def own_folder(studio: Studio, spec: str) -> Path | None:
    """The folder of a set that lies in the workspace, or None."""
    path = studio.workspace.root / spec
    inside = not spec.startswith(("hf:", "hf-stream:")) and path != studio.workspace.root and path.is_dir()
    return path.resolve() if inside and path.resolve().is_relative_to(studio.workspace.root) else None
