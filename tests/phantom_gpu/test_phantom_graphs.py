"""Steps recorded as CUDA graphs, on a GPU, real or not there: they move the weights as steps that are not recorded do."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gansmith import registry
from gansmith.cli import main
from gansmith.files.run import Run
from gansmith.game import Clock
from gansmith.parallel import seeding
from gansmith.training import compiling, graphs, steps
from gansmith.training.session import train
from gansmith.training.settings import settings_from
from helpers import gpu, phantom_rows
from helpers.phantom import CUDA
from helpers.phantom_rows import Player, Row
from helpers.pictures import pictures

phantom = pytest.mark.skipif(gpu.REAL, reason="a real GPU is here, which keeps its own rules")

ROWS = [
    *(Row(family, "fp32") for family in ("gan", "wgan", "inpaint")), Row("stylegan2", "path lengths"), Row("r3gan", "fp16"),
    *(Row("dcgan", mode) for mode in ("bf16", "accumulate", "conditional", "ada", "spectral norm", "r1")),
]  # fmt: skip


def play(row: Row, count: int, recorded: bool, first: int = 1, **settings: Any) -> tuple[Player, list[str]]:
    """A player after so many steps, and what was said of its recordings."""
    said: list[str] = []
    player = phantom_rows.ready(row, CUDA, **settings)
    player.augment_now()
    if recorded:
        player.plan = dataclasses.replace(player.plan, graphs=graphs.Graphs(said.append))
    for step in range(first, first + count):
        player.state.clock = Clock(8 * step, step, 0.3)
        seeding.seed_step(0, step)
        steps.step(player.game, player.optimizers, player.batches, player.state, player.turns, player.plan)
    return player, said


def weights(player: Player) -> dict[str, torch.Tensor]:
    return {name: value.cpu() for name, value in player.game.state_dict().items()}


def same(one: Player, other: Player) -> bool:
    a, b = weights(one), weights(other)
    if gpu.REAL:  # sums in another order
        return all(torch.allclose(a[name].float(), b[name].float(), rtol=0.05, atol=0.01) for name in a)
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_recorded_steps_move_weights_as_others_do(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "WARM", 1)
    lazy = (
        {"r1_every": 2, "path_every": 1}
        if row.family == "stylegan2"
        else {"penalty_every": 2}
        if row.mode == "r1"
        else {}
    )
    with gpu.cuda():
        (one, _), (other, said) = (play(row, 7 if lazy else 4, recorded, **lazy) for recorded in (False, True))
        assert not said
        assert other.plan.graphs is not None
        assert len(other.plan.graphs._chains) == (2 if lazy else 1)
        assert same(one, other)


def test_only_steps_of_one_phase_are_recorded() -> None:
    """r3gan's penalty is another at every fourth step, and so is never recorded; nor is ADA at a probability that follows the clock."""
    with gpu.cuda():
        player, said = play(Row("r3gan", "fp32"), 8, True)
        assert player.plan.graphs is not None
        assert len(player.plan.graphs._chains) == 1
        scheduled, _ = play(Row("r3gan", "ada"), 1, True, augment_p=0.5)
        assert scheduled.game.phase(Clock(8, 1, 0.3)) is None
        ada, _ = play(Row("dcgan", "ada"), 1, False)
        assert ada.game.phase(Clock()) != phantom_rows.ready(Row("dcgan", "ada"), CUDA).game.phase(Clock())
    assert not said


@phantom
@pytest.mark.parametrize("way", ["a wait", "a draw on the host"])
def test_steps_that_cannot_be_recorded_are_played_as_ever(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = registry.family("gan")
    original: Any = kind.generator_loss  # type: ignore[attr-defined]

    def loss(self: Any, batch: Any) -> Any:
        value, logs = original(self, batch)
        return (value * (2.0 if value.item() > 1e9 else 1.0) if way == "a wait" else value + 0 * torch.rand(())), logs

    monkeypatch.setattr(kind, "generator_loss", loss)
    with gpu.cuda():
        (one, _), (other, said) = (play(Row("gan", "fp32"), 6, recorded) for recorded in (False, True))
        assert len(said) == 1
        assert ("not permitted" if way == "a wait" else "random numbers on the host") in said[0]
        assert all(value.isfinite().all() for value in weights(other).values())
        assert way == "a wait" or same(one, other)


def test_recording_stops_at_so_many_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST", 1)
    with gpu.cuda():
        found = graphs.Graphs(pytest.fail)
        game = phantom_rows.ready(Row("gan", "fp32"), CUDA).game
        turns = game.turns()
        asked = [found.of(game, due, Clock()) for due in (turns, turns[:1]) for _ in range(graphs.WARM + 1)]
    assert [chain is not None for chain in asked] == [False] * graphs.WARM + [True] + [False] * (graphs.WARM + 1)


def run(folder: Path, family: str = "gan", **more: Any) -> Run:
    np.savez(folder / "x.npz", x=pictures(120, channels=1)[..., 0])
    kind = registry.family(family)
    given = {
        "data": (str(folder / "x.npz"),),
        "batch": 8,
        "precision": "fp32",
        "steps": 8,
        "device": "cuda",
        **kind.tiny,
        **more,
    }
    settings, config = settings_from(kind, folder / "run", **given)
    train(kind, settings=settings, family_config=config, quiet=True)
    return Run.open(folder / "run")


def test_a_run_records_its_steps_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "GAIN", 100.0)  # the phantom is slow
    made: list[graphs.Graphs] = []
    original = graphs.Graphs.__init__
    monkeypatch.setattr(graphs.Graphs, "__init__", lambda self, say: original(self, say) or made.append(self))
    with gpu.cuda():
        assert run(tmp_path, compile="graphs").facts["graphs"] is True
        assert made[-1]._chains
        assert list(run(tmp_path, compile="graphs", resume=True, steps=12).records())[-1]["step"] == 12
    losses = [r["loss/generator"] for r in Run.open(tmp_path / "run").records() if "loss/generator" in r]
    assert all(map(math.isfinite, losses))


def test_recordings_that_move_weights_otherwise_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss that reads the clock, of which its family says nothing."""
    kind = registry.family("gan")
    original: Any = kind.generator_loss  # type: ignore[attr-defined]

    def loss(self: Any, batch: Any) -> Any:
        value, logs = original(self, batch)
        return (value if batch.clock.step % 2 else -value), logs

    monkeypatch.setattr(kind, "generator_loss", loss)
    monkeypatch.setattr(compiling, "GAIN", 100.0)
    with gpu.cuda():
        np.savez(tmp_path / "x.npz", x=pictures(120, channels=1)[..., 0])
        words = [
            "train",
            "gan",
            "--data",
            tmp_path / "x.npz",
            "--out",
            tmp_path / "run",
            "--steps",
            "1",
            "--compile",
            "graphs",
            "--batch",
            "8",
        ]
        assert main(list(map(str, words))) == 0
    assert "move the weights otherwise" in capsys.readouterr().err
    assert Run.open(tmp_path / "run").facts["graphs"] is False


def test_a_cpu_has_none(tmp_path: Path) -> None:
    assert run(tmp_path, compile="graphs", device="cpu", steps=1).facts["graphs"] is False
