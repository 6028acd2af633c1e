"""Runs that version 0.1.0 began go on as they went on there. ``recorded`` holds them after two of four steps.

``after.json`` holds the mean and the root mean square of every tensor after the last two steps, played by that version.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gansmith.cli import main
from gansmith.files.run import Run
from gansmith.training import checkpoint

RECORDED = Path(__file__).parent / "recorded"


def write_data(path: Path) -> None:
    """The pictures that the recorded runs were trained on: three brightnesses of noise."""
    labels = np.arange(96) % 3
    noise = np.random.default_rng(0).integers(0, 60, (96, 16, 16))
    np.savez_compressed(path, x=(noise + (labels * 80)[:, None, None]).astype(np.uint8), y=labels)


@pytest.mark.parametrize("name", sorted(folder.name for folder in RECORDED.iterdir()))
def test_a_run_begun_by_an_earlier_version_goes_on(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(RECORDED / name, tmp_path / name)
    write_data(tmp_path / "recorded.npz")
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert main(["train", "--resume", "--out", name, "--steps", "4"]) == 0
    finally:
        torch.set_num_threads(before)
    assert Run.open(Path(name)).facts["images"] == 32
    tree = checkpoint.load(Path(name) / "checkpoint", pytest.fail)
    assert tree is not None
    expected = json.loads((tmp_path / name / "after.json").read_text())
    found = {
        f"/{part}/{key}": [float(value.double().mean()), float(value.double().square().mean().sqrt())]
        for part in ("game", "average")
        for key, value in tree[part].items()
        if value.numel()
    }
    assert found.keys() == expected.keys()
    for key, values in expected.items():  # other CPUs round otherwise
        np.testing.assert_allclose(found[key], values, rtol=2e-4, atol=2e-5, err_msg=key)
