"""What every family must do, whatever it is: the tests find the families by looking into gans/."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tyro

import gansmith
from gansmith import config, devices, registry
from gansmith.files.run import Run, spec_from_plain
from gansmith.game import Batch, Clock, Game, ImageSpec
from gansmith.nn.inpainting import GatedConv, InpaintUNet
from gansmith.parallel import seeding
from gansmith.training import engine, steps
from gansmith.training.session import Session, train
from gansmith.training.settings import settings_from
from gansmith.training.state import Plan

ALL = list(registry.families())


@pytest.fixture
def data_for(npz: Path, two_folders: tuple[Path, Path]):
    def choose(kind: type[Game]) -> list[str]:
        return {
            "images": [str(npz)],
            "crops": [str(two_folders[0])],
            "unpaired": [str(f) for f in two_folders],
            "paired": [str(f) for f in two_folders],
        }[kind.data]

    return choose


def tiny_train(kind: type[Game], data: list[str], out: Path, **settings: Any):
    given = {"data": tuple(data), "batch": 4, "size": 32, "snapshots": 1, **kind.tiny, **settings}
    run_settings, family_config = settings_from(kind, out, **given)
    return train(kind, settings=run_settings, family_config=family_config, quiet=True)


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    import safetensors.torch

    newest = max(p for p in (path / "checkpoint").iterdir())
    return safetensors.torch.load_file(newest / "state.safetensors")


@pytest.mark.parametrize("name", ALL)
def test_trains_resumes_bit_for_bit_and_loads(name, data_for, tmp_path):
    kind = registry.family(name)
    data = data_for(kind)
    whole = tiny_train(kind, data, tmp_path / "whole", steps=6)
    assert not whole.interrupted
    tiny_train(kind, data, tmp_path / "parts", steps=6, save_minutes=1e-9)
    # forget everything after the first checkpoint that is kept, then go on from it
    kept = sorted((tmp_path / "parts" / "checkpoint").iterdir())
    assert len(kept) == 2
    import shutil

    shutil.rmtree(kept[-1])
    tiny_train(kind, data, tmp_path / "parts", steps=6, resume=True)
    one, two = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "parts")
    assert one.keys() == two.keys()
    for key in one:
        if key != "state/seconds":
            assert torch.equal(one[key], two[key]), key
    run = Run.open(tmp_path / "whole")
    assert (run.samples / "film.png").is_file()
    assert [r["images"] for r in run.records()] == sorted({r["images"] for r in run.records()})
    model = gansmith.load(tmp_path / "whole")
    assert model.family == name
    if hasattr(model.game, "seeded_latents"):
        pictures = model.sample(5, seed=3)
        assert pictures.dtype == np.uint8
        assert pictures.shape == (5, 32, 32, 3)
        assert np.array_equal(pictures, model.sample(5, seed=3))
        assert not np.array_equal(pictures, model.sample(5, seed=4))
    else:
        game: Any = model.game
        hole = torch.zeros(2, 1, 32, 32)
        hole[:, :, 8:24, 8:24] = 1
        changed = game.translate(torch.zeros(2, game.inputs, 32, 32), **({"mask": hole} if game.takes_mask else {}))
        assert changed.shape[0] == 2
        assert torch.isfinite(changed).all()


@pytest.mark.parametrize("name", ALL)
def test_each_player_moves_in_its_own_turns_and_in_no_other(name, data_for, tmp_path):
    kind = registry.family(name)
    session = tiny_train(kind, data_for(kind), tmp_path / "run", steps=1)
    spec = spec_from_plain(session.run.facts["spec"])
    torch.manual_seed(0)
    game = kind(config.make(kind.Config, kind.tiny, name), spec)
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    plan = Plan(devices.Device(torch.device("cpu")))
    generator = torch.Generator().manual_seed(0)
    moved_at_all = dict.fromkeys(kind.players, False)
    for step in range(1, 3):
        for turn in game.turns():
            seeding.seed_step(0, step)
            before = {p: [w.detach().clone() for w in game.player_parameters(p)] for p in kind.players}
            shape = (4, *spec.shape)
            images = torch.rand(shape, generator=generator) * 2 - 1
            other = (
                torch.rand((4, spec.other_channels, *shape[2:]), generator=generator) * 2 - 1
                if spec.other_channels
                else None
            )
            batch = Batch(
                images,
                torch.arange(4) % spec.classes if spec.classes else None,
                other,
                Clock(4 * step, step * turn.every, 0.6),
            )
            steps.play(game, optimizers[turn.player], turn, [batch], plan)
            for player in kind.players:
                moved = [
                    not torch.equal(a, b) for a, b in zip(before[player], game.player_parameters(player), strict=True)
                ]
                if player == turn.player:
                    moved_at_all[player] |= sum(moved) >= 0.5 * len(moved)
                else:
                    assert not any(moved), f"{turn.loss.__name__} moved {player}"
    assert all(moved_at_all.values()), moved_at_all


CONDITIONAL = [n for n in ALL if hasattr(registry.family(n).Config, "conditional")]


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditional(name, npz, tmp_path):
    kind = registry.family(name)
    model = tiny_train(kind, [str(npz)], tmp_path / "run", steps=3, conditional=True).model
    assert model.classes == 3
    one, two = model.sample(4, seed=0, label=0), model.sample(4, seed=0, label=2)
    assert one.shape == (4, 32, 32, 3)
    assert not np.array_equal(one, two)
    with pytest.raises(gansmith.GansmithError, match="no class '7'"):
        model.sample(1, label=7)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_classes_fade_in(name):
    kind = registry.family(name)
    torch.manual_seed(0)
    game: Any = kind(
        kind.Config(**{**kind.tiny, "conditional": True, "class_fade": 0.8}), ImageSpec(16, 16, 1, 3)
    ).eval()
    labels = torch.tensor([0, 1, 2, 2])
    weights = {
        progress: game.labels_of(Batch(torch.rand(4, 1, 16, 16), labels, clock=Clock(8, 2, progress)))
        for progress in (0.2, 0.6, 0.9)
    }
    torch.testing.assert_close(weights[0.2], torch.full((4, 3), 1 / 3))
    torch.testing.assert_close(weights[0.6][0], torch.tensor([2 / 3, 1 / 6, 1 / 6]))
    assert torch.equal(weights[0.9], torch.eye(3)[labels])
    latents, pictures = (
        torch.randn(1, game.config.latent_dim).expand(4, -1),
        torch.randn(1, 1, 16, 16).expand(4, -1, -1, -1),
    )
    with torch.no_grad():
        for network, given in ((game.generator, latents), (game.discriminator, pictures)):
            alike = network(given, weights[0.2])
            torch.testing.assert_close(alike, alike[:1].expand_as(alike))  # as if there were no classes
            assert (network(given, weights[0.9])[0] - network(given, weights[0.9])[1]).abs().max() > 0
        torch.testing.assert_close(game.sample(latents, labels), game.sample(latents, labels.flip(0)).flip(0))


@pytest.mark.parametrize("name", ALL)
def test_every_setting_is_a_flag_with_help(name):
    kind = registry.family(name)
    for f in dataclasses.fields(kind.Config):
        assert f.default is not dataclasses.MISSING, f.name
    text = tyro.extras.get_parser(kind.Config).format_help()
    for f in dataclasses.fields(kind.Config):
        assert "--" + f.name.replace("_", "-") in text
    assert registry.families()[name].endswith(".")
    plain = config.to_plain(kind.Config())
    assert config.make(kind.Config, plain, name) == kind.Config()


@pytest.mark.parametrize("name", ALL)
def test_half_batches_accumulate(name, data_for, tmp_path):
    kind = registry.family(name)
    assert not tiny_train(kind, data_for(kind), tmp_path / "run", steps=2, accumulate=2).interrupted


def test_the_gates_of_inpaint_begin_half_open():
    """Gates that begin shut or saturated never learn: the network would add nothing to the smooth fill."""
    torch.manual_seed(0)
    network = InpaintUNet(3)
    gates: dict[str, torch.Tensor] = {}

    def keep(name: str):
        return lambda layer, given, _: gates.update({name: torch.sigmoid(layer.conv(given[0]).chunk(2, 1)[1])})

    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, GatedConv)}
    for name, layer in layers.items():
        layer.register_forward_hook(keep(name))
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 16:48, 16:40] = 1
    network(images, mask).square().mean().backward()
    assert len(gates) == len(layers) == 12
    for name, gate in gates.items():
        assert ((gate > 0.2) & (gate < 0.8)).float().mean() > 0.98, name
    for name, layer in layers.items():
        assert layer.conv.weight.grad.abs().max() > 1e-6, name


def test_batch_norm_is_calibrated_with_classes_as_the_data_has_them():
    kind = registry.family("dcgan")
    torch.manual_seed(0)
    game: Any = kind(kind.Config(**{**kind.tiny, "conditional": True}), ImageSpec(16, 16, 1, 3, ("a", "b", "c")))
    seen: list[torch.Tensor] = []
    game.generator.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    for shares, common in (((0.9, 0.1, 0.0), 0.9), ((), 1 / 3), ((1 / 3, 1 / 3, 1 / 3), 1 / 3)):
        seen.clear()
        game.class_shares = shares
        game.calibrate(64, 0)
        labels = torch.cat(seen).argmax(1)
        assert abs((labels == 0).float().mean() - common) < 0.03
        assert ((labels == 2).any()) == (common < 0.5)


def test_the_averaged_game_knows_the_shares_of_the_data(tmp_path):
    labels = np.repeat([0, 1], [40, 8])
    np.savez(tmp_path / "uneven.npz", x=np.random.default_rng(0).integers(0, 255, (48, 16, 16), np.uint8), y=labels)
    kind = registry.family("gan")
    settings, config_ = settings_from(kind, tmp_path / "run", data=str(tmp_path / "uneven.npz"), steps=1, batch=4, conditional=True, **kind.tiny)  # fmt: skip
    session = Session(kind, "gan", settings, config_, devices.resolve("cpu", "fp32"), True)
    np.testing.assert_allclose(session.average.game.class_shares, [40 / 48, 8 / 48])
