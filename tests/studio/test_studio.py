"""The studio's server: confinement, guard, queue, every page's requests, and 200 malformed uploads."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith import registry
from gansmith.commands import studio as command
from gansmith.errors import GansmithError, MissingExtra
from gansmith.game import ImageSpec
from gansmith.models import bundle

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

from gansmith.studio import forms, logs, playground, repairer, uploads, worker
from gansmith.studio.app import create_app
from gansmith.studio.errors import Refused
from gansmith.studio.repairs import Repairs
from gansmith.studio.workspace import Workspace
from helpers.studio import BASE, SAFE, body, make_run, png_bytes, save_picture, small_stylegan, tiles, zipped

torch.set_num_threads(1)  # nets this small, and other tests beside this one


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    make_run(
        root / "runs" / "digits",
        "dcgan",
        ImageSpec(16, 16, 1, 3, ("a", "b", "c")),
        width=4,
        latent_dim=8,
        conditional=True,
    )
    make_run(root / "runs" / "styles", "stylegan2", ImageSpec(16, 16, 1), **small_stylegan())
    make_run(root / "runs" / "holes", "inpaint", ImageSpec(32, 32, 3), width=8)
    folder = root / "data" / "mixed"
    folder.mkdir(parents=True)
    for i in range(6):
        save_picture(folder / f"{i}.png", i)
    (folder / "copy.png").write_bytes((folder / "2.png").read_bytes())
    (root / "secret.txt").write_text("secret")
    (root.parent / "outside.txt").write_text("outside")
    return root


@pytest.fixture(scope="module")
def client(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Repairs, "ensure_repairer", lambda self, warm=False: None)  # they are done in this process
        yield from _client(place)


def _client(place):
    with TestClient(create_app(place, warm_up=False), base_url=BASE, headers=SAFE) as made:
        yield made


# --- confinement ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "../outside.txt",
        "/etc/passwd",
        "runs/../../outside.txt",
        "~/x",
        ".gansmith/studio",
        "a\\b",
        "",
        "a\0b",
        "data/../.git",
        "x" * 2000,
    ],
)
def test_paths_stay_in_the_workspace(place, text):
    with pytest.raises(Refused):
        Workspace(place).inside(text)


def test_links_out_of_the_workspace_are_refused(tmp_path):
    root = tmp_path / "w"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "circle").symlink_to(root / "circle")
    for name in ("link", "link/x", "circle"):
        with pytest.raises(Refused):
            Workspace(root).inside(name)


def test_data_specs(place):
    work = Workspace(place)
    assert work.data_spec("mnist10k") == "mnist10k"
    assert work.data_spec("mnist10k[:100]") == "mnist10k[:100]"
    assert work.data_spec("hf-stream:someone/pictures:train") == "hf-stream:someone/pictures:train"
    for address in ("shards:http://169.254.169.254/{0..9}.tar", "parquet:http://169.254.169.254/a.parquet"):
        with pytest.raises(Refused):
            work.data_spec(address)
    assert work.data_spec("data/mixed[0:3]") == "data/mixed[0:3]"
    assert work.absolute_spec("data/mixed[0:3]") == f"{place}/data/mixed[0:3]"
    (place / "model.pth").write_bytes(b"x")
    for wrong in ("/etc", "../x", "nothing/here", "model.pth", "data/../../x"):
        with pytest.raises(Refused):
            work.data_spec(wrong)


@pytest.mark.parametrize(
    "name",
    [
        "../config.yaml",
        "config.yaml",
        "log.jsonl",
        "samples/../config.yaml",
        "model/config.json",
        "samples/x.png",
        "/etc/passwd",
    ],
)
def test_only_pictures_of_runs_are_served(client, name):
    assert client.get("/api/run/file", params={"id": "runs/digits", "name": name}).status_code == 404


def test_static_files_do_not_leak(client):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"):
        assert client.get(path).status_code == 404


# --- the guard --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "localhost.evil.example:7860", "", "[::1", "127.0.0.1:x"],
)
def test_other_hosts_are_refused(client, host):
    assert client.get("/api/runs", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "LOCALHOST:7860"])
def test_this_machine_is_served(client, host):
    assert client.get("/api/about", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Gansmith": ""},
    ],
)
def test_requests_from_elsewhere_change_nothing(client, place, headers):
    answer = client.post("/api/run/delete", json={"id": "runs/digits"}, headers=headers)
    assert answer.status_code == 403
    assert (place / "runs" / "digits").is_dir()


def test_other_methods_and_cross_origin_reads_are_not_allowed(client):
    assert client.put("/api/train").status_code == 405
    assert client.request("OPTIONS", "/api/train", headers={"Origin": "http://evil.example"}).status_code == 405
    answer = client.get("/api/about", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_has_the_security_headers(client):
    for path in ("/", "/api/about", "/nothing", "/static/js/main.js"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_asks_nothing_of_the_network(client):
    static = Path(playground.__file__).parent / "static"
    for file in static.rglob("*"):
        if file.suffix in (".html", ".js", ".css"):
            text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in text, file
            assert "https://" not in text, file
            assert "innerHTML" not in text, file


def test_a_password_guards_everything(place):
    app = create_app(place, host="0.0.0.0", port=7860, password="forge", warm_up=False)
    with TestClient(app, base_url="http://192.0.2.7:7860", headers=SAFE, follow_redirects=False) as outside:
        assert outside.get("/api/runs").status_code == 401
        assert outside.get("/").headers["location"] == "/login"
        assert outside.get("/login").status_code == 200
        assert outside.post("/api/upload/picture", content=b"x").status_code == 401
        assert outside.get("/api/runs", headers={"Host": "rebound.example:7860"}).status_code == 421
        assert outside.post("/api/login", json={"password": "wrong"}).status_code == 401
        assert outside.post("/api/login", content=b"\xff{").status_code == 401
        answer = outside.post("/api/login", json={"password": "forge"})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert outside.get("/api/runs").status_code == 200


def test_beyond_loopback_needs_a_password(monkeypatch, tmp_path):
    monkeypatch.delenv(command.PASSWORD_VARIABLE, raising=False)
    with pytest.raises(GansmithError, match="--password"):
        command.main([str(tmp_path), "--host", "0.0.0.0"])


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"gansmith\[studio\]"):
        command.main([str(tmp_path)])


def test_a_taken_port_is_named():
    first = command.listen("127.0.0.1", 0)
    with pytest.raises(GansmithError, match="--port"):
        command.listen("127.0.0.1", first.getsockname()[1])
    first.close()


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_objects(client, content):
    assert client.post("/api/run/rename", content=content).status_code == 400


def test_large_bodies_are_cut_off(client):
    assert client.post("/api/run/rename", content=b" " * (9 << 20)).status_code == 413

    def endless():
        for _ in range(200):
            yield b" " * (1 << 16)

    assert client.post("/api/run/rename", content=endless()).status_code == 413


# --- forms and training -----------------------------------------------------------------------------------------------


def test_every_setting_of_every_family_has_help(client):
    for row in body(client.get("/api/families")):
        found = body(client.get("/api/family", params={"name": row["name"]}))
        assert found["family"]
        for field in found["family"] + found["run"]:
            assert field["help"], f"{row['name']}: {field['name']}"
            assert field["kind"] in ("integer", "number", "switch", "choice", "list", "text")
            if field["kind"] == "choice":
                assert field["default"] in field["choices"]


def test_a_familys_own_settings_come_first():
    rows = forms.fields(registry.family("dcgan").Config)
    assert rows[0]["name"] == "width"
    assert [row["own"] for row in rows] == sorted((row["own"] for row in rows), reverse=True)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "nothing"},
        {"name": "os.path"},
        {"data": ["/etc"]},
        {"data": []},
        {"data": ["mnist10k", "mnist10k"]},
        {"goal": "years"},
        {"amount": -1},
        {"amount": "soon"},
        {"family": {"widht": 3}},
        {"family": {"width": "x"}},
        {"family": []},
        {"run": {"accumulate": 0}},
        {"run": {"init": "/etc/passwd"}},
        {"run": {"init": "../other"}},
        {"run": {"init": "weights.pkl"}},
        {"called": "../x"},
        {"called": "digits"},
        {"name": "cyclegan"},
    ],
)
def test_wrong_trainings_are_refused_with_words(client, change):
    asked = {"name": "gan", "data": ["mnist10k"], "goal": "steps", "amount": 2, "called": ""} | change
    answer = client.post("/api/train", json=asked)
    assert 400 <= answer.status_code < 500, answer.text
    assert len(answer.json()["error"]) > 15
    assert not body(client.get("/api/jobs"))


def wait_for(client, job: str, states: tuple[str, ...], seconds: float = 150) -> dict:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = next(j for j in body(client.get("/api/jobs")) if j["id"] == job)
        if found["status"] in states:
            return found
        time.sleep(0.3)
    raise AssertionError(f"{found}: {client.get('/api/jobs/console', params={'job': job}).text}")


@pytest.fixture
def trained_in(tmp_path, monkeypatch):
    """A workspace whose trainings end with the test, however it ends."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield tmp_path
    for job in tmp_path.glob(".gansmith/studio/jobs/*"):
        (job / "stop").touch()


