"""Pictures in tars: packed and verified, found by index or by looking, drawn tar after tar as a function of the seed alone."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import shutil
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.commands.data import main
from gansmith.data import open_pictures, sources, tars
from gansmith.data.batches import Batches
from gansmith.data.pack import pack
from gansmith.data.shards import ShardOrder
from gansmith.data.specs import open_source
from gansmith.data.tars import Files
from gansmith.errors import DataError
from gansmith.gans.gan import GAN
from gansmith.parallel import seeds
from gansmith.training.session import train
from gansmith.training.settings import settings_from
from helpers.pictures import picture, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures in two classes."""
    root = tmp_path_factory.mktemp("pictures")
    write_folder(root / "cats", 36, 16)
    write_folder(root / "dogs", 24, 16, first=50)
    return root


@pytest.fixture(scope="module")
def packed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "out"
    assert pack(str(folder), out, per_shard=8).shards == 8
    return out


def contents(pictures) -> set[tuple[bytes, int]]:
    images, labels = pictures.fetch(np.arange(len(pictures)))
    return {(image.numpy().tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}


def test_what_was_packed_is_found_again(folder, packed):
    original = open_pictures(str(folder))
    for spec in (f"shards:{packed}/{{000000..000007}}.tar", f"shards:{packed}", str(packed)):
        opened = open_pictures(spec)
        assert opened.spec == original.spec
        assert opened.spec.class_names == ("cats", "dogs")
        assert contents(opened) == contents(original)
    few = open_pictures(f"shards:{packed}/{{000002..000003}}.tar")
    assert len(few) == 16
    assert 0 < few.fetch(np.arange(16))[1].sum() < 16, "every tar is a sample of all"


def test_the_index_spares_reading_and_streaming_gives_the_same(packed, monkeypatch):
    held = open_pictures(str(packed))
    read = []
    original = Files.read
    monkeypatch.setattr(Files, "read", lambda self, *where: read.append(where) or original(self, *where))
    streamed = open_pictures(str(packed), memory_limit=0)
    assert read == []
    assert isinstance(streamed, sources.StreamedPictures)
    assert streamed.hash == held.hash
    rows = np.array([3, 59, 3, 20])
    assert torch.equal(streamed.fetch(rows)[0], held.fetch(rows)[0])
    assert torch.equal(streamed.fetch(rows)[1], held.fetch(rows)[1])


def test_tars_of_others_are_looked_through(tmp_path):
    for number in range(2):
        with tarfile.open(tmp_path / f"part-{number}.tar", "w") as archive:
            for i in range(5):
                buffer = io.BytesIO()
                Image.fromarray(picture(5 * number + i, 16, 3)).save(buffer, "PNG")
                members = {"png": buffer.getvalue(), "json": b'{"label": %d}' % (i % 3), "txt": b"a disc"}
                for ending, content in members.items():
                    info = tarfile.TarInfo(f"set/{number}-{i}.{ending}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    opened = open_pictures(f"shards:{tmp_path}/part-{{0..1}}.tar")
    assert (len(opened), opened.spec.classes) == (10, 3)
    assert np.array_equal(opened.fetch(np.array([7]))[0][0].permute(1, 2, 0).numpy(), picture(7, 16, 3))


def test_packing_leaves_out_what_is_broken_and_refuses_too_much_of_it(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "set")
    (tmp_path / "set" / "cats" / "001.png").write_bytes(b"no picture")
    assert (
        main(["pack", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--per-shard", "32", "--size", "12"]) == 1
    )
    said = capsys.readouterr()
    assert "59 pictures in 2 tars" in said.out
    assert "cats/001.png: its content is not a picture" in said.err
    assert open_pictures(str(tmp_path / "out")).spec.shape == (3, 12, 12)
    with pytest.raises(DataError, match="exists already"):
        pack(str(folder), tmp_path / "out")
    for i in range(12):
        (tmp_path / "set" / "dogs" / f"{i:03d}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="more than 10"):
        pack(str(tmp_path / "set"), tmp_path / "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "set"], "nothing half-written"
    (tmp_path / "empty").mkdir()
    assert pack(str(folder), tmp_path / "empty").folder == tmp_path / "empty"
    assert len(open_pictures(str(tmp_path / "empty"))) == 60


def test_labels_and_an_index_that_make_no_sense(packed, tmp_path, monkeypatch):
    for label, message in ((b"-1", None), (b"5000000", "number the classes from 0"), (b"Infinity", None)):
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            buffer = io.BytesIO()
            Image.fromarray(picture(1, 16, 3)).save(buffer, "PNG")
            for ending, content in (("png", buffer.getvalue()), ("cls", label)):
                info = tarfile.TarInfo(f"0.{ending}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        if message is None:
            assert open_pictures(f"shards:{tmp_path}/a.tar").spec.classes == 0
        else:
            with pytest.raises(DataError, match=message):
                open_pictures(f"shards:{tmp_path}/a.tar")
    shutil.copytree(packed, tmp_path / "copy")
    index = tmp_path / "copy" / tars.INDEX
    content = bytearray(index.read_bytes())
    content[12:60] = bytes(48)
    for damaged in (
        bytes(content),
        b"",
        gzip.compress(b'{"shards": 3}'),
        gzip.compress(b"[1]"),
        gzip.compress(bytes(1 << 25)),
    ):
        index.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged"):
            open_pictures(str(tmp_path / "copy"))
    monkeypatch.setenv("GANSMITH_SHARD_CACHE_GB", "plenty")
    with pytest.raises(DataError, match="GANSMITH_SHARD_CACHE_GB is a number"):
        open_pictures("shards:http://127.0.0.1:9/{0..1}.tar")


def test_the_order_draws_every_picture_once_per_epoch_from_few_tars_at_a_time():
    shard_of = np.repeat(np.arange(12), 10)
    order = ShardOrder(shard_of, seed=1, batch=8, window=2)
    assert order.lanes == 8
    order = ShardOrder(shard_of, seed=1, batch=4, window=2)
    epoch = np.concatenate([order(start, 4) for start in range(0, 120, 4)])
    assert sorted(epoch) == list(range(120))
    assert list(order(120, 4)) != list(epoch[:4]), "another epoch, another order"
    assert list(ShardOrder(shard_of, 1, 4, 2)(52, 4)) == list(epoch[52:56]), "a function of the position"
    assert list(ShardOrder(shard_of, 2, 4, 2)(0, 4)) != list(epoch[:4])
    first_lane = shard_of[epoch.reshape(30, 4)[:20, 0]]
    assert len(set(first_lane)) == 2, "20 pictures of a lane come from the two tars of its window"
    assert len(set(np.diff(epoch.reshape(30, 4)[:, 0]))) > 5, "mixed"
    halves = [np.concatenate([order(start + 2 * rank, 2) for start in range(0, 120, 4)]) for rank in (0, 1)]
    assert not set(shard_of[halves[0]]) & set(shard_of[halves[1]]), "two processes read different tars"
    uneven = ShardOrder(np.repeat([0, 1, 2], [3, 7, 11]), 0, 6)
    assert {int(i) for start in range(0, 48, 6) for i in uneven(start, 6)} == set(range(21))


def test_batches_resume_to_the_sample_in_any_number_of_processes(packed):
    def batch(drawn: int, rank: int = 0, world: int = 1):
        seeds.set_process(rank, world)
        try:
            return Batches(open_pictures(str(packed), memory_limit=0), 8, 3, flip=True).at(drawn)
        finally:
            seeds.set_process(0, 1)

    batches = Batches(open_pictures(str(packed), memory_limit=0), 8, 3, flip=True)
    for drawn in range(0, 24, 8):
        last = batches.at(drawn)
    assert torch.equal(last.images, batch(16).images)
    halves = [batch(16, rank, 2) for rank in (0, 1)]
    assert torch.equal(torch.cat([half.images for half in halves]), last.images)
    assert torch.equal(torch.cat([half.labels for half in halves]), last.labels)


def test_a_run_on_shards_resumes_bit_for_bit(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "default_memory_limit", lambda: 0)
    states = []
    for name, steps in (("whole", (4,)), ("parts", (2, 4))):
        for number, goal in enumerate(steps):
            given = {
                "data": str(packed),
                "images": 8 * goal,
                "batch": 8,
                "width": 8,
                "snapshots": 1,
                "resume": number > 0,
            }
            settings, config = settings_from(GAN, tmp_path / name, **given)
            states.append(train(GAN, settings=settings, family_config=config, quiet=True).model.game.state_dict())
    assert all(torch.equal(states[0][key], states[2][key]) for key in states[0])


@pytest.fixture
def server(packed, tmp_path, monkeypatch):
    """The shards behind http://, and an empty cache."""
    pytest.importorskip("webdataset", reason="shards from the net need the extra 'shards'")
    if shutil.which("curl") is None:
        pytest.skip("webdataset reads http with curl")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    root = tmp_path / "served"
    shutil.copytree(packed, root)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root)) as running:
        running.handle_error = lambda *_: None  # a client may hang up
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"shards:http://127.0.0.1:{running.server_port}/{{000000..000007}}.tar", root
        running.shutdown()


def test_tars_from_the_net_are_fetched_when_their_turn_comes(server, packed, tmp_path, monkeypatch):
    spec, root = server
    opened = open_pictures(spec, memory_limit=0)
    cache = tmp_path / "cache"
    assert list(cache.rglob("*.tar")) == [], "the index is enough to open"
    assert opened.hash == open_pictures(str(packed)).hash
    rows = np.array([0, 1])
    assert torch.equal(opened.fetch(rows)[0], open_pictures(str(packed)).fetch(rows)[0])
    assert [path.name for path in cache.rglob("*.tar")] == ["000000.tar"]
    opened.source.files.limit = 3 * (root / "000000.tar").stat().st_size
    opened.fetch(np.arange(len(opened)))
    assert 1 <= len(list(cache.rglob("*.tar"))) <= 3
    assert open_pictures(f"{spec}[0:4]").fetch(np.arange(4))[0].shape == (4, 3, 16, 16)


def test_a_tar_that_is_not_the_indexed_one_is_refused(server):
    spec, root = server
    content = bytearray((root / "000000.tar").read_bytes())
    content[600] ^= 1
    (root / "000000.tar").write_bytes(content)
    (root / "000001.tar").unlink()
    opened = open_pictures(spec, memory_limit=0)
    with pytest.raises(DataError, match="is not the file that"):
        opened.fetch(np.array([0]))
    with pytest.raises(DataError, match="cannot be fetched"):
        opened.fetch(np.array([8]))
    with (root / "000002.tar").open("ab") as file:
        file.write(bytes(4 << 20))
    with pytest.raises(DataError, match="is larger than the"):
        opened.fetch(np.array([16]))
    assert not list(opened.source.files.cache.iterdir()), "nothing of what was refused stays"


def test_what_cannot_be_shards_is_said(tmp_path):
    for spec, message in (
        (f"shards:{tmp_path}/{{0..3}}.tar", "There is no file .* and 3 more"),
        (f"shards:{tmp_path}", "no .tar files"),
        ("shards:pipe:echo hello", "is no address"),
        ("shards:https://host/$(reboot).tar", "is no address"),
    ):
        with pytest.raises(DataError, match=message):
            open_pictures(spec)
    (tmp_path / "bad.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(DataError, match="cannot be read as a tar"):
        open_pictures(f"shards:{tmp_path}/bad.tar")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(DataError, match="has no pictures"):
        open_pictures(f"shards:{tmp_path}/empty.tar")
    (tmp_path / tars.INDEX).write_bytes(b"damaged")
    with pytest.raises(DataError, match="is damaged"):
        open_pictures(f"shards:{tmp_path}/empty.tar")


def test_every_page_of_a_file_in_a_tar_is_a_picture(tmp_path):
    """As in folders and zips: stacks of others' tars are not read as their first page; packing writes each page by itself."""
    scans = [Image.fromarray((np.arange(256).reshape(16, 16) * 8 + n).astype(np.uint16)) for n in range(12)]
    frames = [Image.fromarray(np.full((16, 16), 20 * n, np.uint8)) for n in range(1, 9)]
    scans[0].save(tmp_path / "a.tif", save_all=True, append_images=scans[1:])
    frames[0].save(tmp_path / "b.gif", save_all=True, append_images=frames[1:])
    frames[3].save(tmp_path / "c.png")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for name, label in (("a.tif", 1), ("b.gif", 0), ("c.png", 1)):
            archive.add(tmp_path / name, name)
            info = tarfile.TarInfo(name[0] + ".cls")
            info.size = 1
            archive.addfile(info, io.BytesIO(str(label).encode()))
    source = open_source(f"shards:{tmp_path}/set.tar")
    assert len(source) == 12 + 8 + 1
    assert source.names[2] == "set.tar/a.tif#2"
    assert source.labels.tolist() == [1] * 12 + [0] * 8 + [1]
    assert "20 pictures are pages or frames of 2 file(s) of set.tar" in source.notes[0]
    assert all(np.array_equal(source.deep(n)[..., 0], np.asarray(scan)) for n, scan in enumerate(scans))
    assert [int(np.asarray(source.picture(12 + n).convert("L"))[0, 0]) for n in range(8)] == [
        20 * n for n in range(1, 9)
    ]
    assert len({source.header(n).digest for n in range(len(source))}) == len(source)
    made = pack(f"shards:{tmp_path}/set.tar", tmp_path / "packed")
    assert made.pictures == 21
    again = open_source(f"shards:{tmp_path}/packed")
    values = {(again.deep(n)[..., 0].tobytes(), int(again.labels[n])) for n in range(21) if again.header(n).bits > 8}
    assert values == {(np.asarray(scan).tobytes(), 1) for scan in scans}
