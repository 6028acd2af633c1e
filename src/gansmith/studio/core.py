"""What the pages' requests share: the studio's parts, and endpoints from plain functions."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gansmith.errors import GansmithError
from gansmith.studio.arguments import Arguments
from gansmith.studio.errors import Refused
from gansmith.studio.jobs import Jobs
from gansmith.studio.logs import Logs
from gansmith.studio.models import Models
from gansmith.studio.workspace import Workspace

log = logging.getLogger("gansmith.studio")


@dataclass
class Studio:
    """The parts that requests use."""

    workspace: Workspace
    jobs: Jobs
    logs: Logs = field(default_factory=Logs)
    models: Models = field(default_factory=Models)
    playgrounds: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


Answer = Callable[[Studio, Arguments], Any]
"""A plain function: what is asked for -> JSON-able values, or a whole response."""


def get(path: str, studio: Studio, function: Answer) -> Route:
    """A route that reads: arguments come from the address."""

    async def endpoint(request: Request) -> Response:
        return await _answered(lambda: function(studio, Arguments(dict(request.query_params))))

    return Route(path, endpoint, methods=["GET"])


def post(path: str, studio: Studio, function: Answer) -> Route:
    """A route that changes something: arguments come as a JSON object."""

    async def endpoint(request: Request) -> Response:
        try:
            body = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            return failure("The request is not JSON.", 400)
        except ClientDisconnect:
            return failure("The request was broken off.", 400)
        if not isinstance(body, dict):
            return failure("The request is not a JSON object.", 400)
        return await _answered(lambda: function(studio, Arguments(body)))

    return Route(path, endpoint, methods=["POST"])


async def _answered(function: Callable[[], Any]) -> Response:
    try:
        found = await run_in_threadpool(function)
    except Exception as error:
        return failed(error)
    return found if isinstance(found, Response) else JSONResponse(found, headers={"Cache-Control": "no-store"})


def failed(error: Exception) -> Response:
    """The answer to a request that raised."""
    if isinstance(error, Refused):
        return failure(str(error), error.status)
    if isinstance(error, GansmithError):
        return failure(str(error), 400)
    if isinstance(error, FileNotFoundError):
        return failure("That file is gone.", 404)
    log.error("a request failed", exc_info=error)
    return failure("Something went wrong in the studio; the terminal it runs in shows what.", 500)


def failure(message: str, status: int) -> JSONResponse:
    """An error the page shows as it is."""
    return JSONResponse({"error": " ".join(message.split())}, status, headers={"Cache-Control": "no-store"})


def image(content: bytes, kind: str = "image/png", **headers: str) -> Response:
    """A picture or video made for this request."""
    return Response(content, media_type=kind, headers={"Cache-Control": "no-store", **headers})
