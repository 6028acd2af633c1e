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
from gansmith.errors import GansmithError
from gansmith.files.pictures import grid, save, to_arrays
from gansmith.models.bundle import Model, averaged_copy


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
    weights = torch.cat(styles.game.style_weights()[:2])
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


@pytest.fixture(scope="module")
def conditional(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    spec = {"size": 16, "channels": 4, "classes": 3, "conditional": True}
    game = gansmith.build("stylegan2", **spec, latent_dim=8, style_dim=8, width=1 / 32)
    return Model("stylegan2", averaged_copy(game)).save(tmp_path_factory.mktemp("conditional") / "model")


def test_a_model_of_classes_with_four_channels(conditional, tmp_path, capsys):
    out = [str(tmp_path / name) for name in ("mix.png", "edit.png", "w.gif", "inverted", "z.mp4", "s.png")]
    Image.new("LA", (31, 20), (90, 0)).save(tmp_path / "grey.png")
    model = str(conditional)
    assert cli.main(["mix", model, "--rows", "0", "--columns", "1", "--class", "2", "--out", out[0]]) == 0
    assert (
        cli.main(["edit", model, "--class", "1", "--directions", "1", "--first", "7", "--steps", "2", "--out", out[1]])
        == 0
    )
    short = ["--seconds", "0.4", "--fps", "5", "--tiles", "2", "--points", "2", "--truncation", "0.5"]
    assert cli.main(["walk", model, "--space", "w", "--class", "1", "--out", out[2], *short]) == 0
    assert cli.main(["invert", model, str(tmp_path / "grey.png"), "--steps", "3", "--out", out[3]]) == 0
    assert cli.main(["walk", model, "--out", out[4], *short]) == 0
    assert cli.main(["sample", model, "--seeds", "0-3", "--class", "1", "--truncation", "0.5", "--out", out[5]]) == 0
    assert all(Path(name).exists() for name in out)
    assert cli.main(["edit", model, "--class", "3", "--out", str(tmp_path / "no.png")]) == 2
    assert "no class '3'" in capsys.readouterr().err


def test_a_walk_in_w_passes_through_the_models_own_pictures(model):
    from gansmith.apply.walk import walk, waypoints

    frames = list(walk(model, frames=6, points=3, tiles=1, space="w", seed=4, truncation=0.6))
    alone = model.decode(waypoints(model, 3, 1, 4)[:, 0], truncation=0.6)
    for point, frame in enumerate(frames[::2]):
        assert np.abs(frame.astype(int) - grid(alone[point : point + 1], 1).astype(int)).max() <= 1
    with pytest.raises(GansmithError, match="no classes"):
        walk(model, frames=2, label="cat")


def test_any_picture_is_read_as_training_pictures_are(tmp_path):
    from gansmith.commands.invert import read_picture
    from gansmith.game import ImageSpec

    left = Image.new("RGB", (40, 20), "white")
    left.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise when shown
    left.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright = read_picture(tmp_path / "turned.jpg", ImageSpec(16, 8, 3))
    assert upright.shape == (1, 3, 16, 8)
    assert upright[0, :, :6].max() < 40
    assert upright[0, :, -6:].min() > 215
    hidden = Image.new("RGBA", (33, 17), (0, 0, 0, 0))  # black where nobody sees it
    hidden.save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png", ImageSpec(8, 8, 3)).min() == 255
    assert read_picture(tmp_path / "clear.png", ImageSpec(8, 8, 4))[0, 3].max() == 0
    Image.fromarray(np.full((9, 7), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png", ImageSpec(8, 8, 1)).min() == 255
    (tmp_path / "code.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    with pytest.raises(GansmithError, match="cannot be read as a picture"):
        read_picture(tmp_path / "code.png", ImageSpec(8, 8, 3))


def test_lpips_is_read_once_and_descended(tmp_path, monkeypatch, capsys):
    built = []

    class Lpips:
        def __init__(self, net_type: str) -> None:
            built.append(net_type)
            self.net = torch.nn.Conv2d(3, 1, 3)
            self.net.forward = lambda a, b: (a - b).square().mean((1, 2, 3))

    monkeypatch.setattr("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", Lpips)
    monkeypatch.setattr("gansmith.metrics.repair.lpips_weights", lambda: Path("weights"))
    game = gansmith.build("stylegan2", size=64, channels=1, latent_dim=8, style_dim=8, width=1 / 32)
    small = Model("stylegan2", averaged_copy(game)).save(tmp_path / "model")
    Image.new("L", (64, 64), 200).save(tmp_path / "a.png")
    words = ["invert", str(small), str(tmp_path / "a.png"), "--steps", "5", "--distance", "lpips"]
    assert cli.main([*words, "--out", str(tmp_path / "inverted")]) == 0
    assert built == ["alex"]
    monkeypatch.setattr("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", lambda **_: 1 / 0)
    assert cli.main([*words, "--out", str(tmp_path / "again")]) == 2
    assert "AlexNet's weights cannot be read (division by zero)" in capsys.readouterr().err


def test_styles_that_are_not_of_this_model(tmp_path):
    from gansmith.commands.edit import read_styles

    whole = tmp_path / "w.npz"
    np.savez(whole, w=np.zeros((1, 6, 8), np.float32))
    assert read_styles(whole, (1, 6, 8)).shape == (1, 6, 8)
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:-30])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "words.npz", w=np.array(["a"]))
    np.savez(tmp_path / "objects.npz", w=np.array([{}], dtype=object))
    np.savez(tmp_path / "nan.npz", w=np.full((1, 6, 8), np.nan))
    np.savez(tmp_path / "other.npz", w=np.zeros((1, 4, 8)))
    names = "a.npy cut.npz text.npz empty.npz words.npz objects.npz nan.npz other.npz no.npz"
    for name in ("", *names.split()):
        with pytest.raises(GansmithError, match=r"styles|no file"):
            read_styles(tmp_path / name, (1, 6, 8))


def test_seeds_are_numbers_and_ranges():
    from gansmith.commands.sample import parse_seeds

    assert parse_seeds(" 3, 7,11-13") == [3, 7, 11, 12, 13]
    assert len(parse_seeds("0-63")) == 64
    for text in ("", ",", "a", "5-3", "-1", "1-", "\u00b2", "1--2", "9" * 30, "0-999999999999", "0-99999,0-99999"):
        with pytest.raises(GansmithError, match="--rows"):
            parse_seeds(text, "--rows")


def test_what_cannot_be_written_is_told_and_leaves_nothing(folder, model, tmp_path, capsys, monkeypatch):
    picture, kept = tmp_path / "real.png", tmp_path / "kept"
    save(picture, model.sample(1, seed=5)[0])
    kept.mkdir()
    (kept / "w.npz").write_text("old")

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:10])
        raise OSError(28, "No space left on device")

    words = [["mix", "--rows", "0", "--columns", "1", "--out", "m/mix.png"], ["edit", "--directions", "1", "--out", "e.png"],
             ["sample", "--n", "2", "--out", "folder"], ["sample", "--n", "2", "--out", "a.npz"], ["sample", "--n", "2", "--out", "g.png"],
             ["invert", str(picture), "--steps", "1", "--out", "inverted"],
             ["invert", str(picture), "--steps", "1", "--out", "kept", "--overwrite"]]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("gansmith.files.pictures.write_atomically", "gansmith.files.atomic.write_atomically"):
        monkeypatch.setattr(name, full)
    for command, *rest in words:
        assert cli.main([command, str(folder), *rest]) == 2
        said = capsys.readouterr().err
        assert "could not be written: No space left on device" in said
        assert not (tmp_path / "folder").exists()
        assert not (tmp_path / "inverted").exists()
    assert not list(tmp_path.glob(".*"))
    assert (kept / "w.npz").read_text() == "old"


