"""What strangers, odd files and bad luck do to the studio: strange numbers and names, races, damaged files, full disks."""

from __future__ import annotations

import ast
import base64
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from gansmith import registry
from gansmith.commands import studio as command
from gansmith.errors import GansmithError
from gansmith.game import ImageSpec
from gansmith.models import bundle

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

from gansmith import config as configs
from gansmith.config import TrainSettings
from gansmith.studio import api_train, forms, jobs, logs, playground, uploads, wishes, worker
from gansmith.studio.app import create_app
from gansmith.studio.arguments import Arguments
from gansmith.studio.core import Studio, as_json
from gansmith.studio.errors import Refused
from gansmith.studio.guard import Guard, Wrong, origin_of
from gansmith.studio.jobs import Jobs
from gansmith.studio.repairs import Repairs
from gansmith.studio.tasks import Tasks
from gansmith.studio.workspace import Workspace
from helpers.studio import BASE, SAFE, body, make_run, png_bytes, save_picture, tiles, zipped

torch.set_num_threads(1)
ALL = list(registry.families())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    spec = ImageSpec(16, 16, 1, 3, ("2", "0", "1"))  # classes called by other classes' numbers
    make_run(root / "runs" / "digits", "dcgan", spec, width=4, latent_dim=8, conditional=True)
    bundle.load(root / "runs" / "digits").save(root / "models" / "lone")
    return root


@pytest.fixture(scope="module")
def client(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Jobs, "ensure_worker", lambda self: None)  # nothing here is to be trained
        with TestClient(create_app(place, warm_up=False), base_url=BASE, headers=SAFE) as made:
            yield made


@pytest.fixture
def studio(tmp_path, monkeypatch):
    monkeypatch.setattr(Jobs, "ensure_worker", lambda self: None)
    made = Workspace(tmp_path)
    (made.state / "jobs").mkdir(parents=True)
    return Studio(made, Jobs(made), Repairs(made), Tasks(made))


def queue(studio: Studio, run: str, **state) -> str:
    """A job that waits, or one with a state."""
    job = studio.jobs.add(run, ["train"], None, "title", "new")
    if state:
        worker.write_json(studio.jobs.folder / job / "state.json", state)
    return job


# --- numbers and names ------------------------------------------------------------------------------------------------

PICTURES = {"model": "runs/digits", "recipes": [{"seed": 1}]}
TOY = {"world": "drawn", "families": ["gan"], "running": False}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1" + "0" * 400, "-1e999"])
@pytest.mark.parametrize(
    ("path", "asked", "name"),
    [
        ("/api/play/pictures", PICTURES, "truncation"),
        ("/api/play/pictures", PICTURES, "columns"),
        ("/api/play/video", {"model": "runs/digits", "what": "walk"}, "seconds"),
        ("/api/toy/start", TOY | {"points": [[0, 0]]}, "seed"),
        ("/api/toy/start", TOY, "points"),
        ("/api/train", {"name": "gan", "data": ["mnist10k"], "goal": "steps"}, "amount"),
        ("/api/train", {"name": "gan", "data": ["mnist10k"], "goal": "steps", "amount": 2}, "family"),
    ],
)
def test_strange_numbers_are_refused(client, path, asked, name, number):
    value = {"points": f"[[0, {number}]]", "family": f'{{"lr": {number}, "width": {number}}}'}.get(name, number)
    text = json.dumps(asked)[:-1] + f', "{name}": {value}}}'
    answer = client.post(path, content=text.encode())
    assert 400 <= answer.status_code < 500, answer.text
    assert not body(client.get("/api/jobs"))