def test_a_training_survives_the_studio_and_is_found_again(trained_in):
    """Start, close the studio, open it again: still running; stop, resume to the end; a broken one says why."""
    asked = {
        "name": "gan",
        "data": ["mnist10k"],
        "goal": "minutes",
        "amount": 30,
        "family": {"width": 8},
        "run": {"log_images": 64},
    }
    with TestClient(create_app(trained_in, warm_up=False), base_url=BASE, headers=SAFE) as first:
        answer = body(first.post("/api/train", json=asked | {"called": "long"}))
        assert answer["run"] == "runs/long"
        assert "--width 8" in answer["command"]
        assert "--data mnist10k" in answer["command"]
        waiting = body(first.post("/api/train", json=asked | {"called": "never"}))
        wait_for(first, answer["job"], ("running",))
        while not (trained_in / "runs/long/log.jsonl").exists():
            wait_for(first, answer["job"], ("running",))
            time.sleep(0.3)
        assert first.post("/api/run/delete", json={"id": "runs/long"}).status_code == 409
    with TestClient(create_app(trained_in, warm_up=False), base_url=BASE, headers=SAFE) as second:
        wait_for(second, answer["job"], ("running",))
        assert body(second.get("/api/runs"))[0]["status"] == "running"
        assert next(j for j in body(second.get("/api/jobs")) if j["id"] == waiting["job"])["status"] == "queued"
        second.post("/api/jobs/stop", json={"job": waiting["job"]})
        second.post("/api/jobs/stop", json={"job": answer["job"]})
        wait_for(second, answer["job"], ("stopped",))
        wait_for(second, waiting["job"], ("cancelled",))
        assert not (trained_in / "runs/never").exists()
        row = body(second.get("/api/runs"))[0]
        assert row["status"] == "stopped"
        assert row["has_model"]
        more = body(
            second.post("/api/resume", json={"run": "runs/long", "goal": "images", "amount": row["images"] + 256})
        )
        wait_for(second, more["job"], ("done",))
        assert body(second.get("/api/run", params={"id": "runs/long"}))["status"] == "finished"
        (trained_in / "empty").mkdir()
        failing = body(second.post("/api/train", json=asked | {"data": ["empty"], "called": "failing"}))
        found = wait_for(second, failing["job"], ("failed",))
        assert body(second.get("/api/run/log", params={"id": "runs/failing"}))["waiting"]["reason"] == found["reason"]
        assert "empty" in found["reason"]
        for job in body(second.get("/api/jobs")):
            body(second.post("/api/jobs/forget", json={"job": job["id"]}))
        assert body(second.get("/api/jobs")) == []


