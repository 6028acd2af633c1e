"""Runs that start from a model: what is carried over, what is said of the rest, and that a trained run is never lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import gansmith
from gansmith import registry
from gansmith.cli import main
from gansmith.errors import GansmithError, ModelError, RunError
from gansmith.files.run import Run
from gansmith.game import ImageSpec
from gansmith.models.bundle import OPPONENT, Model, averaged_copy, save
from gansmith.models.networks import opponent_tensors
from gansmith.models.transfer import start_from
from gansmith.training import checkpoint, fine_tuning, steps
from gansmith.training.session import train
from gansmith.training.settings import settings_from

FAMILIES = [name for name in registry.families() if hasattr(registry.family(name).Config, "conditional")]


def run_of(family: str, out: Path, **given: Any):
    kind = registry.family(family)
    settings, config = settings_from(kind, out, **{"batch": 4, "steps": 3, "snapshots": 1, **kind.tiny, **given})
    return train(kind, settings=settings, family_config=config, quiet=True)


def state(root: Path) -> dict[str, torch.Tensor]:
    tree = checkpoint.load(root / "checkpoint", pytest.fail)
    assert tree is not None
    return tree["game"]


def game_of(family: str, spec: ImageSpec, **settings: Any):
    kind = registry.family(family)
    return kind(kind.Config(**{**kind.tiny, **settings}), spec)


def model_of(family: str, folder: Path, spec: ImageSpec, *, opponent: bool = True, **settings: Any) -> Any:
    """A model folder of random weights; gives the game it was written from."""
    torch.manual_seed(7)
    game = game_of(family, spec, **settings)
    save(folder, Model(family, averaged_copy(game)), opponent_tensors(game) if opponent else None)
    return game


@pytest.mark.parametrize("name", registry.families())
@pytest.mark.parametrize("where", ["model", "checkpoint"])
def test_the_discriminator_comes_along(name, where, tmp_path):
    """Of every family: the weights of all networks, from the file beside the model or from the run's checkpoint."""
    kind, spec = registry.family(name), ImageSpec(32, 32, 3, other_channels=3)
    trained = model_of(name, tmp_path / "run" / "model", spec, opponent=where == "model")
    if where == "checkpoint":
        (tmp_path / "run" / "config.yaml").touch()
        for buffer in trained.buffers():  # a pool of pictures too
            buffer.fill_(1)
        checkpoint.save(tmp_path / "run" / "checkpoint", "000000000012", {"game": trained.state_dict()})
    game = game_of(name, spec)
    found = start_from(game, tmp_path / "run")
    assert f"run/{where}" in found.opponent
    assert found.left == []
    assert found.kept == found.kept_opponent == 1
    mine, theirs = game.state_dict(), trained.state_dict()
    judges = tuple(f"{n}." for names in kind.players.values() for n in names if n not in kind.exports)
    assert all(torch.equal(mine[key], theirs[key]) for key in mine if key.startswith(judges))
    assert not any(tensor.any() for key, tensor in mine.items() if "pool" in key), "pictures of other data came along"
    said = fine_tuning.lines_of(found, 0)
    assert len(said) == 1
    assert "its discriminator was found in" in said[0]


def test_a_run_goes_on_with_the_discriminator_of_another(npz, tmp_path):
    run_of("gan", tmp_path / "first", data=str(npz))
    assert (tmp_path / "first" / "model" / OPPONENT).is_file()
    before = state(tmp_path / "first")
    after = state(run_of("gan", tmp_path / "second", data=str(npz), init=str(tmp_path / "first"), steps=1).run.root)
    for key in before:
        if key.startswith("discriminator."):
            torch.testing.assert_close(after[key], before[key], atol=1e-3, rtol=0)  # one step of 2e-4 further


def test_ada_goes_on_from_its_probability(npz, tmp_path):
    run_of("gan", tmp_path / "first", data=str(npz), augment="ada")
    path = tmp_path / "first" / "model" / OPPONENT
    tensors = safetensors.torch.load_file(path)
    tensors["augment.p"].fill_(0.25)
    safetensors.torch.save_file(tensors, path)
    finished = run_of("gan", tmp_path / "second", data=str(npz), init=str(tmp_path / "first"), augment="ada", steps=2)
    assert abs(float(state(finished.run.root)["augment.p"]) - 0.25) < 0.01


