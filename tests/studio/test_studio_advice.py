"""What the studio proposes: settings that suit the pictures, cures of errors, what the coach has said, told once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith import config, registry
from gansmith.config import TrainSettings
from gansmith.errors import GansmithError
from gansmith.game import ImageSpec
from gansmith.health import coach
from gansmith.nn import efficientnet

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

from gansmith.studio import advice, coaching, cures, forms, worker
from gansmith.studio.app import create_app
from gansmith.studio.jobs import Jobs
from gansmith.studio.repairs import Repairs
from helpers.studio import BASE, SAFE, body, make_run, save_picture

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    photos = root / "data" / "photos"
    photos.mkdir(parents=True)
    for i, size in enumerate([(120, 90), (90, 120), (130, 100)] * 4):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (*size, 3), np.uint8)).save(photos / f"{i}.png")
    for name in ("cats", "dogs"):
        (root / "data" / "pets" / name).mkdir(parents=True)
        for i in range(35):
            save_picture(root / "data" / "pets" / name / f"{i}.png", i + 100 * (name == "dogs"), 32)
    make_run(root / "runs" / "old", "dcgan", ImageSpec(16, 16, 1), width=4, latent_dim=8)
    return root


@pytest.fixture(scope="module")
def client(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Jobs, "ensure_worker", lambda self: None)
        patch.setattr(Repairs, "ensure_repairer", lambda self, warm=False: None)
        with TestClient(create_app(place, warm_up=False), base_url=BASE, headers=SAFE) as made:
            yield made


def plan(client, name: str, *data: str, **more) -> dict:
    return body(client.post("/api/train/plan", json={"name": name, "data": list(data)} | more))


# --- what suits the pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["dcgan", "r3gan", "colorize", "stylegan2", "gan"])
def test_photographs_of_many_sizes_begin(client, family):
    """The default path: each of these once died of the pictures' different sizes."""
    found = plan(client, family, "data/photos")
    assert found["set"]["size"] == 64
    assert found["problem"] is None
    assert ["sizes", {"n": 3, "size": 64, "smallest": 90}] in found["why"]
    assert found["set"].get("augment") == ("ada" if family != "colorize" else None)
    refused = plan(client, family, "data/photos", filled=False)["problem"]
    assert "different sizes" in refused["text"]
    assert refused["cures"][0] == {"set": {"size": 64}}


def test_families_that_cut_windows_take_any_size(client):
    assert plan(client, "inpaint", "data/photos")["set"] == {}
    assert plan(client, "upscale", "data/pets")["set"] == {"size": 32}  # smaller than the usual window


def test_labels_are_told_and_left_to_the_run(client):
    found = plan(client, "dcgan", "data/pets")
    assert found["set"] == {"augment": "ada"}
    assert found["facts"]["classes"] == 2
    digits = plan(client, "r3gan", "mnist10k")
    assert digits["set"] == {}
    assert ["classes", {"n": 10}] in digits["why"]


def test_what_was_typed_is_not_filled_in_again(client):
    found = plan(client, "dcgan", "data/photos", run={"size": 8})
    assert "16 to 256 px" in found["problem"]["text"]
    assert found["problem"]["cures"] == [{"set": {"size": 64}}]


def test_a_set_that_is_not_here_is_not_downloaded(client, monkeypatch, tmp_path):
    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.CIFAR10", lambda *_, **__: pytest.fail("it was downloaded"))
    assert plan(client, "dcgan", "cifar10") == {"set": {}, "why": [], "problem": None, "facts": {}}


def test_a_set_that_changes_is_looked_at_again(tmp_path):
    save_picture(tmp_path / "1.png", 1, 20)
    assert advice.look(str(tmp_path))["pictures"] == 1
    save_picture(tmp_path / "2.png", 2, 20)
    os.utime(tmp_path, (2e9, 2e9))
    assert advice.look(str(tmp_path))["pictures"] == 2


