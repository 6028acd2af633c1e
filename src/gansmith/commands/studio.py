"""Open the studio: data, training, play and repair in the browser."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import tyro

from gansmith.commands._parse import parse, say
from gansmith.errors import GansmithError, MissingExtra

PASSWORD_VARIABLE = "GANSMITH_STUDIO_PASSWORD"


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith studio``."""

    workspace: tyro.conf.Positional[Path] = Path(".")
    """The folder it works in: runs/ and data/ lie there, and no path leads out of it."""
    port: int = 7860
    """Port to listen on; 0 takes a free one."""
    host: str = "127.0.0.1"
    """Address to listen on. Anything but this machine's own needs --password."""
    password: str | None = None
    """Ask for this before anything else; the variable GANSMITH_STUDIO_PASSWORD sets it without showing it to others."""
    browser: bool = False
    """Open the page in the desktop's browser."""


def main(argv: list[str]) -> int:
    """Run ``gansmith studio``."""
    options = parse(Options, argv, "studio", __doc__ or "")
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtra(error.name or "starlette", "studio", "The studio") from None
    from gansmith.studio.app import create_app
    from gansmith.studio.guard import is_loopback

    password = options.password or os.environ.get(PASSWORD_VARIABLE) or None
    if not is_loopback(options.host) and password is None:
        raise GansmithError(
            f"--host {options.host} opens the studio to other machines, and whoever reaches it can start trainings. Protect it with "
            f"--password, or with the environment variable {PASSWORD_VARIABLE}."
        )
    if options.workspace.exists() and not options.workspace.is_dir():
        raise GansmithError(f"{options.workspace} is a file. Give the folder that the studio should work in.")
    socket = listen(options.host, options.port)
    port = socket.getsockname()[1]
    try:
        app = create_app(options.workspace, host=options.host, port=port, password=password)
    except OSError as error:
        socket.close()
        raise GansmithError(
            f"The studio cannot keep its files in {options.workspace}: {error.strerror or error}. Give a folder that it may write to."
        ) from None
    shown = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{'localhost' if options.host in ('0.0.0.0', '::') else shown}:{port}"
    say(f"The studio is open: {address}   (workspace {options.workspace.resolve()}; Ctrl-C closes it, trainings go on)")
    if options.browser:
        import webbrowser

        webbrowser.open(address)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[socket])
    return 0


def listen(host: str, port: int):
    """Bind the port, or say why it cannot be."""
    import socket

    if not 0 <= port <= 65535:
        raise GansmithError(f"--port is a number from 0 to 65535, not {port}.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise GansmithError(f"--host {host} is no address of this machine ({error.strerror}).") from None
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
        made.listen(512)  # from here on browsers wait instead of being refused
    except OSError as error:
        made.close()
        raise GansmithError(
            f"Port {port} on {host} cannot be used ({error.strerror}). Choose another with --port, or --port 0 for any free one."
        ) from None
    return made