def test_a_process_with_a_recycled_number_is_no_training():
    assert not worker.training_lives({"pid": os.getpid(), "started": time.time()})
    assert not worker.training_lives({"pid": 2**22 + 1, "started": 0})
    assert not worker.training_lives({})


@pytest.mark.parametrize("job", ["../..", "1", "", "0" * 20, "²"])
def test_unknown_jobs(client, job):
    assert client.post("/api/jobs/stop", json={"job": job}).status_code == 404


# --- runs -------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_and_read(client):
    rows = {row["id"]: row for row in body(client.get("/api/runs"))}
    assert set(rows) == {"runs/digits", "runs/styles", "runs/holes"}
    row = rows["runs/digits"]
    assert (row["family"], row["images"], row["progress"], row["status"], row["has_model"]) == (
        "dcgan",
        40,
        1.0,
        "finished",
        True,
    )
    found = body(client.get("/api/run", params={"id": "runs/digits"}))
    assert found["grids"] == [8, 40]
    assert found["settings"]["width"] == 4
    picture = client.get("/api/run/file", params={"id": "runs/digits", "name": "samples/0000000040.png"})
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).getpixel((0, 0)) == 40


def test_a_log_is_read_from_where_it_was(tmp_path):
    path = tmp_path / "log.jsonl"
    line = lambda n: json.dumps({"images": n, "loss/generator": float("nan") if n == 2 else 0.5}) + "\n"
    path.write_text(line(1) + line(2) + '{"images": 3, "lo')
    reader = logs.Logs()
    first = reader.since(tmp_path, -1, 0)
    assert [r["images"] for r in first["records"]] == [1, 2]
    assert first["records"][1]["loss/generator"] is None  # JSON in a browser has no NaN
    with path.open("a") as file:
        file.write('ss": 1}\n' + line(4))
    second = reader.since(tmp_path, first["generation"], first["total"])
    assert [r["images"] for r in second["records"]] == [3, 4]
    assert not second["whole"]
    path.write_text(line(1))  # a resumed run forgets what came after its checkpoint
    third = reader.since(tmp_path, second["generation"], second["total"])
    assert third["whole"]
    assert [r["images"] for r in third["records"]] == [1]


def test_long_logs_are_thinned_and_cheap(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"images": n}) + "\n" for n in range(15_000)))
    reader = logs.Logs()
    found = reader.since(tmp_path, -1, 0)
    assert len(found["records"]) <= logs.SENT
    assert found["records"][-1]["images"] == 14_999
    tail = reader.tail(tmp_path)
    offset = tail._offset
    with path.open("a") as file:
        file.write('{"images": 15000}\n')
    started = time.perf_counter()
    assert len(reader.since(tmp_path, found["generation"], found["total"])["records"]) == 1
    assert time.perf_counter() - started < 0.1
    assert tail._offset - offset == 18


def test_rename_delete_and_restore(client, place):
    make_run(place / "runs" / "moving", "dcgan", ImageSpec(16, 16, 1), width=4, latent_dim=8)
    for wrong in ("", "../x", "a/b", "digits", ".hidden", "x" * 80, "con"):
        assert 400 <= client.post("/api/run/rename", json={"id": "runs/moving", "name": wrong}).status_code < 500
    assert body(client.post("/api/run/rename", json={"id": "runs/moving", "name": "moved it"})) == {
        "id": "runs/moved it"
    }
    gone = body(client.post("/api/run/delete", json={"id": "runs/moved it"}))["trash"]
    assert not (place / "runs" / "moved it").exists()
    assert [row["run"] for row in body(client.get("/api/trash"))] == ["runs/moved it"]
    assert body(client.post("/api/trash/restore", json={"id": gone})) == {"id": "runs/moved it"}
    assert (place / "runs" / "moved it" / "config.yaml").is_file()
    assert client.post("/api/trash/restore", json={"id": "../runs"}).status_code == 404
    body(client.post("/api/run/delete", json={"id": "runs/moved it"}))
    body(client.post("/api/trash/empty", json={}))
    assert body(client.get("/api/trash")) == []
    for wrong in ("", ".", "runs", "..", "data/mixed"):
        assert 400 <= client.post("/api/run/delete", json={"id": wrong}).status_code < 500
    assert (place / "runs" / "digits").is_dir()


def test_a_damaged_run_does_not_hide_the_others(client, place):
    broken = place / "runs" / "broken"
    broken.mkdir()
    (broken / "config.yaml").write_text("family: [")
    assert "runs/digits" in {row["id"] for row in body(client.get("/api/runs"))}
    assert client.get("/api/run", params={"id": "runs/broken"}).status_code == 422
    (broken / "config.yaml").unlink()
    broken.rmdir()


# --- play -------------------------------------------------------------------------------------------------------------


def test_pictures_are_those_of_the_model(client, place):
    asked = {
        "model": "runs/digits",
        "recipes": [{"seed": 5}, {"seed": 9}, {"seed": 2}],
        "columns": 2,
        "label": "each",
        "first": 1,
    }
    found = tiles(client.post("/api/play/pictures", json=asked))
    model = bundle.load(place / "runs" / "digits")
    for picture, seed, label in zip(found, (5, 9, 2), (1, 2, 0), strict=True):
        np.testing.assert_allclose(picture.astype(int), model.sample(1, seed, label)[0, ..., 0].astype(int), atol=1)


def test_the_way_between_two_pictures_begins_and_ends_there(client):
    recipes = [
        {"seed": 1},
        {"from": 1, "to": 2, "t": 0},
        {"from": 1, "to": 2, "t": 0.5},
        {"from": 1, "to": 2, "t": 1},
        {"seed": 2},
        {"seed": 1, "x": 0, "y": 0},
        {"seed": 1, "x": 1, "y": 0},
    ]
    found = tiles(
        client.post("/api/play/pictures", json={"model": "runs/digits", "recipes": recipes, "label": "1"})
    ).astype(int)
    assert abs(found[0] - found[1]).max() <= 1
    assert abs(found[3] - found[4]).max() <= 1
    assert abs(found[0] - found[5]).max() <= 1
    assert abs(found[2] - found[0]).max() > 1
    assert abs(found[6] - found[0]).max() > 1


