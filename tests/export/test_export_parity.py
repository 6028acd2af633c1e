"""Exported translators compute what ``gansmith apply`` computes, at sizes where it takes another path."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith import cli, config, registry
from gansmith.apply.tiles import translate_picture
from gansmith.damage import luma
from gansmith.export import parity, rewrites, torch_programs
from gansmith.export.onnx import check_onnx, runner, to_onnx
from gansmith.export.program import program_of
from gansmith.game import ImageSpec
from gansmith.models import bundle
from gansmith.nn import ffc
from gansmith.nn.oklab import paint
from gansmith.nn.overview import box_weights, enlarge, extent, shrink

pytest.importorskip("onnx", reason="the extra 'export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

from helpers.models import tiny_model

WAYS = {
    "colorize": ["apply"],
    "sketch": ["apply", "apply, in tiles"],
    "pix2pix": ["apply", "apply, in tiles"],
    "upscale": ["apply", "apply, in tiles"],
    "cyclegan": ["apply"],
    "inpaint": ["apply", "apply, around the holes", "apply, in tiles"],
    "cut": ["apply"],
}
NETWORKS = {
    "inpaint ffc": {"arch": "ffc", "blocks": 1},
    "inpaint migan": {"arch": "migan"},
    "pix2pix local": {"generator": "local", "blocks": 1, "halvings": 2},
}
"""Networks of a family beside its usual one."""


@pytest.mark.parametrize("name", WAYS)
def test_an_export_is_what_apply_computes(name):
    model = tiny_model(name)
    program = program_of(model)
    checks = parity.compare_with_apply(runner(to_onnx(program)), program, model)
    assert [check.against for check in checks] == WAYS[name]
    assert all(check.passed for check in checks), checks
    assert all(max(check.size) > 32 for check in checks), "beyond the model's own size"
    words = parity.around_it(model.game)
    assert ("statistics of the whole" in words) == (name in ("cyclegan", "cut"))
    assert ("part around the holes" in words) == (name == "inpaint")


@pytest.mark.parametrize("name", NETWORKS)
def test_so_is_an_export_of_a_familys_other_networks(name):
    model = tiny_model(name.split()[0], **NETWORKS[name])
    program = program_of(model)
    file = to_onnx(program)
    checks = [*check_onnx(file, program, model), *parity.compare_with_apply(runner(file), program, model)]
    assert len(checks) >= 5
    assert all(check.passed for check in checks), checks


@pytest.mark.parametrize("instances", [True, False])
def test_so_is_an_export_of_a_network_of_label_maps(instances):
    kind = registry.family("pix2pix")
    torch.manual_seed(0)
    settings = {"generator": "global", "width": 4, "blocks": 1, "halvings": 2, "labels": 9, "instances": instances}
    spec = ImageSpec(32, 32, 1, other_channels=3)
    game = bundle.build_exports(kind, config.make(kind.Config, settings, "pix2pix"), spec).eval().requires_grad_(False)
    for parameter in game.parameters():  # untrained weights hardly look at the picture
        torch.nn.init.normal_(parameter, 0, 0.2)
    model = bundle.Model("pix2pix", game, {})
    program = program_of(model)
    file = to_onnx(program)
    checks = [*check_onnx(file, program, model), *parity.compare_with_apply(runner(file), program, model)]
    assert all(check.passed for check in checks), checks


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (16, 11), (5, 12)])
def test_fourier_transforms_as_products_of_matrices(size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size)
    parts = ffc.spectrum(x)
    assert (rewrites.spectrum(x) - parts).abs().max() < 1e-5
    other = torch.randn_like(parts)
    assert (rewrites.of_spectrum(other, *size) - ffc.of_spectrum(other, *size)).abs().max() < 1e-5


def coloured(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture of this (height, width) as apply, the ONNX program and a plain pass through the network colour it."""
    model = tiny_model("colorize")
    program = program_of(model)
    pixels, _ = parity._picture(program, model.game, *size)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        plain = paint(luma(images), model.game.chroma(luma(images)))
    made = runner(to_onnx(program))({"picture": images})
    whole = [((np.asarray(x)[0].transpose(1, 2, 0) + 1) * 127.5).round().clip(0, 255) for x in (made, plain)]
    return translate_picture(model.game, pixels), *whole


