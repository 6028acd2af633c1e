"""Pictures and films as files."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest

from gansmith.errors import GansmithError
from gansmith.files import pictures


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
@pytest.mark.parametrize("shape", [(33, 35), (33, 35, 1), (33, 35, 3), (33, 35, 4)])
def test_a_film_has_every_frame_in_its_order(tmp_path, suffix, shape):
    path = tmp_path / f"film{suffix}"
    pictures.save_video(path, (np.full(shape, 20 * i, np.uint8) for i in range(8)), fps=10)
    frames = iio.imread(path)
    assert len(frames) == 8
    assert frames.shape[1:] == ((33, 35, 3) if suffix == ".gif" else (34, 36, 3))  # film codecs want even sides
    assert np.abs(frames[:, 5, 5, 0].astype(int) - 20 * np.arange(8)).max() <= 6
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_film_is_encoded_as_its_frames_come(tmp_path, monkeypatch):
    made, written = [], []
    monkeypatch.setattr(pictures, "_in_colour", lambda frame: written.append(len(made)) or np.stack([frame] * 3, -1))
    pictures.save_video(tmp_path / "film.mp4", (made.append(i) or np.zeros((16, 16), np.uint8) for i in range(5)))
    assert written == [1, 2, 3, 4, 5]


def test_a_film_that_fails_leaves_nothing(tmp_path):
    def frames():
        yield np.zeros((16, 16), np.uint8)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        pictures.save_video(tmp_path / "film.mp4", frames())
    assert not list(tmp_path.iterdir())


def test_a_picture_too_large_for_its_kind_is_refused_in_words(tmp_path):
    with pytest.raises(GansmithError, match=r"16384x1, and WEBP holds 16383 px.*\.png"):
        pictures.save(tmp_path / "wide.webp", np.zeros((1, 16_384), np.uint8))
    pictures.save(tmp_path / "wide.png", np.zeros((1, 16_384), np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["wide.png"]
