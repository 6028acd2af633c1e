"""Parquet files of pictures: what is found in them, that they stream, and what is said where they cannot."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gansmith
from gansmith.data import open_pictures
from gansmith.data.batches import Batches
from gansmith.data.sources import StreamedPictures
from gansmith.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
fsspec = pytest.importorskip("fsspec")
FEATURES = {"picture": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["ant", "bee", "cat"]}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def png(value: int, size: tuple[int, int] = (16, 16)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (value, 255 - value, 30)).save(file, "PNG")
    return file.getvalue()


def table(contents: list[bytes], labels: list[int], features: dict | None = None):
    """A table as the Hub writes it."""
    cells = [{"bytes": content, "path": None} for content in contents]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("text", pa.string()), ("picture", kind), ("kind", pa.int64())])
    if features is not None:
        schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return pa.table({"text": ["x"] * len(cells), "picture": cells, "kind": labels}, schema=schema)


def write(root: Path, files: int = 3, rows: int = 10) -> Path:
    root.mkdir()
    for i in range(files):
        numbers = range(rows * i, rows * (i + 1))
        pq.write_table(table([png(n) for n in numbers], [n % 3 for n in numbers], FEATURES), root / f"{i:04d}.parquet")
    return root


def test_a_folder_of_tables(tmp_path: Path):
    pictures = open_pictures(f"parquet:{write(tmp_path / 'set')}")
    assert pictures.spec.shape == (3, 16, 16)
    assert pictures.spec.class_names == ("ant", "bee", "cat")
    x, y = pictures.fetch(np.arange(30))
    assert x[:, 0, 0, 0].tolist() == list(range(30))
    assert y is not None
    assert y.tolist() == [n % 3 for n in range(30)]
    some = open_pictures(f"parquet:{tmp_path / 'set' / '0001.parquet'}[2:5]")
    assert some.fetch(np.arange(3))[0][:, 0, 0, 0].tolist() == [12, 13, 14]


def test_nothing_but_footers_labels_and_a_few_pictures_is_read_before_training(tmp_path: Path, cache: Path):
    pictures = open_pictures(f"parquet:{write(tmp_path / 'set')}", memory_limit=0)
    assert isinstance(pictures, StreamedPictures)
    assert list(cache.rglob("*.pictures")) == []
    assert pictures.fetch(np.array([25]))[0][0, 0, 0, 0] == 25
    assert [file.name[:5] for file in cache.rglob("*.pictures")] == ["00002"]
    assert pictures.sharded
    batches = Batches(pictures, 6, 0)
    epoch = [
        int(v) for drawn in range(0, 30, 6) for v in (batches.at(drawn).images[:, 0, 0, 0] * 127.5 + 127.5).round()
    ]
    assert sorted(epoch) == list(range(30))
    again = Batches(open_pictures(f"parquet:{tmp_path / 'set'}", memory_limit=0), 6, 0)
    assert (again.at(12).images == batches.at(12).images).all()


def test_the_hash_follows_the_content(tmp_path: Path):
    first = open_pictures(f"parquet:{write(tmp_path / 'a')}").hash
    assert open_pictures(f"parquet:{tmp_path / 'a'}").hash == first
    pq.write_table(table([png(200)] * 10, [0] * 10, FEATURES), tmp_path / "a" / "0001.parquet")
    changed = open_pictures(f"parquet:{tmp_path / 'a'}")
    assert changed.hash != first
    assert changed.fetch(np.array([15]))[0][0, 0, 0, 0] == 200  # not what the cache had


def test_files_of_several_pages_in_tables_are_named(tmp_path: Path):
    content, pages = io.BytesIO(), [Image.fromarray(np.full((16, 16), n, np.uint8)) for n in range(5)]
    pages[0].save(content, "TIFF", save_all=True, append_images=pages[1:])
    pq.write_table(table([content.getvalue()] * 9 + [png(3)], [0] * 10, FEATURES), tmp_path / "a.parquet")
    notes = open_pictures(f"parquet:{tmp_path / 'a.parquet'}").notes
    assert "8 of the first 8 files hold several pages" in notes[0]


def test_tables_without_the_hubs_metadata(tmp_path: Path):
    plain = pa.table({"file": [png(n) for n in range(4)], "label": pa.array([0, 2, 1, 2], pa.int32())})
    pq.write_table(plain, tmp_path / "plain.parquet")
    pictures = open_pictures(f"parquet:{tmp_path / 'plain.parquet'}")
    assert pictures.spec.class_names == ("0", "1", "2")
    hidden = pa.table({"file": [png(n) for n in range(4)], "label": [-1, -1, -1, -1]})
    pq.write_table(hidden, tmp_path / "hidden.parquet")
    assert open_pictures(f"parquet:{tmp_path / 'hidden.parquet'}").spec.classes == 0


def test_broken_and_odd_pictures(tmp_path: Path):
    contents = [png(n) for n in range(40)]
    contents[20], contents[30] = b"not a picture", b""
    pq.write_table(table(contents, [0] * 40), tmp_path / "a.parquet")
    pictures = open_pictures(f"parquet:{tmp_path / 'a.parquet'}", labels=False)
    assert len(pictures) == 38
    assert sorted(reason for _, reason in pictures.skipped)[0] == "empty cell (0 bytes)"
    pq.write_table(table([png(1), png(2, (20, 12))], [0, 0]), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"2 different sizes.*--size"):
        open_pictures(f"parquet:{tmp_path / 'b.parquet'}")
    assert open_pictures(f"parquet:{tmp_path / 'b.parquet'}", size=8).spec.shape == (3, 8, 8)
    pq.write_table(table([b"text"] * 3, [0] * 3), tmp_path / "c.parquet")
    with pytest.raises(DataError, match="None of the first 3 pictures"):
        open_pictures(f"parquet:{tmp_path / 'c.parquet'}")


def test_what_cannot_be_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match="has no Parquet files"):
        open_pictures(f"parquet:{tmp_path / 'absent.parquet'}")
    (tmp_path / "text.parquet").write_text("hello there, this is no table")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_pictures(f"parquet:{tmp_path / 'text.parquet'}")
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "words.parquet")
    with pytest.raises(DataError, match="no column of pictures; its columns are: text, n"):
        open_pictures(f"parquet:{tmp_path / 'words.parquet'}")
    pq.write_table(table([], []), tmp_path / "none.parquet")
    with pytest.raises(DataError, match="tables are empty"):
        open_pictures(f"parquet:{tmp_path / 'none.parquet'}")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(gansmith.GansmithError, match=r"gansmith\[hub\]"):
        open_pictures(f"parquet:{tmp_path / 'none.parquet'}")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    """Stands in for the Hub: files in memory behind ``hf://``."""

    class Hub(fsspec.get_filesystem_class("memory")):
        protocol = "hf"
        cachable = False
        store: dict = {}
        pseudo_dirs = [""]

        @classmethod
        def _strip_protocol(cls, path):
            return "/" + path.removeprefix("hf://").strip("/")

        def unstrip_protocol(self, name):
            return "hf://" + name.strip("/")

    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "hf", Hub)
    return Hub()