@pytest.mark.parametrize(
    "change",
    [
        {"model": "runs/none"},
        {"model": "../x"},
        {"model": 3},
        {"recipes": []},
        {"recipes": [{}]},
        {"recipes": [{"seed": -1}]},
        {"recipes": [{"seed": 1.5}]},
        {"recipes": [{"seed": 2**40}]},
        {"recipes": ["x"]},
        {"recipes": [{"seed": 1}] * 101},
        {"recipes": [{"seed": 1, "x": 1e9}]},
        {"recipes": [{"from": 1, "to": 2, "t": 2}]},
        {"truncation": "high"},
        {"truncation": True},
        {"label": "zebra"},
        {"columns": 0},
    ],
)
def test_wrong_requests_for_pictures(client, change):
    answer = client.post("/api/play/pictures", json={"model": "runs/digits", "recipes": [{"seed": 1}]} | change)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]


def test_style_mixing(client):
    assert body(client.get("/api/model", params={"model": "runs/digits"}))["styles"] == 0
    layers = body(client.get("/api/model", params={"model": "runs/styles"}))["styles"]
    assert layers > 2
    asked = {"model": "runs/styles", "rows": [1, 2], "columns": [3, 4, 5]}
    for layer, equal in ((layers, "row"), (0, "column")):
        found = tiles(client.post("/api/play/mix", json=asked | {"layer": layer})).astype(int).reshape(3, 4, 16, 16)
        for r in (1, 2):
            for c in (1, 2, 3):
                source = found[r, 0] if equal == "row" else found[0, c]
                assert abs(found[r, c] - source).max() <= 1
    assert client.post("/api/play/mix", json=asked | {"model": "runs/digits", "layer": 1}).status_code == 400
    assert client.post("/api/play/mix", json=asked | {"layer": 1, "rows": [True]}).status_code == 400


def test_videos(client):
    for what in ({"what": "between", "from": 1, "to": 2}, {"what": "walk", "tiles": 1, "seed": 3}):
        answer = client.post(
            "/api/play/video",
            json={"model": "runs/digits", "seconds": 1, "fps": 5, "format": "gif", "label": "0"} | what,
        )
        assert answer.status_code == 200, answer.text
        assert Image.open(io.BytesIO(answer.content)).n_frames >= 2


def test_a_newer_model_replaces_the_one_in_memory(client, place):
    asked = {"model": "runs/digits", "recipes": [{"seed": 5}], "label": "0"}
    old = tiles(client.post("/api/play/pictures", json=asked))
    model = bundle.load(place / "runs" / "digits")
    with torch.no_grad():
        for parameter in model.game.parameters():
            parameter.mul_(0.5)
    model.save(place / "runs" / "digits" / "model")
    os.utime(place / "runs" / "digits" / "model" / "config.json", (2e9, 2e9))
    assert (tiles(client.post("/api/play/pictures", json=asked)) != old).any()


# --- repair -----------------------------------------------------------------------------------------------------------


def painted() -> tuple[np.ndarray, bytes]:
    """What is painted over a picture of 48x40, uint8 [H, W, 4], and how the page sends it."""
    paint = np.zeros((40, 48, 4), np.uint8)
    paint[10:20, 12:30] = 255
    return paint, png_bytes(paint)


def put(client, picture: bytes, name: str = "a.png", **more) -> dict:
    """Upload a picture for a repair."""
    return body(client.post("/api/upload/picture", params={"name": name} | more, content=picture))


def repair(client, model: str, picture: np.ndarray, mask: bytes | None = None, name: str = "a.png", **more) -> dict:
    """Upload, paint, start, and let the repairer do it here."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "TIFF" if name.endswith(".tif") else "PNG")
    kept = put(client, content.getvalue(), name)
    if mask is not None:
        body(client.post("/api/upload/mask", params={"job": kept["job"]}, content=mask))
    body(client.post("/api/repair/start", json={"model": model, "job": kept["job"]} | more))
    studio = client.app.app.state.studio
    repairer.Repairer(studio.workspace).run(studio.repairs.of(kept["job"]))
    return body(client.get("/api/repair", params={"job": kept["job"]}))


def result(client, made: dict, number: int = 0) -> Image.Image:
    """A repair's result as it is saved."""
    assert made["status"] == "done", made
    asked = {"job": made["id"], "picture": number, "side": "result", "save": "1"}
    return Image.open(io.BytesIO(client.get("/api/repair/file", params=asked).content))


def test_only_the_painted_part_changes(client):
    picture = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
    paint, mask = painted()
    made = repair(client, "runs/holes", picture, mask)
    found = np.asarray(result(client, made))
    outside = paint[..., 3] == 0
    assert (found[outside] == picture[outside]).all()
    assert (found[~outside] != picture[~outside]).any()
    left, top, right, bottom = made["list"][0]["result"]["box"]
    assert 12 / 48 <= left < right <= 30 / 48  # where it changed, for the page's line
    assert 10 / 40 <= top < bottom <= 20 / 40
    for wrong in (png_bytes(paint[:20]), b"\x89PNG nothing", mask[:-40]):
        answer = client.post("/api/upload/mask", params={"job": put(client, png_bytes(picture))["job"]}, content=wrong)
        assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("name", ["scan.png", "scan.tif"])
