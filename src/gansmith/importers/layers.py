"""What importers of generators share: sizes are checked before anything is built, layers and norms are told by their tensors."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.importers.tables import Table

Tensors = dict[str, Tensor]

_OLD_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
MOST_BLOCKS, MOST_WIDE = 256, 8192
"""Residual blocks of a network, and channels of a layer; published ones have at most 32 and 2048."""


def check_sizes(table: Table) -> None:
    """Before anything is read or built: do names and shapes ask for no more than such networks have?

    Raises:
        ModelError: they do, or the numbers of blocks have gaps.
    """
    numbers = {match[1] for name in table.shapes if (match := _BLOCK.match(name))}
    # names are not believed: 'body.1000000000' would ask for a billion of blocks
    whole = all(len(number) <= 4 for number in numbers) and len(numbers) <= MOST_BLOCKS
    found = sorted(map(int, numbers)) if whole else []
    first = found[0] if found else 0
    if not whole or found != list(range(first, first + len(found))):
        raise ModelError(
            f"{table.weights.name} names blocks of a network that cannot be: they are numbered with gaps, or there are more than "
            f"{MOST_BLOCKS}. The file is damaged, or made to attack whoever opens it."
        )
    widest = max((side for shape in table.shapes.values() for side in shape), default=0)
    if widest > MOST_WIDE:
        raise ModelError(
            f"{table.weights.name} has a layer of {widest:,} channels; generators of at most {MOST_WIDE:,} are read."
        )


_BLOCK = re.compile(r"(?:body|RRDB_trunk|model\.1\.sub|model)\.(\d+)\.(?:rdb1\.|RDB1\.|conv_block\.)")


def normed(tensors: Tensors, convolution: str, norm: str, *, biased: bool = False) -> tuple[Tensors, str]:
    """The tensors that are used, and the kind of norm, told by a first convolution and the norm behind it.

    Instance norm of torch before 0.4 saved running statistics that were never meant to be used, and batch norm of that
    time did not count batches.

    Args:
        biased: convolutions have biases in front of batch norms too.
    """
    bias = f"{convolution}.bias" in tensors
    if f"{norm}.weight" not in tensors:
        if not bias:
            raise ModelError("This generator has no norm layers; those with instance norm or batch norm are read.")
        return {n: t for n, t in tensors.items() if not n.endswith(_OLD_STATISTICS)}, "instance"
    if f"{norm}.running_mean" not in tensors:
        raise ModelError(
            "This generator's instance norms have weights of their own (affine), which is not supported; plain instance norm "
            "and batch norm are."
        )
    if bias and not biased:
        raise ModelError(
            "This generator has biases in front of its batch norms, as releases before mid-2017 wrote it, which is not supported."
        )
    counters = [n.replace("running_mean", "num_batches_tracked") for n in tensors if n.endswith(".running_mean")]
    return dict.fromkeys(counters, torch.zeros((), dtype=torch.long)) | tensors, "batch"


def weight_of(tensors: Tensors, layer: str) -> Tensor:
    """A convolution's weight."""
    weight = tensors.get(f"{layer}.weight")
    if weight is None or weight.ndim != 4:
        raise ModelError(f"This is no generator that is known here: its layer '{layer}' is not a convolution.")
    return weight


def spec_of(size: int, channels: int, other: int) -> ImageSpec:
    """Facts about pictures of this side and these channels; 0 for as many of the other side.

    Raises:
        ModelError: pictures of so many channels are not read.
    """
    if not {channels, other or channels} <= {1, 3, 4}:
        raise ModelError(
            f"This generator turns pictures of {channels} channels into pictures of {other or channels}; 1 (grey), 3 (RGB) and "
            "4 (RGB with alpha) are supported."
        )
    return ImageSpec(size, size, channels, other_channels=other)


def prefixed(network: str, tensors: Tensors) -> Tensors:
    """The tensors by the names of a network of ours, in float32."""
    return {
        f"{network}.{name}": tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
