"""What the studio computes beside trainings: progress, results, failures, stops, and that nothing outlives it."""

from __future__ import annotations

import dataclasses
import sys
import time

import numpy as np
import psutil
import pytest

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

from gansmith import registry
from gansmith.apply.styles import Styles
from gansmith.bench.doctor import Diagnosis
from gansmith.game import ImageSpec
from gansmith.models.bundle import load
from gansmith.studio import presets, scores, tasks
from gansmith.studio.app import create_app
from gansmith.studio.errors import Refused
from gansmith.studio.workspace import Workspace
from helpers.studio import BASE, SAFE, body, make_run, save_picture, tiles

SCRIPTS = {
    "good": "import sys; print('sampling: 256 of 1,024, 0:03 left', file=sys.stderr, flush=True); {wait} print('{{\"fits\": true}}')",
    "bad": "import sys; print('gansmith: It is Tuesday.', file=sys.stderr); sys.exit(2)",
    "mute": "import os; os._exit(9)",
    "odd": "print('no json')",
}


@pytest.fixture
def made(tmp_path, monkeypatch) -> tasks.Tasks:
    """Tasks whose command is one of the scripts."""

    def command(module, words):
        return [
            sys.executable,
            "-c",
            SCRIPTS[words[0]].format(
                wait="input() if 0 else None;" if len(words) < 2 else "import time; time.sleep(60);"
            ),
        ]

    monkeypatch.setattr(tasks.isolated, "command", command)
    (tmp_path / "work").mkdir()
    return tasks.Tasks(Workspace(tmp_path / "work"))


def ended(found: tasks.Tasks, name: str) -> dict:
    for _ in range(400):
        told = found.told(name)
        if told["status"] != "running":
            return told
        time.sleep(0.02)
    raise AssertionError("it never ended")


def test_a_task_ends_with_what_its_command_printed(made):
    seen = []
    told = ended(made, made.start("evaluate", lambda own: ["good"], {}, seen.append))
    assert told["status"] == "done"
    assert told["result"] == {"fits": True}
    assert seen == [{"fits": True}]


@pytest.mark.parametrize(
    ("script", "reason"), [("bad", "It is Tuesday."), ("mute", "without a word"), ("odd", "cannot be used")]
)
def test_why_a_task_failed_is_said(made, script, reason):
    told = ended(made, made.start("export", lambda own: [script], {}))
    assert told["status"] == "failed"
    assert reason in told["reason"]


def test_progress_stop_and_how_many_at_once(made):
    name = made.start("evaluate", lambda own: ["good", "slowly"], {"model": "a"})
    other = made.start("evaluate", lambda own: ["good", "slowly"], {"model": "b"})
    with pytest.raises(Refused, match="computed already"):
        made.start("evaluate", lambda own: ["good"], {})
    for _ in range(400):
        if made.told(name)["share"]:
            break
        time.sleep(0.02)
    assert made.told(name)["share"] == 0.25
    assert made.told(name)["phase"] == "sampling"
    made.stop(name)
    assert made.told(name)["status"] == "stopped"
    process = made.of(other).process
    assert process is not None
    made.close()
    assert process.wait(10) != 0
    assert not psutil.pid_exists(process.pid)
    assert not made.folder.exists()


def test_doctor_tells_what_an_estimate_shows():
    fields = {field.name for field in dataclasses.fields(Diagnosis)}
    assert {"images_per_second", "step_seconds", "memory", "available", "fits", "batch", "advice"} <= fields


def test_every_purpose_is_a_run_that_can_be_asked_for(tmp_path, monkeypatch):
    """Its family has its settings, and the page's request for an estimate is taken and remembered."""
    from gansmith.config import TrainSettings
    from gansmith.studio import forms

    run = {field["name"] for field in forms.fields(TrainSettings)}
    for preset in presets.listed():
        config = registry.family(preset["family"]).Config
        own = {name: value for name, value in preset["set"].items() if name not in run}
        config(**own)
        assert set(own) <= {field["name"] for field in forms.fields(config)}
    settings = {"family": "dcgan", "settings": {}, "train": {"data": ["mnist10k"], "minutes": 3}}
    key = presets.key_of(settings, 0.0)
    assert presets.key_of(settings | {"train": {"data": ["mnist10k"], "minutes": 9}}, 0.0) == key
    assert presets.key_of(settings | {"settings": {"width": 8}}, 0.0) != key
    asked = {}

    class Told:
        def start(self, kind, words, about, done, ok):
            asked["words"] = words(tmp_path)
            done(
                {
                    "images_per_second": 1.0,
                    "step_seconds": 1,
                    "memory": 1,
                    "available": 2,
                    "fits": True,
                    "batch": 4,
                    "advice": [],
                    "more": 1,
                }
            )
            return "7"

    known = {}
    assert presets.measure(Told(), known, key, settings) == {"id": "7"}  # type: ignore[arg-type]
    assert asked["words"][:2] == ["doctor", "--config"]
    assert presets.measure(Told(), known, key, settings)["result"]["batch"] == 4  # type: ignore[arg-type]
    assert "more" not in known[key]