def test_a_picture_of_16_bits_keeps_them_and_is_shown_as_it_looks(client, name):
    y, x = np.mgrid[:40, :48]
    picture = (80 * y + 7 * x).astype(np.uint16)  # 12 bits in a file of 16: black for every browser
    picture[13:17, 15:25] = 4000
    paint, mask = painted()
    made = repair(client, "runs/holes", picture, mask, name=name)
    found = np.asarray(result(client, made))
    outside = paint[..., 3] == 0
    assert found.dtype == np.uint16
    assert (found[outside] == picture[outside]).all()
    assert (found[~outside] != picture[~outside]).any()
    asked = {"job": made["id"], "picture": 0}
    before, after = (
        Image.open(io.BytesIO(client.get("/api/repair/file", params=asked | {"side": side}).content))
        for side in ("seen", "result")
    )
    assert before.mode == after.mode == "L"
    assert (np.asarray(before)[outside] == np.asarray(after)[outside]).all()
    assert np.asarray(after).max() > 200
    box = made["list"][0]["result"]["box"]
    assert 12 / 48 <= box[0] < box[2] <= 30 / 48
    small = Image.open(io.BytesIO(client.get("/api/repair/file", params=asked | {"side": "thumb"}).content))
    assert np.asarray(small.convert("L")).max() > 150


def test_a_repair_that_cannot_be_begun_says_why(client):
    kept = put(client, png_bytes(np.zeros((40, 48, 3), np.uint8)))
    for change in (
        {},  # nothing is painted
        {"job": "../../../secret"},
        {"job": "0" * 20},
        {"job": "1" * 300},
        {"model": "runs/digits"},
        {"direction": "up"},
    ):
        answer = client.post("/api/repair/start", json={"model": "runs/holes", "job": kept["job"]} | change)
        assert 400 <= answer.status_code < 500, change
        assert len(answer.json()["error"]) > 15
    assert body(client.get("/api/repair", params={"job": kept["job"]}))["status"] == "draft"
    assert kept["job"] not in {row["id"] for row in body(client.get("/api/repairs"))}


def test_what_was_painted_is_kept_and_can_be_taken_back(client):
    kept = put(client, png_bytes(np.zeros((40, 48, 3), np.uint8)))
    mask = {"job": kept["job"], "picture": 0}
    assert body(client.post("/api/upload/mask", params=mask, content=painted()[1])) == {"painted": True}
    assert client.get("/api/repair/file", params=mask | {"side": "mask"}).content == painted()[1]
    assert body(client.get("/api/repair", params=mask))["list"][0]["masked"]
    assert body(client.post("/api/upload/mask", params=mask, content=b"")) == {"painted": False}
    assert client.get("/api/repair/file", params=mask | {"side": "mask"}).status_code == 404
    empty = png_bytes(np.zeros((40, 48, 4), np.uint8))
    assert body(client.post("/api/upload/mask", params=mask, content=empty)) == {"painted": False}


def test_what_is_filled_in_a_picture_with_alpha_is_seen(client):
    picture = np.random.default_rng(0).integers(0, 255, (40, 48, 4), np.uint8)
    picture[..., 3] = np.where(np.arange(48) < 20, 255, 0)
    paint, mask = painted()
    found = np.asarray(result(client, repair(client, "runs/holes", picture, mask)))
    outside = paint[..., 3] == 0
    assert (found[outside] == picture[outside]).all()
    assert (found[~outside][:, 3] == 255).all()


def test_a_grey_model_that_repairs_keeps_colours_and_alpha(client, place):
    make_run(place / "runs" / "grey holes", "inpaint", ImageSpec(32, 32, 1), width=8)
    picture = np.random.default_rng(0).integers(0, 255, (40, 48, 4), np.uint8)
    paint, mask = painted()
    found = np.asarray(result(client, repair(client, "runs/grey holes", picture, mask)))
    outside = paint[..., 3] == 0
    assert np.array_equal(found[outside], picture[outside])


def test_both_ways_between_grey_and_colour(client, place):
    settings = {"width": 4, "blocks": 1, "width_discriminator": 8, "identity": 0.0}
    make_run(place / "runs" / "both", "cyclegan", ImageSpec(32, 32, 1, other_channels=3), **settings)
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    for direction, mode in (("ab", "RGB"), ("ba", "L")):
        assert result(client, repair(client, "runs/both", picture, direction=direction)).mode == mode
    families = {row["id"]: row["translates"] for row in body(client.get("/api/models"))}
    assert families["runs/both"]
    assert not families["runs/digits"]


def test_pictures_with_too_many_pixels_are_refused(client, monkeypatch):
    from gansmith.studio import api_repair

    monkeypatch.setattr(api_repair, "WORKED_PIXELS", 500)
    answer = client.post("/api/upload/picture", content=png_bytes(np.zeros((30, 30), np.uint8)))
    assert answer.status_code == 422
    assert "gansmith apply" in answer.json()["error"]


@pytest.fixture(scope="module")
def larger(place):
    """A model that enlarges."""
    return make_run(place / "runs" / "larger", "upscale", ImageSpec(32, 32, 3), width=8, blocks=1).name


