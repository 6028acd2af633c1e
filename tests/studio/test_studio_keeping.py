"""What the studio keeps for people: tags, thumbnails, favourites, sets renamed, deleted and cleaned, and what comes back."""

from __future__ import annotations

import io
import json
import os
import time

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.game import ImageSpec

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

from gansmith.data.formats import EXTENSIONS
from gansmith.studio import api_runs, playground, worker
from gansmith.studio.app import create_app
from gansmith.studio.jobs import Jobs
from gansmith.studio.repairs import Repairs
from helpers.studio import BASE, SAFE, body, make_run, save_picture, zipped

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    for name in ("one", "two"):
        make_run(
            root / "runs" / name, "dcgan", ImageSpec(16, 16, 1, 2, ("a", "b")), width=4, latent_dim=8, conditional=True
        )
    return root


@pytest.fixture(scope="module")
def client(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Jobs, "ensure_worker", lambda self: None)
        patch.setattr(Repairs, "ensure_repairer", lambda self, warm=False: None)
        with TestClient(create_app(place, warm_up=False), base_url=BASE, headers=SAFE) as made:
            yield made


def rows(client) -> dict[str, dict]:
    return {row["id"]: row for row in body(client.get("/api/runs"))}


# --- runs -------------------------------------------------------------------------------------------------------------


def test_tags_go_where_the_run_goes(client):
    body(client.post("/api/run/tags", json={"ids": ["runs/one", "runs/two"], "add": ["good", "for the talk"]}))
    body(client.post("/api/run/tags", json={"ids": ["runs/two"], "remove": ["good"]}))
    assert (rows(client)["runs/one"]["tags"], rows(client)["runs/two"]["tags"]) == (
        ["good", "for the talk"],
        ["for the talk"],
    )
    body(client.post("/api/run/rename", json={"id": "runs/one", "name": "first"}))
    assert rows(client)["runs/first"]["tags"] == ["good", "for the talk"]
    body(client.post("/api/run/rename", json={"id": "runs/first", "name": "one"}))
    for wrong in ({"add": ["../x"]}, {"add": ["x" * 80]}, {"add": [f"t{i}" for i in range(9)]}, {"ids": ["runs/none"]}):
        asked = {"ids": ["runs/one"], "add": ["fine"]} | wrong
        assert 400 <= client.post("/api/run/tags", json=asked).status_code < 500


def test_odd_tags_files_hide_no_run(client, place):
    for odd in ("{", '{"a": 1}', "[" * 10_000):
        (place / "runs" / "two" / "tags.json").write_text(odd)
        assert rows(client)["runs/two"]["tags"] == []
    (place / "runs" / "two" / "tags.json").unlink()


def test_the_oldest_thumbnails_go(tmp_path, monkeypatch):
    monkeypatch.setattr(api_runs, "MOST_THUMBS", 20)
    for number in range(21):
        file = tmp_path / f"{number}.jpg"
        file.touch()
        os.utime(file, (number, number))
    api_runs._prune_thumbs(tmp_path)
    assert {int(file.stem) for file in tmp_path.iterdir()} == set(range(3, 21))
    api_runs._prune_thumbs(tmp_path)
    assert len(list(tmp_path.iterdir())) == 18


def test_thumbnails_are_small_and_drawn_once(client, place):
    grid = place / "runs" / "one" / "samples" / "0000000040.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 480, 3), np.uint8)).save(grid)
    answer = client.get("/api/run/thumb", params={"id": "runs/one", "grid": grid.name})
    assert answer.headers["content-type"] == "image/jpeg"
    assert len(answer.content) < 8000 < grid.stat().st_size / 10
    assert Image.open(io.BytesIO(answer.content)).size == (96, 96)
    made = list((place / ".gansmith" / "studio" / "thumbs").glob("*.jpg"))
    assert client.get("/api/run/thumb", params={"id": "runs/one"}).content == answer.content
    assert list((place / ".gansmith" / "studio" / "thumbs").glob("*.jpg")) == made
    Image.new("L", (480, 480), 255).save(grid)
    assert client.get("/api/run/thumb", params={"id": "runs/one"}).content != answer.content
    assert client.get("/api/run/thumb", params={"id": "runs/none"}).status_code == 404


