"""Requests of the Play page about models with styles: editing along directions, and finding a real picture's styles."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from starlette.responses import Response
from starlette.routing import Route

from gansmith.files.documents import Unreadable
from gansmith.files.documents import read_json as read_document
from gansmith.studio import models
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, image, post
from gansmith.studio.errors import Refused
from gansmith.studio.jobs import is_stamp
from gansmith.studio.worker import write_json

DIRECTIONS = 6
"""Directions that a page offers of each group of layers."""
STRONGEST = 10.0
GROUPS = ("all", "coarse", "middle", "fine")
FOUND = 40
"""Real pictures of a model whose styles are kept."""
_STEPS = 400


def routes(studio: Studio) -> list[Route]:
    """Everything that is asked about styles."""
    return [
        post("/api/play/edit", studio, edit),
        post("/api/play/invert", studio, invert),
        get("/api/play/inverted", studio, inverted),
        get("/api/play/inverted/picture", studio, picture),
        post("/api/play/inverted/forget", studio, forget),
    ]


def edit(studio: Studio, arguments: Arguments) -> Response:
    """One picture moved along directions: of a seed, or of a real picture whose styles were found."""
    import torch

    from gansmith.apply.styles import Styles, chosen_layers, factorise
    from gansmith.files.pictures import to_arrays

    loaded = studio.models.get(studio.workspace.model(arguments.text("model")))
    group = arguments.choice("layers", GROUPS, "all")
    amounts = [Arguments({"n": v}).number("n", -STRONGEST, STRONGEST) for v in arguments.listed("amounts", DIRECTIONS)]
    truncation, label = arguments.number("truncation", 0.0, 2.0, 1.0), arguments.text("label", "", 100)
    with loaded.lock, torch.inference_mode():
        styles = Styles(loaded.model)
        if "found" in arguments.values:
            w = _styles(_place(studio, arguments) / "w.npz", tuple(styles.average().shape)).to(loaded.model.game.device)
        else:
            chosen = models.class_of(label) if loaded.model.classes and label not in ("", "each") else None
            w = styles.of_seeds([arguments.integer("seed", 0, 2**31 - 1)], chosen, truncation)
        layers = chosen_layers(group, styles.layers)
        if any(amounts):
            directions = factorise(styles, layers, min(DIRECTIONS, w.shape[-1])).to(w.device)
            moved = sum(amount * direction for amount, direction in zip(amounts, directions, strict=False))
            w[:, layers] += moved
        arrays = to_arrays(styles.pictures(w))
    _, height, width, _ = arrays.shape
    layout = {"X-Columns": "1", "X-Count": "1", "X-Tile": f"{width}x{height}"}
    return image(models.png(models.sheet(arrays, 1)), **layout)


def _styles(path: Path, shape: tuple[int, ...]) -> Any:
    import torch

    from gansmith.files.npz import read_npz

    try:
        (w,) = read_npz(path, "w")
    except (FileNotFoundError, ValueError):
        raise Refused("The styles of that picture are gone. Find them again.", 404) from None
    if w.shape != shape or not np.isfinite(w).all():
        raise Refused("The styles of that picture belong to another model. Find them again.", 409)
    return torch.from_numpy(w.astype(np.float32))


def _folder(studio: Studio) -> Path:
    return studio.workspace.state / "inverted"


def _place(studio: Studio, arguments: Arguments) -> Path:
    name = arguments.text("found", most=20)
    place = _folder(studio) / name
    if not is_stamp(name) or not (place / "about.json").is_file():
        raise Refused("The styles of that picture are gone. Find them again.", 404)
    return place


def invert(studio: Studio, arguments: Arguments) -> Any:
    """Find the styles with which a model makes a picture that was uploaded; they are kept."""
    root = studio.workspace.model(arguments.text("model"))
    source = studio.repairs.of(arguments.text("job", most=20))
    number = arguments.integer("picture", 0, 10_000, 0)
    seen = source / "seen" / f"{number}.png"
    pictures = json.loads((source / "job.json").read_text("utf-8"))["pictures"]
    if not seen.is_file() or number >= len(pictures):
        raise Refused("That picture is gone. Drop it again.", 404)
    name, model = pictures[number]["name"], studio.workspace.relative(root)
    key = f"{time.time_ns():020d}"

    def words(own: Path) -> list[str]:
        steps = str(arguments.integer("steps", 1, 5000, _STEPS))
        return ["invert", str(root), str(seen), "--out", str(own / "found"), "--steps", steps]

    def result(own: Path) -> Any:
        place = _folder(studio) / key
        place.mkdir(parents=True)
        for file in ("w.npz", "before-after.png"):
            shutil.move(own / "found" / file, place / file)
        write_json(place / "about.json", {"model": model, "name": name})
        for old in _of(studio, model)[FOUND:]:
            shutil.rmtree(_folder(studio) / old["id"], ignore_errors=True)
        return {"id": key}

    return {"id": studio.tasks.start("invert", words, {"model": model, "name": name}, result=result)}


def _of(studio: Studio, model: str) -> list[dict[str, Any]]:
    """The pictures of a model whose styles are kept, newest first."""
    rows = []
    for file in sorted(_folder(studio).glob("*/about.json"), reverse=True):
        try:
            about = read_document(file)
        except (OSError, Unreadable):
            continue
        if isinstance(about, dict) and about.get("model") == model and is_stamp(file.parent.name):
            rows.append({"id": file.parent.name, "name": str(about.get("name", ""))})
    return rows


def rename(studio: Studio, old: str, new: str) -> None:
    """A run has another name: the styles that were found for it go along."""
    for row in _of(studio, old):
        write_json(_folder(studio) / row["id"] / "about.json", {"model": new, "name": row["name"]})


def inverted(studio: Studio, arguments: Arguments) -> Any:
    """Real pictures whose styles were found for a model."""
    return _of(studio, studio.workspace.relative(studio.workspace.model(arguments.text("model"))))


def picture(studio: Studio, arguments: Arguments) -> Response:
    """The real picture and what the model makes of its styles, side by side."""
    path = _place(studio, arguments) / "before-after.png"
    try:
        return image(path.read_bytes())
    except OSError:
        raise Refused("The styles of that picture are gone. Find them again.", 404) from None


def forget(studio: Studio, arguments: Arguments) -> Any:
    """Delete the styles of a real picture."""
    shutil.rmtree(_place(studio, arguments))
    return {"ok": True}