def test_without_a_discriminator_a_new_one_learns_alone_first(npz, tmp_path, monkeypatch, capsys):
    run_of("gan", tmp_path / "first", data=str(npz))
    bare = tmp_path / "bare"
    shutil.copytree(tmp_path / "first" / "model", bare)
    (bare / OPPONENT).unlink()
    played: list[tuple[int, str]] = []
    original = steps.play

    def play(game, optimizer, turn, parts, *more):
        played.append((parts[0].clock.step, turn.player))
        return original(game, optimizer, turn, parts, *more)

    monkeypatch.setattr(steps, "play", play)
    words = [
        "train",
        "gan",
        "--data",
        str(npz),
        "--batch",
        "4",
        "--width",
        "8",
        "--latent-dim",
        "8",
        "--init",
        str(bare),
    ]
    for alone, count in ((12, 3), (1_000_000, 4)):  # at most for half of the run
        monkeypatch.setattr(fine_tuning, "ALONE_IMAGES", alone)
        out = tmp_path / f"run{alone}"
        played.clear()
        assert main([*words, "--steps", "8", "--out", str(out)]) == 0
        said = capsys.readouterr().err
        assert "no discriminator was found with it" in said
        assert f"learns alone for the first {alone:,} images" in said
        both = ["discriminator", "generator"]
        assert played == [(step, p) for step in range(1, 9) for p in (both if step > count else both[:1])]
    monkeypatch.setattr(fine_tuning, "ALONE_IMAGES", 40)  # 10 steps
    assert main([*words, "--steps", "2", "--out", str(tmp_path / "again")]) == 0
    monkeypatch.setattr(fine_tuning, "ALONE_IMAGES", 0)  # a resumed run keeps the time it began with
    played.clear()
    assert main(["train", "--resume", "--out", str(tmp_path / "again"), "--steps", "30"]) == 0
    assert min(step for step, player in played if player == "generator") == 11


def test_families_with_a_beginning_of_their_own_do_not_wait():
    spec = ImageSpec(32, 32, 3)
    assert not fine_tuning.may_wait(registry.family("upscale")(registry.family("upscale").Config(pretrain=0.2), spec))
    assert all(fine_tuning.may_wait(game_of(name, ImageSpec(32, 32, 3))) for name in FAMILIES)


NAMES = ("ant", "bee", "cow")


@pytest.mark.parametrize("name", FAMILIES)
def test_other_classes_keep_all_but_the_class_layers(name, tmp_path):
    """Rows of classes with equal names are kept, wherever they stand; new classes begin anew."""
    old = model_of(name, tmp_path / "m", ImageSpec(32, 32, 1, 3, NAMES), conditional=True)
    torch.manual_seed(8)
    game = game_of(name, ImageSpec(32, 32, 1, 4, ("cow", "dog", "ant", "eel")), conditional=True)
    fresh = {key: tensor.clone() for key, tensor in game.state_dict().items()}
    found = start_from(game, tmp_path / "m")
    now, before = game.state_dict(), old.state_dict()
    assert found.left
    assert all("embed" in key or "mapping" in key for key in found.left), found.left
    assert found.differences == ["3 classes, here 4"]
    for key in now:
        if key not in found.left:
            assert torch.equal(now[key], before[key]), key
    for key in (k for k in found.left if "embed" in k):
        dim = 1 if name.startswith("stylegan") else 0
        rows = [now[key].select(dim, i) for i in range(4)]
        assert torch.equal(rows[0], before[key].select(dim, 2))
        assert torch.equal(rows[2], before[key].select(dim, 0))
        assert torch.equal(rows[1], fresh[key].select(dim, 1))
        assert torch.equal(rows[3], fresh[key].select(dim, 3))
    assert found.opponent_is_new  # of two classes
    assert any("not carried over" in line and "embed" in line for line in found.lines())


def test_classes_in_another_order_are_matched_by_name(tmp_path):
    old = model_of("gan", tmp_path / "m", ImageSpec(16, 16, 1, 3, NAMES), conditional=True)
    game = game_of("gan", ImageSpec(16, 16, 1, 3, ("bee", "cow", "ant")), conditional=True)
    found = start_from(game, tmp_path / "m")
    assert found.left == []
    assert torch.equal(game.generator.embed.weight, old.generator.embed.weight[[1, 2, 0]])
    assert torch.equal(game.discriminator.embed.weight, old.discriminator.embed.weight[[1, 2, 0]])


