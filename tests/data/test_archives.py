"""Zips that say one thing and hold another: time and memory are bounded where they are spent."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith.apply.finding import find_pictures
from gansmith.data import archives
from gansmith.data.arrays import open_npz
from gansmith.data.folders import open_zip
from gansmith.errors import DataError


def entry(name: bytes, extra: bytes = b"", kind: int = 0, packed: int = 1, size: int = 1, crc: int = 0) -> bytes:
    """One line of a zip's list of files."""
    fields = (20, 20, 0, kind, 0, 0, crc, packed, size, len(name), len(extra), 0, 0, 0, 0, 0)
    return b"PK\1\2" + struct.pack("<HHHHHHIIIHHHHHII", *fields) + name + extra


def ended(before: bytes, listed: bytes, *, count: int, forged: bool) -> bytes:
    """A zip from its parts; a forged one names its true list only in the zip64 record, and a short one everywhere else."""
    told = (1, 46) if forged else (min(count, 0xFFFF), len(listed))
    at = len(before) + len(listed)
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(listed), len(before))
    locator = b"PK\6\7" + struct.pack("<IQI", 0, at if not forged else 7, 1)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, told[0], told[0], told[1], len(before), 0)
    return before + listed + record + locator + end


def spent(function) -> tuple[float, int]:
    """(seconds, most bytes) that a refusal takes."""
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(DataError):
            function()
        return time.process_time() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("forged", [False, True])
def test_a_list_of_millions_is_refused_before_it_is_read(tmp_path, forged):
    listed = entry(b"1.png") * 600_000
    path = tmp_path / "a.zip"
    path.write_bytes(ended(b"", listed, count=600_000, forged=forged))
    assert len(zipfile.ZipFile(path).infolist()) == 600_000  # what zipfile itself makes of it
    seconds, memory = spent(lambda: archives.open_archive(path, 100_000))
    assert seconds < 2
    assert memory < 4 << 20  # none of it was read


def test_short_lists_of_many_are_counted(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(ended(b"", entry(b"") * 3000, count=3000, forged=True))
    with pytest.raises(archives.TooMuch, match="1,000"):
        archives.open_archive(path, 1000)
    assert len(archives.open_archive(path, 3000).infolist()) == 3000


def test_padding_takes_no_quadratic_time(tmp_path):
    """Every entry's extra field is 64 KB of empty parts, and zipfile copies the rest of it for each of 16,000."""
    padding = struct.pack("<HH", 0x9999, 0) * 16_000
    path = tmp_path / "a.zip"
    path.write_bytes(ended(b"", entry(b"1.png", padding) * 250, count=250, forged=False))
    seconds, _ = spent(lambda: archives.open_archive(path, 100_000))
    assert seconds < 2


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_is_no_larger_than_it_says(tmp_path, kind):
    """64 MB of zeros that are declared as 20 bytes."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("1.png", bytes(64 << 20))
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\1\2")
    raw[at + 16 : at + 20] = struct.pack("<I", zlib.crc32(bytes(20)))
    raw[at + 24 : at + 28] = struct.pack("<I", 20)
    path.write_bytes(raw)
    opened = archives.open_archive(path)
    tracemalloc.start()
    try:
        assert archives.read_member(opened, opened.infolist()[0]) == bytes(20)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_are_read_whole_and_checked(tmp_path, kind):
    content = np.random.default_rng(0).integers(0, 9, 300_000, np.uint8).tobytes()
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("a", content)
        archive.writestr("empty", b"")
    opened = archives.open_archive(path)
    assert archives.read_member(opened, opened.getinfo("a")) == content
    assert archives.read_member(opened, opened.getinfo("a"), 1000) == content[:1000]
    assert archives.read_member(opened, opened.getinfo("empty")) == b""
    raw = bytearray(path.read_bytes())
    raw[len(content) // 50] ^= 255
    path.write_bytes(raw)
    opened = archives.open_archive(path)
    with pytest.raises(Exception):  # noqa: B017 - each kind of packing has errors of its own
        archives.read_member(opened, opened.getinfo("a"))


def test_every_way_to_a_zip_is_bounded(tmp_path, monkeypatch):
    """Training data, pictures to repair, arrays."""
    buffer = io.BytesIO()
    Image.new("L", (9, 9)).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for i in range(30):
            archive.writestr(f"{i}.png", buffer.getvalue())
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 9, 9), np.uint8), **{f"a{i}": np.zeros(1) for i in range(30)})
    assert len(open_zip(tmp_path / "a.zip")) == 30
    assert len(find_pictures([str(tmp_path / "a.zip")])) == 30
    assert len(open_npz(tmp_path / "a.npz")) == 4
    monkeypatch.setattr(archives, "MOST_ENTRIES", 20)
    monkeypatch.setattr(archives.open_archive, "__defaults__", (20,))
    monkeypatch.setattr("gansmith.data.arrays.MOST_ARRAYS", 20)
    for open_ in (lambda p: open_zip(p), lambda p: find_pictures([str(p)])):
        with pytest.raises(DataError, match="20 files"):
            open_(tmp_path / "a.zip")
    with pytest.raises(DataError, match="20 files"):
        open_npz(Path(tmp_path / "a.npz"))
