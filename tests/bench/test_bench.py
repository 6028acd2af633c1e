"""The stopwatch: arithmetic is counted right, lazy turns count as often as they are played, all subjects are measured."""

from __future__ import annotations

import json

import pytest
import torch

import gansmith
from gansmith import devices
from gansmith.bench.measure import RandomPictures, Subject, gemm_peak, human_bytes, measure, ready_to_train
from gansmith.cli import main

CPU = devices.Device(torch.device("cpu"))


def subject(family: str, batch: int = 4, **settings) -> Subject:
    game, channels_last = ready_to_train(gansmith.build(family, size=16, channels=1, **settings), CPU)
    return Subject(family, game, RandomPictures(game.spec, batch, CPU.torch_device, channels_last), CPU, 16)


def test_arithmetic_is_counted_as_by_hand():
    batch, width, latent, pixels = 8, 4, 4, 256
    (row,), _ = measure([subject("gan", batch, width=width, latent_dim=latent)], rounds=2, warm=1)
    g = [latent * width, width * 2 * width, 2 * width * 4 * width, 4 * width * pixels]
    d = [pixels * 2 * width, 2 * width * width, width]
    products = sum(g) + 2 * sum(d) + 2 * sum(d) + 2 * sum(d[1:])  # D's turn: G, D on both, weights, hidden layers
    products += sum(d) + sum(d) + sum(g) + sum(g[1:])  # G's turn: D, back through D, G's weights and hidden layers
    assert row.gflop == pytest.approx(2 * batch * products / 1e9, rel=1e-3)
    assert set(row.turns) == {"discriminator_loss", "generator_loss"}
    assert row.images_per_second == pytest.approx(batch / (sum(row.turns.values()) / 1000), rel=1e-2)
    assert 0 < row.share < 1.2


def test_lazy_turns_count_as_often_as_they_are_played():
    (row,), _ = measure(
        [subject("stylegan2", width=1 / 32, latent_dim=8, style_dim=8, path_weight=2.0)], rounds=1, warm=0
    )
    each = row.turns
    step = each["discriminator_loss"] + each["generator_loss"] + each["r1_penalty"] / 16 + each["path_penalty"] / 4
    assert row.images_per_second == pytest.approx(4000 / step, rel=1e-2)


def test_the_command_measures_and_says_what_it_left_out(capsys):
    words = ["bench", "gan", "dcgan", "--tiny", "--size", "16", "--batch", "4", "--rounds", "1", "--device", "cpu"]
    assert main([*words, "--precision", "fp32", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["family"] for row in report["rows"]] == ["gan", "dcgan"]
    assert report["gemm_gflop_per_second"]["fp32"] > 0.1
    assert main([*words, "--precision", "fp32"]) == 0
    assert "dcgan" in capsys.readouterr().out
    assert main(["bench", "nonsense"]) == 2
    assert main(["bench", "dcgan", "--size", "8", "--precision", "fp32"]) == 2
    assert "16 to 256" in capsys.readouterr().err


def test_the_peak_is_a_number_of_this_machine():
    assert 0.05 < gemm_peak(CPU.torch_device, "fp32", 0.05) < 1e5


def test_bytes_for_people():
    assert [human_bytes(n) for n in (3, 1536, 3 << 20, 5 << 30, None)] == [
        "3 bytes",
        "1.5 KB",
        "3.0 MB",
        "5.0 GB",
        "unknown",
    ]
