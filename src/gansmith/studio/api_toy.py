"""Requests of the Understand page: the 2-D playground."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, post
from gansmith.studio.errors import Refused
from gansmith.studio.words import LANGUAGES, said

KEPT = 4
"""Playgrounds held at once: one per open page."""
WORLDS = ("ring", "grid", "spiral", "drawn")


def routes(studio: Studio) -> list[Route]:
    """Everything this page asks for."""
    return [
        post("/api/toy/start", studio, start),
        get("/api/toy/frame", studio, frame),
        post("/api/toy/control", studio, control),
        post("/api/toy/lesson", studio, lesson),
    ]


def start(studio: Studio, arguments: Arguments) -> Any:
    """A new game; an older one of the same page stops."""
    from gansmith.studio import playground

    kind = arguments.choice("world", WORLDS)
    families = [str(name) for name in arguments.listed("families", 3)]
    if not families or not set(families) <= set(playground.SETTINGS):
        raise Refused(f"Choose one to three of {', '.join(playground.SETTINGS)}.")
    points = _points(arguments) if kind == "drawn" else None
    seed, speed = arguments.integer("seed", 0, 10**6, 0), arguments.number("speed", 0.1, 10.0, 2.0)
    made = playground.Playground(playground.World(kind, points), list(dict.fromkeys(families)), seed, speed)
    made.running = arguments.values.get("running", True) is True
    key = secrets.token_hex(8)
    with studio.lock:
        old = studio.playgrounds.get(arguments.text("old", "", 40))  # kept a while: the page may just be asking for it
        studio.playgrounds[key] = made
        while len(studio.playgrounds) > KEPT:
            studio.playgrounds.pop(next(iter(studio.playgrounds))).running = False
    if old is not None:
        old.running = False
    real = playground.pack16(made.world.spots[:400] / (2 * playground.EXTENT))
    return {"id": key, "real": real, "cells": playground.CELLS, "extent": playground.EXTENT, "frame": made.look()}


def _points(arguments: Arguments) -> Any:
    """Drawn points [N, 2]."""
    from gansmith.studio import playground

    try:
        return playground.parse_points(arguments.listed("points", 2000))
    except (ValueError, TypeError):
        raise Refused("Draw some points first.") from None


def lesson(studio: Studio, arguments: Arguments) -> Response:
    """The lesson, as one page for a class; it begins where somebody is (``asked``), with the points that were drawn."""
    from gansmith.studio import lesson_page

    points = None
    if arguments.values.get("points") is not None:
        points = [[round(float(value), 3) for value in row] for row in _points(arguments)]
    made = lesson_page.made(arguments.choice("language", LANGUAGES), arguments.text("asked", ""), points)
    return Response(made, media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-store"})


def _found(studio: Studio, arguments: Arguments) -> Any:
    found = studio.playgrounds.get(arguments.text("id", most=40))
    if found is None:
        raise Refused("This game was put away. Start it again.", 404)
    return found


def frame(studio: Studio, arguments: Arguments) -> Any:
    """The newest picture of a game."""
    return _told(_found(studio, arguments).look())


def _told(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame with its words in the page's language."""
    return frame | {"players": [player | {"failed": said(player["failed"])} for player in frame["players"]]}


def control(studio: Studio, arguments: Arguments) -> Any:
    """Play, pause, or step once."""
    found = _found(studio, arguments)
    action = arguments.choice("action", ("play", "pause", "step"))
    if action == "step":
        found.running = False
        return _told(found.advance(arguments.integer("steps", 1, 100, 1)))
    found.running = action == "play"
    return _told(found.look())