def test_scores_card_and_folder_are_answered_and_paths_confined(tmp_path):
    make_run(tmp_path / "work" / "runs" / "one", "gan", ImageSpec(16, 16, 1), width=4)
    root = tmp_path / "work" / "runs" / "one"
    with TestClient(create_app(tmp_path / "work", warm_up=False), base_url=BASE, headers=SAFE) as client:
        assert client.get("/api/model/scores", params={"model": "runs/one"}).json() is None
        (root / scores.FILE).write_text(
            '{"data": ["x"], "n": 5, "when": 1, "found": {"scores": [{"name": "FD", "value": 3.5}]}}'
        )
        assert body(client.get("/api/runs"))[0]["scores"] == {"FD": 3.5}
        (root / scores.FILE).write_text(
            '{"data": ["x"], "n": 5, "when": 1, "found": {"scores": {"grey": {"PSNR": 1}, "model": {"PSNR": 30.0}}}}'
        )
        assert scores.values(root) == {"PSNR": 30.0}
        for damaged in (
            "[]",
            "{",
            '{"found": {"scores": 7}}',
            '{"found": {"scores": [{}]}}',
            '{"found": {"scores": {}}}',
        ):
            (root / scores.FILE).write_text(damaged)
            assert scores.values(root) == {}
        card = body(client.get("/api/model/card", params={"model": "runs/one"}))
        assert card["command"] == "gansmith.load('runs/one').push_to_hub('NAME/one')"
        assert "gan" in card["text"]
        answer = client.get("/api/model/folder", params={"model": "runs/one"})
        assert answer.headers["content-type"] == "application/zip"
        for asked in ({"model": "../one"}, {"model": "runs/none"}, {"model": "/etc"}):
            assert client.get("/api/model/folder", params=asked).status_code in (400, 404)
            refused = client.post("/api/model/export", json={**asked, "to": "onnx"})
            assert refused.status_code in (400, 404)
        assert client.post("/api/model/export", json={"model": "runs/one", "to": "exe"}).status_code == 400
        assert client.post("/api/model/evaluate", json={"model": "runs/one", "data": []}).status_code == 400
        assert client.get("/api/model/exported", params={"id": "../../x"}).status_code == 404


def test_a_photographs_styles_are_found_kept_used_and_follow_their_model(tmp_path, monkeypatch):
    root = make_run(
        tmp_path / "work" / "runs" / "styles", "stylegan2", ImageSpec(16, 16, 1), width=0.03125, mapping_layers=2
    )
    shape = tuple(Styles(load(root / "model")).average().shape)
    np.savez(tmp_path / "w.npz", w=np.random.default_rng(0).standard_normal(shape, np.float32))
    made = (
        "import shutil, sys; from pathlib import Path; out = Path(sys.argv[sys.argv.index('--out') + 1]); out.mkdir(); "
    )
    made += f"shutil.copy({str(tmp_path / 'w.npz')!r}, out); shutil.copy(sys.argv[3], out / 'before-after.png')"
    monkeypatch.setattr(tasks.isolated, "command", lambda module, words: [sys.executable, "-c", made, *words])
    save_picture(tmp_path / "me.png", 3, 20)
    content = (tmp_path / "me.png").read_bytes()
    with TestClient(create_app(tmp_path / "work", warm_up=False), base_url=BASE, headers=SAFE) as client:
        job = body(client.post("/api/upload/picture", params={"name": "me.png"}, content=content))["job"]
        asked = {"model": "runs/styles", "job": job, "picture": 0, "steps": 3}
        told = ended_by(client, body(client.post("/api/play/invert", json=asked))["id"])
        assert told["status"] == "done", told
        found = told["result"]["id"]
        kept = body(client.get("/api/play/inverted", params={"model": "runs/styles"}))
        assert kept == [{"id": found, "name": "me.png"}]
        shown = client.get("/api/play/inverted/picture", params={"found": found})
        assert shown.headers["content-type"] == "image/png"

        def drawn(**more):
            return tiles(client.post("/api/play/edit", json={"model": "runs/styles", "amounts": [0, 0], **more}))

        assert (drawn(found=found) != drawn(seed=1)).any()
        assert (drawn(seed=1, amounts=[5, 0]) != drawn(seed=1)).any()
        assert (drawn(seed=1, amounts=[5, 0], layers="fine") != drawn(seed=1, amounts=[5, 0])).any()
        far = {"model": "runs/styles", "seed": 1, "amounts": [99]}
        assert client.post("/api/play/edit", json=far).status_code == 400
        for other in ("../../x", "1", "9" * 20):
            gone = {"model": "runs/styles", "found": other, "amounts": []}
            assert client.post("/api/play/edit", json=gone).status_code == 404
        assert body(client.post("/api/run/rename", json={"id": "runs/styles", "name": "other"}))["id"] == "runs/other"
        kept = body(client.get("/api/play/inverted", params={"model": "runs/other"}))
        assert [row["id"] for row in kept] == [found]
        assert client.post("/api/play/inverted/forget", json={"found": found}).status_code == 200
        assert body(client.get("/api/play/inverted", params={"model": "runs/other"})) == []


def ended_by(client, name: str) -> dict:
    for _ in range(400):
        told = body(client.get("/api/task", params={"id": name}))
        if told["status"] != "running":
            return told
        time.sleep(0.02)
    raise AssertionError("it never ended")
