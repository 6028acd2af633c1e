"""Building a network that somebody's file describes, with bounds on what the file can ask for."""

from __future__ import annotations

import time
import weakref
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
_SPARE = 1 << 28
"""Bytes that any network may make beside its weights: masks of windows, tables of positions."""
_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.randint, torch.Tensor.new_zeros,
              torch.Tensor.new_ones, torch.Tensor.new_empty, torch.Tensor.new_full}  # fmt: skip
"""Functions that make weights. Weights become parameters, which are other Python objects, so their memory counts to the end."""


def check_names(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse names with very large numbers: the numbers in names become numbers of layers.

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
    """Counts the bytes of the tensors that are alive, before they are made where that can be told."""

    def __init__(self, most: int, source: str) -> None:
        super().__init__()
        self.left, self.source, self.until = most, source, time.monotonic() + SECONDS

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if time.monotonic() > self.until or _foreseen(func, args, kwargs) > self.left:
            raise self.refused()
        result = func(*args, **kwargs)
        for tensor in _tensors(result):
            if not any(tensor is given for given in args):  # else it was changed in its place
                self._charge(tensor, func in _FACTORIES)
        return result

    def _charge(self, tensor: Tensor, kept: bool) -> None:
        size = _bytes(tensor)
        self.left -= size
        if self.left < 0:
            raise self.refused()
        if not kept:
            weakref.finalize(tensor, self._refund, size).atexit = False

    def _refund(self, size: int) -> None:
        self.left += size

    def refused(self) -> ModelError:
        return ModelError(
            f"{self.source} describes a network that is far larger than the weights in it, or takes too long to build; it is damaged or "
            "made to attack, and was not read."
        )


def _tensors(found: Any) -> list[Tensor]:
    """The tensors among a function's results or arguments."""
    if isinstance(found, Tensor):
        return [found]
    return [one for one in found if isinstance(one, Tensor)] if isinstance(found, (tuple, list)) else []


def _bytes(tensor: Tensor) -> int:
    return 0 if tensor.is_meta or tensor.is_sparse else tensor.untyped_storage().nbytes()


def _foreseen(func: Any, args: Any, kwargs: Any) -> int:
    """Bytes that a function's results will take, by asking the same of tensors without content; 0 where that tells nothing."""
    name = getattr(func, "__name__", "")
    if (name.startswith("__") and name not in _OPERATORS) or (name.endswith("_") and not name.endswith("__")):
        return 0  # attributes, and what is changed in its place
    try:
        given = [_hollow(value) for value in args]
        with torch.device("meta"):
            made = func(*given, **{key: _hollow(value) for key, value in kwargs.items()})
    except Exception:  # what depends on numbers cannot be foreseen; it is little more than its inputs
        return 0
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(made))


_OPERATORS = {
    f"__{side}{name}__"
    for name in ("add", "sub", "mul", "truediv", "floordiv", "matmul", "mod", "pow", "and", "or", "xor")
    for side in ("", "r")
}
_OPERATORS |= {f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "getitem")}


def _hollow(value: Any) -> Any:
    """The same, with tensors that have a shape only."""
    if isinstance(value, Tensor):
        return value.detach().to("meta")
    if isinstance(value, (tuple, list)) and any(isinstance(one, Tensor) for one in value):
        return type(value)(_hollow(one) for one in value)
    return value


def bounded(build: Callable[[], T], numbers: int, source: str) -> T:
    """What ``build()`` returns, within bounds on memory and time.

    Args:
        numbers: how many numbers the file holds; a network may make four times as many of 32 bits.
        source: whose file it is, for the message.

    Raises:
        ModelError: it asked for more.
    """
    with torch.no_grad(), _Bounds(16 * numbers + _SPARE, source):
        return build()