def test_half_a_character_is_no_text(client):
    for path, asked in (
        ("/api/data/check", {"spec": "data/\ud800"}),
        ("/api/run/rename", {"id": "runs/\udc80", "name": "x"}),
        ("/api/train", {"name": "gan", "data": ["\ud800"], "goal": "steps", "amount": 2}),
        ("/api/train", {"name": "gan", "data": ["mnist10k"], "goal": "steps", "amount": 2, "run": {"init": "\udc80"}}),
        ("/api/play/pictures", PICTURES | {"label": "\udfff"}),
    ):
        answer = client.post(path, content=json.dumps(asked).encode())
        assert 400 <= answer.status_code < 500, path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_file_names_that_are_not_unicode(client, place):
    folder = place / "data" / os.fsdecode(b"caf\xe9")
    folder.mkdir(parents=True)
    save_picture(folder / os.fsdecode(b"\xff.png"), 0)
    assert os.fsdecode(b"data/caf\xe9") in {row["spec"] for row in body(client.get("/api/data"))["workspace"]}
    answer = client.post("/api/data/check", content=json.dumps({"spec": os.fsdecode(b"data/caf\xe9")}).encode())
    assert answer.status_code == 400
    assert "Rename" in answer.json()["error"]
    folder.rename(place / "data" / "cafe")
    key = body(client.post("/api/data/check", json={"spec": "data/cafe"}))["id"]
    end = time.monotonic() + 20
    while not (found := body(client.get("/api/data/check", params={"id": key})))["report"]:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    assert [row["name"] for row in found["wall"]] == [os.fsdecode(b"\xff.png")]


def test_names_longer_than_a_system_has_are_refused(client):
    for name in ("a" * 900, "runs/" + "ä" * 200):
        for path in ("/api/run", "/api/run/log"):
            assert client.get(path, params={"id": name}).status_code == 400
        assert client.post("/api/data/check", json={"spec": name}).status_code == 400


def test_a_refused_picture_is_called_by_its_own_name(client):
    answer = client.post("/api/upload/picture", params={"name": "cat.png"}, content=b"no picture")
    assert answer.status_code == 422
    assert "'cat.png'" in answer.json()["error"]


def test_values_that_json_does_not_know():
    made = json.loads(bytes(as_json({"a": [1.0, float("nan"), (float("inf"),)], "b": "\udcff"}).body))
    assert made == {"a": [1.0, None, [None]], "b": "\udcff"}


def test_settings_are_ordinary_numbers():
    for value in (float("nan"), float("inf"), 10**400):
        with pytest.raises(GansmithError, match="ordinary number"):
            forms.changed(TrainSettings, {"clip_grad": value}, "The run")


def test_a_hub_name_is_no_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "pictures").mkdir(parents=True)
    work = Workspace(tmp_path / "w")
    for spec in (
        "hf:mnist",
        "hf:owner/name:train",
        "hf:owner/name:train[:10%]",
        "hf-stream:owner/name/config:test[0:9]",
    ):
        assert work.data_spec(spec) == spec
    for spec in (
        "hf:/etc",
        "hf:../x",
        "hf:~/x",
        "hf:a/../../x",
        "hf:here/pictures",
        "hf:here",
        "hf:.",
        "hf:",
        "hf:a b",
    ):
        with pytest.raises(Refused, match="Hub"):
            work.data_spec(spec)


# --- the guard --------------------------------------------------------------------------------------------------------