def test_grids_too_large_for_their_format_say_so(tmp_path):
    from gansmith.commands.sample import save_grid

    with pytest.raises(GansmithError, match=r"16400x8 pixels.*\.png"):
        save_grid(tmp_path / "a.webp", np.zeros((8, 16400), np.uint8))
    assert not list(tmp_path.iterdir())
    save_grid(tmp_path / "a.png", np.zeros((8, 16400), np.uint8))


def test_importing_over_something_else_keeps_it(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "only-copy.jpg").write_text("precious")
    (tmp_path / "file").write_text("x")
    for out, words in (
        ("photos", "only-copy.jpg"),
        ("file", "file or a link"),
        (".", "would be lost"),
        ("file/model", "is a file"),
    ):
        assert cli.main(["import", "none.pkl", "--out", out, "--overwrite"]) == 2
        assert words in capsys.readouterr().err
    assert (photos / "only-copy.jpg").read_text() == "precious"
    assert cli.main(["import", "none.pkl", "--out", str(folder), "--overwrite"]) == 2
    assert "no file 'none.pkl'" in capsys.readouterr().err  # a model may be replaced


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["sample", "MODEL", "--batch", "0"], "--batch"),
        (["sample", "MODEL", "--batch", "-1", "--out", "a.npz"], "--batch"),
        (["sample", "MODEL", "--columns", "-1"], "--columns"),
        (["sample", "MODEL", "--seed", "9" * 25], "--seed"),
        (["sample", "MODEL", "--seeds", ""], "--seeds"),
        (["sample", "MODEL", "--seeds", "0-99999999999"], "--seeds"),
        (["sample", "MODEL", "--truncation", "nan"], "--truncation"),
        (["sample", "MODEL", "--class", "1"], "no classes"),
        (["sample", "MODEL", "--out", "MODEL/config.json/x/grid.png"], "is a file, not a folder"),
        (["sample", "MODEL", "--out", "MODEL/config.json/x"], "is a file, not a folder"),
        (["sample", "MODEL", "--out", "/proc/nowhere/grid.png"], "/proc"),
        (["mix", "MODEL", "--rows", "x"], "--rows"),
        (["mix", "MODEL", "--columns", "2-1"], "--columns"),
        (["mix", "MODEL", "--rows", "0-999", "--columns", "0-999"], "1,000,000 pictures"),
        (["mix", "MODEL", "--layers", "0-99999999"], "--layers"),
        (["mix", "MODEL", "--layers", "3-1"], "--layers"),
        (["mix", "MODEL", "--out", "mix.mp4"], "pictures are written as"),
        (["mix", "MODEL", "--truncation", "inf"], "--truncation"),
        (["edit", "MODEL", "--directions", "0", "--first", "2"], "--directions"),
        (["edit", "MODEL", "--directions", "5", "--first", "5"], "after --first 5"),
        (["edit", "MODEL", "--strength", "nan"], "--strength"),
        (["edit", "MODEL", "--steps", "100000"], "--steps"),
        (["edit", "MODEL", "--out", "MODEL"], "pictures are written as"),
        (["edit", "MODEL", "--styles", "w.npz", "--class", "1"], "Leave one out"),
        (["walk", "MODEL", "--seconds", "nan"], "--seconds"),
        (["walk", "MODEL", "--fps", "inf"], "--fps"),
        (["walk", "MODEL", "--seconds", "1e9"], "frames"),
        (["walk", "MODEL", "--points", "1"], "--points"),
        (["walk", "MODEL", "--class", "cat", "--out", "new/w.mp4"], "no classes"),
        (["walk", "MODEL", "--out", "w.avi"], "videos are written as"),
        (["invert", "MODEL", "MODEL/README.md", "--steps", "0"], "--steps"),
        (["invert", "MODEL", "MODEL/README.md", "--out", "MODEL"], "exists"),
        (["invert", "MODEL", "MODEL/README.md", "--out", "MODEL/config.json", "--overwrite"], "is a file"),
        (["invert", "MODEL", "MODEL"], "no picture"),
        (["import", "MODEL/model.safetensors", "--out", "x"], ".safetensors"),
        (["import", "MODEL", "--out", "x"], "is a folder"),
    ],
)
def test_numbers_and_places_that_cannot_be(folder, capsys, argv, words, tmp_path, monkeypatch):
    test_bad_input_leaves_nothing_behind(folder, capsys, argv, words, tmp_path, monkeypatch)


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
    from gansmith.files.run import Run

    words = ["train", "stylegan2", "--data", str(npz), "--size", "16", "--init", str(folder), "--out", str(tmp_path / "run"), "--images", "4",
             "--batch", "4", "--latent-dim", "8", "--style-dim", "8", "--width", "0.03125", "--snapshots", "1", "--augment", "ada"]  # fmt: skip
    assert cli.main(words) == 0
    assert (
        Run.open(tmp_path / "run").settings["augment_images"] == 100_000
    )  # the paper's, for a run that starts from a model
    assert Run.open(tmp_path / "run").train["init"] == str(folder)
    before, after = gansmith.load(folder), gansmith.load(tmp_path / "run")
    one, two = before.game.state_dict(), after.game.state_dict()
    drift = max((one[k] - two[k]).abs().max().item() for k in one if k in two and one[k].is_floating_point())
    assert drift < 0.5  # a fresh start would differ by several standard deviations
