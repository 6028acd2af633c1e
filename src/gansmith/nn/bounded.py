"""Building a network that somebody's file describes, with bounds on what the file can ask for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gansmith.errors import ModelError

T = TypeVar("T")

MOST_TENSORS = 20_000
"""Tensors of one network; the largest upscalers have some 3,000."""
SECONDS = 60.0
"""A network is built within this time or not at all."""
_SPARE = 1 << 26
"""Numbers that any network may make beside its weights: masks of windows, tables of positions."""
_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.randint, torch.Tensor.new_zeros,
              torch.Tensor.new_ones, torch.Tensor.new_empty, torch.Tensor.new_full, torch.Tensor.repeat, torch.Tensor.expand}  # fmt: skip


def check_names(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse names from which nobody should count: numbers in names become numbers of layers.

    Raises:
        ModelError: too many tensors, or a name with a number that so few tensors cannot need.
    """
    most = max(256, len(tensors))
    if len(tensors) > MOST_TENSORS:
        raise ModelError(
            f"{source} holds {len(tensors):,} tensors; networks that are read have at most {MOST_TENSORS:,}."
        )
    for name in tensors:
        if len(name) > 300 or any(part.isdecimal() and (len(part) > 6 or int(part) > most) for part in name.split(".")):
            raise ModelError(
                f"{source} names a layer that cannot be there ({name[:60]!r}); it is damaged or made to attack."
            )


class _Bounds(TorchFunctionMode):
    """Counts the numbers that tensors are made of, before they are made where that can be told."""

    def __init__(self, most: int, source: str) -> None:
        super().__init__()
        self.left, self.source, self.until = most, source, time.monotonic() + SECONDS

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES and _asked(args, kwargs) > self.left:
            raise self.refused()
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):
            self.left -= result.untyped_storage().nbytes() // max(1, result.element_size()) if func in _FACTORIES else 0
            if result.numel() > self.left or time.monotonic() > self.until:
                raise self.refused()
        return result

    def refused(self) -> ModelError:
        return ModelError(
            f"{self.source} describes a network that is far larger than the weights in it, or takes too long to build; it is damaged or "
            "made to attack, and was not read."
        )


def _asked(args: Any, kwargs: Any) -> int:
    """Elements that a factory's arguments ask for."""
    sizes = args[1:] if args and isinstance(args[0], Tensor) else args
    sizes = sizes or (kwargs.get("size", ()),)
    if sizes and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    count = 1
    for size in sizes:
        if isinstance(size, int) and not isinstance(size, bool):
            count *= max(1, size)
    return count


def bounded(build: Callable[[], T], numbers: int, source: str) -> T:
    """What ``build()`` returns, within bounds on memory and time.

    Args:
        numbers: how many numbers the file holds; a network may make a few times as many.
        source: whose file it is, for the message.

    Raises:
        ModelError: it asked for more.
    """
    with torch.no_grad(), _Bounds(4 * numbers + _SPARE, source):
        return build()
