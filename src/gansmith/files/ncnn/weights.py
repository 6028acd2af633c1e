"""The bytes of a ``.bin`` file: the weights of the layers, in the order of the ``.param`` file.

A convolution's weights begin with a tag of four bytes: 0 before float32, 0x01306B47 before float16, which are padded to
a multiple of four bytes. Biases and the slopes of PReLU follow as float32 without a tag. Numbers are little-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from gansmith.errors import ModelError
from gansmith.files.ncnn.graph import Layer

FLOAT16, FLOAT32 = 0x01306B47, 0
_OTHER_TAGS = {0x000D4B38: "8-bit integers", 0x0002C056: "raw float32 of another layout"}
MOST_BYTES = 1 << 30
"""Larger files are refused; the largest published upscalers have some 70 MB."""

Arrays = dict[str, np.ndarray]


def blocks(layers: Sequence[Layer]) -> Iterator[tuple[Layer, str, tuple[int, ...], bool]]:
    """The arrays in the file, in order: (layer, ``weight`` or ``bias``, shape, whether a tag comes first).

    Raises:
        ModelError: a convolution's number of weights is not a multiple of its outputs and kernel.
    """
    for layer in layers:
        if layer.kind == "PReLU":
            yield layer, "weight", (layer.count(0),), False
        elif layer.kind == "Convolution":
            outputs, kernel = layer.count(0), layer.count(1)
            rows = layer.count(11, kernel)
            size = layer.count(6)
            if not outputs or not kernel or not rows or not size or size % (outputs * kernel * rows) or layer.count(8):
                raise ModelError(
                    f"The layer '{layer.name}' announces {size:,} weights for {outputs} outputs of a {kernel}x{rows} window, or "
                    "8-bit ones; the file is damaged or of a kind that is not read."
                )
            yield layer, "weight", (outputs, size // (outputs * kernel * rows), rows, kernel), True
            if layer.count(5):
                yield layer, "bias", (outputs,), False


def read(data: bytes, layers: Sequence[Layer], source: str) -> list[Arrays]:
    """The weights of each layer, float32: ``weight`` and ``bias`` where it has them.

    Raises:
        ModelError: too short, too long, or of a kind of numbers that is not read.
    """
    found: dict[int, Arrays] = {}
    place = 0

    def take(size: int, layer: Layer) -> bytes:
        nonlocal place
        if place + size > len(data):
            raise ModelError(
                f"{source} ends within the weights of '{layer.name}': it has {len(data):,} bytes and needs {place + size:,} up to "
                "there. Download it again, and its .param file from the same place."
            )
        place += size
        return data[place - size : place]

    for layer, what, shape, tagged in blocks(layers):
        count = int(np.prod(shape, dtype=object))
        tag = int.from_bytes(take(4, layer), "little") if tagged else FLOAT32
        if tag not in (FLOAT16, FLOAT32):
            kind = _OTHER_TAGS.get(tag, "numbers chosen from a table")
            raise ModelError(f"{source} holds {kind} for '{layer.name}'; only float16 and float32 weights are read.")
        half = tag == FLOAT16
        raw = take(-(-count * 2 // 4) * 4 if half else count * 4, layer)
        values = np.frombuffer(raw, "<f2" if half else "<f4")[:count].astype(np.float32)
        if not np.isfinite(values).all():
            raise ModelError(f"{source} holds weights of '{layer.name}' that are not numbers; it is damaged.")
        found.setdefault(id(layer), {})[what] = values.reshape(shape)
    if place != len(data):
        raise ModelError(
            f"{source} has {len(data):,} bytes, and its .param file describes {place:,}: the two do not belong together."
        )
    return [found.get(id(layer), {}) for layer in layers]


def write(layers: Sequence[Layer], array: Callable[[str], np.ndarray], half: bool = True) -> bytes:
    """The bytes of a ``.bin`` file.

    Args:
        array: gives the float32 array of a name such as ``conv_first.weight``.
        half: convolutions' weights as float16, as every published upscaler has them.

    Raises:
        ModelError: a weight is too large for float16.
    """
    parts: list[bytes] = []
    for layer, what, shape, tagged in blocks(layers):
        values = array(f"{layer.module}.{what}").reshape(shape).astype("<f4")
        if not tagged:
            parts.append(values.tobytes())
            continue
        with np.errstate(over="ignore"):
            stored = values.astype("<f2") if half else values
        if not np.isfinite(stored).all():
            raise ModelError(f"The weights of '{layer.module}' do not fit into float16; write float32 instead.")
        raw = stored.tobytes()
        tag = FLOAT16 if half else FLOAT32
        parts += [tag.to_bytes(4, "little"), raw, bytes(-len(raw) % 4)]
    return b"".join(parts)


def as_table(layers: Sequence[Layer], arrays: Sequence[Mapping[str, np.ndarray]]) -> Arrays:
    """name -> array, for layers that name our modules."""
    return {
        f"{layer.module}.{what}": value
        for layer, own in zip(layers, arrays, strict=True)
        for what, value in own.items()
    }
