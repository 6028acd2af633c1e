"""Small constant tensors, uploaded once.

``torch.tensor(numbers, device="cuda")`` copies from memory that is not pinned: the host waits until the GPU has done
everything before. In a layer that runs at every step, the GPU then never has work ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)  # is_exporting: torch 2.7

_kept: dict[tuple[Any, torch.dtype, torch.device], Tensor] = {}


def constant(numbers: Any, like: Tensor) -> Tensor:
    """A constant in the number format and on the device of another tensor. It must not be changed in place.

    Args:
        numbers: a number, or tuples of numbers nested to any depth.
    """
    recording = torch.jit.is_tracing() or _is_exporting()  # pyright: ignore[reportPrivateImportUsage]
    if recording:  # a tensor made now must not outlive that
        return torch.tensor(numbers, dtype=like.dtype, device=like.device)
    if torch.compiler.is_compiling():  # made on the device: a CUDA graph cannot copy from memory that is not pinned
        return _written_out(numbers, like)
    key = numbers, like.dtype, like.device
    if key not in _kept:
        with torch.inference_mode(False):  # one of inference mode could not take part in training
            _kept[key] = torch.tensor(numbers, dtype=like.dtype, device=like.device)
    return _kept[key]


def _written_out(numbers: Any, like: Tensor) -> Tensor:
    shape, inner = [], numbers
    while isinstance(inner, tuple):
        shape.append(len(inner))
        inner = inner[0]
    return torch.cat([like.new_full((1,), number) for number in _flat(numbers)]).view(shape)


def _flat(numbers: Any) -> Iterator[float]:
    if isinstance(numbers, tuple):
        for part in numbers:
            yield from _flat(part)
    else:
        yield numbers
