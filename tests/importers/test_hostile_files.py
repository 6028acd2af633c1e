"""Hundreds of files made to attack whoever imports them: each is refused or read in words, in little time and memory."""

from __future__ import annotations

import importlib
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from helpers import hostile

pytest.importorskip("resource")
HERE = Path(__file__).parents[1] / "helpers"
FILES, FOLDERS, UPSCALERS = 160, 40, 20
SECONDS, MEGABYTES = 10.0, 600
"""Of processor time and memory for one file. On an idle machine the slowest takes 2 seconds, and all together less than 20."""


@pytest.mark.parametrize("seed", [0])
def test_every_hostile_file_is_refused_or_read_within_bounds(tmp_path: Path, seed: int) -> None:
    place = tmp_path / "files"
    place.mkdir()
    kinds = Counter()
    for number, (kind, content) in enumerate(hostile.files(seed, FILES)):
        (place / f"{number:04d}-{kind}.pth").write_bytes(content)
        kinds[kind] += 1
    assert len(kinds) == len(hostile.KINDS) + len(hostile.RARE)
    for number in range(FOLDERS):
        hostile.model_folder(random.Random(f"{seed}-model-{number}"), place / f"model-{number:04d}")
    check(place, FILES + FOLDERS, MEGABYTES)


def check(place: Path, count: int, megabytes: int) -> None:
    """Every file of a folder is refused or read, in little time and at most half of this memory."""
    command = [sys.executable, str(HERE / "hostile_worker.py"), str(place), str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout)
    assert len(rows) == count
    assert [row for row in rows if row["outcome"] not in ("refused", "read")] == []
    assert [row for row in rows if row["seconds"] > SECONDS or row["megabytes"] > megabytes // 2] == []


def test_every_hostile_file_that_reaches_spandrel_is_refused_or_read_within_bounds(tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    upscalers = importlib.import_module("helpers.hostile_upscalers")
    place = tmp_path / "files"
    place.mkdir()
    for number in range(UPSCALERS):
        (place / f"{number:04d}.pth").write_bytes(upscalers.for_spandrel(random.Random(f"0-{number}")))
    shapes = upscalers.shapes_of("DRCT.DRCT")
    for window in (64, 150):  # tables of so many places: 2 GB and 65 GB are made of each, of a file of 1 MB
        tables = {name: ((2 * window - 1) ** 2, shape[-1]) for name, shape in shapes.items() if "bias_table" in name}
        state = {name: torch.zeros(shape) for name, shape in (shapes | tables).items()}
        torch.save(state, place / f"window-{window}.pth")
    check(place, UPSCALERS + 2, 2 * MEGABYTES)


def test_the_files_are_the_same_for_the_same_seed() -> None:
    assert [content for _, content in hostile.files(3, 16)] == [content for _, content in hostile.files(3, 16)]
