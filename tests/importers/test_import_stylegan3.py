"""Pickles of StyleGAN3 and R3GAN: the same pictures as naive networks of the same weights, and odd files refused."""

from __future__ import annotations

import math
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gansmith import config as configs
from gansmith import registry
from gansmith.errors import ModelError
from gansmith.game import Game
from gansmith.importers import Imported, import_file
from gansmith.importers.safe_pickle import Refused
from helpers import reference_r3gan, reference_stylegan2
from helpers import reference_stylegan3 as ref

SMALL: dict[str, Any] = {"channel_base": 128, "channel_max": 16, "num_layers": 5, "margin_size": 2}
ROTATING = {"conv_kernel": 1, "use_radial_filters": True}


def ours(imported: Imported) -> Any:
    kind: type[Game] = registry.family(imported.family)
    game = kind(configs.make(kind.Config, imported.config, "test"), imported.spec)
    missing, unexpected = game.load_state_dict({**imported.tensors, **imported.discriminator}, strict=False)
    assert not unexpected
    assert all(name.startswith("discriminator.") and not imported.discriminator for name in missing)
    return game.eval()


def generator_of(size: int = 16, classes: int = 0, channels: int = 3, **settings: Any) -> ref.Generator:
    torch.manual_seed(1)
    return ref.Generator(20, classes, 24, size, channels, **{**SMALL, **settings})


def one_hot(labels: torch.Tensor | None, classes: int) -> torch.Tensor | None:
    return None if labels is None else torch.nn.functional.one_hot(labels, classes).float()


def same_pictures(imported: Imported, generator: ref.Generator) -> None:
    game, classes = ours(imported), generator.c_dim
    z = torch.randn(2, 20, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(2) % classes if classes else None
    with torch.no_grad():
        theirs = generator(z, one_hot(labels, classes), truncation_psi=0.7)
        assert theirs.std() > 0.02
        torch.testing.assert_close(
            game.generator(z, one_hot(labels, classes), truncation=0.7), theirs, atol=1e-4, rtol=0
        )


def reading(folder: Path, **content: Any) -> Imported:
    return import_file(reference_stylegan2.write_pickle(folder / "network.pkl", content))


@pytest.mark.parametrize(
    ("settings", "variant"),
    [({}, "t"), ({"classes": 3, **ROTATING}, "r"), ({"channels": 1, "conv_clamp": None, "num_critical": 1}, "t"),
     ({"size": 32, "conv_clamp": 0.5, "margin_size": 1, "channel_max": 8, "first_cutoff": 3.0}, "t")],
)  # fmt: skip
def test_stylegan3_gives_the_same_pictures(tmp_path: Path, settings: dict[str, Any], variant: str) -> None:
    generator = generator_of(**settings)
    imported = reading(tmp_path, G=generator, G_ema=generator, D=None, augment_pipe=None)
    assert (imported.family, imported.config["variant"]) == ("stylegan3", variant)
    same_pictures(imported, generator)
    assert "GANSMITH_TEST_SOURCE_WAS_RUN" not in os.environ
    assert "torch_utils" not in sys.modules


def test_waves_that_are_turned_and_moved_by_a_transform() -> None:
    torch.manual_seed(1)
    theirs = ref.SynthesisInput(8, 6, 12, 8, 2.0)
    from gansmith.nn.alias_free import FourierFeatures, Signal

    mine = FourierFeatures(8, Signal(8, 2.0, 2.0, 12, 12, 6))
    theirs_state = {name: tensor for name, tensor in theirs.state_dict().items() if name != "transform"}
    mine.load_state_dict(theirs_state)
    transform = torch.tensor([[1.6, -0.3, 0.2], [0.4, 1.5, -0.1]])
    theirs.transform = torch.cat([transform, torch.tensor([[0.0, 0.0, 1.0]])])
    w = torch.randn(2, 8)
    with torch.no_grad():
        torch.testing.assert_close(mine(w, transform), theirs(w), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("rotates", "base"), [(False, 256), (True, 128)])
def test_the_discriminator_comes_along(tmp_path: Path, rotates: bool, base: int) -> None:
    more = ROTATING if rotates else {}
    generator = generator_of(channel_base=256, channel_max=32, **more)
    discriminator = reference_stylegan2.Discriminator(
        c_dim=0, img_resolution=16, img_channels=3, channel_base=base, channel_max=base // 8, conv_clamp=256
    )
    imported = reading(tmp_path, G_ema=generator, D=discriminator)
    assert not imported.notes
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        expected = discriminator(images, None)
        torch.testing.assert_close(ours(imported).discriminator(images), expected, atol=1e-3, rtol=1e-3)


def test_odd_stylegan3_files_are_refused(tmp_path: Path) -> None:
    def refuse(match: str, generator: ref.Generator | None = None, **changes: Any) -> None:
        generator = generator or generator_of()
        generator._init_kwargs |= changes
        with pytest.raises(ModelError, match=match):
            reading(tmp_path, G_ema=generator)

    refuse("holds 6", num_layers=2**20)
    refuse("num_layers", num_layers=1)
    refuse("another 'filter_size'", filter_size=8)
    refuse("another 'lrelu_upsampling'", lrelu_upsampling=[2])
    refuse("another 'output_scale'", output_scale=1)
    refuse("neither", conv_kernel=1)
    refuse("neither", use_radial_filters=True)
    refuse("neither", use_radial_filters=[[]])
    refuse("margin_size", margin_size=-1)
    refuse("margin_size", margin_size=2**40)
    refuse("no tensor 'synthesis.L0_", margin_size=2**19)
    refuse("first_cutoff", first_cutoff=math.nan)
    refuse("first_cutoff", first_cutoff=-2)
    refuse("--first-cutoff", first_cutoff=100.0)
    refuse("--critical", num_critical=5)
    refuse("channel_base", channel_base=0)
    refuse("powers of two", img_resolution=24)
    refuse("another filter", img_resolution=32)
    for change in (
        lambda g: g.synthesis.L1_16_16.up_filter.mul_(1.01),
        lambda g: g.synthesis.L1_16_16.down_filter.copy_(g.synthesis.L1_16_16.down_filter.roll(1)),
    ):
        generator = generator_of()
        names = generator.synthesis.layer_names
        generator.synthesis.L1_16_16 = getattr(generator.synthesis, names[1])
        change(generator)
        del generator.synthesis.L1_16_16
        refuse("another filter", generator)
    generator = generator_of()
    generator.synthesis.input.transform[0, 2] = 0.5
    refuse("turned or moved", generator)
    generator = generator_of()
    generator.synthesis.input.weight.data[0, 0] = math.nan
    refuse("do not fit a StyleGAN3", generator)
    generator = generator_of()
    del generator.synthesis.input.freqs
    refuse("no tensor 'synthesis.input.freqs'", generator)


# --- R3GAN ------------------------------------------------------------------------------------------------------------


def r3gan_networks(widths: list[int], classes: int = 0, blocks: int = 1, group: int = 8) -> tuple[Any, Any]:
    torch.manual_seed(1)
    cardinalities, many = [2 * width // group for width in widths], [blocks] * len(widths)
    size = 4 << (len(widths) - 1)
    generator = reference_r3gan.Generator(12, widths, cardinalities, many, 2, classes, size)
    return generator, reference_r3gan.Discriminator(widths[::-1], cardinalities[::-1], many, 2, classes)


def read_r3gan(folder: Path, **content: Any) -> Imported:
    return import_file(reference_r3gan.write_pickle(folder / "network.pkl", content))


@pytest.mark.parametrize(
    ("widths", "classes", "blocks", "group"),
    [([16, 16, 16], 0, 2, 8), ([32, 32, 32, 16, 8], 0, 1, 8), ([16, 16, 16, 16], 5, 1, 4), ([16, 8, 4], 0, 1, 4)],
)
def test_r3gan_gives_the_same_pictures(
    tmp_path: Path, widths: list[int], classes: int, blocks: int, group: int
) -> None:
    generator, discriminator = r3gan_networks(widths, classes, blocks, group)
    state = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0, 0.9)}]}
    imported = read_r3gan(
        tmp_path, G=generator, D=discriminator, G_ema=generator, training_set_kwargs={}, cur_nimg=5, G_opt_state=state
    )
    assert imported.family == "r3gan"
    game, labels = ours(imported), torch.arange(3) if classes else None
    z = torch.randn(3, 12)
    with torch.no_grad():
        pictures = generator(z, one_hot(labels, classes))
        torch.testing.assert_close(game.generator(z, one_hot(labels, classes)), pictures, atol=1e-4, rtol=1e-4)
        expected = discriminator(pictures, one_hot(labels, classes))
        torch.testing.assert_close(
            game.discriminator(pictures, one_hot(labels, classes)).flatten(), expected, atol=1e-4, rtol=1e-4
        )
    assert not any(name.startswith("R3GAN") for name in sys.modules)


