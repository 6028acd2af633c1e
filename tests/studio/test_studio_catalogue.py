"""Ready models in the studio: listed with size and licence, asked about, fetched with progress, and then the workspace's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

from gansmith.studio.app import create_app
from helpers.catalogue import Served

SAFE = {"X-Gansmith": "studio"}


@pytest.fixture
def client(tmp_path: Path, home: Path) -> Any:
    with TestClient(
        create_app(tmp_path / "work", warm_up=False), base_url="http://127.0.0.1:7860", headers=SAFE
    ) as found:
        yield found


def row(client: TestClient, name: str) -> dict[str, Any]:
    return next(row for row in client.get("/api/catalogue").json() if row["name"] == name)


def wait(client: TestClient, name: str) -> dict[str, Any]:
    for _ in range(200):
        found = row(client, name)
        if found["fetch"] is not None and found["fetch"]["over"]:
            return found
        time.sleep(0.05)
    raise AssertionError("it never ended")


def test_a_ready_model_is_listed_accepted_fetched_and_used(client: TestClient, tmp_path: Path):
    found = row(client, "realesrgan-x2plus")
    assert (found["bytes"], found["licence"], found["commercial"], found["here"]) == (
        67_061_725,
        "BSD 3-Clause",
        True,
        False,
    )
    refused = client.post("/api/catalogue/get", json={"name": "tiny"})
    assert refused.status_code == 409
    assert "Free" in refused.json()["error"]
    assert client.post("/api/catalogue/get", json={"name": "tiny", "accepted": True}).status_code == 200
    found = wait(client, "tiny")
    assert found["here"]
    assert found["fetch"]["error"] == ""
    assert found["fetch"]["done"] == found["fetch"]["total"] > 0
    assert "models/tiny" in [model["id"] for model in client.get("/api/models").json()]
    assert client.get("/api/model", params={"model": "models/tiny"}).json()["scale"] == 2
    assert not list((tmp_path / "work" / "models").glob(".*"))


def test_what_needs_no_weights_repairs_at_once(client: TestClient):
    found = row(client, "fill")
    assert found["built_in"]
    assert not found["downloads"]
    assert client.post("/api/catalogue/get", json={"name": "fill", "accepted": True}).status_code == 200
    assert wait(client, "fill")["here"]
    listed = {model["id"]: model for model in client.get("/api/models").json()}
    assert listed["models/fill"]["translates"]
    assert client.get("/api/model", params={"model": "models/fill"}).json()["takes_mask"]


def test_what_goes_wrong_is_said(client: TestClient, served: Served, tmp_path: Path):
    assert client.post("/api/catalogue/get", json={"name": "../x", "accepted": True}).status_code == 404
    assert client.post("/api/catalogue/get", json={"accepted": True}).status_code == 400
    assert client.post("/api/catalogue/get", json={"name": "tiny-wrong", "accepted": True}).status_code == 200
    found = wait(client, "tiny-wrong")
    assert "SHA-256" in found["fetch"]["error"]
    assert not found["here"]
    served.status = 404
    assert client.post("/api/catalogue/get", json={"name": "tiny", "accepted": True}).status_code == 200
    assert "404" in wait(client, "tiny")["fetch"]["error"]
    served.status = 0
    assert client.post("/api/catalogue/get", json={"name": "tiny", "accepted": True}).status_code == 200  # tried again
    assert wait(client, "tiny")["here"]