def test_a_batch_keeps_names_kinds_and_what_was_in_the_files(client, larger):
    """Files of a folder, with one that is broken on the way: the others are done, and all come back in one zip."""
    noise = np.random.default_rng(1).integers(0, 255, (24, 30, 3), np.uint8)
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    Image.fromarray(noise).save(turned, "JPEG", exif=exif)
    tiff = io.BytesIO()
    Image.fromarray(noise).save(tiff, "TIFF")
    first = put(client, turned.getvalue(), "trip/1.jpg")
    assert (first["width"], first["height"]) == (24, 30)  # upright
    job = first["job"]
    assert put(client, png_bytes(noise), "trip/1.png", job=job)["picture"] == 1
    assert put(client, tiff.getvalue(), "trip/old/1.tif", job=job)["name"] == "trip/old/1.tif"
    assert put(client, png_bytes(noise[:20]), "TRIP/1.PNG", job=job)["picture"] == 3
    body(client.post("/api/repair/start", json={"model": f"runs/{larger}", "job": job}))
    studio = client.app.app.state.studio
    folder = studio.repairs.of(job)
    (folder / "in" / "trip" / "1.png").write_bytes(b"gone bad")
    repairer.Repairer(studio.workspace).run(folder)
    made = body(client.get("/api/repair", params={"job": job}))
    assert (made["status"], made["finished"], made["failed"]) == ("done", 3, 1)
    names = [picture["name"] for picture in made["list"]]
    assert names == ["trip/1.jpg", "trip/1.png", "trip/old/1.tif", "TRIP/1-2.PNG"]
    assert made["list"][1]["result"]["reason"]
    scale = body(client.get("/api/model", params={"model": f"runs/{larger}"}))["scale"]
    assert made["list"][0]["result"]["width"] == 24 * scale
    saved = result(client, made, 0)
    assert saved.format == "JPEG"
    assert saved.getexif()[0x010F] == "a camera"
    shown = client.get("/api/repair/file", params={"job": job, "picture": 2, "side": "result"})
    assert shown.headers["content-type"] == "image/png"  # browsers show no TIFF
    assert result(client, made, 2).format == "TIFF"
    packed = zipfile.ZipFile(io.BytesIO(client.get("/api/repair/zip", params={"job": job}).content))
    assert packed.namelist() == [names[0], names[2], names[3]]
    assert packed.testzip() is None
    assert body(client.get("/api/repairs"))[0]["id"] == job
    on = body(client.post("/api/repair/again", json={"job": job, "side": "out", "pictures": [3]}))
    assert (on["status"], on["list"][0]["width"]) == ("draft", 30 * scale)
    body(client.post("/api/repair/forget", json={"job": job}))
    assert not folder.exists()
    assert put(client, png_bytes(noise), job=on["id"])["picture"] == 1  # what was taken from it stays


def test_a_repair_tells_how_far_it_is_and_stops(client, larger, monkeypatch):
    """Tile after tile; a stop ends it at the next one, and what was done before can be gone on with."""
    from gansmith.apply import files

    def slow(game, upright, options, mask=None, progress=None):
        for done in range(1, 9):
            tiles.append(done)
            if done == 4:
                state = body(client.get("/api/repair", params={"job": job}))
                seen.append(state["progress"] | {"status": state["status"]})
                body(client.post("/api/repair/stop", json={"job": job}))
            progress(done, 8)
        return upright

    tiles: list[int] = []
    seen: list[dict] = []
    studio = client.app.app.state.studio
    job = put(client, png_bytes(np.zeros((16, 16, 3), np.uint8)))["job"]
    put(client, png_bytes(np.ones((16, 16, 3), np.uint8)), job=job)
    body(client.post("/api/repair/start", json={"model": f"runs/{larger}", "job": job}))
    assert body(client.get("/api/repair", params={"job": job}))["status"] == "queued"
    monkeypatch.setattr(files, "translate_image", slow)
    monkeypatch.setattr(repairer, "WRITE_SECONDS", 0.0)  # however quick the tiles are
    repairer.Repairer(studio.workspace).run(studio.repairs.of(job))
    assert tiles == [1, 2, 3, 4]
    assert seen[0]["status"] == "running"
    assert 0 < seen[0]["share"] < 0.5  # of two pictures, half of the first
    assert seen[0]["left"] is not None
    stopped = body(client.get("/api/repair", params={"job": job}))
    assert (stopped["status"], stopped["finished"]) == ("cancelled", 0)


def test_a_repair_goes_on_where_its_process_was_killed(client, larger, monkeypatch):
    studio = client.app.app.state.studio
    job = put(client, png_bytes(np.zeros((16, 16, 3), np.uint8)))["job"]
    put(client, png_bytes(np.ones((16, 16, 3), np.uint8)), job=job)
    body(client.post("/api/repair/start", json={"model": f"runs/{larger}", "job": job}))
    folder = studio.repairs.of(job)
    state = {"status": "running", "pid": 2**22 + 1, "updated": time.time(), "started": 1.0, "picture": 1, "seconds": 0}
    worker.write_json(folder / "state.json", state | {"results": {"0": {"seconds": 1.0, "width": 3, "height": 3}}})
    assert body(client.get("/api/repair", params={"job": job}))["status"] == "queued"  # nobody has that number
    helper = repairer.Repairer(studio.workspace)
    assert helper.next() == folder
    helper.run(folder)
    made = body(client.get("/api/repair", params={"job": job}))
    assert (made["status"], made["finished"]) == ("done", 2)
    assert made["list"][0]["result"]["width"] == 3  # not done again
    assert (folder / "out" / made["list"][1]["name"]).is_file()
    assert not (folder / "out" / made["list"][0]["name"]).exists()


def test_a_model_that_is_gone_fails_one_repair_and_not_the_next(client, larger, place):
    studio = client.app.app.state.studio
    helper = repairer.Repairer(studio.workspace)
    jobs = []
    for model in ("gone", larger):
        jobs.append(put(client, png_bytes(np.zeros((16, 16, 3), np.uint8)))["job"])
        if model == "gone":
            (place / "runs" / larger).rename(place / "runs" / "gone")
        body(client.post("/api/repair/start", json={"model": f"runs/{model}", "job": jobs[-1]}))
        if model == "gone":
            (place / "runs" / "gone").rename(place / "runs" / larger)
        helper.run(studio.repairs.of(jobs[-1]))
    rows = {row["id"]: row for row in body(client.get("/api/repairs"))}
    assert (rows[jobs[0]]["status"], rows[jobs[1]]["status"]) == ("failed", "done")
    assert "gone" in rows[jobs[0]]["error"]


# --- data and uploads -------------------------------------------------------------------------------------------------


