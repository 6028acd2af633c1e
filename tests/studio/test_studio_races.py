"""Lists that are asked for while other requests rename, delete and restore what stands in them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from gansmith.game import ImageSpec

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

from gansmith.studio.app import create_app
from gansmith.studio.jobs import Jobs
from gansmith.studio.repairs import Repairs
from gansmith.studio.worker import read_json, write_json
from helpers.studio import BASE, SAFE, body, make_run, save_picture

torch.set_num_threads(1)
LISTS = ("/api/trash", "/api/runs", "/api/data", "/api/models", "/api/jobs", "/api/tasks", "/api/repairs")
ROUNDS = 40


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    for name in ("stays", "goes"):
        make_run(root / "runs" / name, "gan", ImageSpec(16, 16, 1), width=4)
    (root / "data" / "set").mkdir(parents=True)
    for number in range(40):
        save_picture(root / "data" / "set" / f"{number}.png", number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Jobs, "ensure_worker", lambda self: None)
        patch.setattr(Repairs, "ensure_repairer", lambda self, warm=False: None)
        with TestClient(create_app(root, warm_up=False), base_url=BASE, headers=SAFE) as made:
            yield made


def test_lists_are_answered_while_what_they_list_moves(client):
    """Each answer is a whole list: never an error because one entry went away, and never without the entry that stays."""
    done = threading.Event()
    failed: list[str] = []
    rounds = [0]

    def ask() -> None:
        while not done.is_set():
            for address in LISTS:
                answer = client.get(address)
                if answer.status_code != 200:
                    failed.append(f"{address}: {answer.text}")
                elif address == "/api/runs" and "runs/stays" not in [row["id"] for row in answer.json()]:
                    failed.append(f"{address}: without the run that stays")
            rounds[0] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(ROUNDS):
            body(client.post("/api/run/rename", json={"id": "runs/goes", "name": "gone"}))
            body(client.post("/api/run/rename", json={"id": "runs/gone", "name": "goes"}))
            for delete, name in (("/api/run/delete", "runs/goes"), ("/api/data/delete", "data/set")):
                trash = body(client.post(delete, json={"id": name, "set": name}))["trash"]
                body(client.post("/api/trash/restore", json={"id": trash}))
    finally:
        done.set()
        asking.join()
    assert failed == []
    assert rounds[0] > 5


def test_what_leaves_the_trash_while_it_is_listed_is_left_out(client, monkeypatch):
    trash = body(client.post("/api/run/delete", json={"id": "runs/goes"}))["trash"]
    read = Path.read_text

    def after_a_restore(path: Path, *args, **kwargs) -> str:
        if path.name == "from.txt" and path.is_file():
            monkeypatch.undo()
            body(client.post("/api/trash/restore", json={"id": trash}))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", after_a_restore)
    assert body(client.get("/api/trash")) == []


def test_notes_that_are_written_at_once_are_all_kept(client):
    """Two requests that write the same small file: neither takes the other's half-written one, and no step is lost."""
    body(client.post("/api/welcome", json={"again": True}))
    answers: list[int] = []

    def tell(step: str) -> None:
        answers.extend(client.post("/api/welcome", json={"step": step}).status_code for _ in range(40))

    telling = [threading.Thread(target=tell, args=(step,)) for step in ("data", "train") * 2]
    for thread in telling:
        thread.start()
    for thread in telling:
        thread.join()
    assert set(answers) == {200}
    assert body(client.get("/api/welcome"))["done"]["data"]


def test_small_files_are_written_by_several_at_once(tmp_path):
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(200):
                write_json(tmp_path / "kept.json", {"number": number})
        except OSError as error:
            failed.append(error)

    writing = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    assert failed == []
    assert read_json(tmp_path / "kept.json")["number"] in range(4)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
