"""Requests of the Repair page: pictures in, masks painted, repairs started, watched and fetched."""

from __future__ import annotations

import io
import mimetypes
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gansmith.errors import GansmithError
from gansmith.studio import models, repair_files, repairs, uploads
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, failed, failure, get, post
from gansmith.studio.errors import Refused
from gansmith.studio.words import said

WORKED_PIXELS = 80_000_000
"""Larger pictures, and larger results, are for ``gansmith apply``: a browser would not show them."""
MASK_BYTES = 6 << 20


def routes(studio: Studio) -> list[Route]:
    """Everything this page asks for."""
    return [
        Route("/api/upload/picture", _upload(studio, _take_picture), methods=["POST"]),
        Route("/api/upload/mask", _upload(studio, _take_mask), methods=["POST"]),
        get("/api/repairs", studio, listed),
        get("/api/repair", studio, one),
        get("/api/repair/file", studio, file),
        get("/api/repair/zip", studio, packed),
        post("/api/repair/warm", studio, warm),
        post("/api/repair/start", studio, start),
        post("/api/repair/again", studio, again),
        post("/api/repair/stop", studio, stop),
        post("/api/repair/forget", studio, forget),
    ]


def _upload(studio: Studio, take: Any) -> Any:
    async def upload(request: Request) -> Response:
        """A file as the body."""
        from starlette.concurrency import run_in_threadpool

        raw: Path | None = None
        try:
            arguments = Arguments(dict(request.query_params))
            folder = uploads.incoming(studio.workspace) / secrets.token_hex(12)
            folder.mkdir(parents=True)
            raw = folder / "raw.part"
            most = MASK_BYTES if take is _take_mask else uploads.PICTURE_BYTES
            await uploads.receive(request.stream(), raw, most)
            return JSONResponse(await run_in_threadpool(take, studio, arguments, raw))
        except ClientDisconnect:
            return failure("The upload was broken off.", 400)
        except (GansmithError, OSError) as error:
            return failed(error)
        finally:
            if raw is not None:
                shutil.rmtree(raw.parent, ignore_errors=True)

    return upload


def _take_picture(studio: Studio, arguments: Arguments, raw: Path) -> dict[str, Any]:
    """A picture for a repair that has not begun, or for a new one; kept as it came, and upright as PNG for the page."""
    from gansmith.data.threads import Broken

    name = arguments.text("name", "picture.png", 500)
    uploads.refuse_pickles(name)
    kind = uploads.check_picture(raw, name)
    path = uploads.clean_path(name)
    if path.suffix.lower() not in _endings():  # pasted from the clipboard, or called by something else
        path = path.with_name(f"{path.name}.{'jpg' if kind == 'JPEG' else kind.lower()}")
    seen = raw.with_name("seen.png")
    try:
        width, height = repair_files.upright(raw, seen)
    except Broken as reason:
        raise Refused(f"'{name}' cannot be used: {reason}", 422) from None
    if width * height > WORKED_PIXELS:
        raise Refused(
            f"{width}x{height} is more than the {WORKED_PIXELS // 10**6} million pixels that this page takes. Use: gansmith apply",
            422,
        )
    key = arguments.text("job", "", 40)
    folder = studio.repairs.of(key) if key else studio.repairs.draft()
    number = studio.repairs.add(folder, path.as_posix(), raw, seen, (width, height))
    return {"job": folder.name, "picture": number, "name": path.as_posix(), "width": width, "height": height}


def _endings() -> frozenset[str]:
    from gansmith.data.formats import EXTENSIONS

    return EXTENSIONS


def _take_mask(studio: Studio, arguments: Arguments, raw: Path) -> dict[str, Any]:
    """What was painted over a picture, as a PNG whose alpha counts; an empty body takes it away."""
    from PIL import Image

    folder = studio.repairs.of(arguments.text("job", most=40))
    number, picture = _picture(studio, folder, arguments)
    content = raw.read_bytes()
    if not content:
        studio.repairs.mask(folder, number, None)
        return {"painted": False}
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as painted:
            width, height = painted.size
            if abs(width * picture["height"] - height * picture["width"]) > 2 * max(
                picture["width"], picture["height"]
            ):
                raise Refused("The mask is not of the picture's shape. Paint it again.")
            if width * height > uploads.PICTURE_PIXELS:
                raise Refused("The mask is too large. Paint it again.")
            anything = painted.convert("RGBA").getchannel("A").point(repair_files.OPAQUE).getbbox()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise Refused("The mask cannot be read. Paint it again.") from None
    studio.repairs.mask(folder, number, content if anything else None)
    return {"painted": anything is not None}


def _picture(studio: Studio, folder: Path, arguments: Arguments) -> tuple[int, dict[str, Any]]:
    """A picture of a repair by its number."""
    pictures = studio.repairs.one(folder)["list"]
    number = arguments.integer("picture", 0, repairs.MOST_PICTURES, 0)
    if number >= len(pictures):
        raise Refused("There is no such picture in this repair.", 404)
    return number, pictures[number]


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A repair with its words in the page's language."""
    row |= {"error": said(row["error"])}
    for picture in row.get("list", ()):
        result = picture["result"]
        if result:
            picture["result"] = result | {key: said(result[key]) for key in ("reason", "note") if key in result}
    return row