def test_one_set_with_two_sides_is_enough_and_without_is_refused(client, place):
    asked = {"name": "cyclegan", "data": ["data/photos"], "goal": "steps", "amount": 2}
    answer = client.post("/api/train", json=asked)
    assert answer.status_code == 400
    assert "trainA and trainB" in answer.json()["error"]
    for side in "AB":
        folder = place / "data" / "two" / f"train{side}"
        folder.mkdir(parents=True)
        for i in range(3):
            save_picture(folder / f"{i}.png", i, 64)
    assert client.post("/api/train", json=asked | {"data": ["data/two"], "called": "sides"}).status_code == 200


def test_the_check_says_what_to_begin_with(client, monkeypatch):
    monkeypatch.setattr(efficientnet, "weights_file", lambda: None)
    key = body(client.post("/api/data/check", json={"spec": "data/photos"}))["id"]
    while not (found := body(client.get("/api/data/check", params={"id": key})))["report"]:
        assert not found["error"]
    assert found["report"]["advice"]["family"] == "r3gan"
    assert found["report"]["advice"]["set"] == {"size": 64, "augment": "ada"}
    assert found["report"]["advice"]["cures"] == [{"set": {"flip": True}}]  # what is filled in needs no button
    assert found["report"]["verdict"].startswith("Ready to train on: 12 pictures, 64x64")
    assert "“Augment” ada, “Flip” and" in " ".join(found["report"]["notes"])


def test_what_a_family_augments_with_by_itself_is_left(client, monkeypatch):
    monkeypatch.setattr(efficientnet, "weights_file", lambda: Path("weights"))
    assert advice.family_for({"pictures": 6, "colour": True}) == "projected"  # as the command would take it
    assert plan(client, "projected", "data/photos")["set"] == {"size": 64}


# --- cures ------------------------------------------------------------------------------------------------------------


def raised(function) -> str:
    with pytest.raises(GansmithError) as error:
        function()
    return str(error.value)


def test_real_errors_have_cures(place):
    """Each message is raised by what raises it, so that new words for it are noticed here."""
    from gansmith.data import open_pictures
    from gansmith.training.settings import check_divides

    dcgan, spec = registry.family("dcgan"), ImageSpec(32, 32, 3)
    sizes = raised(lambda: open_pictures(str(place / "data" / "photos")))
    assert cures.cures(sizes, "dcgan") == [{"set": {"size": 64}}]
    large = raised(lambda: dcgan(dcgan.Config(), ImageSpec(800, 800, 3)))
    assert cures.cures(large, "dcgan") == [{"set": {"size": 64}}]
    styles = registry.family("stylegan2")
    odd = raised(lambda: styles(styles.Config(), ImageSpec(1500, 1500, 3)))
    assert "size" in cures.cures(odd, "stylegan2")[0]["set"]
    labels = raised(lambda: dcgan(dcgan.Config(conditional=True), spec))
    assert cures.cures(labels, "dcgan", {"conditional": True}) == [{"set": {"conditional": False}}]
    both = raised(lambda: dcgan(dcgan.Config(conditional=True, pack=2), ImageSpec(32, 32, 3, 2, ("a", "b"))))
    assert cures.cures(both, "dcgan", {"conditional": True, "pack": 2}) == [
        {"set": {"pack": 1}},
        {"set": {"conditional": False}},
    ]
    parts = raised(lambda: config.validate(TrainSettings(batch=30, accumulate=4)))
    assert cures.cures(parts, "dcgan", {"batch": 30, "accumulate": 4}) == [{"set": {"batch": 32}}]
    packs = raised(lambda: check_divides(30, 1, 1, 4))
    assert {"set": {"batch": 32}} in cures.cures(packs, "dcgan", {"batch": 30, "pack": 4})
    fades = raised(lambda: dcgan(dcgan.Config(class_fade=2), spec))
    assert cures.fields_named(fades, "dcgan") == ["class_fade"]


def test_flags_that_belong_together_are_one_cure():
    advised = "Take smaller batches (--batch 8), or faster ones (for stylegan2, --lr 6e-4 --lr-discriminator 2.5e-3), or take r3gan."
    assert cures.cures(advised, "stylegan2") == [
        {"set": {"batch": 8}},
        {"set": {"lr": 6e-4, "lr_discriminator": 2.5e-3}},
        {"family": "r3gan"},
    ]
    assert cures.cures(advised, "dcgan") == [{"set": {"batch": 8}}, {"family": "r3gan"}]


