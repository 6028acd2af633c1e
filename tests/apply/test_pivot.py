"""Tuning a generator to a picture, directions with names, and all that styles allow with a StyleGAN3."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gansmith
from gansmith import cli
from gansmith.apply.directions import Direction, between, read
from gansmith.apply.pivot import tune
from gansmith.apply.styles import Styles, edit, factorise, mix, multiscale_distance
from gansmith.errors import GansmithError
from gansmith.files.pictures import save
from gansmith.models.bundle import Model, averaged_copy, load

SMALL = {"latent_dim": 8, "style_dim": 8, "size": 16, "channels": 3}


def small(family: str) -> Model:
    torch.manual_seed(0)
    settings = {"width": 1 / 32} if family == "stylegan2" else {"width": 1 / 64, "layers": 4, "margin": 2}
    return Model(family, averaged_copy(gansmith.build(family, **SMALL, **settings)))


@pytest.fixture(scope="module", params=["stylegan2", "stylegan3"])
def model(request) -> Model:
    return small(request.param)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    return model.save(tmp_path_factory.mktemp("pivot") / "model")


def picture() -> torch.Tensor:
    """One that no model here makes: stripes."""
    return (torch.linspace(0, 9, 16).sin() * 0.8).expand(1, 3, 16, 16).contiguous()


def test_tuning_comes_nearer_and_leaves_the_model_as_it_was(model):
    styles, target = Styles(model), picture()
    before = {name: tensor.clone() for name, tensor in model.game.state_dict().items()}
    pivot = styles.average()
    told: list[float] = []
    tuned, reached = tune(styles, pivot, target, steps=40, lr=5e-3, progress=lambda _, best: told.append(best))
    assert len(told) == 41
    assert reached == told[-1] < 0.7 * told[0]
    made = Styles(tuned).pictures(pivot)
    assert (multiscale_distance(made, target) + (made - target).square().mean()).item() == pytest.approx(
        reached, rel=1e-3
    )
    after = model.game.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    mapping = [name for name in before if ".mapping." in name]
    assert mapping
    assert all(torch.equal(before[name], tuned.game.state_dict()[name]) for name in mapping)
    assert not any(p.requires_grad for p in tuned.game.parameters())
    again, _ = tune(styles, pivot, target, steps=5, lr=5e-3)
    twice, _ = tune(styles, pivot, target, steps=5, lr=5e-3)
    assert torch.equal(Styles(again).pictures(pivot), Styles(twice).pictures(pivot))


def test_locality_keeps_other_pictures():
    model = small("stylegan2")
    styles, target = Styles(model), picture()
    pivot, others = styles.average(), styles.of_seeds(range(8))
    moved = []
    for locality in (0.0, 10.0):
        tuned, _ = tune(styles, pivot, target, steps=40, lr=5e-3, locality=locality)
        moved.append((Styles(tuned).pictures(others) - styles.pictures(others)).square().mean().item())
    assert moved[1] < 0.7 * moved[0]


def test_a_direction_leads_from_one_group_to_the_other(model, tmp_path):
    styles = Styles(model)
    way = between(styles, [0, 1, 2], [3, 4])
    w = styles.of_seeds(range(5))[:, 0]
    assert way.norm().item() == pytest.approx(1, rel=1e-5)
    assert (w[3:].mean(0) - w[:3].mean(0)) @ way == pytest.approx(
        (w[3:].mean(0) - w[:3].mean(0)).norm().item(), rel=1e-4
    )
    found = read(Direction("smile", way, (0, 2)).save(tmp_path / "smile.npz"), styles)
    assert (found.name, found.layers) == ("smile", (0, 2))
    torch.testing.assert_close(found.direction, way)
    for without, having in (([], [1]), ([1], []), ([1, 2], [2, 1])):
        with pytest.raises(GansmithError, match="seeds"):
            between(styles, without, having)


def test_directions_that_are_none(model, tmp_path):
    styles, path = Styles(model), tmp_path / "d.npz"
    with pytest.raises(GansmithError, match="no file"):
        read(path, styles)
    path.write_bytes(b"x")
    with pytest.raises(GansmithError, match="no direction"):
        read(path, styles)
    for direction, layers, words in (
        (np.ones(9, np.float32), [0], "9 numbers"), (np.ones(8, np.float32), [99], "layers"),
        (np.ones(8, np.float32), [], "layers"), (np.zeros(8, np.float32), [0], "without a length"),
        (np.full(8, np.nan, np.float32), [0], "without a length"), (np.array(["a"]), [0], "no direction"),
    ):  # fmt: skip
        np.savez(path, direction=direction, layers=np.array(layers, np.int64))
        with pytest.raises(GansmithError, match=words):
            read(path, styles)


def test_styles_of_both_families_mix_and_edit(model):
    styles = Styles(model)
    assert len(model.game.generator.synthesis.affines()) == styles.layers
    rows, columns = styles.of_seeds([0, 1]), styles.of_seeds([2])
    assert mix(styles, rows, columns, [0]).shape == (6, 3, 16, 16)
    directions = factorise(styles, range(styles.layers), 2)
    made = edit(styles, rows[:1], directions, [-2.0, 0.0, 2.0], range(styles.layers)).unflatten(0, (2, 3))
    torch.testing.assert_close(made[0, 1], styles.pictures(rows[:1])[0], atol=1e-5, rtol=0)
    assert (made[0, 0] - made[0, 2]).abs().mean() > 1e-3


def test_the_commands(folder, model, tmp_path, capsys):
    save(tmp_path / "real.png", model.sample(1, seed=5)[0])
    out = tmp_path / "inverted"
    words = ["invert", str(folder), str(tmp_path / "real.png"), "--steps", "5", "--tune", "5", "--out", str(out)]
    assert cli.main(words) == 0
    tuned = load(out / "model")
    assert tuned.info["tuned"]["distance_after"] <= tuned.info["tuned"]["distance_before"]
    assert np.ptp(np.load(out / "w.npz")["w"][0], axis=0).max() == 0  # a pivot has one style for all layers
    smile = tmp_path / "smile.npz"
    words = ["edit", str(folder), "--without", "0-2", "--having", "3,4", "--layers", "coarse", "--save", str(smile)]
    assert cli.main([*words, "--out", str(tmp_path / "a.png")]) == 0
    words = [
        "edit",
        str(out / "model"),
        "--styles",
        str(out / "w.npz"),
        "--along",
        str(smile),
        "--out",
        str(tmp_path / "b.png"),
    ]
    assert cli.main(words) == 0
    assert "smile" in "".join(capsys.readouterr())
    for words, why in (
        (["--without", "1"], "go together"), (["--without", "1", "--having", "2", "--along", str(smile)], "Leave one out"),
        (["--save", str(tmp_path / "x.png")], "--save"), (["--save", str(smile)], "exists"), (["--having", "a", "--without", "1"], "--having"),
    ):  # fmt: skip
        assert cli.main(["edit", str(folder), *words, "--out", str(tmp_path / "c.png")]) == 2
        assert why in " ".join("".join(capsys.readouterr()).split())
        assert not (tmp_path / "c.png").exists()
    for words in (["--tune", "-1"], ["--tune", "1", "--tune-lr", "0"], ["--tune", "1", "--locality", "nan"]):
        assert cli.main(["invert", str(folder), str(tmp_path / "real.png"), *words, "--out", str(tmp_path / "d")]) == 2
        assert "--tune" in "".join(capsys.readouterr())