@pytest.mark.parametrize("size", [(40, 64), (65, 66), (200, 150), (400, 640)])
def test_colours_are_those_of_the_overview_at_every_size(size):
    applied, exported, plain = coloured(size)
    assert np.abs(applied - exported).max() <= 1
    if min(size) > 100:
        assert np.abs(applied - plain).max() > 4, "which the network by itself would not give"


def test_a_program_that_leaves_the_overview_out_does_not_pass():
    model = tiny_model("colorize")
    program = program_of(model)
    game = model.game

    @torch.no_grad()
    def run(inputs):
        return paint(inputs["picture"], game.chroma(inputs["picture"]))

    assert not all(check.passed for check in parity.compare_with_apply(run, program, model))
    file = to_onnx(program)
    assert all(check.passed for check in check_onnx(file, program, model))
    game.by_overview = lambda images: run({"picture": images})
    assert not all(check.passed for check in check_onnx(file, program, model)), "the usual check goes beyond it too"


@pytest.mark.parametrize("kind", ["torchscript", "exported"])
def test_other_kinds_of_programs(kind):
    model = tiny_model("colorize")
    program = program_of(model, free_size=kind == "torchscript")
    content = getattr(torch_programs, f"to_{kind}")(program)
    recorded = torch_programs.loaded(content, kind)
    checks = parity.compare_with_apply(lambda inputs: recorded(*inputs.values()), program, model)
    assert all(check.passed for check in checks)
    assert checks[0].size == ((32, 32) if kind == "exported" else (117, 142))


def test_the_report_names_what_was_compared(tmp_path, capsys):
    folder = tiny_model("upscale").save(tmp_path / "model")
    assert cli.main(["export", str(folder), "--out", str(tmp_path / "m.onnx"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [check["against"] for check in said["checks"]] == ["model"] * 3 + ["apply", "apply, in tiles"]
    assert "tiles that overlap by 32" in said["apply"]
    assert cli.main(["export", str(folder), "--out", str(tmp_path / "again.onnx")]) == 0
    assert "tiles that overlap by 32" in " ".join(capsys.readouterr().out.split())


def test_a_long_strip_is_coloured_in_tiles(monkeypatch):
    game = tiny_model("colorize").game
    monkeypatch.setattr("gansmith.apply.tiles.STATISTICS_PIXELS", 60_000)
    told = []
    made = translate_picture(
        game, np.full((60, 2000, 1), 90, np.uint8), progress=lambda done, of: told.append((done, of))
    )
    assert made.shape == (60, 2000, 3)
    assert len(told) == told[-1][1] > 1, "memory does not grow with its length"


def test_upscaled_pictures_go_through_whole_where_their_results_are_small():
    game = tiny_model("upscale").game
    told = []
    made = translate_picture(game, np.zeros((400, 700, 3), np.uint8), progress=lambda done, of: told.append((done, of)))
    assert made.shape == (800, 1400, 3)
    assert told == [(1, 1)]


def test_means_of_areas():
    assert extent(400, 640, 64) == (64, 102)
    assert extent(40, 640, 64) == (40, 640)
    assert tuple(map(int, extent(torch.tensor(400), torch.tensor(640), 64))) == (64, 102)
    weights = box_weights(10, 4, torch.zeros(()))
    assert torch.allclose(weights.sum(1), torch.ones(4))
    assert torch.allclose(weights[0], torch.tensor([1, 1, 0.5, 0, 0, 0, 0, 0, 0, 0]) / 2.5)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8)
    images = torch.from_numpy(pixels)[None, None].float()
    expected = np.asarray(Image.fromarray(pixels).resize((30, 20), Image.Resampling.BOX)).astype(float)
    assert np.abs(shrink(images, 20)[0, 0].numpy() - expected).max() <= 1
    assert torch.equal(enlarge(shrink(images, 60), images), images), "small pictures are their own overview"