def test_every_advice_of_the_coach_has_a_cure():
    import inspect
    import re

    text = inspect.getsource(coach)
    found = re.findall(r"return Finding\((.*?)\n    \)", text, re.DOTALL)
    assert len(found) >= 7
    for block in found:
        words = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', block))
        proposed = cures.cures(words, "dcgan", {})
        assert proposed or "--augment-target" in words, words


def test_the_best_next_step_of_a_report_is_a_button(place):
    """The commands are those that a report really ends with."""
    from gansmith.files.run import Run
    from gansmith.health.coach import Finding
    from gansmith.health.next_step import next_command

    def step(family: str, kind: str, **settings) -> dict | None:
        root = place / "runs" / f"next-{family}-{kind}"
        facts = {"spec": {"classes": 3}, "images": 4000}
        train = {"data": ["a set/mine"], "minutes": 1.5, "lr": 1}
        run = Run(root, family, settings, train, facts)
        command = next_command(run, [Finding(kind, 0, "headline", "advice")] if kind else [], [])
        return cures.next_step(f"# Report\n\nThe best next step:\n\n```bash\n{command}\n```\n", family)

    assert step("gan", "") == {"goal": "minutes", "amount": 3.0}
    assert step("dcgan", "memorising", width=32) == {"set": {"augment": "ada", "width": 32}}
    assert step("dcgan", "copies") == {"set": {"flip": True}}
    assert step("dcgan", "missing-classes", conditional=False) == {"set": {"conditional": True}}
    assert step("gan", "collapse") == {"set": {}, "family": "r3gan"}
    assert step("r3gan", "collapse") == {"set": {"pack": 2, "conditional": False}}
    assert cures.next_step("# Report\n\nIt says `gansmith train gan` somewhere.\n", "gan") is None


def test_no_cure_is_what_was_asked_for_already():
    text = "Try --clip-grad 1, or --precision fp32."
    assert cures.cures(text, "dcgan", {"clip_grad": 1.0}) == [{"set": {"precision": "fp32"}}]


def test_full_disks_lead_to_the_trash():
    assert cures.cures("The disk is full. Make room, then try again.", "dcgan") == [{"page": "trash"}]


def test_a_refusal_names_its_field_and_brings_its_cure(client):
    asked = {"name": "dcgan", "data": ["mnist10k"], "goal": "steps", "amount": 2, "run": {"batch": 30, "accumulate": 4}}
    told = client.post("/api/train", json=asked).json()
    assert told["cures"] == [{"set": {"batch": 32}}]
    assert "batch" in told["fields"]
    wrong = client.post("/api/train", json=asked | {"run": {}, "family": {"width": "wide"}}).json()
    assert wrong["fields"] == ["width"]


def test_a_training_that_failed_is_started_again_with_its_cure(client, place):
    made = client.app.app.state.studio
    asked = {"name": "colorize", "data": ["data/photos"], "goal": "steps", "amount": 3, "family": {"width": 8}}
    job = body(client.post("/api/train", json=asked))["job"]
    reason = raised(lambda: __import__("gansmith").data.open_pictures(str(place / "data" / "photos")))
    worker.write_json(made.jobs.folder / job / "state.json", {"status": "failed", "ended": 1.0, "code": 2})
    (made.jobs.folder / job / "console.log").write_text(f"gansmith: {reason}\n")
    row = next(row for row in body(client.get("/api/jobs")) if row["id"] == job)
    assert row["cures"] == [{"set": {"size": 64}}]
    waiting = body(client.get("/api/run/log", params={"id": row["run"]}))["waiting"]
    assert waiting["cures"] == row["cures"]
    new = body(client.post("/api/train/again", json={"job": job, "set": row["cures"][0]["set"]}))
    settings = made.jobs.asked(new["job"])
    assert settings["train"]["size"] == 64
    assert settings["train"]["steps"] == 3
    assert settings["settings"] == {"width": 8}
    other = body(client.post("/api/train/again", json={"run": "runs/old", "family": "r3gan"}))
    assert made.jobs.asked(other["job"])["family"] == "r3gan"
    found = body(client.get("/api/train/like", params={"run": "runs/old"}))
    assert found["family"] == {"width": 4, "latent_dim": 8}
    assert "--width 4" in found["command"]
    assert "--out" not in found["command"]


