"""The studio's server: pages, requests, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gansmith.studio import (
    api_catalogue,
    api_data,
    api_edit,
    api_models,
    api_play,
    api_repair,
    api_runs,
    api_toy,
    api_train,
    api_welcome,
    uploads,
    words,
)
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, failure, get
from gansmith.studio.guard import SMALL_BODY, App, Guard, TooLarge
from gansmith.studio.jobs import Jobs
from gansmith.studio.repairs import Repairs
from gansmith.studio.tasks import Tasks
from gansmith.studio.workspace import Workspace
from gansmith.version import __version__

STATIC = Path(__file__).parent / "static"
_QUEUE_SECONDS = 3.0


class FreshFiles(StaticFiles):
    """The page's own files; the browser asks each time whether they changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def create_app(
    workspace: Path, *, host: str = "127.0.0.1", port: int = 7860, password: str | None = None, warm_up: bool = True
) -> App:
    """The whole studio as an ASGI app.

    Args:
        workspace: the folder it works in; made if it is not there.
        host, port: what it will be bound to, for the check of the Host header and the name of the cookie.
        password: asked for before anything else; None asks for none.
        warm_up: import torch in the background, so that the first click is quick.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    place = Workspace(workspace)
    (place.state / "jobs").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(uploads.incoming(place), ignore_errors=True)  # of a studio that was killed
    studio = Studio(place, Jobs(place), Repairs(place), Tasks(place))
    modules = (
        api_catalogue, api_data, api_train, api_runs, api_models, api_play, api_edit, api_repair, api_toy, api_welcome
    )  # fmt: skip
    app = Starlette(
        routes=[
            Route("/", _page("index.html")),
            Route("/login", _page("login.html")),
            Route("/favicon.ico", _page("favicon.svg")),
            get("/api/about", studio, _about),
            *[Route(f"/words/{code}.json", _words(code)) for code in words.LANGUAGES],
            *[route for module in modules for route in module.routes(studio)],
            Mount("/static", FreshFiles(directory=STATIC)),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1500, compresslevel=5)],
        lifespan=_lifespan(studio, warm_up),
        exception_handlers={404: _missing, 405: _missing, 500: _broken, TooLarge: _too_large},
    )
    app.state.studio = studio
    return Guard(app, host=host, port=port, password=password, upload_limit=uploads.ARCHIVE_BYTES)


def _page(name: str) -> Any:
    async def page(request: Request) -> Response:
        return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

    return page


def _words(code: str) -> Any:
    async def served(request: Request) -> Response:
        content = json.dumps(words.page(code), ensure_ascii=False).encode()
        etag = f'"{hashlib.blake2b(content, digest_size=8).hexdigest()}"'
        headers = {"Cache-Control": "no-cache", "ETag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="application/json", headers=headers)

    return served


async def _missing(request: Request, error: Exception) -> Response:
    return failure("There is no such page.", getattr(error, "status_code", 404))


async def _too_large(request: Request, error: Exception) -> Response:
    return failure(f"That is more than the {SMALL_BODY >> 20} MB that one request may have.", 413)


async def _broken(request: Request, error: Exception) -> Response:
    return failure("Something went wrong in the studio; the terminal it runs in shows what.", 500)


def _about(studio: Studio, arguments: Arguments) -> Any:
    return {"version": __version__, "workspace": str(studio.workspace.root)}


def _lifespan(studio: Studio, warm_up: bool) -> Any:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if warm_up:
            threading.Thread(target=_import_heavy, daemon=True).start()
        keeper = asyncio.create_task(_keep_queue(studio))
        try:
            yield
        finally:
            keeper.cancel()
            studio.tasks.close()
            for playground in studio.playgrounds.values():
                playground.running = False

    return lifespan


async def _keep_queue(studio: Studio) -> None:
    """Whatever waits in the queue finds a worker, also when the last one ended just then."""
    while True:
        with contextlib.suppress(
            OSError
        ):  # a full disk shows where it matters: in the answer to whoever adds a training
            await run_in_threadpool(studio.jobs.ensure_worker)
            await run_in_threadpool(studio.repairs.ensure_repairer)
        await asyncio.sleep(_QUEUE_SECONDS)


def _import_heavy() -> None:
    import importlib

    for name in ("gansmith.models.bundle", "gansmith.apply.walk", "gansmith.studio.playground", "gansmith.gans.r3gan"):
        importlib.import_module(name)
    from gansmith.studio.playground import Player, World

    Player("gan", World("ring"), 0, 1.0).frame()  # torch loads its optimizers' machinery at the first use
