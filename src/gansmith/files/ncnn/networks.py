"""Our upscalers as layers of ncnn: what the importer compares a file with, and what the export writes.

The networks take a picture [3, H, W] in [0, 1], the blob ``data``, and make the blob ``output``, as the programs that
run Real-ESRGAN expect.
"""

from __future__ import annotations

from gansmith.files.ncnn.graph import Layer

_BICUBIC, _NEAREST = 3, 1


class Chain:
    """Layers in the order in which they are computed; every method adds one and returns the name of its blob."""

    def __init__(self) -> None:
        self.layers = [Layer("Input", "data", [], ["data"])]

    def add(self, kind: str, inputs: list[str], params: dict[int, float | list[float]], module: str = "") -> str:
        blob = f"b{len(self.layers)}"
        self.layers.append(Layer(kind, f"{kind.lower()}_{len(self.layers)}", inputs, [blob], params, module))
        return blob

    def conv(self, blob: str, module: str, inputs: int, outputs: int, slope: float = 0.0) -> str:
        """A 3x3 convolution with a bias, and behind it LeakyReLU of this slope unless it is 0."""
        params: dict[int, float | list[float]] = {0: outputs, 1: 3, 4: 1, 5: 1, 6: outputs * inputs * 9}
        return self.add("Convolution", [blob], params | ({9: 2, 10: [slope]} if slope else {}), module)

    def added(self, blob: str, other: str, factor: float = 1.0) -> str:
        """``factor * blob + other``"""
        return self.add("Eltwise", [blob, other], {0: 1, 1: [factor, 1.0]})

    def larger(self, blob: str, scale: int, method: int = _NEAREST) -> str:
        return self.add("Interp", [blob], {0: method, 1: float(scale), 2: float(scale)})

    def finished(self) -> list[Layer]:
        """The layers, the last blob called ``output``."""
        self.layers[-1].outputs = ["output"]
        return self.layers


def rrdb(
    channels: int, scale: int, width: int, blocks: int, growth: int, *, fold: int = 1, shuffle: bool = False
) -> list[Layer]:
    """RRDBNet (:mod:`gansmith.nn.rrdb`); ``fold`` is the side of the squares of pixels that become channels."""
    chain = Chain()
    start = "data" if fold == 1 else chain.add("Reorg", ["data"], {0: fold})
    first = blob = chain.conv(start, "conv_first", channels * fold**2, width)
    for block in range(blocks):
        before = blob
        for number in (1, 2, 3):
            blob = _dense(chain, blob, f"body.{block}.rdb{number}", width, growth)
        blob = chain.added(blob, before, 0.2)
    blob = chain.added(chain.conv(blob, "conv_body", width, width), first)
    if shuffle:
        blob = chain.conv(blob, "conv_last", width, channels * scale**2)
        blob = chain.add("PixelShuffle", [blob], {0: scale}) if scale > 1 else blob
        base = chain.larger("data", scale, _BICUBIC) if scale > 1 else "data"
        chain.added(blob, base)
        return chain.finished()
    for number, step in enumerate((3,) if scale == 3 else (2,) * ((scale * fold).bit_length() - 1), 1):
        blob = chain.conv(chain.larger(blob, step), f"conv_up{number}", width, width, 0.2)
    chain.conv(chain.conv(blob, "conv_hr", width, width, 0.2), "conv_last", width, channels)
    return chain.finished()


def _dense(chain: Chain, blob: str, name: str, width: int, growth: int) -> str:
    seen = [blob]
    for number in range(1, 5):
        given = seen[0] if number == 1 else chain.add("Concat", list(seen), {})
        seen.append(chain.conv(given, f"{name}.conv{number}", width + (number - 1) * growth, growth, 0.2))
    last = chain.conv(chain.add("Concat", list(seen), {}), f"{name}.conv5", width + 4 * growth, width)
    return chain.added(last, blob, 0.2)


def srvgg(channels: int, scale: int, width: int, convs: int, activation: str = "prelu") -> list[Layer]:
    """The compact network (:mod:`gansmith.nn.srvgg`)."""
    chain = Chain()
    blob = "data"
    for number in range(convs + 1):
        slope = 0.1 if activation == "leaky" else 0.0
        blob = chain.conv(blob, f"body.{2 * number}", width if number else channels, width, slope)
        if activation == "prelu":
            blob = chain.add("PReLU", [blob], {0: width}, f"body.{2 * number + 1}")
        elif activation == "relu":
            blob = chain.add("ReLU", [blob], {})
    blob = chain.conv(blob, f"body.{2 * convs + 2}", width, channels * scale**2)
    blob = chain.add("PixelShuffle", [blob], {0: scale}) if scale > 1 else blob
    chain.added(blob, chain.larger("data", scale) if scale > 1 else "data")
    return chain.finished()
