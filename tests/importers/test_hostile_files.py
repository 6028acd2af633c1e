"""Hundreds of files made to attack whoever imports them: each is refused or read in words, in little time and memory."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from helpers import hostile

pytest.importorskip("resource")
HERE = Path(__file__).parents[1] / "helpers"
FILES, FOLDERS = 160, 40
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
    command = [sys.executable, str(HERE / "hostile_worker.py"), str(place), str(MEGABYTES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout)
    assert len(rows) == FILES + FOLDERS
    assert [row for row in rows if row["outcome"] not in ("refused", "read")] == []
    assert [row for row in rows if row["seconds"] > SECONDS or row["megabytes"] > MEGABYTES // 2] == []


def test_the_files_are_the_same_for_the_same_seed() -> None:
    assert [content for _, content in hostile.files(3, 16)] == [content for _, content in hostile.files(3, 16)]