def test_the_check_marks_what_is_wrong(client, place):
    (place / "data" / "mixed" / "cut.png").write_bytes((place / "data" / "mixed" / "1.png").read_bytes()[:200])
    assert "data/mixed" in {row["spec"] for row in body(client.get("/api/data"))["workspace"]}
    key = body(client.post("/api/data/check", json={"spec": "data/mixed"}))["id"]
    for _ in range(200):
        found = body(client.get("/api/data/check", params={"id": key}))
        if found["report"] or found["error"]:
            break
        time.sleep(0.05)
    assert found["report"]["pictures"] == 7
    assert found["report"]["broken_count"] == 1
    problems = {row["name"]: row["problem"] for row in found["wall"]}
    assert problems["cut.png"] == "broken"
    assert sorted(problems.values()).count("duplicate") == 1
    wall = Image.open(io.BytesIO(client.get("/api/data/wall", params={"id": key}).content))
    assert wall.size == (12 * found["tile"], found["tile"])
    (place / "data" / "mixed" / "cut.png").unlink()


def test_the_check_names_what_is_passed_over_and_the_range(client, place):
    folder = place / "data" / "deep"
    for i in range(2):
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((16, 16), 40 + 4000 * i, np.uint16)).save(folder / f"{i}.png")
    (folder / "phone.jxl").write_bytes(b"\xff\x0a")
    key = body(client.post("/api/data/check", json={"spec": "data/deep"}))["id"]
    for _ in range(200):
        found = body(client.get("/api/data/check", params={"id": key}))
        if found["report"] or found["error"]:
            break
        time.sleep(0.05)
    assert (found["report"]["unread_count"], found["report"]["unread"][0]["file"]) == (1, "phone.jxl")
    assert found["report"]["range"].startswith("0 to 4095, 12 bits")
    wall = np.asarray(Image.open(io.BytesIO(client.get("/api/data/wall", params={"id": key}).content)).convert("L"))
    shown = sorted(int(wall[36, 72 * k + 36]) for k in range(2))
    assert (shown[0] < 8, shown[1] > 240) == (True, True), "one range for all tiles: dark by itself, 40 would be white"
    made = body(client.post("/api/data/set", json={"name": "phones"}))["set"]
    answer = client.post("/api/upload/data", params={"set": made, "path": "a.jxl"}, content=b"\xff\x0a")
    assert answer.status_code == 415
    assert "convert it to PNG first" in answer.json()["error"]


