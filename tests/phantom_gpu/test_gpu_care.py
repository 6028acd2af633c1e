"""What GPUs ask for besides speed: the right one, memory, clocks, determinism; on a GPU that is not there."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import gansmith
from gansmith import devices, registry
from gansmith.cli import main
from gansmith.errors import GansmithError, RunError
from gansmith.files.run import Run
from gansmith.training import checkpoint, engine, memory
from gansmith.training.session import train
from gansmith.training.settings import settings_from
from gansmith.training.state import Plan, State
from helpers import gpu
from helpers.phantom import phantom_cuda
from helpers.pictures import pictures

CPU = torch.device("cpu")
phantom = pytest.mark.skipif(gpu.REAL, reason="a real GPU is here, which keeps its own rules")


@phantom
def test_the_device_is_set_before_anything_asks_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with phantom_cuda():
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: asked.append(f"set {device}"))
        monkeypatch.setattr(
            torch.cuda, "get_device_capability", lambda device=None: asked.append(f"asked {device}") or (9, 0)
        )
        monkeypatch.setattr(torch, "empty", lambda *shape, device: asked.append(f"made {device}"))
        devices.resolve("cuda:1")
    assert asked == ["set cuda:1", "made cuda:1", "asked cuda:1"]


@phantom
def test_a_gpu_that_is_not_there_is_named() -> None:
    with phantom_cuda(), pytest.raises(GansmithError, match=r"There is no GPU cuda:3: cuda:0 is the only GPU here"):
        devices.resolve("cuda:3")


def test_no_gpu_at_all_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert main(["train", "gan", "--device", "cuda:0", "--steps", "1"]) == 2
    assert "cuda:0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError(
            "The operator 'aten::erfinv' is not currently implemented for the MPS device. If you want ..."
        ),
        TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."),
        RuntimeError("MPS: Unsupported Border padding mode"),
        TypeError("BFloat16 is not supported on MPS"),
    ],
)
def test_what_an_apple_gpu_cannot_do_is_said(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(registry.family("gan"), "discriminator_loss", fail)
    assert (
        main(["train", "gan", "--data", str(write(tmp_path / "x.npz")), "--out", str(tmp_path / "run"), "--steps", "1"])
        == 2
    )
    said = capsys.readouterr().err
    assert "Apple's GPU" in said
    assert "PYTORCH_ENABLE_MPS_FALLBACK=1" in said
    assert "Traceback" not in said
    assert Run.open(tmp_path / "run").facts["status"] == "failed"


@phantom
def test_precisions_that_a_device_does_not_have_are_refused() -> None:
    with pytest.raises(GansmithError, match="fp16 is for CUDA GPUs, and this run computes on cpu"):
        devices.resolve("cpu", "fp16")
    with phantom_cuda(capability=(7, 5)), pytest.raises(GansmithError, match="computes bf16 by emulation"):
        devices.resolve("cuda", "bf16")


def test_clocks_are_read_once_an_apple_gpu_has_done_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    devices.synchronise(torch.device("mps"))
    devices.synchronise(CPU)
    assert waited == ["mps"]


def write(path: Path, count: int = 80) -> Path:
    np.savez(path, x=pictures(count, channels=1)[..., 0])
    return path


def test_a_step_that_does_not_fit_says_which_parts_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with room for two pictures: batches of 8 fail, four parts fit, and the run can go on."""
    kind = registry.family("dcgan")
    original = kind.discriminator_loss

    def loss(self, batch):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(self, batch)

    monkeypatch.setattr(kind, "discriminator_loss", loss)
    settings, config = settings_from(
        kind, tmp_path / "run", data=(str(write(tmp_path / "x.npz")),), steps=4, batch=8, device="cpu", **kind.tiny
    )
    with pytest.raises(RunError, match=r"--accumulate 4 fits \(it was tried\).*--batch 2") as caught:
        train(kind, settings=settings, family_config=config, quiet=True)
    assert "checkpoint/" in str(caught.value)
    run = Run.open(tmp_path / "run")
    assert run.facts["status"] == "stopped"
    assert checkpoint.load(run.checkpoints, pytest.fail)["state"]["images"] == 0


def test_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    game = gansmith.build("gan", size=16, channels=1, **registry.family("gan").tiny)
    plan = Plan(devices.Device(CPU))

    def never(*_):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)")

    monkeypatch.setattr(memory, "step", never)
    source = type("Source", (), {"world_size": 4, "at": never})()
    words = memory.advice(game, engine.make_optimizers(game, CPU), source, State(0), plan)
    assert "Not even one picture at a time fits" in words


