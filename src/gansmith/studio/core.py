"""What the pages' requests share: the studio's parts, and endpoints from plain functions."""

from __future__ import annotations

import errno
import json
import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gansmith.errors import GansmithError
from gansmith.studio import words
from gansmith.studio.arguments import Arguments
from gansmith.studio.errors import Refused
from gansmith.studio.jobs import Jobs
from gansmith.studio.logs import Logs
from gansmith.studio.models import Models
from gansmith.studio.repairs import Repairs
from gansmith.studio.tasks import Tasks
from gansmith.studio.workspace import Workspace

log = logging.getLogger("gansmith.studio")


@dataclass
class Studio:
    """The parts that requests use."""

    workspace: Workspace
    jobs: Jobs
    repairs: Repairs
    tasks: Tasks
    logs: Logs = field(default_factory=Logs)
    models: Models = field(default_factory=Models)
    playgrounds: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    estimates: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What runs need, by their settings and pictures."""
    uploaded: dict[Path, int] = field(default_factory=dict)
    """Files in sets that are being uploaded."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    moving: threading.Lock = field(default_factory=threading.Lock)
    """Held while a run is queued, renamed or deleted, so that no two of these see a run at rest at once."""


Answer = Callable[[Studio, Arguments], Any]
"""A plain function: what is asked for -> JSON-able values, or a whole response."""


def get(path: str, studio: Studio, function: Answer) -> Route:
    """A route that reads: arguments come from the address."""

    async def endpoint(request: Request) -> Response:
        answer = await _answered(lambda: function(studio, Arguments(dict(request.query_params))))
        etag = answer.headers.get("etag")
        if etag is not None and request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-cache"})
        return answer

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
        return found if isinstance(found, Response) else as_json(found)
    except Exception as error:
        return failed(error)


def as_json(found: Any) -> Response:
    """Values as JSON that a browser reads: no NaN, and file names that are not Unicode escaped rather than refused."""
    try:
        text = json.dumps(found, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(found), allow_nan=False)
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


def _finite(value: Any) -> Any:
    """The same with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def failed(error: Exception) -> Response:
    """The answer to a request that raised."""
    if isinstance(error, Refused):
        return failure(str(error), error.status, error.more)
    if isinstance(error, GansmithError):
        return failure(str(error), 400)
    if isinstance(error, FileNotFoundError):
        return failure("That file is gone.", 404)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return failure("The disk is full. Make room, then try again.", 507)
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ):
        return failure("There is nothing of that name: no file can be called so.", 404)
    if isinstance(error, PermissionError):
        return failure(f"The studio may not touch '{error.filename}': {error.strerror}.", 403)
    log.error("a request failed", exc_info=error)
    return failure("Something went wrong in the studio; the terminal it runs in shows what.", 500)


def failure(message: str, status: int, more: dict[str, Any] | None = None) -> JSONResponse:
    """An error the page shows as it is, with what else it should know."""
    return JSONResponse(
        {"error": words.said(" ".join(message.split())), **(more or {})}, status, headers={"Cache-Control": "no-store"}
    )


def image(content: bytes, kind: str = "image/png", **headers: str) -> Response:
    """A picture or video made for this request."""
    return Response(content, media_type=kind, headers={"Cache-Control": "no-store", **headers})
