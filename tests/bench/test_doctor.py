"""The doctor: what it says of memory and time holds when measured, and it says what to change."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from gansmith import devices, registry
from gansmith.bench import doctor, measure
from gansmith.cli import main
from gansmith.data.training import open_training_data
from gansmith.training.settings import settings_from
from helpers.pictures import pictures

CPU = devices.Device(torch.device("cpu"))


def examined(npz: Path, **settings) -> doctor.Diagnosis:
    kind = registry.family("dcgan")
    run_settings, config = settings_from(kind, None, data=str(npz), **settings)
    data = open_training_data(kind, run_settings, config, pytest.fail)
    return doctor.examine(kind, "dcgan", data, config, run_settings, CPU, seconds=0.1)


def test_a_run_is_measured(npz, capsys):
    words = [
        "doctor",
        "dcgan",
        "--data",
        str(npz),
        "--batch",
        "16",
        "--steps",
        "100",
        "--width",
        "8",
        "--device",
        "cpu",
    ]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fits"] is True
    assert report["images"] == 1600
    assert report["seconds"] == pytest.approx(1600 / report["images_per_second"])
    assert report["loader_images_per_second"] > report["images_per_second"] > 0
    assert 0 < report["memory"] < report["available"]
    assert set(report["parameters"]) == {"generator", "discriminator"}
    assert any("the networks learn without them" in line and "--conditional" in line for line in report["advice"])
    assert any("--augment ada" in line for line in report["advice"])
    assert any("larger than the 48 pictures" in line for line in report["advice"]) is False
    assert report["versions"]["torch"] == metadata.version("torch")
    assert main(["doctor"]) == 0
    assert "installed" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process's peak memory")
def test_the_memory_estimate_is_what_the_batch_then_needs(tmp_path):
    path = tmp_path / "large.npz"
    np.savez(path, x=pictures(64, 64))
    found = examined(path, batch=64, width=24)
    kind = registry.family("dcgan")
    run_settings, config = settings_from(kind, None, data=str(path), batch=64, width=24)
    data = open_training_data(kind, run_settings, config, pytest.fail)
    with measure.peak_memory(CPU.torch_device) as peak:
        subject = doctor._subject(kind(config, data.spec), "dcgan", data, 64, CPU)
        subject.play()
    assert found.memory is not None
    assert peak.bytes is not None
    # what is measured second finds memory that the first has left behind
    assert 0.5 * peak.bytes < found.memory < 4 * peak.bytes + (300 << 20)


def test_what_does_not_fit_is_told_and_not_tried(npz, monkeypatch):
    monkeypatch.setattr(doctor, "available_memory", lambda device: 1 << 20)
    found = examined(npz, batch=32, width=8)
    assert found.fits is False
    assert "does not fit" in found.advice[0]


def test_a_slow_loader_is_named(npz, monkeypatch):
    monkeypatch.setattr(doctor, "loader_speed", lambda *_: 1.0)
    assert any("gansmith data pack" in line for line in examined(npz, batch=8, width=8).advice)


def test_missing_extras_are_named(monkeypatch):
    lines = [
        "torch>=2.6",
        "nonsense-pictures>=1; extra == 'hub'",
        "numpy; extra == 'shards'",
        "pytest-nonsense; extra == 'dev'",
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: lines)
    assert doctor.missing_extras() == {"hub": ["nonsense-pictures"]}