def test_sets_of_the_hub(hub, tmp_path: Path):
    base = "hf://datasets/someone/insects@refs%2Fconvert%2Fparquet"
    for config, split, offset in (("default", "train", 0), ("default", "test", 100)):
        for i in range(2):
            file = io.BytesIO()
            numbers = [offset + 5 * i + n for n in range(5)]
            pq.write_table(table([png(n) for n in numbers], [n % 3 for n in numbers], FEATURES), file)
            hub.pipe(f"{base}/{config}/{split}/{i:04d}.parquet", file.getvalue())
    pictures = open_pictures("hf-stream:someone/insects")
    assert pictures.name == "hf-stream:someone/insects"
    assert pictures.fetch(np.arange(10))[0][:, 0, 0, 0].tolist() == list(range(10))
    test = open_pictures("hf-stream:someone/insects/default:test", memory_limit=0)
    assert test.fetch(np.array([7]))[0][0, 0, 0, 0] == 107
    with pytest.raises(DataError, match="has no Parquet files"):
        open_pictures("hf-stream:someone/insects:validation")
    with pytest.raises(DataError, match="is not OWNER/NAME"):
        open_pictures("hf-stream:insects")
    hub.pipe(f"{base}/small/train/0000.parquet", b"")
    with pytest.raises(DataError, match="several configurations: default, small"):
        open_pictures("hf-stream:someone/insects")
    with pytest.raises(DataError, match="cannot be reached"):
        open_pictures("hf-stream:someone/birds")
