"""What every test has: one thread, so that results are the same on every machine, and no settings of a person."""

from __future__ import annotations

import os
from pathlib import Path

# Read by the libraries when they are imported, and by every process that a test starts.
# Several test processes with several threads each would spend their time on waiting for one another.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import pytest
import torch

from helpers.pictures import pictures, write_folder

torch.set_num_threads(1)
pytest_plugins = ["helpers.catalogue"]


@pytest.fixture(autouse=True)
def _the_persons_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what the person, or another test, has named or set: families of their own, the terminal's width."""
    monkeypatch.setenv("GANSMITH_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("GANSMITH_FAMILY_MODULES", "{}")
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    """48 labelled 32 px RGB pictures of 3 classes."""
    path = tmp_path / "pictures.npz"
    np.savez(path, x=pictures(48), y=np.arange(48) % 3)
    return path


@pytest.fixture(scope="session")
def two_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders with the same file names, RGB 32 px."""
    root = tmp_path_factory.mktemp("sides")
    return write_folder(root / "a", 16), write_folder(root / "b", 16, first=40)