# --- the coach, told once ---------------------------------------------------------------------------------------------

FINDING = {
    "kind": "collapse",
    "images": 12_000,
    "headline": "mode collapse: samples differ by 12% of what real pictures do",
    "advice": "Take --pack 2.",
}


def test_what_the_report_names_is_what_the_page_says(client, place):
    """A collapse that was named early, and a log whose last line is healthy: the report has it, so the page has it."""
    root = make_run(place / "runs" / "recovered", "dcgan", ImageSpec(16, 16, 1), width=4, latent_dim=8)
    found = body(client.get("/api/run", params={"id": "runs/recovered"}))
    assert found["coach"] == []
    text = (root / "config.yaml").read_text()
    facts = json.dumps([FINDING])
    (root / "config.yaml").write_text(text.replace("  status: finished", f"  status: finished\n  findings: {facts}"))
    os.utime(root / "config.yaml", (1.9e9, 1.9e9))
    (found,) = body(client.get("/api/run", params={"id": "runs/recovered"}))["coach"]
    assert (found["headline"], found["images"], found["now"]) == (FINDING["headline"], 12_000, False)
    assert found["cures"] == [{"set": {"pack": 2}}]


def test_runs_without_a_list_are_read_from_their_log():
    line = lambda images, health: {"images": images, "progress": images / 1e5, "health": health}
    records = [
        line(1, "healthy"),
        line(2, "mode collapse: samples differ by 30% of x"),
        line(3, "mode collapse: samples differ by 12% of x"),
        line(4, "healthy"),
    ]
    (found,) = coaching.findings({}, records, live=False)
    assert (found["images"], found["now"]) == (2, False)
    assert "12%" in found["headline"]
    assert coaching.findings({}, records[:3], live=False)[0]["now"]
    assert coaching.findings({}, records[:1], live=False) == []


def test_a_run_writes_down_what_its_report_says_and_keeps_it_when_resumed(tmp_path, monkeypatch):
    from gansmith.files.run import Run
    from gansmith.training.outputs import said_before
    from gansmith.training.session import train

    named = coach.Finding(**FINDING)
    monkeypatch.setattr(coach, "diagnose", lambda records: [named] if len(records) < 3 else [])
    settings = TrainSettings(
        data=("mnist10k[:120]",), out=tmp_path / "run", steps=6, batch=8, log_images=8, device="cpu"
    )
    train("gan", settings=settings, family_config=registry.family("gan").Config(width=8), quiet=True)
    kept = Run.open(tmp_path / "run")
    assert kept.facts["findings"] == [FINDING]
    assert FINDING["headline"] in (tmp_path / "run" / "report.md").read_text()
    assert said_before(kept.facts, 12_000) == [named]
    assert said_before(kept.facts, 11_999) == []
    assert said_before({"findings": "nonsense"}, 5) == []


# --- numbers that are none --------------------------------------------------------------------------------------------


def test_defaults_that_stand_for_something_are_marked():
    rows = {row["name"]: row for row in forms.fields(TrainSettings)}
    assert {name for name, row in rows.items() if row["stands_for"] == "off"} >= {"clip_grad", "eval_every"}
    assert {name for name, row in rows.items() if row["stands_for"] == "automatic"} >= {"batch", "size", "log_images"}
    assert rows["seed"]["stands_for"] == ""
    for family in registry.families():
        for row in forms.fields(registry.family(family).Config):
            if row["default"] == -1 and not isinstance(row["default"], bool):
                assert row["stands_for"] == "automatic", (family, row["name"])