def test_odd_r3gan_files_are_refused(tmp_path: Path) -> None:
    def refuse(match: str, generator: Any) -> None:
        with pytest.raises(ModelError, match=match):
            read_r3gan(tmp_path, G_ema=generator)

    refuse("shrink otherwise", r3gan_networks([16, 8, 16])[0])
    generator, _ = r3gan_networks([16, 16, 16])
    generator.img_resolution = 32
    refuse("shrink otherwise", generator)
    generator, _ = r3gan_networks([16, 16, 16])
    del generator.Model.MainLayers[1].Layers[1]
    refuse("cannot be read", generator)
    generator, _ = r3gan_networks([16, 16, 16])
    generator.Model.MainLayers[1].Layers[0].Resampler.Kernel[0, 0] = 1.0
    refuse("another filter", generator)
    generator, _ = r3gan_networks([16, 16, 16])
    generator.Model.MainLayers[0].Layers[0].Basis = torch.nn.Parameter(torch.randn(16, 8, 8))
    refuse("4x4", generator)
    generator, _ = r3gan_networks([16, 16, 16])
    generator.Model.MainLayers[0].Layers[0].LinearLayer.weight.data[0, 0] = math.inf
    refuse("not finite", generator)
    refuse("not a generator of R3GAN", torch.nn.ModuleList())
    generator, discriminator = r3gan_networks([16, 16, 16])
    _, other = r3gan_networks([16, 16, 16, 16])
    imported = read_r3gan(tmp_path, G_ema=generator, D=other)
    assert not imported.discriminator
    assert "left out" in imported.notes[-1]
    imported = read_r3gan(tmp_path, G=generator, D=discriminator)
    assert "no averaged generator" in imported.notes[0]


def test_a_module_that_would_run_something_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "pwned"

    class Bomb:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {target}",)

    generator, _ = r3gan_networks([16, 16])
    generator.Model.bomb = Bomb()
    with pytest.raises(Refused, match="not read"):
        read_r3gan(tmp_path, G_ema=generator)
    assert not target.exists()
    (tmp_path / "network.pkl").write_bytes(b"cR3GAN.Networks\nos\n.")
    with pytest.raises(Refused, match=r"R3GAN\.Networks\.os"):
        import_file(tmp_path / "network.pkl")
    (tmp_path / "network.pkl").write_bytes(pickle.dumps({"G_ema": torch.nn.Linear(2, 2)}))
    with pytest.raises(ModelError):
        import_file(tmp_path / "network.pkl")
