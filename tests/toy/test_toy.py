"""The toy worlds: the data, the counting, and short runs through the real engine."""

from __future__ import annotations

import json
import math

import pytest
import torch

from gansmith import cli, registry
from gansmith.config import make
from gansmith.errors import GansmithError
from gansmith.toy import networks, points, stacked
from gansmith.toy.worlds import PointBatches, make_world, score
from gansmith.training.engine import Goal


@pytest.mark.parametrize(("name", "modes", "sigma", "width"), [("ring", 8, 0.01, 1.0), ("grid", 25, 0.05, 4.0)])
def test_worlds_follow_the_protocol(name: str, modes: int, sigma: float, width: float) -> None:
    world = make_world(name)
    assert (len(world.centres), world.sigma, len(world.points)) == (modes, sigma, 100_000)
    assert float(world.centres.abs().max()) == pytest.approx(width)
    found = score(world.points, world)
    assert found.modes == modes
    assert found.good == pytest.approx(1 - math.exp(-4.5), abs=2e-3)  # 3 sigma in the plane
    assert found.reverse_kl < 1e-3
    nearest = torch.cdist(world.points, world.centres).argmin(1)
    spread = (world.points - world.centres[nearest]).std()
    assert float(spread) == pytest.approx(sigma, rel=0.02)


def test_score_by_hand() -> None:
    world = make_world("ring")
    samples = world.centres[[0, 0, 1, 2]].clone()
    samples[3] += 0.04  # 5.7 sigma away
    found = score(samples, world)
    assert (found.modes, found.of) == (2, 8)
    assert found.good == pytest.approx(0.75)
    assert found.reverse_kl == pytest.approx(0.5 * math.log(4) + 2 * 0.25 * math.log(2))


def test_unknown_world_and_family_are_refused() -> None:
    with pytest.raises(GansmithError, match="no toy world"):
        make_world("torus")
    with pytest.raises(GansmithError, match="cannot be played on points"):
        points.playable("cyclegan")


def test_batches_repeat() -> None:
    batches, again = (PointBatches(make_world("ring"), 50, 3) for _ in range(2))
    assert torch.equal(batches.at(100).images, again.at(100).images)
    assert not torch.equal(batches.at(0).images, batches.at(50).images)


def test_protocol_networks() -> None:
    generator, discriminator = networks.Generator(), networks.Discriminator(pack=4)
    count = lambda m: sum(p.numel() for p in m.parameters())
    assert count(generator) == 2 * 400 + 400 + 3 * (400 * 400 + 400) + 4 * 800 + 802
    assert count(discriminator) == 8 * 1000 + 1000 + 2 * (200 * 1000 + 1000) + 201
    assert discriminator(torch.randn(5, 8)).shape == (5, 1)


@pytest.mark.parametrize("family", ["gan", "wgan", "wgan-gp", "r3gan"])
def test_every_family_plays(family: str) -> None:
    world = make_world("grid")
    preset = points.preset(family, world)
    config = make(registry.family(family).Config, preset.settings, family)
    runs = [points.play(family, world, config, 1, goal=Goal(400), batch=100, frames=1) for _ in range(2)]
    assert runs[0].images == 400
    assert len(runs[0].frames) == 2
    assert runs[0].frames[0].landscape.shape == (64, 64)
    assert runs[0].score == runs[1].score  # the seed decides everything
    assert not runs[0].diverged


def test_packing_plays() -> None:
    world = make_world("ring")
    config = make(registry.family("gan").Config, {**points.preset("gan", world).settings, "pack": 4}, "gan")
    assert points.play("gan", world, config, 0, goal=Goal(200), batch=100, frames=1).images == 200


def test_r3gan_moves_towards_the_modes() -> None:
    """A few seconds of the preset: from nowhere near to samples on the grid."""
    world = make_world("grid")
    preset = points.preset("r3gan", world)
    config = make(registry.family("r3gan").Config, preset.settings, "r3gan")
    run = points.play("r3gan", world, config, 0, goal=Goal(400 * 128), batch=128)
    assert run.score.modes >= 15
    assert run.score.reverse_kl < 0.8


def test_stacked_digits() -> None:
    data = stacked.StackedDigits()
    images, labels = data.fetch(torch.tensor([0, 7]).numpy())
    assert (images.shape, images.dtype, labels) == ((2, 3, 28, 28), torch.uint8, None)
    assert torch.equal(images[1, 2], data.digits[data.triples[7, 2], 0])


def test_real_stacked_digits_have_all_modes() -> None:
    data = stacked.StackedDigits()

    class Oracle:
        def seeded_latents(self, n: int, seed: int) -> torch.Tensor:
            return torch.arange(n)[:, None]

        def sample(self, z: torch.Tensor) -> torch.Tensor:
            return data.fetch(z[:, 0].numpy())[0].float() / 127.5 - 1

    modes, kl = stacked.count(Oracle(), 0, n=2000)
    assert 800 < modes < 900  # 2,000 draws of 1,000 reach 865 on average
    assert kl < 0.4


def test_command_line(tmp_path, capsys) -> None:
    out = tmp_path / "out"
    argv = [
        "toy",
        "ring",
        "--family",
        "gan",
        "--seeds",
        "2",
        "--images",
        "300",
        "--pack",
        "2",
        "--json",
        "--out",
        str(out),
    ]
    assert cli.main(argv) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "result.json").read_text())
    assert [run["seed"] for run in printed["runs"]] == [0, 1]
    assert printed["settings"]["pack"] == 2
    assert printed["settings"]["beta1"] == 0.8
    assert set(printed["summary"]) == {"modes", "good", "reverse_kl", "seconds"}
    assert {path.name for path in out.iterdir()} == {"result.json", "ring-gan.png", "ring-gan.mp4"}


@pytest.mark.parametrize(
    "argv",
    [
        ["toy", "torus", "--family", "gan"],
        ["toy", "ring", "--family", "cyclegan"],
        ["toy", "ring", "--family", "nothing"],
        ["toy", "ring"],
        ["toy", "ring", "--family", "gan", "--images", "10", "--minutes", "1"],
        ["toy", "ring", "--family", "gan", "--seeds", "-1"],
        ["toy", "ring", "--family", "gan", "--seed", "-1"],
        ["toy", "ring", "--family", "gan", "--minutes", "nan"],
        ["toy", "ring", "--family", "gan", "--threads", "-1"],
        ["toy", "ring", "--family", "gan", "--lr", "-1"],
        ["toy", "ring", "--family", "gan", "--augment", "diffaugment"],
        ["toy", "ring", "--family", "gan", "--latent-dim", "5"],
        ["toy", "ring", "--family", "gan", "--out", "file/out"],
    ],
)
def test_bad_input_is_one_paragraph(argv: list[str], capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("gansmith: ")
    assert len(error.strip().splitlines()) == 1


def test_the_family_may_come_first(capsys) -> None:
    words = ["--images", "100", "--seeds", "1", "--json"]
    for argv in (["toy", "--family", "gan", "ring", *words], ["toy", "--family=gan", "ring", *words]):
        assert cli.main(argv) == 0
        assert json.loads(capsys.readouterr().out)["world"] == "ring"
    assert cli.main(["toy", "ring", "--help"]) == 0
    assert "stacked-mnist" in capsys.readouterr().out


def test_what_cannot_be_played_leaves_no_folder(tmp_path):
    out = tmp_path / "new"
    words = ["toy", "ring", "--family", "gan", "--images", "32", "--seeds", "1", "--batch", "8", "--pack", "3"]
    assert cli.main([*words, "--out", str(out)]) == 2
    assert not out.exists()
