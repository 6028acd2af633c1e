"""Requests of the Play page: pictures from latents, style mixing, files to keep."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from starlette.responses import Response
from starlette.routing import Route

from gansmith.studio import models
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, image, post
from gansmith.studio.errors import Refused
from gansmith.studio.worker import read_json, write_json

MOST = 100
"""Pictures per request."""
FAVOURITES = 60
"""Liked pictures kept of a model."""
_FRAME_PIXELS, _VIDEO_PIXELS = 1 << 19, 1 << 29
"""Pixels of a walk's frame where nothing else is asked for, and the most of all frames together."""
_VIDEO_KINDS = {"mp4": "video/mp4", "gif": "image/gif"}


def routes(studio: Studio) -> list[Route]:
    """Everything this page asks for."""
    return [
        get("/api/models", studio, listed),
        get("/api/model", studio, model),
        post("/api/play/pictures", studio, pictures),
        post("/api/play/mix", studio, mix),
        post("/api/play/video", studio, video),
        get("/api/play/favourites", studio, favourites),
        post("/api/play/like", studio, like),
        post("/api/play/unlike", studio, unlike),
    ]


def _loaded(studio: Studio, arguments: Arguments) -> models.Loaded:
    return studio.models.get(studio.workspace.model(arguments.text("model")))


def listed(studio: Studio, arguments: Arguments) -> Any:
    """Every model there is: of runs, newest first, and by themselves."""
    rows = []
    for root in studio.workspace.all_runs():
        run = studio.logs.run(root)
        if run is not None and (root / "model" / "config.json").is_file():
            rows.append(
                {
                    "id": studio.workspace.relative(root),
                    "family": run.family,
                    "translates": models.translates(run.family),
                }
            )
    for folder in studio.workspace.lone_models():
        family = read_json(folder / "config.json").get("family")
        if isinstance(family, str):
            rows.append(
                {"id": studio.workspace.relative(folder), "family": family, "translates": models.translates(family)}
            )
    return rows


def model(studio: Studio, arguments: Arguments) -> Any:
    """What a model can do; loads it, so that the first picture is quick."""
    loaded = _loaded(studio, arguments)
    with loaded.lock:
        return models.facts(loaded.model)


def _decode(loaded: models.Loaded, recipes: list[Any], label: str, truncation: float, first: int = 0) -> np.ndarray:
    """Recipes -> uint8 [N, H, W, C]; with label ``each``, classes in turn from that of picture ``first``."""
    import torch

    from gansmith.files.pictures import to_arrays

    found = loaded.model
    latents = torch.stack([models.latent(found, recipe) for recipe in recipes])
    if found.classes and label == "each":
        labels = found.labels(len(recipes), [(first + i) % found.classes for i in range(len(recipes))])
    else:
        labels = found.labels(len(recipes), models.class_of(label or "0")) if found.classes else None
    with loaded.lock:
        return to_arrays(found.decode(latents, labels, truncation))


def pictures(studio: Studio, arguments: Arguments) -> Response:
    """Pictures for recipes of latents, as one PNG without gaps; headers say how it is laid out."""
    loaded = _loaded(studio, arguments)
    recipes = arguments.listed("recipes", MOST)
    if not recipes:
        raise Refused("Ask for at least one picture.")
    columns = arguments.integer("columns", 1, MOST, min(len(recipes), 10))
    label, truncation = arguments.text("label", "", 100), arguments.number("truncation", 0.0, 2.0, 1.0)
    arrays = _decode(loaded, recipes, label, truncation, arguments.integer("first", 0, MOST, 0))
    count, height, width, _ = arrays.shape
    layout = {"X-Columns": str(columns), "X-Count": str(count), "X-Tile": f"{width}x{height}"}
    return image(models.png(models.sheet(arrays, columns)), **layout)


def mix(studio: Studio, arguments: Arguments) -> Response:
    """Style mixing: rows give the coarse layers, columns the fine ones from ``layer`` on; the sources stand at the edges."""
    import torch

    from gansmith.abilities import Styled
    from gansmith.files.pictures import to_arrays

    loaded = _loaded(studio, arguments)
    found, game = loaded.model, loaded.model.game
    if not isinstance(game, Styled):
        raise Refused("This model has no styles to mix. Models of the families stylegan2 and stylegan3 have.")
    rows, columns = (_seeds(arguments, name) for name in ("rows", "columns"))
    layer = arguments.integer("layer", 0, game.layers)
    truncation = arguments.number("truncation", 0.0, 2.0, 1.0)
    seeds = rows + columns
    z = torch.cat([found.latents(1, seed) for seed in seeds])
    label = arguments.text("label", "", 100)
    labels = found.labels(len(seeds), 0 if label in ("", "each") else models.class_of(label)) if found.classes else None
    with loaded.lock, torch.inference_mode():
        w = game.styles(z, None if labels is None else labels.to(z.device), truncation)  # [R + C, L, D]
        coarse, fine = w[: len(rows)], w[len(rows) :]
        mixed = torch.cat(
            [
                coarse[:, None, :layer].expand(-1, len(columns), -1, -1),
                fine[None, :, layer:].expand(len(rows), -1, -1, -1),
            ],
            2,
        ).flatten(0, 1)  # [R * C, L, D]
        made = torch.cat([game.synthesize(part) for part in torch.cat([w, mixed]).split(32)])
    arrays = to_arrays(made.float())
    n_rows, n_columns = len(rows), len(columns)
    blank = np.zeros_like(arrays[:1])
    top = [blank, *arrays[n_rows : n_rows + n_columns, None]]
    body = arrays[n_rows + n_columns :].reshape(n_rows, n_columns, *arrays.shape[1:])
    lines = [part for r in range(n_rows) for part in (arrays[r : r + 1], *body[r][:, None])]
    full = np.concatenate([*top, *lines])
    layout = {"X-Columns": str(n_columns + 1), "X-Count": str(len(full)), "X-Tile": f"{full.shape[2]}x{full.shape[1]}"}
    return image(models.png(models.sheet(full, n_columns + 1)), **layout)


