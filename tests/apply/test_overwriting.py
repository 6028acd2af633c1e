"""Nothing that is there already is lost without ``--overwrite``, by any command that writes; classes keep their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gansmith
from gansmith import cli, data
from gansmith.errors import GansmithError
from gansmith.files.paths import check_free, folder_names
from gansmith.game import ImageSpec
from gansmith.gans import gan
from gansmith.models import bundle
from gansmith.models.bundle import Model, averaged_copy


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with ``styles``, a StyleGAN2, and ``named``, a gan of classes that are called 1, 2, 3 and a/b."""
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    Model(
        "stylegan2",
        averaged_copy(gansmith.build("stylegan2", size=16, channels=3, latent_dim=8, style_dim=8, width=1 / 32)),
    ).save(root / "styles")
    spec = ImageSpec(16, 16, 1, 4, ("1", "2", "3", "a/b"))
    game = bundle.build_exports(gan.GAN, gan.Config(conditional=True, latent_dim=8, width=8), spec).eval()
    Model("gan", game).save(root / "named")
    Image.new("RGB", (16, 16), "teal").save(root / "picture.png")
    np.savez(root / "real.npz", x=np.random.default_rng(0).integers(0, 256, (120, 16, 16), dtype=np.uint8))
    return root


WRITING = {
    "sample grid": (["sample", "named", "--n", "4"], "grid.png"),
    "sample npz": (["sample", "named", "--n", "4"], "x.npz"),
    "sample folder": (["sample", "named", "--n", "4"], "x"),
    "walk": (["walk", "named", "--seconds", "0.4", "--fps", "5", "--tiles", "1", "--points", "2"], "w.gif"),
    "mix": (["mix", "styles", "--rows", "0", "--columns", "1"], "mix.png"),
    "edit": (["edit", "styles", "--directions", "1", "--steps", "2"], "edit.png"),
    "invert": (["invert", "styles", "picture.png", "--steps", "1"], "inverted"),
    "export": (["export", "named", "--to", "torchscript"], "m.pt"),
    "toy": (["toy", "ring", "--family", "gan", "--seeds", "1", "--images", "200"], "ring"),
    "memorisation": (["evaluate", "named", "--data", "real.npz", "--metrics", "swd", "--n", "60"], "sheet.png"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITING)
def test_what_is_there_stays_without_overwrite(name, models, tmp_path, capsys, monkeypatch):
    words, place = WRITING[name]
    monkeypatch.chdir(models)
    monkeypatch.setattr("gansmith.metrics.real.cache_folder", lambda: None)
    out = tmp_path / place
    flag = "--memorisation" if name == "memorisation" else "--out"
    if Path(place).suffix:
        out.write_bytes(b"mine")
        kept = [out]
    else:
        out.mkdir()
        kept = [out / "000000.png", out / "notes.txt"]
        for file in kept:
            file.write_bytes(b"mine")
    assert cli.main([*words, flag, str(out)]) == 2
    said = capsys.readouterr().err
    assert "--overwrite" in said
    assert f"Choose another {flag}" in said
    assert all(file.read_bytes() == b"mine" for file in kept)
    assert cli.main([*words, flag, str(out), "--overwrite"]) == 0
    assert out.is_dir() or out.read_bytes() != b"mine"
    if out.is_dir():
        assert (out / "notes.txt").read_bytes() == b"mine", "only files of the same names are replaced"


def test_an_empty_folder_is_no_obstacle(tmp_path):
    check_free(tmp_path, overwrite=False)
    check_free(tmp_path / "new", overwrite=False)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(GansmithError, match="exists"):
        check_free(tmp_path / "link", overwrite=False)


def test_folders_and_arrays_carry_the_classes_names(models, tmp_path):
    model, out = str(models / "named"), tmp_path / "drawn"
    assert cli.main(["sample", model, "--n", "8", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["1", "2", "3", "a-b"]
    assert all(len(list(folder.iterdir())) == 2 for folder in out.iterdir())
    assert cli.main(["sample", model, "--n", "8", "--out", str(tmp_path / "x.npz")]) == 0
    with np.load(tmp_path / "x.npz", allow_pickle=False) as held:
        assert held["class_names"].tolist() == ["1", "2", "3", "a/b"]
        assert held["y"].tolist() == [0, 1, 2, 3] * 2
        drawn = held["x"]
    again = data.open_pictures(str(tmp_path / "x.npz"))
    assert again.spec.class_names == ("1", "2", "3", "a/b"), "what is read back has the same classes"
    first_of_class_2 = np.asarray(Image.open(out / "2" / "000001.png"))
    assert np.array_equal(first_of_class_2, drawn[1]), "the folder named 2 holds the class named 2, not number 2"
    assert data.open_pictures(str(out)).spec.class_names == ("1", "2", "3", "a-b")


def test_folder_names_are_possible_everywhere_and_differ():
    names = ["T-shirt/top", "t-shirt:TOP", "", "..", "nul.txt", ".hidden", "x" * 300, "é", "e\u0301", "a", "A", "COM5"]
    made = folder_names(names)
    assert made[:4] == ["T-shirt-top", "t-shirt-TOP-1", "class-2", "class-3"]
    assert len({name.casefold() for name in made}) == len(names)
    assert all(0 < len(name.encode()) <= 255 and not name.startswith(".") for name in made)
    assert made[4] == "class-4"
    assert made[7] == "é"
    assert made[8] == "e\u0301-8", "one name in two Unicode forms is one folder on some systems"
    assert folder_names(["a", "a-2", "A"]) == ["a", "a-2", "A-2-2"]
