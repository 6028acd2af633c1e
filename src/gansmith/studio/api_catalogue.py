"""Requests about ready models: what the catalogue has, and bringing one into the workspace.

A model is fetched once for the whole machine and copied to ``models/NAME`` of the workspace, where it is one of the
workspace's own models: the Play and Repair pages list it, and it stays when the workspace moves.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.routing import Route

from gansmith.errors import GansmithError
from gansmith.files.atomic import replacing
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, post
from gansmith.studio.errors import Refused
from gansmith.studio.words import said


@dataclass
class Fetch:
    """A model that is on its way.

    Attributes:
        done, total: bytes; total is 0 where nobody knows.
        error: why it failed, in a sentence.
        over: it is here, or it failed.
    """

    done: int = 0
    total: int = 0
    error: str = ""
    over: bool = False


class Fetches:
    """The models that are on their way, or were."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_name: dict[str, Fetch] = {}


def routes(studio: Studio) -> list[Route]:
    """Everything that is asked about ready models."""
    fetches = Fetches()
    return [
        get("/api/catalogue", studio, lambda studio, arguments: listed(studio, fetches)),
        post("/api/catalogue/get", studio, lambda studio, arguments: begin(studio, fetches, arguments)),
    ]


def _place(studio: Studio, name: str) -> Path:
    return studio.workspace.root / "models" / name


def listed(studio: Studio, fetches: Fetches) -> Any:
    """Every entry: what it does, its size and licence, whether the workspace has it, and how far a download is."""
    from gansmith.commands.models import facts
    from gansmith.models.catalogue.entries import entries

    rows = []
    for name, entry in entries().items():
        row = facts(entry)
        fetch = fetches.by_name.get(name)
        rows.append(
            {key: row[key] for key in ("name", "task", "family", "scale", "bytes", "commercial", "source", "needs", "built_in")}
            | {
                **{key: said(row[key]) for key in ("about", "licence", "allows")},
                "here": (_place(studio, name) / "model.safetensors").is_file(),
                "downloads": not row["here"],
                "fetch": None if fetch is None else {"done": fetch.done, "total": fetch.total, "error": said(fetch.error), "over": fetch.over},
            }
        )  # fmt: skip
    return rows


def begin(studio: Studio, fetches: Fetches, arguments: Arguments) -> Any:
    """Bring a model into the workspace. The page has shown its size and licence and says that they were accepted.

    Raises:
        Refused: no such model, it is on its way, or its licence was not accepted.
    """
    from gansmith.models.catalogue.entries import require

    name = arguments.text("name", most=64)
    try:
        entry = require(name)
    except GansmithError as error:
        raise Refused(str(error), 404) from None
    if arguments.values.get("accepted") is not True:
        raise Refused(f"{entry.licence.title}: {entry.licence.allows}. Accept it first.", 409)
    with fetches.lock:
        running = fetches.by_name.get(name)
        if running is not None and not running.over:
            raise Refused(f"{name} is on its way already.", 409)
        fetch = fetches.by_name[name] = Fetch(total=entry.bytes)
    threading.Thread(target=_bring, args=(studio, entry, fetch), daemon=True, name=f"get {name}").start()
    return {"name": name}


def _bring(studio: Studio, entry: Any, fetch: Fetch) -> None:
    from gansmith.models.catalogue.store import get as get_model

    def progress(done: int, total: int) -> None:
        fetch.done, fetch.total = done, total or fetch.total

    try:
        folder = get_model(entry, progress=progress)
        _copy(folder, _place(studio, entry.name))
    except (GansmithError, OSError) as error:
        fetch.error = " ".join(str(error).split())
    except Exception as error:  # the page must not wait for ever
        fetch.error = f"It could not be read ({type(error).__name__})."
        raise
    finally:
        fetch.over = True


def _copy(folder: Path, target: Path) -> None:
    """A model folder copied, whole or not at all."""
    if (target / "model.safetensors").is_file():
        return
    with replacing(target) as temporary:
        shutil.copytree(folder, temporary)