def test_a_download_that_failed_is_not_ready(client, tmp_path, monkeypatch):
    from torchvision import datasets

    def offline(*_, **__):
        raise RuntimeError("no connection")

    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "CIFAR10", offline)
    key = body(client.post("/api/data/check", json={"spec": "cifar10"}))["id"]
    end = time.monotonic() + 30
    while not (found := body(client.get("/api/data/check", params={"id": key})))["error"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert "could not be downloaded" in found["error"]
    sets = {row["name"]: row for row in body(client.get("/api/data"))["standard"]}
    assert (tmp_path / "cifar10").is_dir()
    assert (sets["cifar10"]["ready"], sets["cifar10"]["megabytes"]) == (False, 170)
    assert sets["mnist10k"]["ready"]


def test_uploads_land_in_a_set_of_their_own(client, place):
    names = []
    for _ in range(2):
        made = body(client.post("/api/data/set", json={"name": "My ../Cats!"}))["set"]
        names.append(made)
        for i in range(3):
            answer = client.post(
                "/api/upload/data",
                params={"set": made, "path": f"tabby/{i}.png"},
                content=png_bytes(np.full((20, 20), i, np.uint8)),
            )
            assert body(answer)["spec"] == f"{made}/tabby/{i}.png"
    assert names == ["data/My-Cats", "data/My-Cats-2"]
    again = client.post(
        "/api/upload/data", params={"set": made, "path": "tabby/1.png"}, content=png_bytes(np.zeros((20, 20), np.uint8))
    )
    assert again.status_code == 409
    assert np.asarray(Image.open(place / made / "tabby/1.png"))[0, 0] == 1


@pytest.mark.parametrize(
    "path",
    [
        "../x.png",
        "/x.png",
        "a/../../x.png",
        "a\\x.png",
        ".x.png",
        "a/.git/x.png",
        "x.pkl",
        "x.pt",
        "x.pth",
        "x.py",
        "x.svg",
        "x",
        "",
        "a/" * 20 + "x.png",
        "x.png.",
    ],
)
def test_upload_paths(client, path):
    made = body(client.post("/api/data/set", json={"name": "paths"}))["set"]
    answer = client.post(
        "/api/upload/data", params={"set": made, "path": path}, content=png_bytes(np.zeros((20, 20), np.uint8))
    )
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("folder", ["data", ".", "runs/digits", "..", "data/mixed/..", "data/none"])
def test_uploads_go_nowhere_else(client, folder):
    answer = client.post(
        "/api/upload/data", params={"set": folder, "path": "x.png"}, content=png_bytes(np.zeros((20, 20), np.uint8))
    )
    assert 400 <= answer.status_code < 500


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_archives_are_looked_into(client, place):
    picture = png_bytes(np.zeros((20, 20), np.uint8))
    good = {"fine.zip": zipped(a__png=picture), "fine.npz": npz(x=np.zeros((3, 9, 9), np.uint8))}
    for name, content in good.items():
        assert body(client.post("/api/upload/data", params={"path": name}, content=content))["spec"] == f"data/{name}"
    bad = {
        "bomb.zip": zipped(a__png=b"\0" * (60 << 20)),
        "none.zip": zipped(readme__txt=b"x"),
        "pickled.zip": zipped(a__png=picture, data__pkl=b"x"),
        "objects.npz": npz(x=np.array([{"a": 1}, None], dtype=object)),
        "broken.zip": good["fine.zip"][:40],
        "text.npz": b"PK\x03\x04 nothing",
        "empty.zip": b"",
    }
    for name, content in bad.items():
        answer = client.post("/api/upload/data", params={"path": name}, content=content)
        assert answer.status_code == 422, name
        assert not (place / "data" / name).exists()


def malformed(random_: random.Random, number: int) -> tuple[str, dict, bytes]:
    """One malformed upload: (path, query, body)."""
    picture = bytearray(png_bytes(np.random.default_rng(number).integers(0, 255, (16, 16, 3), np.uint8)))
    archive = bytearray(zipped(a__png=bytes(picture), b__png=bytes(picture)))
    array = bytearray(npz(x=np.zeros((2, 9, 9), np.uint8)))
    kind = number % 10
    content = [picture, archive, array][number % 3]
    if kind < 4:  # flipped bytes
        for _ in range(random_.randint(1, 60)):
            content[random_.randrange(len(content))] = random_.randrange(256)
    elif kind < 6:  # cut short
        content = content[: random_.randrange(len(content))]
    elif kind < 8:  # noise behind a magic number
        content = bytearray(
            random_.choice(
                [
                    b"\x89PNG\r\n\x1a\n",
                    b"\xff\xd8\xff\xe0",
                    b"GIF89a",
                    b"RIFF\0\0\0\0WEBPVP8 ",
                    b"BM",
                    b"II*\0",
                    b"PK\x03\x04",
                    b"\x93NUMPY",
                ]
            )
        ) + random_.randbytes(random_.randint(0, 3000))
    else:
        content = bytearray(random_.randbytes(random_.randint(0, 500)))
    suffix = random_.choice(
        [".png", ".jpg", ".gif", ".webp", ".tif", ".bmp", ".zip", ".npz", ".pgm", "", ".pkl", ".PNG"]
    )
    stem = random_.choice(["x", "ä" * 40, "a b", "\u202e", "..", "a/b", "%00", "x" * 300, "é/../é", "con", "-rf"])
    where = "/api/upload/picture" if number % 4 == 0 else "/api/upload/data"
    query = {
        "set": random_.choice(["data/fuzz", "data/fuzz", "data", "../..", ""]),
        "path": f"{stem}{number if number % 2 else ''}{suffix}",
        "name": f"x{suffix}",
    }
    return where, query, bytes(content)


def test_200_malformed_uploads_leave_it_alive(client, place):
    random_ = random.Random(20)
    (place / "data" / "fuzz").mkdir()
    before = {
        path
        for path in place.rglob("*")
        if path.is_file() and "data" not in path.parts and "pictures" not in path.parts
    }
    statuses = []
    for number in range(200):
        where, query, content = malformed(random_, number)
        answer = client.post(
            where,
            params=query,
            content=content,
            headers={"Content-Type": random_.choice(["image/png", "multipart/form-data", "application/json", ""])},
        )
        statuses.append(answer.status_code)
        assert answer.status_code < 500, (number, query, answer.text)
        if answer.status_code == 200 and where == "/api/upload/data":  # flipped pixels can still be a picture
            kept = place / answer.json()["spec"]
            uploads.check_archive(kept) if kept.suffix in (".zip", ".npz") else uploads.check_picture(kept)
    assert sum(status >= 400 for status in statuses) > 120
    after = {
        path
        for path in place.rglob("*")
        if path.is_file() and "data" not in path.parts and "pictures" not in path.parts
    }
    assert after == before
    assert not list((place / ".gansmith").rglob("*.part"))
    assert client.get("/api/about").status_code == 200
    test_pictures_after(client)


def test_pictures_after(client):
    assert client.post("/api/play/pictures", json={"model": "runs/styles", "recipes": [{"seed": 1}]}).status_code == 200


def test_a_full_disk_is_said(client, monkeypatch):
    monkeypatch.setattr(uploads, "SPARE", 1 << 60)
    answer = client.post("/api/upload/picture", content=b"x")
    assert answer.status_code == 507


# --- the playground ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list(playground.SETTINGS))
def test_every_family_learns_on_the_plane(family):
    player = playground.Player(family, playground.World("ring"), seed=0, speed=3.0)
    before = player.frame()
    for _ in range(200):
        player.step()
    after = player.frame()
    assert not after["failed"]
    assert after["step"] == 200
    assert after["good"] > before["good"] + 0.02
    assert len(base64.b64decode(after["landscape"])) == playground.CELLS**2
    assert len(base64.b64decode(after["samples"])) == playground.SHOWN * 2 * 2


def test_the_landscape_is_drawn_the_right_way_up():
    player = playground.Player("gan", playground.World("ring"), seed=0, speed=1.0)
    top_left, bottom_right = player.places[0].tolist(), player.places[-1].tolist()
    assert top_left == [-playground.EXTENT, playground.EXTENT]
    assert bottom_right == [playground.EXTENT, -playground.EXTENT]


def test_a_playground_computes_only_while_watched(client, monkeypatch):
    monkeypatch.setattr(playground, "IDLE_SECONDS", 0.5)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    made = body(
        client.post(
            "/api/toy/start",
            json={"world": "drawn", "points": [[0, 0], [0.5, 0.5]], "families": ["gan"], "running": False},
        )
    )
    assert made["frame"]["players"][0]["step"] == 0
    stepped = body(client.post("/api/toy/control", json={"id": made["id"], "action": "step", "steps": 3}))
    assert stepped["players"][0]["step"] == 3
    body(client.post("/api/toy/control", json={"id": made["id"], "action": "play"}))
    end = time.monotonic() + 30
    while body(client.get("/api/toy/frame", params={"id": made["id"]}))["players"][0]["step"] == 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    thread = next(iter(client.app.app.state.studio.playgrounds.values()))._thread
    thread.join(30)
    assert not thread.is_alive()
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))  # as the server starts for a request
    other.start()
    other.join()
    torch.set_num_threads(threads)
    assert found == [2]
    for wrong in (
        {"world": "moon"},
        {"families": ["cyclegan"]},
        {"families": []},
        {"world": "drawn", "points": []},
        {"world": "drawn", "points": [[1, "x"]]},
        {"world": "drawn", "points": [[1, None]]},
        {"seed": -1},
        {"speed": 0},
    ):
        assert client.post("/api/toy/start", json={"world": "ring", "families": ["gan"]} | wrong).status_code == 400
    assert client.get("/api/toy/frame", params={"id": "gone"}).status_code == 404
