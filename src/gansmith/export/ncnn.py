"""ncnn: an upscaler for Upscayl, Real-ESRGAN's programs and phones, as a ``.param`` and a ``.bin`` file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansmith.errors import GansmithError, ModelError
from gansmith.export.onnx import HALF_TOLERANCE, Check
from gansmith.files.ncnn import networks
from gansmith.files.ncnn.graph import Layer, parse, written
from gansmith.files.ncnn.weights import read, write
from gansmith.importers.ncnn import convert
from gansmith.models.bundle import Model, from_tensors
from gansmith.nn.rrdb import RRDBNet
from gansmith.nn.srvgg import SRVGGNet


def to_ncnn(model: Model, half: bool = True) -> tuple[bytes, bytes]:
    """An upscaler as the text of its ``.param`` and the bytes of its ``.bin``.

    Args:
        half: weights as float16, as all published upscalers have them.

    Raises:
        GansmithError: the model is no upscaler of ours.
    """
    generator = dict(model.game.named_children()).get("generator")
    if not isinstance(generator, (RRDBNet, SRVGGNet)):
        raise GansmithError(
            f"--to ncnn writes upscalers (RRDBNet and the compact SRVGG), and this is a {model.family} model. Use: --to onnx"
        )
    state: Mapping[str, Tensor] = generator.state_dict()
    layers = described(generator)
    return written(layers).encode(), write(layers, lambda name: state[name].float().cpu().numpy(), half)


def described(generator: RRDBNet | SRVGGNet) -> list[Layer]:
    """The layers of one of our upscalers."""
    if isinstance(generator, SRVGGNet):
        convs: list[Any] = [layer for layer in generator.body if isinstance(layer, torch.nn.Conv2d)]
        kind = {torch.nn.PReLU: "prelu", torch.nn.LeakyReLU: "leaky", torch.nn.ReLU: "relu"}[type(generator.body[1])]
        return networks.srvgg(convs[0].in_channels, generator.scale, convs[0].out_channels, len(convs) - 2, kind)
    first, last = generator.conv_first, generator.conv_last
    shuffle = generator.tail == "shuffle"
    channels = last.out_channels // (generator.scale**2 if shuffle else 1)
    growth: Any = generator.get_submodule("body.0.rdb1.conv1")
    return networks.rrdb(
        channels, generator.scale, first.out_channels, len(generator.body), growth.out_channels, fold=generator.fold, shuffle=shuffle
    )  # fmt: skip


@torch.no_grad()
def check_ncnn(text: bytes, data: bytes, model: Model, half: bool) -> list[Check]:
    """Read the files again and compare with the model, on pictures of two sizes; run by ncnn itself where it is installed.

    Raises:
        ModelError: they cannot be read.
    """
    layers = parse(text, "model.param")
    found = convert(layers, read(data, layers, "model.bin"), "model.param")
    again: Any = from_tensors(found.family, found.config, found.spec, found.tensors, {}, "the export").game
    game: Any = model.game
    checks = []
    tolerance = HALF_TOLERANCE if half else None
    for seed, (height, width) in enumerate(((32, 24), (40, 40))):
        pictures = torch.rand(1, game.spec.channels, height, width, generator=torch.Generator().manual_seed(seed))
        expected = game.generator(pictures)
        made = [again.generator(pictures), *_run(text, data, pictures)]
        difference = max((expected - one).abs().max().item() * 2 for one in made)
        size = (height * game.scale, width * game.scale)
        checks.append(Check(1, size, difference if np.isfinite(difference) else float("inf"), tolerance=tolerance))
    return checks


def _run(text: bytes, data: bytes, pictures: Tensor) -> list[Tensor]:
    """What ncnn makes of a picture [1, C, H, W] in [0, 1]; nothing where it is not installed."""
    try:
        ncnn: Any = importlib.import_module("ncnn")
    except ImportError:
        return []
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "model.param", Path(folder) / "model.bin"
        files[0].write_bytes(text)
        files[1].write_bytes(data)
        net = ncnn.Net()
        for setting in (
            "use_vulkan_compute",
            "use_fp16_packed",
            "use_fp16_storage",
            "use_fp16_arithmetic",
            "use_bf16_storage",
        ):
            setattr(net.opt, setting, False)
        if net.load_param(str(files[0])) or net.load_model(str(files[1])):
            raise ModelError("ncnn cannot read what was written for it; please report this.")
        extractor = net.create_extractor()
        pixels = np.ascontiguousarray(pictures[0].numpy())  # ncnn does not copy what it is given
        extractor.input("data", ncnn.Mat(pixels))
        _, made = extractor.extract("output")  # its numbers live only as long as it does
        return [torch.from_numpy(made.numpy().copy())[None]]
