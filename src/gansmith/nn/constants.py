"""Small constant tensors, uploaded once.

``torch.tensor(numbers, device="cuda")`` copies from memory that is not pinned: the host waits until the GPU has done
everything before. In a layer that runs at every step, the GPU then never has work ahead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)  # is_exporting: torch 2.7


def constant(numbers: Any, like: Tensor) -> Tensor:
    """A constant in the number format and on the device of another tensor. It must not be changed in place.

    Args:
        numbers: a number, or tuples of numbers nested to any depth.
    """
    recording = torch.jit.is_tracing() or _is_exporting()  # pyright: ignore[reportPrivateImportUsage]
    if recording:  # a tensor made now must not outlive that
        return torch.tensor(numbers, dtype=like.dtype, device=like.device)
    return _uploaded(numbers, like.dtype, like.device)


_kept: dict[tuple[Any, torch.dtype, torch.device], Tensor] = {}


@torch.compiler.assume_constant_result
def _uploaded(numbers: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    key = numbers, dtype, device
    if key not in _kept:
        with torch.inference_mode(False):  # one of inference mode could not take part in training
            _kept[key] = torch.tensor(numbers, dtype=dtype, device=device)
    return _kept[key]
