"""Which pictures are pairs: by name, whatever signs are in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith.data.pairs import open_paired
from gansmith.errors import DataError


def test_names_with_a_hash_pair_up_by_all_of_the_name(tmp_path: Path) -> None:
    for side, ending in (("a", "jpg"), ("b", "png")):
        (tmp_path / side).mkdir()
        for i, name in enumerate(("shoe#1", "sock#1", "shoe#2")):
            Image.new("L", (16, 16), 60 * i).save(tmp_path / side / f"{name}.{ending}")
    pairs = open_paired(str(tmp_path / "a"), str(tmp_path / "b"))
    assert pairs.skipped == []
    a, b = pairs.fetch(np.arange(3))
    assert (a.float() - b.float()).abs().max() <= 2


def test_rows_of_arrays_pair_up_by_their_number(tmp_path: Path) -> None:
    for name in ("left", "right"):
        np.savez(tmp_path / f"{name}.npz", x=np.zeros((3, 16, 16), np.uint8))
    assert len(open_paired(str(tmp_path / "left.npz"), str(tmp_path / "right.npz")).a) == 3


def test_single_pictures_are_not_cut_in_half(tmp_path: Path) -> None:
    for i in range(3):
        Image.new("L", (16, 16), 60 * i).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match="wider than high"):
        open_paired(str(tmp_path))
    for i in range(3):
        Image.new("L", (32, 16), 60 * i).save(tmp_path / f"{i}.png")
    assert open_paired(str(tmp_path)).spec.shape == (1, 16, 16)