@pytest.mark.parametrize("name", FAMILIES)
def test_an_unconditional_model_learns_classes(name, tmp_path):
    """At first the generator draws the same pictures for every class; from a conditional model to none all but classes stays."""
    old = model_of(name, tmp_path / "m", ImageSpec(32, 32, 1)).eval()
    game = game_of(name, ImageSpec(32, 32, 1, 3, NAMES), conditional=True).eval()
    found = start_from(game, tmp_path / "m")
    assert found.differences == ["no classes, here 3"]
    z = torch.randn(3, game.config.latent_dim)
    with torch.no_grad():
        near = {"rtol": 0, "atol": 1e-3} if name == "projected" else {}  # its class layers begin small, not at zero
        torch.testing.assert_close(game.sample(z, torch.arange(3)), old.sample(z), **near)
    model_of(name, tmp_path / "n", ImageSpec(32, 32, 1, 3, NAMES), conditional=True)
    game = game_of(name, ImageSpec(32, 32, 1))
    found = start_from(game, tmp_path / "n")
    assert found.kept == 1
    assert found.differences in (["3 classes, here none"], [])


@pytest.mark.parametrize(
    ("name", "settings"), [("stylegan2", {}), ("r3gan", {"generator": "residual"}), ("wgan-gp", {"arch": "resnet32"})]
)
def test_twice_the_size_keeps_all_lower_levels(name, settings, tmp_path):
    model_of(name, tmp_path / "m", ImageSpec(32, 32, 3), **settings)
    game = game_of(name, ImageSpec(64, 64, 3), **settings)
    found = start_from(game, tmp_path / "m")
    assert found.differences == ["pictures of 32x32, here 64x64"]
    old = game_of(name, ImageSpec(32, 32, 3), **settings)
    sizes = {key: tensor.numel() for key, tensor in old.state_dict().items()}
    for prefix, share in (("generator.", found.kept), ("discriminator.", found.kept_opponent)):
        mine = sum(t.numel() for key, t in game.state_dict().items() if key.startswith(prefix) and t.dim())
        theirs = sum(count for key, count in sizes.items() if key.startswith(prefix))
        assert share * mine > 0.9 * theirs, (prefix, found.left)


def test_the_lower_levels_of_a_discriminator_are_the_last(tmp_path):
    old = model_of("stylegan2", tmp_path / "m", ImageSpec(32, 32, 3))
    game = game_of("stylegan2", ImageSpec(64, 64, 3))
    start_from(game, tmp_path / "m")
    mine, theirs = game.discriminator.blocks, old.discriminator.blocks
    assert len(mine) == len(theirs) + 1
    for one, two in zip(mine[1:], theirs, strict=True):
        assert torch.equal(one.conv0.weight, two.conv0.weight)


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        (ImageSpec(32, 32, 3), {"width": 16}, "--width 8, here 16"),
        (ImageSpec(48, 40, 1), {}, "pictures of 32x32, here 40x48"),
        (ImageSpec(32, 32, 1), {}, "RGB pictures, here grey"),
    ],
)
def test_where_hardly_anything_fits_it_says_which_setting_differs(spec, settings, words, tmp_path):
    model_of("gan", tmp_path / "m", ImageSpec(32, 32, 1 if spec.channels == 1 and spec.height == 48 else 3))
    with pytest.raises(ModelError, match=words) as said:
        start_from(game_of("gan", spec, **settings), tmp_path / "m")
    assert "do not fit the networks" not in str(said.value)


def test_it_says_which_setting_differs_where_most_fits(tmp_path):
    model_of("gan", tmp_path / "m", ImageSpec(32, 32, 3))
    found = start_from(game_of("gan", ImageSpec(32, 32, 3), latent_dim=12), tmp_path / "m")
    assert "--latent-dim 8, here 12" in found.lines()[1]
    assert found.left == ["generator.layers.0.weight"]


def test_other_colours_keep_all_but_the_layers_at_the_picture(tmp_path):
    model_of("dcgan", tmp_path / "m", ImageSpec(32, 32, 1))
    game = game_of("dcgan", ImageSpec(32, 32, 3))
    found = start_from(game, tmp_path / "m")
    assert found.differences == ["grey pictures, here RGB"]
    assert found.left == ["generator.layers.9.weight", "discriminator.features.0.weight"]


def test_settings_that_change_no_network_are_not_named(tmp_path):
    model_of("gan", tmp_path / "m", ImageSpec(32, 32, 3), width=256)
    found = start_from(game_of("gan", ImageSpec(32, 32, 1), lr=1e-5, width=256), tmp_path / "m")
    assert found.differences == ["RGB pictures, here grey"]


