"""Sample grids: evenly over a run, and some more at its beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from gansmith import registry
from gansmith.training.session import train
from gansmith.training.settings import settings_from


def grids(out: Path, npz: Path, **given) -> list[int]:
    """The steps at which a run of 160 steps has saved its grids."""
    kind = registry.family("gan")
    wish = {
        "data": str(npz),
        "steps": 160,
        "batch": 4,
        "size": 16,
        "width": 4,
        "latent_dim": 4,
        "device": "cpu",
        **given,
    }
    settings, config = settings_from(kind, out, **wish)
    train(kind, settings=settings, family_config=config, quiet=True)
    return sorted(int(file.stem) // 4 for file in (out / "samples").glob("[0-9]*.png"))


def test_a_run_shows_its_first_pictures_soon(npz, tmp_path):
    assert grids(tmp_path / "run", npz, snapshots=10) == [1, 2, 4, 8, *range(16, 161, 16)]


@pytest.mark.parametrize("count", [0, 4])
def test_few_grids_are_as_many_as_were_asked_for(npz, tmp_path, count):
    assert len(grids(tmp_path / "run", npz, snapshots=count)) == count
