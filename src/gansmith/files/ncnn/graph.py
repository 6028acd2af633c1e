"""The text of a ``.param`` file: layers that read and write named blobs.

After the magic number 7767517 and the counts of layers and blobs, every line is one layer::

    TYPE NAME INPUTS OUTPUTS input... output... key=value...

A key of -23300 - k holds an array: its length, then its values. What is read is bounded before anything is made of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gansmith.errors import ModelError

MAGIC = "7767517"
MOST_BYTES, MOST_LAYERS, MOST_BLOBS, MOST_VALUES = 1 << 22, 10_000, 64, 64
"""Bytes of a text, layers in it, blobs that a layer reads or writes, and values of a parameter; the largest known upscalers stay far below."""

Value = float | list[float]


@dataclass
class Layer:
    """One line of the file.

    Attributes:
        kind: ncnn's name of the operation.
        name: of the layer; free.
        inputs, outputs: names of blobs.
        params: number of a parameter -> its value.
        module: for layers with weights that we describe ourselves, the name of our module.
    """

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    params: dict[int, Value] = field(default_factory=dict)
    module: str = ""

    def number(self, key: int, usual: float = 0) -> float:
        """A parameter that is one number.

        Raises:
            ModelError: it is an array.
        """
        value = self.params.get(key, usual)
        if isinstance(value, list):
            raise ModelError(f"The layer '{self.name}' has an array where ncnn has a number (parameter {key}).")
        return value

    def count(self, key: int, usual: int = 0) -> int:
        """A parameter that is a whole number from 0 to 2^31.

        Raises:
            ModelError: it is something else.
        """
        value = self.number(key, usual)
        if value != int(value) or not 0 <= value < 2**31:
            raise ModelError(f"The layer '{self.name}' has {value:g} where ncnn has a count (parameter {key}).")
        return int(value)


def parse(text: bytes, source: str) -> list[Layer]:
    """The layers of a ``.param`` file, in its order.

    Raises:
        ModelError: it is no such file, it is damaged, or it is larger than any real one.
    """
    if len(text) > MOST_BYTES:
        raise ModelError(f"{source} has {len(text):,} bytes of text; a .param file has at most {MOST_BYTES:,}.")
    lines = [line.split() for line in text.decode("ascii", "replace").splitlines()]
    lines = [line for line in lines if line]
    if len(lines) < 3 or lines[0] != [MAGIC]:
        raise ModelError(f"{source} is not the text of an ncnn network: its first line is not {MAGIC}.")
    counts = lines[1]
    if len(counts) != 2 or not all(word.isdecimal() and len(word) < 7 for word in counts):
        raise ModelError(f"{source} is damaged: its second line does not count layers and blobs.")
    layers, blobs = int(counts[0]), int(counts[1])
    if layers > MOST_LAYERS or len(lines) - 2 != layers:
        raise ModelError(
            f"{source} is damaged: it announces {layers:,} layers and has {len(lines) - 2:,} (at most {MOST_LAYERS:,} are read)."
        )
    made: set[str] = set()
    found = [_layer(words, made, source) for words in lines[2:]]
    if len(made) != blobs:
        raise ModelError(f"{source} is damaged: it announces {blobs:,} blobs and has {len(made):,}.")
    return found


def _layer(words: list[str], made: set[str], source: str) -> Layer:
    """One line; ``made`` are the blobs written so far."""
    broken = ModelError(f"{source} is damaged: its line '{' '.join(words)[:80]}' is not a layer of an ncnn network.")
    if len(words) < 4 or not all(word.isdecimal() and len(word) < 3 for word in words[2:4]):
        raise broken
    reads, writes = int(words[2]), int(words[3])
    if max(reads, writes) > MOST_BLOBS or len(words) < 4 + reads + writes:
        raise broken
    inputs, outputs = words[4 : 4 + reads], words[4 + reads : 4 + reads + writes]
    if not made.issuperset(inputs) or made.intersection(outputs) or len(set(outputs)) != writes:
        raise broken
    made.update(outputs)
    params: dict[int, Value] = {}
    for word in words[4 + reads + writes :]:
        key, equals, value = word.partition("=")
        if not equals or len(key) > 6 or not key.lstrip("-").isdecimal() or len(word) > 32 * MOST_VALUES:
            raise broken
        number = int(key)
        array = number <= -23300
        values = _numbers(value.split(","), broken)
        if array and (not values or values[0] != len(values) - 1 or len(values) > MOST_VALUES):
            raise broken
        if not array and len(values) != 1:
            raise broken
        params[-number - 23300 if array else number] = values[1:] if array else values[0]
    return Layer(words[0], words[1], inputs, outputs, params)


def _numbers(words: list[str], broken: ModelError) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise broken from None
    if not all(math.isfinite(value) for value in values):
        raise broken
    return values


def written(layers: Sequence[Layer]) -> str:
    """The text of a ``.param`` file; blobs that several layers read go through a Split, as ncnn wants."""
    split = with_splits(layers)
    blobs = sum(len(layer.outputs) for layer in split)
    lines = [MAGIC, f"{len(split)} {blobs}"]
    for layer in split:
        params = [_param(key, value) for key, value in sorted(layer.params.items())]
        words = [f"{len(layer.inputs)} {len(layer.outputs)}", *layer.inputs, *layer.outputs, *params]
        lines.append(f"{layer.kind:<24} {layer.name:<24} {' '.join(words)}")
    return "\n".join(lines) + "\n"


def _param(key: int, value: Value) -> str:
    if isinstance(value, list):
        return f"{-23300 - key}={len(value)},{','.join(f'{v:e}' for v in value)}"
    return f"{key}={value:e}" if isinstance(value, float) and value != int(value) else f"{key}={int(value)}"


def with_splits(layers: Sequence[Layer]) -> list[Layer]:
    """The same layers, every blob read by one layer only."""
    readers: dict[str, int] = {}
    for layer in layers:
        for blob in layer.inputs:
            readers[blob] = readers.get(blob, 0) + 1
    taken: dict[str, int] = {}
    result = []
    for layer in layers:
        inputs = []
        for blob in layer.inputs:
            if readers[blob] > 1:
                taken[blob] = taken.get(blob, -1) + 1
                blob = f"{blob}_{taken[blob]}"
            inputs.append(blob)
        result.append(Layer(layer.kind, layer.name, inputs, list(layer.outputs), layer.params, layer.module))
        for blob in layer.outputs:
            if readers.get(blob, 0) > 1:
                copies = [f"{blob}_{number}" for number in range(readers[blob])]
                result.append(Layer("Split", f"split_{blob}", [blob], copies))
    return result