def _seeds(arguments: Arguments, name: str) -> list[int]:
    seeds = arguments.listed(name, 8)
    if not seeds or not all(isinstance(s, int) and not isinstance(s, bool) and 0 <= s < 2**31 for s in seeds):
        raise Refused(f"'{name}' is a list of 1 to 8 seeds.")
    return seeds


def video(studio: Studio, arguments: Arguments) -> Response:
    """A looping walk, or the way between two seeds and back, as a file."""
    from gansmith.apply.walk import walk
    from gansmith.files import pictures as files

    loaded = _loaded(studio, arguments)
    kind = arguments.choice("format", tuple(_VIDEO_KINDS), "mp4")
    seconds, fps = arguments.number("seconds", 1, 30, 6), arguments.integer("fps", 5, 30, 24)
    frames = max(2, round(seconds * fps))
    label, truncation = arguments.text("label", "", 100), arguments.number("truncation", 0.0, 2.0, 1.0)
    if arguments.choice("what", ("walk", "between"), "walk") == "walk":
        chosen = None if label in ("", "each") or not loaded.model.classes else models.class_of(label)
        width, height = loaded.model.spec.width, loaded.model.spec.height
        tiles = arguments.integer("tiles", 1, 16, min(9, max(1, _FRAME_PIXELS // (width * height))))
        _fits(frames * tiles * width * height)
        shown: Iterator[np.ndarray] = walk(
            loaded.model,
            frames=frames,
            points=5,
            tiles=tiles,
            seed=arguments.integer("seed", 0, 2**31 - 1, 0),
            label=chosen,
            truncation=truncation,
        )
    else:
        shown = _between(loaded, arguments, frames, label, truncation)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"walk.{kind}"
        files.save_video(path, map(files.opaque, shown), fps)
        return image(path.read_bytes(), _VIDEO_KINDS[kind])


def _fits(pixels: int) -> None:
    """A video is in memory as a whole while it is encoded."""
    if pixels > _VIDEO_PIXELS:
        raise Refused(
            "That video would be too large for this page: ask for fewer seconds or tiles, or use gansmith walk."
        )


def _between(
    loaded: models.Loaded, arguments: Arguments, frames: int, label: str, truncation: float
) -> Iterator[np.ndarray]:
    start, end = (arguments.integer(name, 0, 2**31 - 1) for name in ("from", "to"))
    _fits(frames * loaded.model.spec.width * loaded.model.spec.height)
    t = 0.5 - 0.5 * np.cos(np.linspace(0, 2 * np.pi, frames, endpoint=False))  # there and back, slow at the ends
    for part in np.array_split(t, max(1, frames // 32)):
        recipes = [{"from": start, "to": end, "t": float(value)} for value in part]
        for array in _decode(loaded, recipes, label, truncation):
            scale = max(1, 256 // array.shape[0])
            yield array.repeat(scale, 0).repeat(scale, 1)


def _favourites_file(studio: Studio) -> Path:
    return studio.workspace.state / "favourites.json"


def _favourite(arguments: Arguments) -> dict[str, Any]:
    return {
        "seed": arguments.integer("seed", 0, 2**31 - 1),
        "label": arguments.text("label", "", 100),
        "truncation": round(arguments.number("truncation", 0.0, 2.0, 1.0), 3),
    }


def favourites(studio: Studio, arguments: Arguments) -> Any:
    """The pictures of a model that somebody liked, newest first."""
    name = studio.workspace.relative(studio.workspace.model(arguments.text("model")))
    kept = read_json(_favourites_file(studio)).get(name)
    return [row for row in kept if isinstance(row, dict) and "seed" in row] if isinstance(kept, list) else []


def like(studio: Studio, arguments: Arguments) -> Any:
    """Keep a picture of a model: its seed, class and truncation."""
    return _change_favourites(
        studio, arguments, lambda rows, row: [row, *(old for old in rows if old != row)][:FAVOURITES]
    )


def unlike(studio: Studio, arguments: Arguments) -> Any:
    """Take a picture out of those that are kept."""
    return _change_favourites(studio, arguments, lambda rows, row: [old for old in rows if old != row])


def _change_favourites(studio: Studio, arguments: Arguments, change: Any) -> Any:
    name = studio.workspace.relative(studio.workspace.model(arguments.text("model")))
    row = _favourite(arguments)
    with studio.lock:
        known = read_json(_favourites_file(studio))
        rows = change(known.get(name) if isinstance(known.get(name), list) else [], row)
        known = {key: value for key, value in known.items() if key != name} | ({name: rows} if rows else {})
        write_json(_favourites_file(studio), known)
    return rows


def rename_favourites(studio: Studio, old: str, new: str) -> None:
    """A run has another name: what was liked of it goes along."""
    with studio.lock:
        known = read_json(_favourites_file(studio))
        if old in known:
            write_json(_favourites_file(studio), {new if key == old else key: rows for key, rows in known.items()})
