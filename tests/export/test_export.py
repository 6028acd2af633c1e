"""Exports make the model's own pictures: every family, other batches and sizes than they were recorded with."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gansmith import cli, registry
from gansmith.errors import GansmithError
from gansmith.export import rewrites, torch_programs
from gansmith.export.onnx import TOLERANCE, check_onnx, compare, to_onnx
from gansmith.export.program import program_of
from gansmith.models import bundle
from gansmith.nn import inpainting

pytest.importorskip("onnx", reason="the extra 'export' is not installed")
from helpers.models import tiny_model

ort = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

ALL = list(registry.families())


def worst(model: bundle.Model, **how) -> float:
    program = program_of(model, **how)
    checks = check_onnx(to_onnx(program), program, model)
    assert [check.batch for check in checks] == [1, 3, 2]
    if program.kind == "translator" and how.get("free_size", True):
        assert len({check.size for check in checks}) == 3
    return max(check.difference for check in checks)


@pytest.mark.parametrize("name", ALL)
def test_onnx_makes_the_same_pictures(name):
    assert worst(tiny_model(name)) <= TOLERANCE


@pytest.mark.parametrize("name", [n for n in ALL if hasattr(registry.family(n).Config, "conditional")])
def test_onnx_takes_classes(name):
    model = tiny_model(name, classes=3, channels=1)
    program = program_of(model)
    assert list(program.inputs) == ["z", "label", "truncation"]
    file = to_onnx(program)
    assert all(check.passed for check in check_onnx(file, program, model))
    session = ort.InferenceSession(file)
    z = np.random.default_rng(0).standard_normal((2, program.facts["latent_dim"]), dtype=np.float32)
    made = [
        session.run(None, {"z": z, "label": np.full(2, c, np.int64), "truncation": np.array(1, np.float32)})[0]
        for c in (0, 1)
    ]
    assert np.abs(made[0] - made[1]).max() > 1e-4
    average = session.run(None, {"z": z, "label": np.zeros(2, np.int64), "truncation": np.array(0, np.float32)})[0]
    assert np.abs(average[0] - average[1]).max() < 1e-5  # truncation 0 has one picture only


def test_the_other_direction_and_a_fixed_size():
    model = tiny_model("cyclegan")
    assert worst(model, direction="ba") <= TOLERANCE
    assert worst(model, free_size=False) <= TOLERANCE
    with pytest.raises(GansmithError, match="translates ab"):
        program_of(tiny_model("pix2pix"), direction="ba")


def test_noise_as_an_input():
    model = tiny_model("stylegan2")
    for layer in model.game.generator.synthesis.layers:
        layer.noise_strength.fill_(0.5)
    program = program_of(model, noise="input")
    assert program.facts["noise_length"] == 4 * 4 + 2 * (8 * 8 + 16 * 16 + 32 * 32)
    assert all(check.passed for check in check_onnx(to_onnx(program), program, model))
    inputs = program.example(2)
    own = torch.cat([layer.noise_const.flatten() for layer in model.game.generator.synthesis.layers]).expand(2, -1)
    with torch.no_grad():
        same = program.module(inputs["z"], inputs["truncation"], own)
    assert torch.allclose(same, model.decode(inputs["z"], None, float(inputs["truncation"])), atol=1e-5)
    with pytest.raises(GansmithError, match="takes no noise"):
        program_of(tiny_model("gan"), noise="input")
    with pytest.raises(GansmithError, match="takes no noise"):
        program_of(tiny_model("pix2pix"), noise="input")


@pytest.mark.parametrize("name", ["gan", "stylegan2", "stylegan3", "cyclegan", "inpaint", "upscale"])
def test_torchscript_makes_the_same_pictures(name):
    model = tiny_model(name)
    program = program_of(model)
    run = torch_programs.loaded(torch_programs.to_torchscript(program), "torchscript")
    assert all(check.passed for check in compare(lambda inputs: run(*inputs.values()), program, model))


def test_torch_export_makes_the_same_pictures():
    model = tiny_model("dcgan")
    program = program_of(model)
    run = torch_programs.loaded(torch_programs.to_exported(program), "exported")
    assert all(check.passed for check in compare(lambda inputs: run(*inputs.values()), program, model))


def test_a_wrong_export_does_not_pass():
    model = tiny_model("gan")
    program = program_of(model)
    file = to_onnx(program)
    with torch.no_grad():
        next(model.game.generator.parameters()).add_(0.01)
    assert not all(check.passed for check in check_onnx(file, program, model))


def test_rewrites_compute_what_they_stand_in_for():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 45, 67) * 2 - 1
    for share in (0.02, 0.5, 0.98, 1.0):
        mask = torch.zeros(2, 1, 45, 67)
        mask[:, :, : int(45 * share)] = 1
        mask[0, :, 20:30, 5:50] = 1
        torch.testing.assert_close(
            rewrites.smooth_fill(images, mask), inpainting.smooth_fill(images, mask), atol=1e-5, rtol=0
        )
    torch.testing.assert_close(rewrites.laplacian(images), inpainting.laplacian(images), atol=1e-5, rtol=0)
    before = inpainting.smooth_fill
    with rewrites.recording():
        assert inpainting.smooth_fill is rewrites.smooth_fill
    assert inpainting.smooth_fill is before


def test_the_command(tmp_path, capsys):
    folder = tiny_model("gan", classes=3, channels=1, size=28).save(tmp_path / "model")
    out = tmp_path / "made" / "model.onnx"
    assert cli.main(["export", str(folder), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["passed"]
    assert said["bytes"] == out.stat().st_size
    assert max(check["difference"] for check in said["checks"]) <= TOLERANCE
    session = ort.InferenceSession(out)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["gansmith"])
    assert (facts["family"], facts["latent_dim"], facts["classes"], facts["data"]) == ("gan", 8, 3, "discs")
    assert cli.main(["export", str(folder), "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main(["export", str(folder), "--to", "torchscript", "--out", str(tmp_path / "m.pt")]) == 0
    assert "m.pt" in capsys.readouterr().out
    extra = {"gansmith.json": ""}
    torch.jit.load(tmp_path / "m.pt", _extra_files=extra)
    assert json.loads(extra["gansmith.json"])["height"] == 28


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "a.png"], ".onnx"),
        (["--to", "web", "--out", "page.onnx"], ".html"),
        (["--to", "web", "--noise", "input"], "own noise"),
        (["--noise", "input"], "no noise"),
        (["--direction", "ba"], "makes pictures from noise"),
        (["--to", "web", "--fixed-size"], "any size"),
        (["--out", "model/config.json/x.onnx"], "a file, not a folder"),
        (["--out", "folder.onnx"], "is a folder"),
        (["--out", "folder.onnx", "--overwrite"], "is a folder"),
    ],
)
def test_bad_words(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_model("gan").save(tmp_path / "model")
    (tmp_path / "folder.onnx").mkdir()
    assert cli.main(["export", "model", *words]) == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.onnx", "model"]


def test_a_file_that_cannot_be_written_is_said(tmp_path, capsys, monkeypatch):
    from gansmith.files import atomic

    def full(*_):
        raise OSError(28, "No space left on device")

    folder = tiny_model("gan").save(tmp_path / "model")
    monkeypatch.setattr(atomic, "write_atomically", full)
    assert cli.main(["export", str(folder), "--out", str(tmp_path / "m.onnx")]) == 2
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("record", [torch_programs.to_torchscript, torch_programs.to_exported, to_onnx])
def test_a_network_that_cannot_be_recorded_is_said(record):
    program = program_of(tiny_model("gan"))

    def choose(z, *rest):
        raise RuntimeError("this depends on the weather\nsecond line")

    program.module.forward = choose
    with pytest.raises(GansmithError, match=r"this depends on the weather"):
        record(program)


def test_a_failed_check_is_said_and_returned(tmp_path, capsys, monkeypatch):
    from gansmith.export import onnx

    folder = tiny_model("gan").save(tmp_path / "model")
    monkeypatch.setattr(onnx, "TOLERANCE", -1.0)
    assert cli.main(["export", str(folder), "--out", str(tmp_path / "m.onnx")]) == 1
    assert "do not use it" in capsys.readouterr().err
