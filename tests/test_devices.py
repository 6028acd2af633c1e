"""In which precision a game is played: found out, kept, and undone after every turn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gansmith
from gansmith import devices
from gansmith.bench.measure import ready_to_train
from gansmith.cli import main
from gansmith.devices import Device
from gansmith.files.run import Run
from gansmith.game import Batch, Clock, Turn
from gansmith.training import engine, steps
from gansmith.training.state import Plan

CPU = torch.device("cpu")


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU whose matrix products take float32 as fast as bfloat16."""
    monkeypatch.setattr(devices, "_bf16_is_faster", lambda: True)
    monkeypatch.setattr(devices, "_has_tiles", lambda: True)


@pytest.mark.usefixtures("tiles")
def test_only_networks_of_matrix_products_alone_are_played_in_products() -> None:
    dense, convolutional = gansmith.build("gan", size=28, channels=1), gansmith.build("dcgan", size=32, channels=1)
    assert devices.suited(Device(CPU, "bf16"), dense) == Device(CPU, "bf16-products")
    assert devices.suited(Device(CPU, "bf16"), convolutional) == Device(CPU, "bf16")
    assert devices.suited(Device(CPU, "fp32"), dense) == Device(CPU, "fp32")
    assert devices.suited(Device(torch.device("cuda"), "bf16"), dense).precision == "bf16"


def test_tiles_are_found_by_what_they_round() -> None:
    tiles = devices._has_tiles()
    assert torch.get_float32_matmul_precision() == "highest"
    torch.manual_seed(0)
    a, b = torch.randn(256, 256), torch.randn(256, 256)
    with Device(CPU, "bf16-products").products():
        made = a @ b
    exact, rounded = a @ b, (a.bfloat16().float() @ b.bfloat16().float())
    assert (made - (rounded if tiles else exact)).abs().max() < 1e-3
    assert (made - (exact if tiles else rounded)).abs().max() > 1e-2


@pytest.mark.parametrize("tiles", [True, False])
def test_products_are_taken_where_there_are_tiles(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_has_tiles", lambda: tiles)
    dense = gansmith.build("gan", size=28, channels=1)
    assert devices.suited(Device(CPU, "bf16"), dense).precision == ("bf16-products" if tiles else "bf16")


def test_products_hold_for_a_turn_with_its_backward_pass_and_no_longer() -> None:
    game = gansmith.build("gan", size=8, channels=1, width=8, latent_dim=4)
    seen: list[str] = []
    loss = game.turns()[0].loss

    def watched(batch: Batch) -> object:
        value, logs = loss(batch)
        seen.append(torch.get_float32_matmul_precision())
        value.register_hook(lambda grad: seen.append(torch.get_float32_matmul_precision()))
        return value, logs

    turn = Turn("discriminator", watched)  # type: ignore[arg-type]
    optimizer = engine.make_optimizers(game, CPU)["discriminator"]
    batch = Batch(torch.rand(4, 1, 8, 8), clock=Clock(4, 1))
    steps.play(game, optimizer, turn, [batch], Plan(Device(CPU, "bf16-products")))
    assert seen == ["medium", "medium"]
    assert torch.get_float32_matmul_precision() == "highest"
    steps.play(game, optimizer, turn, [batch], Plan(Device(CPU, "fp32")))
    assert seen[2:] == ["highest", "highest"]
    with pytest.raises(ZeroDivisionError), Device(CPU, "bf16-products").products():
        _ = 1 / 0
    assert torch.get_float32_matmul_precision() == "highest"


def test_products_are_near_full_precision_and_stay_float32() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(64, 256), torch.randn(256, 128)
    with Device(CPU, "bf16-products").products():
        made = a @ b
    assert made.dtype == torch.float32
    assert (made - a @ b).abs().max() < 2**-7 * a.abs().max() * b.abs().max() * 256**0.5


@pytest.mark.usefixtures("tiles")
def test_a_run_remembers_its_precision(tmp_path: Path) -> None:
    words = ["train", "gan", "--data", "mnist10k", "--batch", "16", "--width", "8", "--out", str(tmp_path / "run")]
    if main([*words, "--steps", "2"]) != 0:
        pytest.fail("training failed")
    assert Run.open(tmp_path / "run").facts["precision"] == "bf16-products"
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "4"]) == 0
    assert Run.open(tmp_path / "run").facts["precision"] == "bf16-products"
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "6", "--precision", "fp32"]) == 2


@pytest.mark.parametrize(("family", "convolutional"), [("gan", False), ("dcgan", True), ("stylegan2", True)])
def test_what_convolves_is_laid_out_channels_last(family: str, convolutional: bool) -> None:
    game, channels_last = ready_to_train(gansmith.build(family, size=32, channels=3), Device(CPU))
    assert game.convolutional == channels_last == convolutional
    weights = [p for p in game.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
