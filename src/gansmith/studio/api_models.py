"""Requests about what is done with a finished model: measuring it, exporting it, reading its card."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, get, post
from gansmith.studio.errors import Refused
from gansmith.studio.scores import FILE as SCORES_FILE
from gansmith.studio.scores import kept
from gansmith.studio.words import said
from gansmith.studio.worker import write_json

EXPORTS = {
    "onnx": "model.onnx",
    "web": "model.html",
    "ncnn": "model.param",
    "torchscript": "model.pt",
    "exported": "model.pt2",
}
"""What a model can be exported to, with the file's name."""
METRICS = ("fid,kid,prdc", "swd")
"""What generators are measured by: features of a classifier, or sliced Wasserstein distances, which need none."""
MOST_CARD = 40_000


def routes(studio: Studio) -> list[Route]:
    """Everything that is asked about models beside their pictures."""
    return [
        get("/api/tasks", studio, lambda studio, _: studio.tasks.all()),
        get("/api/task", studio, lambda studio, arguments: studio.tasks.told(arguments.text("id"))),
        post("/api/task/stop", studio, stop),
        post("/api/model/evaluate", studio, evaluate),
        get("/api/model/scores", studio, scores),
        post("/api/model/export", studio, export),
        get("/api/model/exported", studio, exported),
        get("/api/model/folder", studio, folder),
        get("/api/model/card", studio, card),
    ]


def stop(studio: Studio, arguments: Arguments) -> Any:
    """End a task."""
    studio.tasks.stop(arguments.text("id"))
    return {"ok": True}


def place_of(studio: Studio, arguments: Arguments) -> tuple[Path, Path]:
    """The folder that the page names (a run or a model by itself), and the model folder in it."""
    root = studio.workspace.model(arguments.text("model"))
    made = root / "model" if (root / "model").is_dir() else root
    if not (made / "config.json").is_file():
        raise Refused("This run has no model yet: the first one is written with its first checkpoint.", 404)
    return root, made


def evaluate(studio: Studio, arguments: Arguments) -> Any:
    """Measure a model against real pictures; the scores are kept with it."""
    root, made = place_of(studio, arguments)
    specs = [studio.workspace.data_spec(str(spec)) for spec in arguments.listed("data", 2)]
    if not specs:
        raise Refused("Choose the real pictures to measure against.")
    count = arguments.integer("n", 100, 50_000, 2000)
    data = ",".join(studio.workspace.absolute_spec(spec) for spec in specs)
    metrics = arguments.choice("metrics", METRICS, METRICS[0])
    words = ["evaluate", str(made), "--data", data, "--n", str(count), "--metrics", metrics, "--json"]

    def keep(found: dict[str, Any]) -> None:
        write_json(root / SCORES_FILE, {"data": specs, "n": count, "when": time.time(), "found": found})
        studio.logs.forget(root)

    about = {"model": studio.workspace.relative(root), "data": specs, "n": count}
    return {"id": studio.tasks.start("evaluate", lambda _: words, about, keep)}


def scores(studio: Studio, arguments: Arguments) -> Any:
    """The last scores of a model, whole; null where it was never measured."""
    root, _ = place_of(studio, arguments)
    return kept(root)


def export(studio: Studio, arguments: Arguments) -> Any:
    """Write a model for other programs, and compare what they compute with what the model does."""
    root, made = place_of(studio, arguments)
    to = arguments.choice("to", tuple(EXPORTS))
    direction = arguments.choice("direction", ("ab", "ba"), "ab")
    name = studio.workspace.relative(root)

    def words(own: Path) -> list[str]:
        return ["export", str(made), "--to", to, "--out", str(own / EXPORTS[to]), "--direction", direction, "--json"]

    return {"id": studio.tasks.start("export", words, {"model": name, "to": to}, ok=(0, 1))}


def exported(studio: Studio, arguments: Arguments) -> Response:
    """The file that an export wrote; of the two of ncnn, a zip."""
    task = studio.tasks.of(arguments.text("id"))
    if task.kind != "export" or task.status != "done" or not task.result.get("passed"):
        raise Refused("There is no such export.", 404)
    path = task.folder / EXPORTS[task.about["to"]]
    stem = task.about["model"].rpartition("/")[2]
    if task.about["to"] == "ncnn":
        return _zipped([path, path.with_suffix(".bin")], task.folder / "ncnn.zip", f"{stem}-ncnn.zip")
    return FileResponse(path, filename=f"{stem}{path.suffix}", headers={"Cache-Control": "no-store"})


def folder(studio: Studio, arguments: Arguments) -> Response:
    """A model folder with its card, as a zip that unpacks to a folder which gansmith and the Hub take."""
    root, made = place_of(studio, arguments)
    name = root.name
    target = studio.workspace.state / "model-zips" / f"{name}-{int((made / 'config.json').stat().st_mtime)}.zip"
    for old in target.parent.glob("*.zip"):  # of this model as it was, and those that were taken long ago
        if old != target and (old.name.startswith(f"{name}-") or old.stat().st_mtime < time.time() - 3600):
            old.unlink(missing_ok=True)
    files = [file for file in sorted(made.iterdir()) if file.is_file() and not file.name.startswith(".")]
    return _zipped(files, target, f"{name}.zip", below=f"{name}/")


def _zipped(files: list[Path], target: Path, called: str, below: str = "") -> Response:
    """Files in a zip that is stored, not packed: weights are noise to a packer."""
    import zipfile

    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{time.time_ns()}")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                archive.write(file, f"{below}{file.name}")
        part.replace(target)
    headers = {"Cache-Control": "no-store"}
    return FileResponse(target, filename=called, media_type="application/zip", headers=headers)


def card(studio: Studio, arguments: Arguments) -> Any:
    """A model's card, as it stands on the Hub, and the line of Python that puts it there."""
    root, made = place_of(studio, arguments)
    try:
        text = (made / "README.md").read_text("utf-8", "replace")[:MOST_CARD]
    except OSError:
        raise Refused("This model has no card. Models that are trained or fetched from now on have one.", 404) from None
    facts, body = "", text
    if text.startswith("---\n"):
        facts, _, body = text[4:].partition("\n---\n")
    relative = studio.workspace.relative(root)
    return {
        "text": said(body.strip()),
        "facts": facts,
        "command": f"gansmith.load({relative!r}).push_to_hub('NAME/{root.name}')",
    }
