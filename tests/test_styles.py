"""Mixing, editing and inverting with a small StyleGAN2, through the commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gansmith
from gansmith import cli
from gansmith.apply.styles import Styles, chosen_layers, factorise, invert, mix, multiscale_distance
from gansmith.bundle import Model, averaged_copy
from gansmith.errors import GansmithError
from gansmith.pictures import save, to_arrays


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    game = gansmith.build("stylegan2", size=16, channels=3, latent_dim=8, style_dim=8, width=1 / 32)
    return Model("stylegan2", averaged_copy(game))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    return model.save(tmp_path_factory.mktemp("styles") / "model")


def test_layers_are_named_or_numbered():
    assert chosen_layers("coarse", 6) == [0, 1]
    assert chosen_layers("middle", 6) == [2, 3]
    assert chosen_layers("fine", 6) == [4, 5]
    assert chosen_layers("0-2,5", 6) == [0, 1, 2, 5]
    for text in ("6", "x", "1-", ""):
        with pytest.raises(GansmithError, match="--layers"):
            chosen_layers(text, 6)


def test_mixing_all_layers_gives_the_column_and_none_the_row(model):
    styles = Styles(model)
    rows, columns = styles.of_seeds([0, 1]), styles.of_seeds([2, 3, 4])
    pictures = mix(styles, rows, columns, range(styles.layers)).unflatten(0, (3, 4))
    assert torch.allclose(pictures[1, 1:], styles.pictures(columns), atol=1e-5)
    pictures = mix(styles, rows, columns, []).unflatten(0, (3, 4))
    assert torch.allclose(pictures[2, 1], styles.pictures(rows)[1], atol=1e-5)
    sampled = model.sample(1, seed=3)
    assert np.array_equal(sampled, to_arrays(styles.pictures(columns[1:2])))


def test_factorised_directions_are_the_ones_that_move_styles_most(model):
    styles = Styles(model)
    directions = factorise(styles, [0, 1], 8)
    assert torch.allclose(directions @ directions.T, torch.eye(8), atol=1e-4)
    weights = torch.cat([styles.generator.synthesis.layers[i].affine.weight for i in (0, 1)])
    weights = weights / weights.norm(dim=1, keepdim=True)
    moved = (weights @ directions.T).square().sum(0)
    assert torch.all(moved[:-1] >= moved[1:] - 1e-4)
    with pytest.raises(GansmithError, match="--directions"):
        factorise(styles, [0], 9)


def test_inverting_a_picture_of_its_own_comes_close(model):
    styles = Styles(model)
    target = styles.pictures(styles.of_seeds([77]))
    average = multiscale_distance(styles.pictures(styles.average()), target).item()
    w, reached = invert(styles, target, steps=80, per_layer=False)
    assert reached < 0.25 * average
    assert multiscale_distance(styles.pictures(w), target).item() == pytest.approx(reached, rel=1e-3)


def test_the_commands(folder, model, tmp_path):
    assert cli.main(["mix", str(folder), "--rows", "0-1", "--columns", "2-4", "--out", str(tmp_path / "mix.png")]) == 0
    save(tmp_path / "real.png", model.sample(1, seed=5)[0])
    inverted = tmp_path / "inverted"
    assert cli.main(["invert", str(folder), str(tmp_path / "real.png"), "--out", str(inverted), "--steps", "20"]) == 0
    assert (inverted / "before-after.png").is_file()
    words = [
        "edit",
        str(folder),
        "--styles",
        str(inverted / "w.npz"),
        "--directions",
        "2",
        "--steps",
        "3",
        "--out",
        str(tmp_path / "edit.png"),
    ]
    assert cli.main(words) == 0
    mixed, edited = Image.open(tmp_path / "mix.png"), Image.open(tmp_path / "edit.png")
    assert mixed.width > mixed.height  # 4 columns, 3 rows
    assert edited.width > edited.height  # 3 columns, 2 rows
    assert (
        cli.main(
            [
                "walk",
                str(folder),
                "--space",
                "w",
                "--out",
                str(tmp_path / "w.gif"),
                "--seconds",
                "0.5",
                "--fps",
                "6",
                "--tiles",
                "1",
            ]
        )
        == 0
    )
    assert Image.open(tmp_path / "w.gif").n_frames == 3


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["mix", "MODEL", "--layers", "99"], "--layers"),
        (["edit", "MODEL", "--steps", "1"], "--steps"),
        (["edit", "MODEL", "--styles", "none.npz"], "none.npz"),
        (["edit", "MODEL", "--directions", "99"], "--directions"),
        (["invert", "MODEL", "none.png"], "none.png"),
        (["invert", "MODEL", "MODEL/config.json"], "cannot be read as a picture"),
        (["import", "none.pkl", "--out", "x"], "none.pkl"),
        (["import", "MODEL/config.json", "--out", "x"], ""),
        (["import", "none.pkl", "--out", "MODEL"], "exists"),
    ],
)
def test_bad_input_leaves_nothing_behind(folder, capsys, argv, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main([word.replace("MODEL", str(folder)) for word in argv]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_models_without_styles_say_so(capsys, tmp_path):
    game = gansmith.build("gan", size=16, channels=1, width=8)
    plain = Model("gan", averaged_copy(game)).save(tmp_path / "gan")
    for argv in (
        ["mix", str(plain)],
        ["edit", str(plain)],
        ["walk", str(plain), "--space", "w", "--out", str(tmp_path / "w.gif")],
    ):
        assert cli.main(argv) == 2
        assert "no styles" in capsys.readouterr().err


def test_training_starts_from_a_model(folder, npz, tmp_path):
    from gansmith.run import Run

    words = ["train", "stylegan2", "--data", str(npz), "--size", "16", "--init", str(folder), "--out", str(tmp_path / "run"), "--images", "4",
             "--batch", "4", "--latent-dim", "8", "--style-dim", "8", "--width", "0.03125", "--snapshots", "1"]  # fmt: skip
    assert cli.main(words) == 0
    assert Run.open(tmp_path / "run").train["init"] == str(folder)
    before, after = gansmith.load(folder), gansmith.load(tmp_path / "run")
    one, two = before.game.state_dict(), after.game.state_dict()
    drift = max((one[k] - two[k]).abs().max().item() for k in one if k in two and one[k].is_floating_point())
    assert drift < 0.5  # a fresh start would differ by several standard deviations