def test_a_damaged_discriminator_is_refused_in_words(tmp_path):
    model_of("gan", tmp_path / "m", ImageSpec(16, 16, 1))
    (tmp_path / "m" / OPPONENT).write_bytes(b"\0" * 40)
    with pytest.raises(ModelError, match="cannot be read"):
        start_from(game_of("gan", ImageSpec(16, 16, 1)), tmp_path / "m")
    tensors = opponent_tensors(game_of("gan", ImageSpec(16, 16, 1)))
    tensors = {key: torch.full_like(tensor, torch.nan) for key, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, tmp_path / "m" / OPPONENT)
    with pytest.raises(ModelError, match="NaN"):
        start_from(game_of("gan", ImageSpec(16, 16, 1)), tmp_path / "m")


def test_a_model_without_its_discriminator_is_whole(tmp_path):
    model_of("gan", tmp_path / "m", ImageSpec(16, 16, 1))
    whole = gansmith.load(tmp_path / "m").sample(2)
    (tmp_path / "m" / OPPONENT).unlink()
    assert np.array_equal(gansmith.load(tmp_path / "m").sample(2), whole)


@pytest.mark.parametrize("name", ["dcgan", "stylegan2", "gan"])
def test_freeze_d(name, npz, tmp_path):
    """The first layers stay as they are, the others learn; a resumed run keeps it so."""
    extra = {"spectral_norm": True} if name == "dcgan" else {}
    run_of(name, tmp_path / "first", data=str(npz), size=16, **extra)
    before = state(tmp_path / "first")
    given = {
        "data": str(npz),
        "size": 16,
        "init": str(tmp_path / "first"),
        "freeze_d": 1,
        "save_minutes": 1e-9,
        **extra,
    }
    run_of(name, tmp_path / "run", **given)
    run_of(name, tmp_path / "run", **{**given, "steps": 6, "resume": True})
    after = state(tmp_path / "run")
    weights = [key for key, _ in game_of(name, ImageSpec(16, 16, 3), **extra).discriminator.named_parameters()]
    same = [torch.equal(before[f"discriminator.{key}"], after[f"discriminator.{key}"]) for key in weights]
    assert same[0]
    assert not any(same[2:]), [key for key, still in zip(weights, same, strict=True) if still]


def test_freeze_d_needs_a_trained_discriminator_and_leaves_something(npz, tmp_path):
    with pytest.raises(GansmithError, match="--init"):
        run_of("gan", tmp_path / "run", data=str(npz), freeze_d=1)
    run_of("gan", tmp_path / "first", data=str(npz))
    with pytest.raises(GansmithError, match="has 3 layers"):
        run_of("gan", tmp_path / "run", data=str(npz), freeze_d=3, init=str(tmp_path / "first"))
    shutil.rmtree(tmp_path / "first" / "checkpoint")
    (tmp_path / "first" / "model" / OPPONENT).unlink()
    with pytest.raises(GansmithError, match="no discriminator"):
        run_of("gan", tmp_path / "run", data=str(npz), freeze_d=1, init=str(tmp_path / "first"))
    assert not (tmp_path / "run").exists()


# --- nothing trained is started over ----------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["all", "no model", "no log"])
def test_a_trained_run_without_its_checkpoint_is_not_started_over(left, npz, tmp_path, capsys):
    out = tmp_path / "run"
    run_of("gan", out, data=str(npz))
    shutil.rmtree(out / "checkpoint")
    if left == "no model":
        shutil.rmtree(out / "model")
    if left == "no log":
        (out / "log.jsonl").unlink()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="has no checkpoint"):
        run_of("gan", out, data=str(npz), resume=True, steps=6)
    assert main(["train", "--resume", "--out", str(out), "--steps", "6"]) == 2
    said = capsys.readouterr().err
    assert ("--init" in said.partition("gansmith:")[2]) == (left != "no model")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["model", "samples"])
def test_a_file_in_the_place_of_a_runs_folder_is_not_replaced(name, npz, tmp_path, capsys):
    out = tmp_path / "run"
    run_of("gan", out, data=str(npz))
    shutil.rmtree(out / name)
    (out / name).write_text("mine")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(["train", "--resume", "--out", str(out), "--steps", "6"]) == 2
    assert f"{out / name} is a file" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_overwriting_a_file_with_a_model_leaves_nothing_beside_it(tmp_path):
    from helpers.models import tiny_model

    (tmp_path / "model").write_text("old")
    tiny_model("gan").save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "config.json").is_file()


def test_a_run_that_was_killed_before_its_first_checkpoint_begins(npz, tmp_path):
    out = tmp_path / "run"
    run_of("gan", out, data=str(npz))
    for path in list(out.iterdir()):
        if path.name != "config.yaml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    finished = run_of("gan", out, data=str(npz), resume=True)
    assert Run.open(finished.run.root).facts["images"] == 12
