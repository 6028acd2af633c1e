"""What a network of ncnn computes, as a digest: two files of one meaning have one digest, however they are written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from gansmith.errors import ModelError
from gansmith.files.ncnn.graph import MOST_BLOBS, Layer


def digests(layers: Sequence[Layer], source: str) -> tuple[list[str], str]:
    """What every layer computes, as a digest: the same for two layers that compute the same of the same.

    Different ways of writing one thing have one digest: the activation within a convolution or behind it, sums with
    factors as ``Eltwise`` or ``BinaryOp``, the terms of a sum in any order, ``Split``.

    Returns:
        A digest for each layer (for convolutions, of the convolution without its activation), and that of the one
        blob that nothing reads.

    Raises:
        ModelError: a layer that upscalers do not have, or several results.
    """
    blobs: dict[str, str] = {}
    read: set[str] = set()
    each = []
    for layer in layers:
        inputs = [blobs[blob] for blob in layer.inputs]
        read.update(layer.inputs)
        own, result = _meaning(layer, inputs, source)
        each.append(own)
        blobs.update(dict.fromkeys(layer.outputs, result))
    results = [blob for layer in layers for blob in layer.outputs if blob not in read]
    if len(results) != 1:
        raise ModelError(f"{source} has {len(results)} results; an upscaler has one.")
    return each, blobs[results[0]]


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _meaning(layer: Layer, inputs: list[str], source: str) -> tuple[str, str]:
    """The layer's own digest, and that of what it hands on."""
    reader = _MEANINGS.get(layer.kind)
    if reader is None:
        raise ModelError(
            f"{source} has a layer '{layer.kind}', which none of the upscalers that are read here has. RRDBNet (ESRGAN, Real-ESRGAN) and "
            "SRVGG (animevideov3) are read."
        )
    known, wanted, function = reader
    if len(inputs) not in wanted or not set(layer.params) <= known:
        raise ModelError(
            f"{source}: the layer '{layer.name}' ({layer.kind}) has inputs or settings that no upscaler known here has."
        )
    return function(layer, inputs)


def _convolution(layer: Layer, inputs: list[str]) -> tuple[str, str]:
    kernel, pad = layer.count(1), layer.count(4)
    shape = (
        layer.count(0), layer.count(6), kernel, layer.count(11, kernel), layer.count(2, 1), layer.count(12, layer.count(2, 1)),
        layer.count(3, 1), layer.count(13, layer.count(3, 1)), pad, layer.count(14, pad), layer.count(15, pad),
        layer.count(16, layer.count(14, pad)), layer.count(5), layer.count(8),
    )  # fmt: skip
    own = _digest("conv", shape, inputs)
    kind, values = layer.count(9), layer.params.get(10, [])
    if kind == 0:
        return own, own
    if kind == 1:
        return own, _leaky(own, 0.0)
    if kind == 2 and isinstance(values, list) and len(values) == 1:
        return own, _leaky(own, values[0])
    return own, _digest("activation", kind, values, own)


def _leaky(inner: str, slope: float) -> str:
    return _digest("leaky", _rounded(slope), inner)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _sum(terms: list[tuple[float, str]]) -> str:
    return _digest("sum", sorted((_rounded(factor), term) for factor, term in terms))


def _eltwise(layer: Layer, inputs: list[str]) -> tuple[str, str]:
    factors = layer.params.get(1, [])
    if layer.count(0) != 1 or not isinstance(factors, list) or len(factors) not in (0, len(inputs)):
        own = _digest("eltwise", layer.count(0), factors, inputs)
    else:
        own = _sum(list(zip(factors or [1.0] * len(inputs), inputs, strict=True)))
    return own, own


def _binary(layer: Layer, inputs: list[str]) -> tuple[str, str]:
    add = layer.count(0) == 0 and not layer.count(1) and len(inputs) == 2
    own = (
        _sum([(1.0, term) for term in inputs])
        if add
        else _digest("binary", layer.count(0), layer.count(1), float(layer.number(2)), inputs)
    )
    return own, own


def _interp(layer: Layer, inputs: list[str]) -> tuple[str, str]:
    facts = (layer.count(0), _rounded(layer.number(1, 1)), _rounded(layer.number(2, 1)))
    own = _digest("interp", facts, [layer.count(key) for key in (3, 4, 5, 6)], inputs)
    return own, own


def _plain(*keys: int):
    def read(layer: Layer, inputs: list[str]) -> tuple[str, str]:
        own = _digest(layer.kind, [float(layer.number(key)) for key in keys], inputs)
        return own, own

    return read


def _same(layer: Layer, inputs: list[str]) -> tuple[str, str]:
    return _digest("same"), inputs[0]


def _relu(layer: Layer, inputs: list[str]) -> tuple[str, str]:
    own = _leaky(inputs[0], layer.number(0))
    return own, own


_MEANINGS = {
    "Input": ({0, 1, 2, 3, 11}, {0}, lambda layer, inputs: (_digest("input"), _digest("input"))),
    "Split": (set(), {1}, _same),
    "Convolution": ({0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16}, {1}, _convolution),
    "PReLU": ({0}, {1}, _plain(0)),
    "ReLU": ({0}, {1}, _relu),
    "Concat": ({0}, set(range(2, MOST_BLOBS)), _plain(0)),
    "Eltwise": ({0, 1}, {2}, _eltwise),
    "BinaryOp": ({0, 1, 2}, {1, 2}, _binary),
    "Interp": ({0, 1, 2, 3, 4, 5, 6}, {1}, _interp),
    "PixelShuffle": ({0, 1}, {1}, _plain(0, 1)),
    "Reorg": ({0, 1}, {1}, _plain(0, 1)),
}
"""Layer -> the parameters that are understood, how many blobs it reads, and what it computes."""
