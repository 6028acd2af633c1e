"""Upscalers for other programs: ncnn's two files, and ONNX in float16."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import gansmith
from gansmith.cli import main
from gansmith.files.ncnn.graph import parse
from gansmith.importers import import_file
from gansmith.models.bundle import Model
from gansmith.models.catalogue import entries, store


def saved(folder: Path, **settings: object) -> Path:
    torch.manual_seed(0)
    channels = settings.pop("channels", 3)
    game = gansmith.build("upscale", size=64, channels=channels, **settings)  # type: ignore[arg-type]
    delattr(game, "discriminator")
    Model("upscale", game.eval()).save(folder)
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "light", "scale": 2, "width": 8, "blocks": 1},
        {"network": "full", "scale": 4, "width": 8, "blocks": 1},
        {"network": "full", "scale": 2, "width": 8, "blocks": 1},
        {"network": "full", "scale": 2, "width": 8, "blocks": 1, "fold": False},
        {"network": "compact", "scale": 4, "width": 8, "blocks": 2},
        {"network": "compact", "scale": 2, "width": 8, "blocks": 2, "activation": "leaky"},
        {"network": "compact", "scale": 2, "width": 8, "blocks": 2, "channels": 1},
    ],
    ids=["light", "x4", "x2-folded", "x2", "compact", "leaky", "grey"],
)
def test_people_run_their_own_upscalers_in_ncnn(
    settings: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The command checks with ncnn itself where it is installed, which the development install brings."""
    model = saved(tmp_path / "model", **settings)
    assert main(["export", str(model), "--to", "ncnn", "--out", str(tmp_path / "up.param"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"]
    assert max(check["difference"] for check in found["checks"]) < 5e-3
    assert found["bytes"] == sum((tmp_path / f"up.{kind}").stat().st_size for kind in ("param", "bin"))
    again = import_file(tmp_path / "up.param")
    assert again.config["scale"] == settings["scale"]
    kinds = {layer.kind for layer in parse((tmp_path / "up.param").read_bytes(), "x")}
    assert "Input" in kinds
    assert (
        main(["export", str(model), "--to", "ncnn", "--out", str(tmp_path / "f.param"), "--dtype", "float32", "--json"])
        == 0
    )
    assert max(check["difference"] for check in json.loads(capsys.readouterr().out)["checks"]) < 1e-4


def test_what_ncnn_cannot_be_written_of_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    game = gansmith.build("gan", size=16, channels=1, latent_dim=4)
    delattr(game, "discriminator")
    Model("gan", game.eval()).save(tmp_path / "gan")
    assert main(["export", str(tmp_path / "gan"), "--to", "ncnn", "--out", str(tmp_path / "x.param")]) == 2
    assert "--to onnx" in capsys.readouterr().err
    model = saved(tmp_path / "model", network="compact", scale=2, width=8, blocks=1)
    (tmp_path / "y.bin").write_bytes(b"mine")
    assert main(["export", str(model), "--to", "ncnn", "--out", str(tmp_path / "y.param")]) == 2
    assert (tmp_path / "y.bin").read_bytes() == b"mine"
    assert main(["export", str(model), "--to", "ncnn", "--out", str(tmp_path / "z.onnx")]) == 2
    assert (
        main(["export", str(model), "--to", "torchscript", "--dtype", "float16", "--out", str(tmp_path / "z.pt")]) == 2
    )
    assert main(["export", str(model), "--size", "64", "--out", str(tmp_path / "z.onnx")]) == 2
    assert main(["export", str(model), "--fixed-size", "--size", "99999", "--out", str(tmp_path / "z.onnx")]) == 2
    assert not list(tmp_path.glob("z.*")) + list(tmp_path.glob("x.*"))


def test_weights_too_large_for_float16_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = gansmith.load(saved(tmp_path / "model", network="compact", scale=2, width=8, blocks=1))
    body = model.game.generator.body  # type: ignore[union-attr]
    body[0].weight.data[0, 0, 0, 0] = 1e5  # type: ignore[index]
    body[2].weight.data[:, 0] = 0  # nobody looks at what it makes  # type: ignore[index]
    model.save(tmp_path / "large")
    assert main(["export", str(tmp_path / "large"), "--to", "ncnn", "--out", str(tmp_path / "x.param")]) == 2
    assert "float16" in capsys.readouterr().err
    assert (
        main(
            [
                "export",
                str(tmp_path / "large"),
                "--to",
                "ncnn",
                "--dtype",
                "float32",
                "--out",
                str(tmp_path / "x.param"),
            ]
        )
        == 0
    )


def test_onnx_in_float16_is_half_as_large(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    model = saved(tmp_path / "model", network="full", scale=2, width=16, blocks=1)
    assert main(["export", str(model), "--out", str(tmp_path / "a.onnx")]) == 0
    assert main(["export", str(model), "--out", str(tmp_path / "b.onnx"), "--dtype", "float16"]) == 0
    assert (tmp_path / "b.onnx").stat().st_size < 0.65 * (tmp_path / "a.onnx").stat().st_size
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "b.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(float)"  # pictures stay as they were
    made = session.run(None, {"picture": np.zeros((1, 3, 24, 40), np.float32)})[0]
    assert made.shape == (1, 3, 48, 80)


def test_one_size_can_be_chosen(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    model = saved(tmp_path / "model", network="compact", scale=2, width=8, blocks=1)
    assert main(["export", str(model), "--out", str(tmp_path / "a.onnx"), "--fixed-size", "--size", "48"]) == 0
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[2:] == [48, 48]


@pytest.mark.skipif(
    store.packaged(entries.require("realesrgan-animevideov3")) is None, reason="needs gansmith[realesrgan]"
)
def test_published_files_come_out_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GANSMITH_MODELS", str(tmp_path / "models"))
    name = "realesrgan-animevideov3"
    assert main(["export", name, "--to", "ncnn", "--out", str(tmp_path / "x.param")]) == 0
    original = store.packaged(entries.require(name))
    assert original is not None
    assert (tmp_path / "x.bin").read_bytes() == original.with_suffix(".bin").read_bytes()
