"""A picture of a seed is the same however many others are drawn with it, by every way of drawing and for every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gansmith import registry
from gansmith.apply.styles import Styles
from gansmith.apply.walk import walk, waypoints
from gansmith.cli import main
from gansmith.files.pictures import to_arrays
from gansmith.game import ImageSpec
from gansmith.models.bundle import Model, averaged_copy, load

FAMILIES = [name for name in registry.families() if hasattr(registry.family(name).Config, "conditional")]


def model_of(name: str, classes: int = 0, **settings: Any) -> Model:
    kind = registry.family(name)
    torch.manual_seed(0)
    spec = ImageSpec(16, 16, 1, classes, tuple("abcdefghij"[:classes]))
    return Model(name, averaged_copy(kind(kind.Config(**{**kind.tiny, "conditional": classes > 0, **settings}), spec)))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("length", [1, 2, 15, 16, 100, 128])
def test_latents_are_a_prefix(name, length):
    """Of any length: torch draws 16 numbers at a time."""
    model = model_of(name, latent_dim=length)
    many = model.latents(64, seed=3)
    for n in (0, 1, 2, 7, 16, 63):
        assert torch.equal(model.latents(n, seed=3), many[:n])
    assert many.shape == (64, length)
    assert len(torch.unique(many[:, 0])) == 64


def test_latents_are_standard_normal():
    z = model_of("gan", latent_dim=100).latents(2000, seed=1)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert (z.std(0) - 1).abs().max() < 0.1
    assert (z.std(1) - 1).abs().max() < 0.35
    assert abs(np.corrcoef(z[:-1].flatten(), z[1:].flatten())[0, 1]) < 0.01


def test_latents_of_lengths_in_16s_are_those_of_earlier_versions():
    for length in (16, 64, 512):
        old = torch.randn(9, length, generator=torch.Generator().manual_seed(5))
        assert torch.equal(model_of("gan", latent_dim=length).latents(9, seed=5), old)


@pytest.mark.parametrize("classes", [0, 3])
def test_samples_of_python_are_a_prefix(classes):
    model = model_of("gan", classes, latent_dim=100)
    many = model.sample(20, seed=4).astype(int)
    for n in (1, 5, 17):
        assert np.abs(model.sample(n, seed=4).astype(int) - many[:n]).max() <= 1
    if classes:
        assert torch.equal(model.labels(5), model.labels(20)[:5])


def drawn(folder: Path, *words: str) -> np.ndarray:
    out = folder / "x.npz"
    assert main(["sample", str(folder / "model"), "--out", str(out), "--overwrite", *words]) == 0
    return np.load(out)["x"].astype(int)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_command_draws_a_prefix(tmp_path, classes):
    model_of("dcgan", classes, latent_dim=100).save(tmp_path / "model")
    many = drawn(tmp_path, "--n", "64")
    assert np.abs(drawn(tmp_path, "--n", "1") - many[:1]).max() <= 1
    assert np.abs(drawn(tmp_path, "--n", "9", "--batch", "4") - many[:9]).max() <= 1
    listed = drawn(tmp_path, "--seeds", "2,0,7")
    for i, seed in enumerate((2, 0, 7)):  # the class of a seed's picture does not follow from what stands before it
        assert np.abs(drawn(tmp_path, "--seeds", str(seed))[0] - listed[i]).max() <= 1
    assert np.abs(drawn(tmp_path, "--seeds", "0")[0] - many[0]).max() <= 1


@pytest.mark.parametrize("space", ["z", "w"])
def test_the_walk_of_a_tile_does_not_depend_on_the_others(space, monkeypatch):
    monkeypatch.setattr("gansmith.apply.walk.grid", lambda images, columns: to_arrays(images))  # tiles, not laid out
    model = model_of("stylegan2", 3) if space == "w" else model_of("gan", latent_dim=100)
    few, many = (list(walk(model, frames=5, points=3, tiles=tiles, seed=2, space=space)) for tiles in (1, 4))
    for one, four in zip(few, many, strict=True):
        assert len(one) == 1
        assert len(four) == 4
        assert np.abs(one[0].astype(int) - four[0].astype(int)).max() <= 1
    assert torch.equal(waypoints(model, 3, 4, 2)[0], model.latents(4, 2))
    assert torch.equal(waypoints(model, 2, 4, 2), waypoints(model, 5, 4, 2)[:2])


def test_styles_of_a_seed_are_its_own():
    styles = Styles(model_of("stylegan2", latent_dim=100))
    many = styles.of_seeds([4, 5, 6])
    torch.testing.assert_close(styles.of_seeds([6]), many[2:])
    first = styles.model.sample(1, seed=6).astype(int)
    torch.testing.assert_close(
        torch.from_numpy(first), torch.from_numpy(styles.model.sample(3, seed=6)[:1].astype(int))
    )


def test_a_model_of_a_file_draws_what_it_drew(tmp_path):
    model = model_of("gan", latent_dim=100)
    model.save(tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").sample(3, seed=1), model.sample(3, seed=1))
