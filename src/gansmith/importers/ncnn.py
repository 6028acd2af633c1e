"""Upscalers in the files of ncnn, ``.param`` and ``.bin``, as ``upscale`` models.

A file is read only where it computes exactly what one of our networks computes: the graph of the file and ours are
compared layer by layer, whatever their names and order (:func:`gansmith.files.ncnn.meaning.digests`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from gansmith.errors import ModelError
from gansmith.files.ncnn import networks
from gansmith.files.ncnn.graph import MOST_BYTES, Layer, parse
from gansmith.files.ncnn.meaning import digests
from gansmith.files.ncnn.weights import MOST_BYTES as MOST_WEIGHTS
from gansmith.files.ncnn.weights import Arrays, read
from gansmith.game import ImageSpec
from gansmith.importers.imported import Imported
from gansmith.importers.upscalers import window

_KNOWN = "RRDBNet (ESRGAN, Real-ESRGAN) and SRVGG (animevideov3) at scales 1, 2, 3, 4, 8 and 16 are read."
_SCALES = (1, 2, 3, 4, 8, 16)


def is_ncnn(path: Path, start: bytes) -> bool:
    """Whether a file that starts like this is ncnn's: its text, or weights with the text beside them."""
    return start.lstrip().startswith(b"7767517") or (path.suffix == ".bin" and path.with_suffix(".param").is_file())


def import_ncnn(path: str | Path) -> Imported:
    """Read an upscaler's ``.param`` and ``.bin``; either may be named, the other lies beside it.

    Raises:
        ModelError: one is missing, damaged, too large, or of another network.
    """
    path = Path(path)
    text, weights = path.with_suffix(".param"), path.with_suffix(".bin")
    layers = parse(_content(text, MOST_BYTES), text.name)
    return convert(layers, read(_content(weights, MOST_WEIGHTS), layers, weights.name), text.name)


def _content(path: Path, most: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > most:
            raise ModelError(f"{path} has {size:,} bytes; such files have at most {most:,}.")
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(
            f"There is no file '{path}'. A network of ncnn is two files of one name, .param and .bin, in one folder."
        ) from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from None


def convert(layers: list[Layer], arrays: Sequence[Arrays], source: str) -> Imported:
    """An ``upscale`` model of a file's layers and weights.

    Raises:
        ModelError: it computes something else.
    """
    notes = []
    if layers[-1].kind == "Interp" and layers[-1].number(1, 1) < 1:
        layers, arrays = layers[:-1], arrays[:-1]
        notes.append(
            "The file makes its result smaller at the end, which is left out here: gansmith apply --scale does that."
        )
    config, ours = _ours(layers, source)
    theirs, result = digests(layers, source)
    each, wanted = digests(ours, "our network")
    if result != wanted:
        raise ModelError(f"{source} computes something else than the networks that are known here. {_KNOWN}")
    place = {digest: number for number, digest in enumerate(theirs)}
    tensors = {}
    for layer, digest in zip(ours, each, strict=True):
        for what, values in arrays[place[digest]].items() if layer.module else ():
            tensors[f"generator.{layer.module}.{what}"] = torch.from_numpy(values.copy())
    channels = ours[-1].count(0) if ours[-1].kind == "Convolution" else _channels(ours)
    if config["scale"] == 1:
        config["damage"] = "wild"  # the only one that goes with this scale
    side = window(int(str(config["scale"])))
    return Imported("upscale", config, ImageSpec(side, side, channels), tensors, notes=notes)


def _ours(layers: Sequence[Layer], source: str) -> tuple[dict[str, object], list[Layer]]:
    """Settings of the network that a file looks like, and its layers."""
    unknown = ModelError(f"{source} is not a network that is known here. {_KNOWN}")
    convs = [layer for layer in layers if layer.kind == "Convolution"]
    kinds = {layer.kind for layer in layers}
    if len(convs) < 2 or convs[0].count(1) != 3:
        raise unknown
    width, last = convs[0].count(0), convs[-1].count(0)
    shuffled = next((layer.count(0) for layer in layers if layer.kind == "PixelShuffle"), 1)
    if not width or not shuffled or last % shuffled**2:
        raise unknown
    channels = last // shuffled**2
    if channels not in (1, 3, 4):
        raise ModelError(f"{source} makes pictures of {channels} channels; grey, RGB and RGBA are read.")
    if "Concat" not in kinds:
        activation = "prelu" if "PReLU" in kinds else "leaky" if convs[0].count(9) == 2 or _slope(layers) else "relu"
        settings: dict[str, object] = {
            "scale": shuffled,
            "network": "compact",
            "width": width,
            "blocks": len(convs) - 2,
        }
        _check(shuffled, len(convs) - 2, source)
        settings["activation"] = activation
        return settings, networks.srvgg(channels, shuffled, width, len(convs) - 2, activation)
    growth, fold = convs[1].count(0), next((layer.count(0) for layer in layers if layer.kind == "Reorg"), 1)
    if fold not in (1, 2, 4) or width != 2 * growth:
        raise unknown
    if "PixelShuffle" in kinds:
        blocks, scale = (len(convs) - 3) // 15, shuffled
        settings = {"network": "light", "scale": scale, "width": width, "blocks": blocks}
        _check(scale, blocks, source)
        return settings, networks.rrdb(channels, scale, width, blocks, growth, shuffle=True)
    steps = [layer.number(1) for layer in layers if layer.kind == "Interp"]
    scale = 3 if steps == [3.0] else 2 ** len(steps) // fold
    blocks = (len(convs) - 4 - len(steps)) // 15
    _check(scale, blocks, source)
    settings = {
        "network": "full",
        "scale": scale,
        "width": width,
        "blocks": blocks,
        "fold": fold > 1 or scale not in (1, 2),
    }
    return settings, networks.rrdb(channels, scale, width, blocks, growth, fold=fold)


def _slope(layers: Sequence[Layer]) -> bool:
    return any(layer.kind == "ReLU" and layer.number(0) for layer in layers)


def _check(scale: int, blocks: int, source: str) -> None:
    if scale not in _SCALES or blocks < 1:
        raise ModelError(
            f"{source} is an upscaler of scale {scale} with {blocks} blocks, which is not supported. {_KNOWN}"
        )


def _channels(ours: Sequence[Layer]) -> int:
    first = next(layer for layer in ours if layer.kind == "Convolution")
    return first.count(6) // (first.count(0) * 9)
