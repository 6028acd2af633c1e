"""A server of model files on this machine, and a catalogue that names them."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from gansmith.models.catalogue import download, entries
from gansmith.nn.srvgg import SRVGGNet

LICENCES = {
    "free": {"title": "Free", "allows": "everything", "commercial": True},
    "closed": {"title": "Closed", "allows": "research only", "commercial": False},
}


@dataclass
class Served:
    """A server of one file, and what it was asked for.

    Attributes:
        content: the file.
        cut: bytes after which a connection is cut; 0 never.
        cuts: how many connections are cut before the rest go through.
        etag: of the file.
        status: answered in place of the file; 0 none.
    """

    content: bytes = b""
    cut: int = 0
    cuts: int = 0
    etag: str = '"one"'
    status: int = 0
    ranges: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def served() -> Iterator[Served]:
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.ranges.append(asked)
            if state.status:
                self.send_error(state.status)
                return
            start = 0
            same = self.headers.get("If-Range", state.etag) == state.etag
            if asked and same:
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
                if start >= len(state.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(state.content) - start))
            self.send_header("ETag", state.etag)
            self.end_headers()
            part = state.content[start:]
            if state.cuts > 0:
                state.cuts -= 1
                part = part[: state.cut]
            self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


def weights() -> bytes:
    """A compact upscaler's .pth."""
    torch.manual_seed(0)
    buffer = io.BytesIO()
    torch.save({"params": SRVGGNet(3, 2, 8, 1).state_dict()}, buffer)
    return buffer.getvalue()


@pytest.fixture
def home(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for models and a catalogue of three, all at the server."""
    served.content = weights()
    digest = hashlib.sha256(served.content).hexdigest()

    def entry(licence: str, **file: object) -> dict[str, object]:
        return {"task": "upscale", "family": "upscale", "about": "tiny", "licence": licence, "source": "http://127.0.0.1/",
                "scale": 2, "files": [{"url": f"{served.url}/tiny.pth", **file}]}  # fmt: skip

    catalogue = {
        "licences": LICENCES,
        "models": {
            "tiny": entry("free", sha256=digest, bytes=len(served.content)),
            "tiny-pinned": entry("free"),
            "tiny-closed": entry("closed"),
            "tiny-wrong": entry("free", sha256="0" * 64),
        },
    }
    path = tmp_path / "catalogue.yaml"
    path.write_text(json.dumps(catalogue))
    monkeypatch.setenv("GANSMITH_CATALOGUE", str(path))
    monkeypatch.setenv("GANSMITH_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    entries._read.cache_clear() if hasattr(entries._read, "cache_clear") else None
    return tmp_path / "models"
