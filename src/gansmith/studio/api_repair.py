"""Requests of the Repair page: a picture in, a mask painted, a translation out."""

from __future__ import annotations

import base64
import binascii
import io
import secrets
import time
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gansmith.errors import GansmithError
from gansmith.studio import models, uploads
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, failed, failure, get, image, post
from gansmith.studio.errors import Refused

KEPT = 60
"""Pictures and results kept for the page."""
WORKED_PIXELS = 16_000_000
"""Larger pictures are for ``gansmith apply``, which has progress and no page waiting."""


def routes(studio: Studio) -> list[Route]:
    """Everything this page asks for."""
    return [
        Route("/api/upload/picture", _upload(studio), methods=["POST"]),
        get("/api/repair/picture", studio, picture),
        post("/api/repair/apply", studio, apply),
    ]


def _inbox(studio: Studio) -> Path:
    folder = studio.workspace.state / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _upload(studio: Studio) -> Any:
    async def upload(request: Request) -> Response:
        """A picture to work on; kept upright, as PNG."""
        from starlette.concurrency import run_in_threadpool

        try:
            name = Arguments(dict(request.query_params)).text("name", "the picture", 500)
            uploads.refuse_pickles(name)
            folder = _inbox(studio)
            raw = folder / f"{secrets.token_hex(12)}.part"
            await uploads.receive(request.stream(), raw, uploads.PICTURE_BYTES)
            try:
                return JSONResponse(await run_in_threadpool(_take_in, raw, name))
            finally:
                raw.unlink(missing_ok=True)
                uploads.prune(folder, KEPT)
        except ClientDisconnect:
            return failure("The upload was broken off.", 400)
        except (GansmithError, OSError) as error:
            return failed(error)

    return upload


def _take_in(raw: Path, name: str) -> dict[str, Any]:
    from gansmith.data.decode import open_file, read_picture
    from gansmith.data.threads import Broken

    uploads.check_picture(raw, name)
    try:
        with open_file(lambda: raw.open("rb")) as file:
            picture = read_picture(file)
    except Broken as reason:
        raise Refused(f"The picture cannot be used: {reason}", 422) from None
    if picture.width * picture.height > WORKED_PIXELS:
        raise Refused(
            f"{picture.width}x{picture.height} is more than the {WORKED_PIXELS // 10**6} million pixels that this page takes. Use: gansmith apply",
            422,
        )
    key = secrets.token_hex(12)
    picture.save(raw.with_name(f"{key}.png"), compress_level=1)
    return {"id": key, "width": picture.width, "height": picture.height}


def _kept(studio: Studio, key: str) -> Path:
    path = _inbox(studio) / f"{key}.png"
    if len(key) != 24 or not key.isalnum() or not key.isascii() or not path.is_file():
        raise Refused("That picture is not kept any more. Drop it again.", 404)
    return path


def picture(studio: Studio, arguments: Arguments) -> Response:
    """A picture or a result."""
    return image(_kept(studio, arguments.text("id", most=40)).read_bytes())


def apply(studio: Studio, arguments: Arguments) -> Any:
    """Translate a kept picture; the result is kept beside it."""
    from PIL import Image

    from gansmith.apply.files import Options, translate_image

    loaded = studio.models.get(studio.workspace.model(arguments.text("model")))
    known = models.facts(loaded.model)
    if not known["translates"]:
        raise Refused(f"A {known['family']} model makes pictures from noise; it does not change them.")
    direction = arguments.choice("direction", tuple(known["directions"]), known["directions"][0])
    with Image.open(_kept(studio, arguments.text("picture", most=40)), formats=("PNG",)) as kept:
        kept.load()
        upright: Image.Image = kept.copy()
    mask = _mask(arguments, (upright.height, upright.width)) if known["takes_mask"] else None
    given: list[np.ndarray] = []  # the drawing, where the page shows that beside the result

    def drawn(pixels: np.ndarray) -> np.ndarray:
        given.append(_edges(pixels, known["inputs"]))
        return given[0]

    before = drawn if arguments.values.get("edges") is True else None
    if upright.width * upright.height * known["scale"] ** 2 > 4 * WORKED_PIXELS:
        raise Refused("The result would be too large for this page. Use: gansmith apply")
    started = time.monotonic()
    with loaded.lock:
        game: Any = loaded.model.game
        result = translate_image(game, upright, Options(direction, before=before), mask)
    key = secrets.token_hex(12)
    result.save(_inbox(studio) / f"{key}.png", compress_level=1)
    shown = arguments.text("picture", most=40)
    if given:
        shown = secrets.token_hex(12)
        (_inbox(studio) / f"{shown}.png").write_bytes(models.png(given[0]))
    uploads.prune(_inbox(studio), KEPT)
    return {
        "id": key,
        "given": shown,
        "width": result.width,
        "height": result.height,
        "seconds": round(time.monotonic() - started, 2),
    }


def _mask(arguments: Arguments, size: tuple[int, int]) -> np.ndarray:
    """The painted mask, bool [H, W]: whatever is more than half opaque."""
    from PIL import Image

    text = arguments.text("mask", "", most=6 << 20)
    head, _, body = text.partition(",")
    if head != "data:image/png;base64":
        raise Refused("Paint over what is to be filled first.")
    try:
        with Image.open(io.BytesIO(base64.b64decode(body, validate=True)), formats=("PNG",)) as painted:
            if painted.size != (size[1], size[0]):
                raise Refused("The mask is not of the picture's size. Paint it again.")
            alpha = np.asarray(painted.convert("RGBA"))[..., 3]
    except (OSError, ValueError, SyntaxError, binascii.Error, Image.DecompressionBombError):
        raise Refused("The mask cannot be read. Paint it again.") from None
    mask = alpha > 127
    if not mask.any():
        raise Refused("Paint over what is to be filled first.")
    if mask.all():
        raise Refused("All of the picture is painted over, and nothing is left to fill it from. Leave some of it.")
    return mask


def _edges(pixels: np.ndarray, channels: int) -> np.ndarray:
    """A photograph as the drawing a sketch model expects."""
    import torch

    from gansmith.damage import edges
    from gansmith.files.pictures import to_arrays

    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    drawn = to_arrays(edges(images, "canny"))[0]
    return drawn.repeat(channels, 2) if channels > 1 else drawn