def listed(studio: Studio, arguments: Arguments) -> Any:
    """Every repair that was started, newest first."""
    return [_told(row) for row in studio.repairs.all()]


def one(studio: Studio, arguments: Arguments) -> Any:
    """A repair with its pictures."""
    return _told(studio.repairs.one(studio.repairs.of(arguments.text("job", most=40))))


def file(studio: Studio, arguments: Arguments) -> Response:
    """A picture of a repair: ``seen`` (before), ``mask``, ``given`` (the drawing) or ``result``; ``save`` gives the file as it is."""
    folder = studio.repairs.of(arguments.text("job", most=40))
    number, picture = _picture(studio, folder, arguments)
    side = arguments.choice("side", ("seen", "mask", "given", "result", "thumb"), "seen")
    out = folder / "out" / picture["name"]
    if side == "thumb":
        return FileResponse(repair_files.thumbnail(folder, number, out), headers={"Cache-Control": "no-cache"})
    place = {
        "seen": folder / "seen" / f"{number}.png",
        "mask": folder / "seen" / f"{number}.mask.png",
        "given": folder / "given" / f"{number}.png",
        "result": folder / "after" / f"{number}.png",
    }[side]
    saved = side == "result" and arguments.text("save", "", 4) != ""
    shown = not place.is_file() and out.suffix.lower() in repair_files.SHOWN_AS_THEY_ARE
    if side == "result" and (saved or shown):
        place = out
    if not place.is_file():
        raise Refused("That picture is not there yet.", 404)
    headers = {"Cache-Control": "no-cache"}
    if saved:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(out.name)}"
    kind = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
    return FileResponse(place, media_type=kind, headers=headers, stat_result=place.stat())


def packed(studio: Studio, arguments: Arguments) -> Response:
    """All results of a repair in one zip, by their names."""
    folder = studio.repairs.of(arguments.text("job", most=40))
    names = [p["name"] for p in studio.repairs.one(folder)["list"] if (folder / "out" / p["name"]).is_file()]
    if not names:
        raise Refused("There is no result yet.", 404)
    headers = {"Content-Disposition": 'attachment; filename="gansmith-repaired.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(_zipped(folder / "out", names), media_type="application/zip", headers=headers)


class _Sink(io.RawIOBase):
    """What a zip writes, to be handed on piece by piece."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)


def _zipped(folder: Path, names: list[str]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # pictures are packed already
        for name in names:
            archive.write(folder / name, name)
            yield b"".join(sink.parts)
            sink.parts.clear()
    yield b"".join(sink.parts)


def warm(studio: Studio, arguments: Arguments) -> Any:
    """Let the repairer start, which takes seconds, while somebody still chooses a picture."""
    studio.repairs.ensure_repairer(warm=True)
    return {"ok": True}


def start(studio: Studio, arguments: Arguments) -> Any:
    """Start a repair of the pictures that were uploaded."""
    folder = studio.repairs.of(arguments.text("job", most=40))
    model = studio.workspace.model(arguments.text("model"))
    known = models.facts(studio.models.get(model).model)
    if not known["translates"]:
        raise Refused(f"A {known['family']} model makes pictures from noise; it does not change them.")
    direction = arguments.choice("direction", tuple(known["directions"]), known["directions"][0])
    pictures = studio.repairs.one(folder)["list"]
    if known["takes_mask"]:
        bare = [picture["name"] for picture in pictures if not picture["masked"]]
        if len(bare) == 1 == len(pictures):
            raise Refused("Paint over what is to be filled first.")
        if bare:
            raise Refused(
                f"Nothing is painted over {len(bare)} of the pictures, such as {bare[0]}. Paint there, or take it out."
            )
    if any(p["width"] * p["height"] * known["scale"] ** 2 > 4 * WORKED_PIXELS for p in pictures):
        raise Refused("The result would be too large for this page. Use: gansmith apply")
    name = studio.workspace.relative(model)
    edges = arguments.values.get("edges") is True
    studio.repairs.start(folder, {"model": name, "family": known["family"], "direction": direction, "edges": edges})
    return _told(studio.repairs.one(folder))


def again(studio: Studio, arguments: Arguments) -> Any:
    """A new repair with a repair's pictures (``side`` in), or with its results (``side`` out); ``pictures`` says which."""
    folder = studio.repairs.of(arguments.text("job", most=40))
    numbers = None
    if "pictures" in arguments.values:
        numbers = [n for n in arguments.listed("pictures", repairs.MOST_PICTURES) if isinstance(n, int)]
    side = arguments.choice("side", ("in", "out"), "in")
    made = studio.repairs.again(folder, numbers, side)
    found = studio.repairs.one(made)
    if not found["list"]:
        raise Refused("There is no result yet.", 404)
    return _told(found)


def stop(studio: Studio, arguments: Arguments) -> Any:
    """Stop a repair; pictures that are done stay."""
    studio.repairs.stop(arguments.text("job", most=40))
    return {"ok": True}


def forget(studio: Studio, arguments: Arguments) -> Any:
    """Delete a repair and its results."""
    studio.repairs.forget(arguments.text("job", most=40))
    return {"ok": True}