def test_a_list_that_has_not_changed_is_not_sent_again(client):
    first = client.get("/api/runs")
    again = client.get("/api/runs", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_two_hundred_runs_are_listed_in_little_time_and_few_bytes(tmp_path):
    """What the page loads before its pictures: the list, packed."""
    first = make_run(tmp_path / "runs" / "r000", "dcgan", ImageSpec(16, 16, 1), width=4, latent_dim=8)
    config = (first / "config.yaml").read_text()
    log = (first / "log.jsonl").read_text()
    for number in range(1, 200):
        root = tmp_path / "runs" / f"r{number:03d}"
        (root / "samples").mkdir(parents=True)
        (root / "config.yaml").write_text(config)
        (root / "log.jsonl").write_text(log)
        (root / "samples" / "0000000040.png").write_bytes((first / "samples" / "0000000040.png").read_bytes())
    with TestClient(create_app(tmp_path, warm_up=False), base_url=BASE, headers=SAFE) as made:
        assert len(body(made.get("/api/runs"))) == 200
        started = time.process_time()
        answer = made.get("/api/runs", headers={"Accept-Encoding": "gzip"})
        seconds = time.process_time() - started
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 30_000
    print(f"a list of 200 runs takes {1000 * seconds:.0f} ms")
    assert seconds < 0.6


def test_the_samples_of_translations_have_columns(client, place):
    assert body(client.get("/api/run", params={"id": "runs/one"}))["columns"] == []
    make_run(place / "runs" / "holes", "inpaint", ImageSpec(32, 32, 3), width=8)
    assert body(client.get("/api/run", params={"id": "runs/holes"}))["columns"] == ["given", "made", "true"] * 2
    settings = {"width": 4, "blocks": 1, "width_discriminator": 8, "identity": 0.0}
    make_run(place / "runs" / "both", "cyclegan", ImageSpec(32, 32, 3), **settings)
    assert body(client.get("/api/run", params={"id": "runs/both"}))["columns"] == ["a", "ab", "aba", "b", "ba", "bab"]


# --- favourites -------------------------------------------------------------------------------------------------------


def test_favourites_are_kept_with_the_workspace(client, place):
    liked = {"seed": 7, "label": "1", "truncation": 0.7}
    for row in (liked, liked | {"seed": 9}, liked):
        body(client.post("/api/play/like", json={"model": "runs/one"} | row))
    assert body(client.get("/api/play/favourites", params={"model": "runs/one"})) == [liked, liked | {"seed": 9}]
    assert body(client.get("/api/play/favourites", params={"model": "runs/two"})) == []
    body(client.post("/api/run/rename", json={"id": "runs/one", "name": "other"}))
    assert len(body(client.get("/api/play/favourites", params={"model": "runs/other"}))) == 2
    body(client.post("/api/run/rename", json={"id": "runs/other", "name": "one"}))
    body(client.post("/api/play/unlike", json={"model": "runs/one"} | liked))
    assert body(client.get("/api/play/favourites", params={"model": "runs/one"})) == [liked | {"seed": 9}]
    for wrong in ({"seed": -1}, {"truncation": "x"}, {"model": "../x"}):
        assert 400 <= client.post("/api/play/like", json={"model": "runs/one"} | liked | wrong).status_code < 500
    (place / ".gansmith" / "studio" / "favourites.json").write_text('{"runs/one": 3}')
    assert body(client.get("/api/play/favourites", params={"model": "runs/one"})) == []


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(place):
    folder = place / "data" / "mixed"
    (folder / "sub").mkdir(parents=True)
    for i in range(20):
        save_picture(folder / "sub" / f"{i}.png", i)
    (folder / "sub" / "copy.png").write_bytes((folder / "sub" / "2.png").read_bytes())
    (folder / "cut.png").write_bytes((folder / "sub" / "1.png").read_bytes()[:200])
    yield folder
    import shutil

    shutil.rmtree(place / "data", ignore_errors=True)
    shutil.rmtree(place / ".gansmith" / "trash", ignore_errors=True)


def checked(client, spec: str) -> dict:
    key = body(client.post("/api/data/check", json={"spec": spec}))["id"]
    end = time.monotonic() + 30
    while not (found := body(client.get("/api/data/check", params={"id": key})))["report"]:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found["report"] | {"key": key}


def test_broken_files_and_duplicates_are_taken_out_and_come_back(client, mixed):
    before = {file.relative_to(mixed) for file in mixed.rglob("*.png")}
    report = checked(client, "data/mixed")
    assert (report["broken_count"], report["twice_count"], report["own"]) == (1, 1, True)
    gone = body(client.post("/api/data/exclude", json={"id": report["key"], "what": ["broken", "duplicates"]}))
    assert gone["count"] == 2
    left = checked(client, "data/mixed")
    assert (left["broken_count"], left["twice_count"], left["pictures"]) == (0, 0, 20)
    (kept,) = [row for row in body(client.get("/api/trash")) if row["kind"] == "files"]
    assert kept["run"] == "data/mixed"
    body(client.post("/api/trash/restore", json={"id": kept["id"]}))
    assert {file.relative_to(mixed) for file in mixed.rglob("*.png")} == before
    assert client.post("/api/data/exclude", json={"id": left["key"], "what": ["broken"]}).status_code == 404


def test_nothing_is_taken_out_of_what_is_no_folder_here(client, place, mixed):
    (place / "data" / "a.zip").write_bytes(zipped(a__png=(mixed / "sub" / "1.png").read_bytes()))
    for spec in ("mnist10k", "data/a.zip"):
        report = checked(client, spec)
        assert not report["own"]
        answer = client.post("/api/data/exclude", json={"id": report["key"], "what": ["duplicates"]})
        assert answer.status_code == 400


def test_sets_are_renamed_and_deleted_and_come_back(client, place, mixed):
    assert body(client.post("/api/data/rename", json={"set": "data/mixed", "name": "all of them"})) == {
        "set": "data/all of them"
    }
    gone = body(client.post("/api/data/delete", json={"set": "data/all of them"}))["trash"]
    assert not (place / "data" / "all of them").exists()
    assert [row["kind"] for row in body(client.get("/api/trash"))] == ["set"]
    body(client.post("/api/trash/restore", json={"id": gone}))
    assert (place / "data" / "all of them" / "cut.png").is_file()
    (place / "data" / "a.zip").write_bytes(b"x")
    assert body(client.post("/api/data/rename", json={"set": "data/a.zip", "name": "b"})) == {"set": "data/b.zip"}
    for wrong in ("data", "runs/one", "..", "data/none", "data/all of them/sub", "mnist10k"):
        for path, more in (("/api/data/delete", {}), ("/api/data/rename", {"name": "x"})):
            assert 400 <= client.post(path, json={"set": wrong} | more).status_code < 500, (path, wrong)
    assert (place / "runs" / "one").is_dir()


def test_a_set_that_is_trained_on_stays(client, mixed):
    made = client.app.app.state.studio
    asked = {"name": "gan", "data": ["data/mixed"], "goal": "steps", "amount": 2, "run": {"size": 16}}
    job = body(client.post("/api/train", json=asked))["job"]
    answer = client.post("/api/data/delete", json={"set": "data/mixed"})
    assert answer.status_code == 409
    assert "trained on" in answer.json()["error"]
    worker.write_json(made.jobs.folder / job / "state.json", {"status": "done", "ended": 1.0})
    body(client.post("/api/data/delete", json={"set": "data/mixed"}))


def test_the_page_takes_the_files_that_the_package_reads():
    import re
    from pathlib import Path

    text = (Path(playground.__file__).parent / "static" / "js" / "files.js").read_text("utf-8")
    pattern = re.compile(re.search(r"PICTURE = /(.*)/i;", text)[1], re.IGNORECASE)
    assert [ending for ending in sorted(EXTENSIONS) if not pattern.search(f"a{ending}")] == []
    assert not pattern.search("a.txt")
    assert not pattern.search("a.pkl")


def test_every_answer_to_a_page_is_packed(client):
    answer = client.get("/static/js/dom.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(client.get("/words/en.json").content)["frame.runs"] == "Runs"