def test_tunnels_and_mapped_ports_are_served(client):
    for host in ("localhost:8080", "127.0.0.1:1", "127.0.0.1"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert client.get("/api/about", headers=headers).status_code == 200
        assert client.post("/api/jobs/stop", json={"job": "1"}, headers=headers).status_code == 404
    elsewhere = {"Host": "localhost:8080", "Origin": "http://localhost:8081"}
    assert client.post("/api/jobs/stop", json={"job": "1"}, headers=elsewhere).status_code == 403
    assert client.get("/api/about", headers={"Host": "localhost:" + "9" * 5000}).status_code == 421


def test_pages_of_others_ask_for_nothing(client):
    for site, allowed in (("none", True), ("same-origin", True), ("same-site", False), ("cross-site", False)):
        headers = {"Sec-Fetch-Site": site}
        assert client.get("/api/models", headers=headers).status_code == (200 if allowed else 403)
        assert client.get("/", headers=headers).status_code == 200  # but a link to the page works


def test_two_host_names_are_none(client):
    headers = [("Host", "evil.example"), ("Host", "127.0.0.1:7860")]
    assert client.get("/api/about", headers=headers).status_code == 421


def test_a_strange_login_is_a_wrong_one(place):
    app = create_app(place, host="0.0.0.0", password="forge", warm_up=False)
    with TestClient(app, base_url="http://192.0.2.7:7860", headers=SAFE) as outside:
        for content in (b"[" * 60_000, b'{"password": "\\ud800"}', b'{"password": 3}', b'{"password": null}', b"[]"):
            assert outside.post("/api/login", content=content).status_code == 401


def login(app, address: str, password: str):
    """One try at the door from an address."""
    with TestClient(app, base_url="http://192.0.2.7:7860", headers=SAFE, client=(address, 40_000)) as outside:
        return outside.post("/api/login", json={"password": password})


def test_wrong_passwords_are_counted_by_address(place):
    app = create_app(place, host="0.0.0.0", password="forge", warm_up=False)
    stranger = [login(app, "198.51.100.9", "guess") for _ in range(Wrong.FREE + 2)]
    assert [answer.status_code for answer in stranger] == [401] * (Wrong.FREE + 1) + [429]
    assert stranger[-1].json()["wait"] == int(stranger[-1].headers["retry-after"]) == 1
    assert login(app, "198.51.100.9", "forge").status_code == 429  # nor is it told that this was the one
    assert login(app, "198.51.100.10", "forge").status_code == 200  # everybody else comes in meanwhile


def test_the_delay_grows_and_ends():
    now = [0.0]
    wrong = Wrong(lambda: now[0])
    waits = []
    for _ in range(18):
        wrong.add("a")
        waits.append(wrong.wait("a"))
        now[0] += max(0.0, waits[-1])
    assert waits[:8] == [0, 0, 0, 0, 1, 2, 4, 8]
    assert waits[-1] == Wrong.LONGEST
    assert wrong.wait("b") == 0
    now[0] += 2 * Wrong.REMEMBERED
    wrong.add("a")
    assert wrong.wait("a") == 0
    for number in range(Wrong.KEPT + 5):
        wrong.add(str(number))
    assert len(wrong._found) == Wrong.KEPT


def test_what_counts_as_one_address():
    assert origin_of("2001:db8:1:2:3:4:5:6") == origin_of("2001:db8:1:2::1") != origin_of("2001:db8:1:3::1")
    assert origin_of("::ffff:192.0.2.1") == origin_of("192.0.2.1") != origin_of("192.0.2.2")
    assert origin_of("fe80::1%eth0") == origin_of("fe80::2%eth0")
    assert origin_of("testclient") == "testclient"


def test_a_slow_name_server_slows_no_request(monkeypatch):
    monkeypatch.setattr("socket.getfqdn", lambda: time.sleep(5) or "slow.example")
    guard = Guard(lambda *_: None, host="0.0.0.0", port=1, password="x", upload_limit=1)  # type: ignore[arg-type]
    started = time.monotonic()
    assert guard.host_allowed("192.0.2.7:1")
    assert not guard.host_allowed("evil.example")
    assert time.monotonic() - started < 1


def test_a_workspace_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GansmithError, match="may write"):
        command.main([str(tmp_path / "file" / "below"), "--port", "0"])


# --- the queue --------------------------------------------------------------------------------------------------------


def test_trainings_started_at_once_get_runs_of_their_own(studio):
    asked = {"name": "gan", "data": ["mnist10k"], "goal": "steps", "amount": 2}

    def start(called: str):
        try:
            return api_train.start(studio, Arguments(asked | {"called": called}))["run"]
        except Refused:
            return None

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(start, [""] * 8))
        same = list(pool.map(start, ["mine"] * 8))
    assert len(set(names)) == 8
    assert sorted(filter(None, same)) == ["runs/mine"]


def test_many_threads_ask_for_forms_at_once(client):
    """Two threads that parse Python at once is what some Pythons cannot do."""
    registry._first_line.cache_clear()
    configs.helps.cache_clear()
    parsing = threading.Lock()
    whole = ast.parse

    def parse(*given, **more):
        assert parsing.acquire(blocking=False), "two at once"
        time.sleep(0.002)  # long enough for another to come
        try:
            return whole(*given, **more)
        finally:
            parsing.release()

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setattr(ast, "parse", parse)
        found = list(pool.map(lambda name: client.get("/api/family", params={"name": name}).status_code, ALL))
    assert found == [200] * len(ALL)


def test_the_server_is_there_before_torch():
    words = "import sys, gansmith.studio.app; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_half_an_image_is_no_goal(client):
    asked = {"name": "gan", "data": ["mnist10k"], "goal": "images", "amount": 0.5}
    assert client.post("/api/train", json=asked).status_code == 400


