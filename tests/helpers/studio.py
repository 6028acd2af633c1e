"""What tests of the studio share: run folders, uploads, and the client's headers."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith import config, registry
from gansmith.files import run
from gansmith.game import ImageSpec
from gansmith.models import bundle

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")


SAFE = {"X-Gansmith": "studio"}


BASE = "http://127.0.0.1:7860"


def make_run(root: Path, family: str, spec: ImageSpec, **settings) -> Path:
    """A run folder with a log, a grid and a model, as training leaves it."""
    kind = registry.family(family)
    family_config = kind.Config(**settings)
    facts = {
        "spec": run.spec_to_plain(spec),
        "data": {"name": "mnist10k", "hash": "0" * 32, "pictures": 10},
        "status": "finished",
        "batch": 8,
    }
    made = run.Run(root, family, config.to_plain(family_config), config.to_plain(config.TrainSettings()), facts)
    made.write_config()
    for step in range(1, 6):
        made.log(
            {
                "images": 8 * step,
                "step": step,
                "progress": step / 5,
                "seconds": float(step),
                "images_per_second": 8.0,
                "loss/generator": 1 / step,
            }
        )
    made.samples.mkdir()
    for images in (8, 40):
        Image.new("L", (16, 16), images).save(made.samples / f"{images:010d}.png")
    torch.manual_seed(0)
    game = kind(family_config, spec).eval()
    with torch.no_grad():
        for parameter in game.parameters():  # a fresh DCGAN is uniformly grey: make its pictures differ
            parameter.mul_(5 if family == "dcgan" else 1)
    bundle.save(made.model, bundle.Model(family, game, {"images": 40}))
    os.utime(made.log_file, (1e9, 1e9))
    return root


def small_stylegan() -> dict:
    return {"width": 0.03125, "mapping_layers": 2}


def save_picture(path: Path, seed: int, size: int = 24) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size, 3), np.uint8)).save(path)


def body(answer) -> dict:
    assert answer.status_code == 200, answer.text
    return answer.json()


def tiles(answer) -> np.ndarray:
    """A sheet cut into its pictures [N, H, W]."""
    assert answer.status_code == 200, answer.text
    width, height = map(int, answer.headers["x-tile"].split("x"))
    columns, count = int(answer.headers["x-columns"]), int(answer.headers["x-count"])
    whole = np.asarray(Image.open(io.BytesIO(answer.content)))
    cut = whole.reshape(-1, height, columns, width).swapaxes(1, 2).reshape(-1, height, width)
    return cut[:count]


def png_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()