def test_errors_that_are_no_lack_of_memory_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = registry.family("gan")
    monkeypatch.setattr(kind, "discriminator_loss", lambda self, batch: torch.ones(2) @ torch.ones(3))
    settings, config = settings_from(
        kind, tmp_path / "run", data=(str(write(tmp_path / "x.npz")),), steps=1, batch=8, device="cpu", **kind.tiny
    )
    with pytest.raises(RuntimeError, match="size"):
        train(kind, settings=settings, family_config=config, quiet=True)


@phantom
def test_checkpoints_copy_tensors_to_the_cpu_one_by_one(tmp_path: Path) -> None:
    """No copy on the GPU, whatever the layout: only tensors that come to the CPU are made."""
    with phantom_cuda() as watch:
        tree = {
            "a": torch.randn(4, 3, 5, 5, device="cuda").contiguous(memory_format=torch.channels_last),
            "b": [torch.ones(7, device="cuda")],
        }
        watch.clear()
        checkpoint.save(tmp_path, "1", tree)
        assert {wait.kind for wait in watch.waits} == {"download"}
        assert len(watch.waits) == 2
        on_gpu = [name for name in watch.kernels if "clone" in name or "copy" in name]
        assert len(on_gpu) <= 2, on_gpu
    loaded = checkpoint.read(tmp_path / "1")
    assert loaded["a"].shape == (4, 3, 5, 5)


def test_deterministic_algorithms_hold_for_the_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = registry.family("gan")
    seen: list[tuple[bool, bool]] = []
    original = kind.discriminator_loss

    def loss(self, batch):
        seen.append((torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic))
        return original(self, batch)

    monkeypatch.setattr(kind, "discriminator_loss", loss)
    data = str(write(tmp_path / "x.npz"))
    for wanted in (True, False):
        settings, config = settings_from(
            kind, tmp_path / str(wanted), data=(data,), steps=1, batch=8, deterministic=wanted, **kind.tiny
        )
        train(kind, settings=settings, family_config=config, quiet=True)
    assert seen == [(True, True), (False, False)]
    assert not torch.are_deterministic_algorithms_enabled()


@phantom
@pytest.mark.parametrize(
    ("there", "deterministic", "expected"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_cudnn_tries_its_algorithms_while_a_gpu_trains(
    there: bool, deterministic: bool, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = registry.family("gan")
    seen: list[bool] = []
    original = kind.discriminator_loss
    monkeypatch.setattr(
        kind,
        "discriminator_loss",
        lambda self, batch: seen.append(torch.backends.cudnn.benchmark) or original(self, batch),
    )
    given = {
        "data": (str(write(tmp_path / "x.npz")),),
        "steps": 1,
        "batch": 8,
        "deterministic": deterministic,
        **kind.tiny,
    }
    with phantom_cuda() if there else contextlib.nullcontext():
        settings, config = settings_from(kind, tmp_path / "run", device="cuda" if there else "cpu", **given)
        train(kind, settings=settings, family_config=config, quiet=True)
    assert seen == [expected]
    assert not torch.backends.cudnn.benchmark


@phantom
def test_a_run_that_goes_on_on_another_kind_of_device_is_warned_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = registry.family("gan")
    data, out = str(write(tmp_path / "x.npz")), tmp_path / "run"
    given = {"data": (data,), "batch": 8, "precision": "fp32", **kind.tiny}
    with phantom_cuda():
        settings, config = settings_from(kind, out, steps=1, device="cuda", **given)
        train(kind, settings=settings, family_config=config, quiet=True)
    shutil.copytree(out, tmp_path / "copy")
    for count, warned in ((2, True), (3, False)):
        settings, config = settings_from(kind, out, steps=count, device="cpu", resume=True, **given)
        train(kind, settings=settings, family_config=config, quiet=True)
        assert ("was trained on cuda and goes on on cpu" in capsys.readouterr().err) == warned


def test_features_are_measured_without_tf32() -> None:
    from gansmith.metrics.features import build, extract

    extractor, seen = build("mnist-cnn", "cpu"), []
    features = extractor.features
    extractor.features = lambda pictures: seen.append(torch.backends.cuda.matmul.allow_tf32) or features(pictures)  # type: ignore[method-assign]
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        extract(extractor, [torch.zeros(2, 1, 28, 28, dtype=torch.uint8)])
        assert seen == [False]
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
