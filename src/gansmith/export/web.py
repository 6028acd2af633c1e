"""One web page that holds a model and runs it in any browser, offline: no server, nothing fetched."""

from __future__ import annotations

import base64
import gzip
import html
import json
from pathlib import Path

from gansmith.export.program import Program
from gansmith.models.bundle import Model

PARTS = Path(__file__).parent / "web_page"
"""The page's template, and onnxruntime-web (MIT) as its makers build it."""

LATENTS = 64
"""How many of seed 0's latents the page knows, to show what ``gansmith sample --seed 0`` draws."""


def to_web_page(onnx: bytes, program: Program, model: Model) -> str:
    """The page of a model.

    Args:
        onnx: what :func:`gansmith.export.onnx.to_onnx` made of the program (with constant noise).

    Returns:
        One HTML document with the model and the runtime inside.
    """
    facts = program.facts | {"kind": program.kind, "smallest": program.smallest, "about": about(model)}
    if program.kind == "generator":
        facts["latents"] = [[round(value, 6) for value in row] for row in model.latents(LATENTS, 0).tolist()]
    runtime = PARTS / "onnxruntime-web"
    parts = {
        "TITLE": html.escape(_title(model)),
        "CSS": _text("page.css"),
        "FACTS": json.dumps(facts).replace("<", "\\u003c"),
        "MODEL": _packed(gzip.compress(onnx, 9, mtime=0)),
        "RUNTIME": _packed(gzip.compress((runtime / "ort.wasm.bundle.min.mjs").read_bytes(), 9, mtime=0)),
        "WASM": _packed((runtime / "ort-wasm-simd-threaded.wasm.gz").read_bytes()),
        "LICENSE": (runtime / "LICENSE").read_text(encoding="utf-8").replace("--", "- -").strip(),
        "JS": _text("translate.js") + _text("page.js") if program.kind == "translator" else _text("page.js"),
    }
    page = _text("page.html")
    pieces = page.split("@")  # one pass, so that nothing in a part is taken for a place
    return "".join(parts.get(piece, piece) if i % 2 else piece for i, piece in enumerate(pieces))


def about(model: Model) -> str:
    """A sentence on what the model is."""
    spec, data = model.spec, (model.info.get("data") or {}).get("name")
    kinds = {1: "grey", 3: "colour", 4: "colour with alpha"}
    learned = f", trained on {data}" if data else ""
    seen = f" for {model.info['images']:,} pictures" if model.info.get("images") else ""
    count = sum(p.numel() for p in model.game.parameters())
    return f"{model.family}, {spec.width}x{spec.height} px {kinds.get(spec.channels, '')}{learned}{seen}; {count:,} weights."


def _title(model: Model) -> str:
    data = (model.info.get("data") or {}).get("name")
    return f"{model.family} on {data}" if data else model.family


def _text(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _packed(compressed: bytes) -> str:
    return base64.b64encode(compressed).decode()
