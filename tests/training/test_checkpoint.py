"""Nothing is lost: processes are killed at random moments, disks fill up, files rot."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

import gansmith
from gansmith.errors import Diverged, ModelError, RunError
from gansmith.files.run import Run
from gansmith.game import ImageSpec
from gansmith.gans.gan import GAN
from gansmith.gans.r3gan import R3GAN
from gansmith.models.bundle import Model
from gansmith.training import checkpoint
from gansmith.training.session import train
from gansmith.training.settings import settings_from
from helpers import forked

TREE = {"a": {"b": torch.arange(6).reshape(2, 3), 3: [torch.ones(2), 1.5, None, "x"]}, "n": 7}


def same(one, two) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def test_saves_what_it_loads_and_keeps_two(tmp_path):
    for i in range(4):
        checkpoint.save(tmp_path, f"{i:03d}", TREE | {"n": i})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["002", "003"]
    assert same(checkpoint.load(tmp_path, pytest.fail), TREE | {"n": 3})
    assert checkpoint.load(tmp_path / "nothing", pytest.fail) is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "no tensors", "no json", "half json"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage):
    checkpoint.save(tmp_path, "001", TREE | {"n": 1})
    newest = checkpoint.save(tmp_path, "002", TREE | {"n": 2})
    tensors, document = newest / "state.safetensors", newest / "state.json"
    content = bytearray(tensors.read_bytes())
    if damage == "truncate":
        tensors.write_bytes(content[:-5])
    elif damage == "flip":
        content[-1] ^= 1
        tensors.write_bytes(content)
    elif damage == "no tensors":
        tensors.unlink()
    elif damage == "no json":
        document.unlink()
    else:
        document.write_text(document.read_text()[:40])
    said: list[str] = []
    assert checkpoint.load(tmp_path, said.append)["n"] == 1
    assert len(said) == 1
    assert "002" in said[0]


def test_when_all_are_damaged_it_says_so(tmp_path):
    (checkpoint.save(tmp_path, "001", TREE) / "state.json").unlink()
    with pytest.raises(RunError, match="Every checkpoint"):
        checkpoint.load(tmp_path, lambda message: None)


def test_a_full_disk_keeps_the_last_good_one(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, "001", TREE)

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(RunError, match="No space left on device"):
        checkpoint.save(tmp_path, "002", TREE)
    assert [p.name for p in tmp_path.iterdir()] == ["001"]
    assert same(checkpoint.load(tmp_path, pytest.fail), TREE)


def command(out: Path, npz: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "gansmith", "train", "gan", "--data", str(npz), "--out", str(out), "--steps", "60", "--batch", "4",
            "--width", "8", "--latent-dim", "8", "--snapshots", "2", "--save-minutes", "0.0001", "--device", "cpu", *more]  # fmt: skip


def final_state(out: Path) -> dict[str, torch.Tensor]:
    newest = max((out / "checkpoint").iterdir())
    tensors = safetensors.torch.load_file(newest / "state.safetensors")
    return tensors


def test_killed_at_random_moments_it_ends_the_same(npz, tmp_path):
    """kill -9 of real processes, mostly during a save (they save all the time): the end is equal bit for bit."""
    settings, config = settings_from(
        GAN, tmp_path / "whole", data=str(npz), steps=60, batch=4, width=8, latent_dim=8, snapshots=2, device="cpu"
    )
    train(GAN, settings=settings, family_config=config, quiet=True)
    chance = random.Random(0)
    out = tmp_path / "killed"
    for attempt in range(4):
        more = ["--resume"] if attempt else []
        process = forked.Forked(command(out, npz, *more))
        deadline = time.monotonic() + 120
        seen = len(list(Run(out, "gan").records()))
        # wait until it trains, then a random moment more
        while process.poll() is None and time.monotonic() < deadline and len(list(Run(out, "gan").records())) <= seen:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.wait()
    done = forked.run(command(out, npz, "--resume"))
    assert done.returncode == 0, done.stderr
    one, two = final_state(tmp_path / "whole"), final_state(out)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    images = [record["images"] for record in Run.open(out).records()]
    assert images == sorted(set(images))
    assert images[-1] == 240


def test_ctrl_c_saves_and_says_how_to_go_on(npz, tmp_path):
    out = tmp_path / "run"
    words = command(out, npz)
    words[words.index("--steps") + 1] = "1000000"
    process = forked.Forked(words)
    deadline = time.monotonic() + 120
    while not list(Run(out, "gan").records()) and not (out / "checkpoint").is_dir() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"gansmith train --resume --out {out}" in said
    assert checkpoint.load(out / "checkpoint", pytest.fail)["state"]["images"] > 0


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_last_good_state(npz, tmp_path, monkeypatch):
    original = GAN.discriminator_loss

    def poisoned(self, batch):
        loss, logs = original(self, batch)
        return (loss * float("nan"), logs) if batch.clock.step == 5 else (loss, logs)

    monkeypatch.setattr(GAN, "discriminator_loss", poisoned)
    settings, config = settings_from(
        GAN, tmp_path / "run", data=str(npz), steps=20, batch=4, width=8, save_minutes=1e-9, snapshots=1
    )
    with pytest.raises(Diverged, match="Try a lower --lr"):
        train(GAN, settings=settings, family_config=config, quiet=True)
    kept = checkpoint.load(tmp_path / "run" / "checkpoint", pytest.fail)
    assert kept["state"]["images"] == 16
    assert all(torch.isfinite(t).all() for t in kept["game"].values())
    assert Run.open(tmp_path / "run").facts["status"] == "diverged"


def test_a_checkpoint_of_other_networks_is_refused_in_words(npz, tmp_path):
    for name, width in (("narrow", 8), ("wide", 16)):
        settings, config = settings_from(
            GAN, tmp_path / name, data=str(npz), steps=2, batch=4, width=width, snapshots=1
        )
        train(GAN, settings=settings, family_config=config, quiet=True)
    shutil.rmtree(tmp_path / "narrow" / "checkpoint")
    shutil.copytree(tmp_path / "wide" / "checkpoint", tmp_path / "narrow" / "checkpoint")
    settings, config = settings_from(GAN, tmp_path / "narrow", data=str(npz), steps=4, batch=4, width=8, snapshots=1)
    settings = dataclasses.replace(settings, resume=True)
    with pytest.raises(RunError, match="not of this run's networks"):
        train(GAN, settings=settings, family_config=config, quiet=True)


def test_a_resumed_run_keeps_the_batch_it_began_with(npz, tmp_path, monkeypatch):
    monkeypatch.setattr(GAN, "default_batch", 16)
    settings, config = settings_from(GAN, tmp_path / "run", data=str(npz), steps=2, width=8)
    train(GAN, settings=settings, family_config=config, quiet=True)
    monkeypatch.setattr(GAN, "default_batch", 32)  # another version of gansmith
    settings = dataclasses.replace(settings, steps=None, images=64, resume=True)
    train(GAN, settings=settings, family_config=config, quiet=True)
    assert Run.open(tmp_path / "run").facts["batch"] == 16
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 4


def test_r3gan_takes_many_small_steps_on_small_grey_pictures():
    sizes = [R3GAN.usual_batch(ImageSpec(*shape)) for shape in ((28, 28, 1), (32, 32, 3), (64, 64, 1))]
    assert sizes == [32, 64, 64]


def test_a_folder_in_the_way_is_noticed_before_the_data_are_read(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    settings, config = settings_from(GAN, tmp_path / "run", data=str(tmp_path / "no such data"), steps=2)
    with pytest.raises(RunError, match="exists already"):
        train(GAN, settings=settings, family_config=config, quiet=True)


def test_a_full_disk_keeps_the_last_model(tmp_path, monkeypatch):
    model = Model("gan", gansmith.build("gan", size=16, channels=1, width=8, latent_dim=8))
    folder = model.save(tmp_path / "model")
    before = (folder / "model.safetensors").read_bytes()

    def full(*_):
        raise safetensors.SafetensorError("Error while serializing: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(ModelError, match=r"could not be written.*No space left"):
        model.save(folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
