"""Every family in every mode on a GPU, real or not there: no mix of devices, and the host never waits in a step."""

from __future__ import annotations

import collections
import contextlib

import pytest
import torch

from gansmith.errors import GansmithError
from helpers import gpu, phantom_rows
from helpers.phantom import CUDA, DeviceMix, phantom_cuda
from helpers.phantom_rows import Row

phantom = pytest.mark.skipif(gpu.REAL, reason="a real GPU is here, which keeps its own rules")

ONCE = ("nn/constants.py", "nn/scalars.py", "nn/efficientnet.py")
"""Where a first step waits and later ones do not: constants and a classifier are uploaded, a counter is read."""
TWICE = ("fp32", "ada", "diffaugment", "processes", "wild", "resize")
"""Modes in which a second step is played, which nothing may hold up."""
MOST = {"ada": 1}
"""Waits of that step: one for ADA's probability, in the one step of four that adjusts it."""


@phantom
def test_the_phantom_keeps_cudas_rules() -> None:
    with phantom_cuda() as watch:
        weight = torch.ones(3, device="cuda", requires_grad=True)  # made there: nobody waits
        assert not watch.waits
        (weight * torch.tensor(2.0)).sum().backward()  # a scalar on the CPU may take part
        assert weight.grad is not None
        assert weight.grad.device == CUDA
        assert weight.grad.tolist() == [2, 2, 2]
        torch.tensor([1.0], device="cuda")
        weight.detach()[torch.tensor([0, 1])]
        weight.detach()[weight > 1]
        float(weight.sum())
        assert [wait.kind for wait in watch.waits] == ["download", "upload", "upload", "nonzero", "item"]
        for mixed in (
            lambda: weight + torch.ones(3),
            lambda: torch.stack([weight.sum(), torch.tensor(1.0)]),
            lambda: torch.where(weight > 0, weight, torch.zeros(3)),
        ):
            with pytest.raises(DeviceMix):
                mixed()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            assert (weight[None] @ weight[:, None]).dtype == torch.bfloat16
        with pytest.raises(TypeError, match="numpy"):
            weight.detach().numpy()
        assert not watch.doubles
        weight.double()
        torch.ones(2, dtype=torch.float64).to("cuda")
        assert len(watch.doubles) == 2


@phantom
def test_only_uploads_from_pinned_memory_go_on_by_themselves() -> None:
    with phantom_cuda() as watch:
        torch.ones(2).to("cuda", non_blocking=True)
        assert [wait.kind for wait in watch.waits] == ["upload"]
        watch.clear()
        pinned = torch.ones(2).pin_memory()
        pinned.to("cuda", non_blocking=True)
        torch.zeros(2, device="cuda").copy_(pinned, non_blocking=True)
        pinned.copy_(torch.zeros(2, device="cuda"), non_blocking=True)
        assert not watch.waits
        pinned.to("cuda")
        torch.zeros(2, device="cuda").cpu()
        assert [wait.kind for wait in watch.waits] == ["upload", "download"]


@pytest.mark.parametrize("row", phantom_rows.rows(), ids=str)
def test_a_step_stays_on_the_gpu_and_never_waits(row: Row) -> None:
    together = phantom_rows.one_of_two() if row.mode == "processes" else contextlib.nullcontext()
    with gpu.cuda() as watch, together:
        try:
            player = phantom_rows.ready(row, CUDA)
        except GansmithError as error:  # a family may refuse a mode
            pytest.skip(str(error))
        player.augment_now()
        watch.clear()
        logs = player.step()
        first = [wait for wait in watch.waits if not wait.place.startswith(ONCE)]
        if row.mode in TWICE:
            player.augment_now()
            watch.clear()
            player.step()
        waits = list(watch.waits) if row.mode in TWICE else []
        assert {value.device for value in logs.values()} == {CUDA}
        assert all(bool(value.isfinite()) for value in logs.values())
    assert not watch.doubles
    assert not first, collections.Counter(first)
    assert len(waits) <= MOST.get(row.mode, 0), collections.Counter(waits)
