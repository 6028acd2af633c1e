"""Files that reach the package spandrel and were made to attack: names and shapes of its networks, changed so that they ask for much."""

from __future__ import annotations

import functools
import importlib
import io
import random
import re
from typing import Any

import torch
from safetensors.torch import save

Shapes = dict[str, tuple[int, ...]]

SMALL: dict[str, dict[str, Any]] = {
    "SwinIR.SwinIR": {"depths": [2], "embed_dim": 12, "num_heads": [2], "img_size": 16, "window_size": 8, "upscale": 2, "upsampler": "nearest+conv"},
    "Swin2SR.Swin2SR": {"depths": [2], "embed_dim": 12, "num_heads": [2], "img_size": 16, "window_size": 8, "upscale": 4, "upsampler": "nearest+conv"},
    "HAT.HAT": {"depths": [2], "embed_dim": 60, "num_heads": [2], "img_size": 16, "window_size": 8, "upscale": 4, "upsampler": "pixelshuffle"},
    "DAT.DAT": {"depth": [2], "embed_dim": 12, "num_heads": [2], "img_size": 16, "split_size": [4, 4], "upscale": 2},
    "DRCT.DRCT": {"depths": [2], "embed_dim": 12, "num_heads": [2], "img_size": 16, "window_size": 8, "upscale": 2},
    "SPAN.SPAN": {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 2},
    "SAFMN.SAFMN": {"dim": 8},
    "OmniSR.OmniSR": {}, "PLKSR.PLKSR": {}, "PLKSR.RealPLKSR": {}, "CRAFT.CRAFT": {}, "DITN.DITN": {}, "NAFNet.NAFNet": {}, "FBCNN.FBCNN": {}, "DRUNet.DRUNet": {},
    "DnCNN.DnCNN": {}, "RealCUGAN.UpCunet2x": {}, "LaMa.LaMa": {}, "SeemoRe.SeemoRe": {}, "SwiftSRGAN.SwiftSRGAN": {}, "GFPGAN.GFPGAN": {}, "RestoreFormer.RestoreFormer": {},
    "FFTformer.FFTformer": {}, "MixDehazeNet.MixDehazeNet": {}, "DCTLSA.DCTLSA": {}, "MoESR.MoESR": {}, "RetinexFormer.RetinexFormer": {},
}  # fmt: skip
"""Networks and the settings that make small ones; those without are built without weights."""


@functools.cache
def shapes_of(name: str) -> Shapes:
    """Names and shapes of a network's tensors."""
    module, _, kind = name.partition(".")
    network = getattr(importlib.import_module(f"spandrel.architectures.{module}"), kind)
    with torch.device("cpu" if SMALL[name] else "meta"):
        return {key: tuple(tensor.shape) for key, tensor in network(**SMALL[name]).state_dict().items()}


def _shrunk(shapes: Shapes, choice: random.Random) -> Shapes:
    by = choice.choice([2, 4, 8])
    return {name: tuple(side // by if side >= 2 * by else side for side in shape) for name, shape in shapes.items()}


def _wide(shapes: Shapes, choice: random.Random) -> Shapes:
    """One tensor that is as long as it likes on one side."""
    name = choice.choice(list(shapes))
    wide = choice.choice([30_000, 300_000])
    sides = [1] * max(1, len(shapes[name]))
    sides[choice.randrange(len(sides))] = wide
    return shapes | {name: tuple(sides)}


def _tables(shapes: Shapes, choice: random.Random) -> Shapes:
    """Every table of relative positions, or what is like one, for a window of a thousand pixels."""
    rows = (2 * choice.choice([64, 150, 300]) - 1) ** 2
    tables = [name for name in shapes if "position" in name or "rpb" in name or "pos" in name.split(".")]
    return shapes | dict.fromkeys(tables[: choice.choice([1, 4])], (rows, 1)) if tables else _wide(shapes, choice)


def _numbers(shapes: Shapes, choice: random.Random) -> Shapes:
    """Another number in a name."""
    names = [name for name in shapes if re.search(r"\d", name)]
    name = choice.choice(names) if names else "layers.0.weight"
    number = choice.choice(["40", "250", "1000", "1000000", "9" * 30, "٣"])
    return shapes | {re.sub(r"\d+", number, name, count=choice.choice([1, 2])): shapes.get(name, (1,))}


def _layers(shapes: Shapes, choice: random.Random) -> Shapes:
    """Layers without end, of one number each."""
    names = [name for name in shapes if re.search(r"\.\d+\.", name)] or ["layers.0.weight"]
    name = choice.choice(names)
    place = choice.choice(list(re.finditer(r"\d+", name)))
    count = choice.choice([100, 250])
    return shapes | {f"{name[: place.start()]}{n}{name[place.end() :]}": (1,) for n in range(100, 100 + count)}


def _odd(shapes: Shapes, choice: random.Random) -> Shapes:
    """Shapes of another number of sides, or of none."""
    picked = choice.sample(list(shapes), min(len(shapes), choice.choice([1, 3])))
    return shapes | {
        name: choice.choice([(), (0,), (1, 1, 1, 1, 1), (0, 3, 3, 3), (3,), (1, 7, 1, 1)]) for name in picked
    }


def _without(shapes: Shapes, choice: random.Random) -> Shapes:
    gone = set(choice.sample(list(shapes), choice.randrange(1, max(2, len(shapes) // 3))))
    return {name: shape for name, shape in shapes.items() if name not in gone}


def for_spandrel(choice: random.Random) -> bytes:
    """A file whose names spandrel knows, of at most some megabytes."""
    shapes = shapes_of(choice.choice(list(SMALL)))
    while sum(_count(shape) for shape in shapes.values()) > 1_500_000:
        shapes = _shrunk(shapes, choice)
    for _ in range(choice.choice([1, 1, 2])):
        shapes = choice.choice([_wide, _wide, _tables, _tables, _numbers, _layers, _layers, _odd, _without])(shapes, choice)  # fmt: skip
    kinds = choice.choice([torch.float32] * 6 + [torch.float16, torch.int64, torch.bool])
    state = {name: torch.zeros(shape, dtype=kinds) for name, shape in shapes.items()}
    if choice.random() < 0.3:
        return save(state)
    buffer = io.BytesIO()
    torch.save(choice.choice([state, {"params_ema": state}]), buffer)
    return buffer.getvalue()


def _count(shape: tuple[int, ...]) -> int:
    return functools.reduce(int.__mul__, shape, 1)