def test_a_damaged_job_does_not_stop_those_behind_it(studio):
    damaged = studio.jobs.folder / "0" / "job.json"
    damaged.parent.mkdir()
    damaged.write_text('{"run": "runs/x"}')
    good = queue(studio, "runs/good")
    assert worker.next_job(studio.jobs.folder).name == good
    assert [job["id"] for job in studio.jobs.all()] == [good]


def test_old_jobs_are_forgotten(studio, monkeypatch):
    monkeypatch.setattr(jobs, "KEPT", 2)
    for number in range(4):
        queue(studio, f"runs/{number}", status="done", ended=1.0)
    waiting = queue(studio, "runs/last")
    assert [job["run"] for job in studio.jobs.all()] == ["runs/2", "runs/3", "runs/last"]
    assert studio.jobs.all()[-1]["id"] == waiting


def test_a_full_disk_leaves_no_half_a_job(studio, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        queue(studio, "runs/x")
    assert list(studio.jobs.folder.iterdir()) == []


class Process:
    """A training that does not end."""

    pid, returncode = 1, None

    def __init__(self, *_, **__) -> None:
        self.heard: list[str] = []

    def poll(self) -> None:
        return None

    def terminate(self) -> None:
        self.heard.append("terminate")

    def kill(self) -> None:
        self.heard.append("kill")

    def wait(self) -> int:
        return -9


def test_a_training_that_cannot_be_noted_down_does_not_go_on(studio, monkeypatch):
    started = Process()
    monkeypatch.setattr(worker.subprocess, "Popen", lambda *_, **__: started)

    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    job = studio.jobs.folder / queue(studio, "runs/x")
    monkeypatch.setattr(worker, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        worker.run_job(job, studio.workspace.root)
    assert started.heard == ["kill"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older Pythons have no such switch")
def test_python_files_in_the_workspace_are_not_run(studio):
    (studio.workspace.root / "random.py").write_text("raise SystemExit('not me')")
    (studio.workspace.root / "gansmith.py").write_text("raise SystemExit('nor me')")
    job = studio.jobs.folder / studio.jobs.add("runs/x", ["--version"], None, "title", "new")
    assert worker.run_job(job, studio.workspace.root) == 0, (job / "console.log").read_text()


def test_a_stop_is_one_signal_and_then_patience(tmp_path, monkeypatch):
    process, asked = Process(), 0.0
    assert worker.heed_stop(tmp_path, process, 0.0) == 0.0
    (tmp_path / "stop").touch()
    for _ in range(5):
        asked = worker.heed_stop(tmp_path, process, asked)
    assert process.heard == ["terminate"]
    monkeypatch.setattr(worker, "PATIENCE", -1.0)
    worker.heed_stop(tmp_path, process, asked)
    assert process.heard == ["terminate", "kill"]


@pytest.mark.parametrize("digits", [21, 255, 256, 900])
def test_names_of_many_digits_are_nothing(client, digits):
    """A name that no file can have is looked up nowhere."""
    name = "1" * digits
    for path, asked in (
        ("/api/jobs/stop", {"job": name}),
        ("/api/jobs/forget", {"job": name}),
        ("/api/trash/restore", {"id": name}),
    ):
        assert client.post(path, json=asked).status_code == 404
    assert client.get("/api/jobs/console", params={"job": name}).status_code == 404
    grid = {"id": "runs/digits", "name": f"samples/{name}.png"}
    assert client.get("/api/run/file", params=grid).status_code == 404
    for path in ("/api/data/check", "/api/data/wall", "/api/repair", "/api/repair/file", "/api/toy/frame"):
        assert 400 <= client.get(path, params={"id": name, "job": name}).status_code < 500


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["runs/busy", "runs//busy", "./runs/busy", "runs/./busy/", "runs/link"])
def test_a_run_in_the_queue_is_at_no_name_to_be_moved(client, place, spelling):
    made = client.app.app.state.studio
    make_run(place / "runs" / "busy", "dcgan", ImageSpec(16, 16, 1), width=4, latent_dim=8)
    (place / "runs" / "link").symlink_to(place / "runs" / "busy")
    job = queue(made, "runs/busy")
    try:
        for path, more in (("delete", {}), ("rename", {"name": "idle"})):
            assert client.post(f"/api/run/{path}", json={"id": spelling} | more).status_code in (400, 409)
        assert client.post("/api/resume", json={"run": spelling}).status_code in (400, 409)
        assert (place / "runs" / "busy" / "config.yaml").is_file()
    finally:
        made.jobs.stop(job)
        made.jobs.forget(job)
        (place / "runs" / "link").unlink()
        body(client.post("/api/run/delete", json={"id": "runs/busy"}))
        body(client.post("/api/trash/empty", json={}))


def test_a_run_that_goes_on_in_a_terminal_is_left_alone(studio):
    root = make_run(studio.workspace.root / "runs" / "x", "gan", ImageSpec(16, 16, 1), width=4)
    text = (root / "config.yaml").read_text().replace("status: finished", "status: stopped")
    (root / "config.yaml").write_text(text)
    os.utime(root / "config.yaml", (time.time() - 500, time.time() - 500))
    queue(studio, "runs/x", status="stopped", ended=time.time() - 500)
    status = lambda: studio.logs.summary(root, "runs/x", studio.jobs.last("runs/x"))["status"]
    assert status() == "stopped"
    os.utime(root / "log.jsonl", (time.time() - 500, time.time() - 500))
    assert status() == "stopped"
    os.utime(root / "log.jsonl")  # a line, long after the studio's own training ended
    assert status() == "running"
    with pytest.raises(Refused, match="terminal"):
        api_train.resume(studio, Arguments({"run": "runs/x"}))


def test_a_long_run_of_a_terminal_may_be_silent_for_minutes(studio):
    root = make_run(studio.workspace.root / "runs" / "x", "gan", ImageSpec(16, 16, 1), width=4)
    (root / "config.yaml").write_text((root / "config.yaml").read_text().replace("  status: finished\n", ""))
    lines = [{"images": n, "progress": 0.1, "seconds": 170.0 * n} for n in (1, 2)]
    (root / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    status = lambda: studio.logs.summary(root, "runs/x", None)["status"]
    for silent, expected in ((300, "running"), (500, "stopped")):
        os.utime(root / "log.jsonl", (time.time() - silent, time.time() - silent))
        assert status() == expected
    (root / "log.jsonl").unlink()  # it has just begun
    studio.logs.forget(root)
    assert status() == "running"
    os.utime(root / "config.yaml", (time.time() - 500, time.time() - 500))
    assert status() == "stopped"


def test_a_log_that_was_cut_and_grew_again_is_read_anew(tmp_path):
    path = tmp_path / "log.jsonl"
    line = lambda n, more="": json.dumps({"images": n, "loss": f"{more:>60}"}) + "\n"
    path.write_text("".join(line(n) for n in range(1, 9)))
    reader = logs.Logs()
    first = reader.since(tmp_path, -1, 0)
    path.write_text("".join(line(n) for n in range(1, 5)) + "".join(line(n, "again") for n in range(5, 12)))
    second = reader.since(tmp_path, first["generation"], first["total"])
    assert second["whole"]
    assert [record["images"] for record in second["records"]] == list(range(1, 12))


def test_a_run_says_why_its_training_failed(client, place):
    made = client.app.app.state.studio
    job = queue(made, "runs/digits", status="failed", ended=time.time(), code=2)
    (made.jobs.folder / job / "console.log").write_text("Opening\ngansmith: The disk is full.\n")
    assert body(client.get("/api/run", params={"id": "runs/digits"}))["failure"] == "The disk is full."
    made.jobs.forget(job)
    assert body(client.get("/api/run", params={"id": "runs//digits"}))["failure"] == ""


def test_what_a_training_printed_follows_its_run(client, place):
    made = client.app.app.state.studio
    make_run(place / "runs" / "first", "gan", ImageSpec(16, 16, 1), width=4)
    job = queue(made, "runs/first", status="done", ended=1.0)
    body(client.post("/api/run/rename", json={"id": "runs/first", "name": "second"}))
    assert body(client.get("/api/run", params={"id": "runs/second"}))["job"] == job
    body(client.post("/api/run/delete", json={"id": "runs/second"}))
    assert made.jobs.last("runs/second") is None  # another run of that name has nothing to do with it
    body(client.post("/api/trash/empty", json={}))


def test_one_odd_run_does_not_hide_the_others(client, place):
    odd = make_run(place / "runs" / "odd", "gan", ImageSpec(16, 16, 1), width=4)
    for damage in ('{"images": 1, "progress": "half", "seconds": "x"}\n', None):
        if damage is None:
            (odd / "config.yaml").write_text("family: gan\nsettings: {}\ntrain: {}\nfacts: [1]\n")
        else:
            (odd / "log.jsonl").write_text(damage)
        assert "runs/digits" in {row["id"] for row in body(client.get("/api/runs"))}
        assert client.get("/api/run", params={"id": "runs/odd"}).status_code < 500
    for path in sorted(odd.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    odd.rmdir()


def test_a_picture_that_was_drawn_anew_is_sent_anew(client, place):
    asked = {"id": "runs/digits", "name": "samples/0000000040.png"}
    first = client.get("/api/run/file", params=asked)
    assert "no-cache" in first.headers["cache-control"]
    same = client.get("/api/run/file", params=asked, headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    (place / "runs" / "digits" / "samples" / "0000000040.png").write_bytes(png_bytes(np.zeros((8, 8), np.uint8)))
    anew = client.get("/api/run/file", params=asked, headers={"If-None-Match": first.headers["etag"]})
    assert anew.status_code == 200
    assert anew.content != first.content


# --- models -----------------------------------------------------------------------------------------------------------


def test_a_class_is_chosen_by_its_number(client, place):
    """Classes 2, 0 and 1, in this order: the page's '0' is the first of them, not the one of that name."""
    model = bundle.load(place / "runs" / "digits")
    for number in range(3):
        made = tiles(client.post("/api/play/pictures", json=PICTURES | {"label": str(number)}))
        expected = model.sample(1, 1, number)[0, ..., 0].astype(int)
        np.testing.assert_allclose(made[0].astype(int), expected, atol=1)
    assert client.post("/api/play/pictures", json=PICTURES | {"label": "3"}).status_code == 400


def test_models_by_themselves_are_played_with(client, place):
    assert {row["id"]: row["family"] for row in body(client.get("/api/models"))} == {
        "runs/digits": "dcgan",
        "models/lone": "dcgan",
    }
    asked = {"recipes": [{"seed": 1}], "label": "0"}
    one, two = (
        tiles(client.post("/api/play/pictures", json=asked | {"model": m})) for m in ("runs/digits", "models/lone")
    )
    assert (one == two).all()
    assert client.post("/api/play/pictures", json=asked | {"model": "models"}).status_code == 404


def test_a_video_that_memory_cannot_hold_is_refused(client, monkeypatch):
    from gansmith.studio import api_play

    monkeypatch.setattr(api_play, "_VIDEO_PIXELS", 16 * 16 * 10)
    for what in ({"what": "walk"}, {"what": "between", "from": 1, "to": 2}):
        answer = client.post("/api/play/video", json={"model": "runs/digits", "seconds": 9} | what)
        assert answer.status_code == 400
        assert "gansmith walk" in answer.json()["error"]


# --- uploads ----------------------------------------------------------------------------------------------------------


def upload(client, content: bytes = png_bytes(np.zeros((9, 9), np.uint8)), **query):
    return client.post("/api/upload/data", params=query, content=content)


def test_a_file_where_a_folder_should_be(client, place):
    made = body(client.post("/api/data/set", json={"name": "clash"}))["set"]
    assert upload(client, set=made, path="a.png").status_code == 200
    assert upload(client, set=made, path="a.png/b.png").status_code == 409
    assert upload(client, set=made, path="c/d.png").status_code == 200
    assert upload(client, set=made, path="c.png/../d.png").status_code == 400
    (place / made / "e.png").mkdir()
    assert upload(client, set=made, path="e.png").status_code == 409


def test_files_in_sub_folders_count(client, monkeypatch):
    monkeypatch.setattr(uploads, "FILES_PER_SET", 3)
    made = body(client.post("/api/data/set", json={"name": "many"}))["set"]
    assert [upload(client, set=made, path=f"c/{i}.png").status_code for i in range(5)] == [200, 200, 200, 413, 413]


def test_a_set_of_which_nothing_was_taken_goes_away(client, place):
    made = body(client.post("/api/data/set", json={"name": "nothing"}))["set"]
    assert upload(client, b"no picture", set=made, path="c/x.png").status_code == 422
    assert body(client.post("/api/data/set/drop", json={"set": made})) == {"dropped": True}
    assert not (place / made).exists()
    kept = body(client.post("/api/data/set", json={"name": "something"}))["set"]
    assert upload(client, set=kept, path="x.png").status_code == 200
    assert body(client.post("/api/data/set/drop", json={"set": kept})) == {"dropped": False}
    assert (place / kept / "x.png").is_file()
    for wrong in ("data", "runs/digits", "..", "data/none"):
        assert 400 <= client.post("/api/data/set/drop", json={"set": wrong}).status_code < 500


def test_an_archive_of_a_name_that_is_taken(client, place):
    specs = [
        body(upload(client, zipped(a__png=png_bytes(np.full((9, 9), i, np.uint8))), path="twice.zip"))["spec"]
        for i in (1, 2)
    ]
    assert specs == ["data/twice.zip", "data/twice-2.zip"]
    assert (place / specs[0]).read_bytes() != (place / specs[1]).read_bytes()


@pytest.mark.parametrize("large", [False, True])
def test_a_list_of_too_many_files_is_not_read(tmp_path, monkeypatch, large):
    path = tmp_path / "many.zip"
    if large:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)  # from so many files on it is written as zip64
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(50):
            archive.writestr(f"{i}.png", b"x")
    assert (b"PK\6\7" in path.read_bytes()) is large
    assert uploads.check_archive(path) == 50
    monkeypatch.setattr(uploads, "FILES_PER_SET", 49)
    with pytest.raises(Refused, match="the 49 files"):
        uploads.check_archive(path)


def test_a_disk_that_fills_up_meanwhile_is_said(client, place, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads, "check_picture", full)
    made = body(client.post("/api/data/set", json={"name": "full"}))["set"]
    answer = upload(client, set=made, path="x.png")
    assert answer.status_code == 507
    assert not (place / made / "x.png").exists()


def test_a_folder_that_may_not_be_read_hides_no_other(client, place, monkeypatch):
    (place / "data" / "locked").mkdir(parents=True)
    (place / "data" / "open").mkdir()
    save_picture(place / "data" / "open" / "a.png", 0)
    whole = Path.iterdir

    def iterdir(self):
        if self.name == "locked":
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert "data/open" in {row["spec"] for row in body(client.get("/api/data"))["workspace"]}


# --- the playground ---------------------------------------------------------------------------------------------------


def test_a_lost_game_is_still_drawn():
    player = playground.Player("gan", playground.World("ring"), seed=0, speed=1.0)
    with torch.no_grad():
        for parameter in player.game.parameters():
            parameter.fill_(float("nan"))
    player.step()
    assert player.failed
    frame = json.loads(json.dumps(player.frame(), allow_nan=False))
    assert frame["failed"]
    assert len(base64.b64decode(frame["samples"])) == playground.SHOWN * 4
    assert io.BytesIO(base64.b64decode(frame["landscape"])).getbuffer().nbytes == playground.CELLS**2


# --- runs of a terminal -----------------------------------------------------------------------------------------------


def test_a_run_of_a_terminal_goes_on_whose_data_was_named_in_full(studio):
    root = make_run(studio.workspace.root / "runs" / "mine", "gan", ImageSpec(16, 16, 1), width=4)
    (studio.workspace.root / "data" / "x").mkdir(parents=True)
    file = root / "config.yaml"
    for data, fits in ((studio.workspace.root / "data" / "x", True), (Path("/elsewhere"), False)):
        file.write_text(file.read_text().replace("- mnist10k", f"- {data}"))
        studio.logs.forget(root)
        if fits:
            assert api_train.resume(studio, Arguments({"run": "runs/mine"}))["run"] == "runs/mine"
            file.write_text(file.read_text().replace(f"- {data}", "- mnist10k"))
            continue
        studio.jobs.stop(studio.jobs.all()[-1]["id"])
        with pytest.raises(Refused, match="within the workspace"):
            api_train.resume(studio, Arguments({"run": "runs/mine"}))


def test_the_command_that_is_shown_is_one():
    line = wishes.command_line("pix2pix", ["data/x"], {"flip": True}, {"dropout": False, "width": 8}, "runs/a")
    assert "--flip" in line
    assert "--no-dropout" in line
    assert "False" not in line


def test_arrays_larger_than_memory_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.random.default_rng(0).integers(0, 255, (50, 40, 40), np.uint8))
    assert uploads.check_archive(tmp_path / "a.npz") == 1
    monkeypatch.setattr("gansmith.data.planning.default_memory_limit", lambda: 50_000)
    with pytest.raises(Refused, match="memory"):
        uploads.check_archive(tmp_path / "a.npz")
