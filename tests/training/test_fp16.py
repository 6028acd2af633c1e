"""float16 with loss scaling: the same gradients, skipped steps that do no harm, scales that survive a resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gansmith
from gansmith import devices, registry
from gansmith.cli import main
from gansmith.devices import Device
from gansmith.errors import Diverged, GansmithError
from gansmith.game import Batch, Clock
from gansmith.generation import squared_gradient_norm
from gansmith.training import checkpoint, engine, hooks, scaling, steps
from gansmith.training.session import train
from gansmith.training.settings import settings_from
from gansmith.training.state import Plan, State
from helpers.phantom import phantom_cuda
from helpers.pictures import pictures

CPU = torch.device("cpu")
HALF = Device(CPU, "fp16")


def ready(family: str = "dcgan", device: Device = HALF, **settings):
    """A tiny game on grey pictures, its optimizers, and a plan."""
    torch.manual_seed(0)
    game = gansmith.build(family, size=16, channels=1, **(dict(registry.family(family).tiny) | settings)).train()
    optimizers, scalers = engine.make_optimizers(game, CPU), scaling.make_scalers(game.players, device)
    for scaler in scalers.values():  # one that fits at once; from torch's own it is found in a few steps
        scaler.load_state_dict(scaler.state_dict() | {"scale": 256.0})
    return game, optimizers, Plan(device, scalers=scalers)


def play(game, optimizers, plan, step: int = 1):
    torch.manual_seed(step)
    batch = Batch(torch.rand(8, 1, 16, 16) * 2 - 1, clock=Clock(8 * step, step, 0.1))
    logs = {}
    for turn in game.turns():
        logs |= steps.play(game, optimizers[turn.player], turn, [batch], plan)
    return logs


@pytest.mark.parametrize("settings", [{}, {"r1": 1.0}])
def test_weights_move_as_in_float32(settings: dict) -> None:
    moved = []
    for device in (Device(CPU), HALF):
        game, optimizers, plan = ready(device=device, **settings)
        before = torch.cat([p.detach().flatten().clone() for p in game.parameters()])
        for step in range(1, 4):
            logs = play(game, optimizers, plan, step)
        moved.append(torch.cat([p.detach().flatten() for p in game.parameters()]) - before)
    exact, half = moved
    assert logs["skipped/generator"] == logs["skipped/discriminator"] == 0
    assert torch.nn.functional.cosine_similarity(exact, half, 0) > 0.97


def test_a_step_that_overflows_is_skipped_and_its_scale_halved() -> None:
    game, optimizers, plan = ready()
    plan.scalers["discriminator"].load_state_dict(plan.scalers["discriminator"].state_dict() | {"scale": 2.0**60})
    scale = plan.scalers["discriminator"].get_scale()
    before = {name: p.detach().clone() for name, p in game.named_parameters()}
    logs = play(game, optimizers, plan)
    assert logs["skipped/discriminator"] == 1
    assert logs["skipped/generator"] == 0
    assert plan.scalers["discriminator"].get_scale() == scale / 2
    for name, parameter in game.named_parameters():
        assert torch.equal(parameter, before[name]) == name.startswith("discriminator."), name


def test_ada_keeps_its_probability_when_a_step_overflows() -> None:
    game, optimizers, plan = ready(augment="ada")
    game.augment.every = 1
    with torch.no_grad():
        next(game.discriminator.parameters()).fill_(6e4)
    logs = play(game, optimizers, plan)
    assert logs["skipped/discriminator"] == 1
    assert not logs["loss/discriminator"].isfinite()
    assert game.augment.p.isfinite()


def test_the_penalty_of_a_flat_discriminator_does_not_vanish() -> None:
    """The gradient is 1e-8, which float16 does not have."""
    images = torch.rand(4, 1, 8, 8).requires_grad_()
    first, second = torch.full((1, 64), 1e-4), torch.full((1, 1), 1e-4)
    with torch.autocast("cpu", dtype=torch.float16):
        logits = torch.nn.functional.linear(torch.nn.functional.linear(images.flatten(1), first), second)
        penalty = squared_gradient_norm(logits, images)
    torch.testing.assert_close(penalty, torch.full((4,), 64e-16), rtol=0.2, atol=0)


def test_a_skipped_step_is_no_divergence_and_nothing_but_skipped_steps_is() -> None:
    records: list[dict] = []
    log = hooks.Log(records.append, lambda state: False)
    nan, one, zero = torch.tensor(float("nan")), torch.ones(()), torch.zeros(())
    state = State(0, Clock(8, 1, 0.5))
    log(None, state, {"loss/generator": torch.tensor(3.0), "skipped/generator": zero})  # type: ignore[arg-type]
    log(None, state, {"loss/generator": nan, "skipped/generator": one})  # type: ignore[arg-type]
    log.flush(state)
    assert (records[0]["loss/generator"], records[0]["skipped/generator"]) == (3.0, 0.5)
    log(None, state, {"loss/generator": nan, "skipped/generator": one})  # type: ignore[arg-type]
    with pytest.raises(Diverged, match="loss/generator"):
        log.flush(state)
    plain = hooks.Log(records.append, lambda state: False)
    for value in (one, nan):
        plain(None, state, {"loss/generator": value})  # type: ignore[arg-type]
    with pytest.raises(Diverged):
        plain.flush(state)


@pytest.mark.parametrize("family", ["dcgan", "wgan", "stylegan2"])
def test_a_run_on_a_gpu_without_bf16_takes_fp16_and_resumes_with_its_scales(family: str, tmp_path: Path) -> None:
    npz = tmp_path / "pictures.npz"
    np.savez(npz, x=pictures(80, channels=1)[..., 0])
    kind = registry.family(family)
    out = tmp_path / "run"
    with phantom_cuda(capability=(7, 5), bf16=False):
        for count, resume in ((2, False), (4, True)):
            settings, config = settings_from(
                kind, out, data=(str(npz),), steps=count, batch=8, device="cuda", resume=resume, **kind.tiny
            )
            done = train(kind, settings=settings, family_config=config, quiet=True)
    assert done.run.facts["precision"] == "fp16"
    records = list(done.run.records())
    assert all(any(name.startswith("skipped/") for name in record) for record in records)
    assert all("memory_mb" in record for record in records)
    tree = checkpoint.load(done.run.checkpoints, pytest.fail)
    assert tree is not None
    assert set(tree["scalers"]) == set(kind.players)
    assert all(saved["scale"] > 0 for saved in tree["scalers"].values())


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((6, 0), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")],
)
def test_auto_takes_what_a_gpu_has_units_for(capability: tuple[int, int], precision: str) -> None:
    with phantom_cuda(capability=capability):
        assert devices.resolve("cuda").precision == precision


def test_precisions_that_a_device_does_not_have_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "gan", "--precision", "fp16", "--device", "cpu", "--steps", "1"]) == 2
    assert "--precision fp16 is for CUDA GPUs" in capsys.readouterr().err
    with phantom_cuda(capability=(7, 5)):
        with pytest.raises(GansmithError, match="by emulation"):
            devices.resolve("cuda", "bf16")
        with pytest.raises(GansmithError, match="for CPUs"):
            devices.resolve("cuda", "bf16-products")
