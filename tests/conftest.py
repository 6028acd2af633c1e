"""Small pictures that tests train on; one thread, so that every test is the same on every machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gansmith remembers of a person is not read from this machine's person, nor written there."""
    monkeypatch.setenv("GANSMITH_CONFIG", str(tmp_path_factory.getbasetemp() / "config"))
    monkeypatch.setenv("GANSMITH_FAMILY_MODULES", "{}")


def picture(index: int, size: int, channels: int) -> np.ndarray:
    """A disc whose place, size and colour depend on ``index``; uint8 [H, W, C]."""
    y, x = np.mgrid[:size, :size] / size
    centre = 0.3 + 0.4 * np.array([np.sin(index), np.cos(2.3 * index)]) ** 2
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (0.1 + 0.03 * (index % 5)) ** 2
    colour = 100 + 155 * np.abs(np.sin(index + np.arange(channels)))
    return np.where(inside[..., None], colour, 20.0).astype(np.uint8)


def pictures(count: int, size: int = 32, channels: int = 3) -> np.ndarray:
    """uint8 [N, H, W, C]"""
    return np.stack([picture(i, size, channels) for i in range(count)])


def write_folder(
    folder: Path, count: int, size: int = 32, channels: int = 3, first: int = 0, suffix: str = "png"
) -> Path:
    """Write pictures 000.png, 001.png, ..."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        array = picture(first + i, size, channels)
        Image.fromarray(array[..., 0] if channels == 1 else array).save(folder / f"{i:03d}.{suffix}")
    return folder


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
