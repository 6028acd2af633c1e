"""Programs for C++: TorchScript, and torch.export's ``.pt2``."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

import torch

from gansmith.errors import GansmithError, first_line
from gansmith.export.program import Program
from gansmith.export.rewrites import recording


def to_torchscript(program: Program) -> bytes:
    """A program as TorchScript, with free batches and sizes; ``torch::jit::load`` reads it. Its facts are its file ``gansmith.json``.

    Raises:
        GansmithError: the network does what TorchScript cannot record.
    """
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), recording():
        warnings.simplefilter("ignore")
        try:
            traced: Any = torch.jit.trace(program.module, tuple(program.inputs.values()), check_trace=False)
        except (RuntimeError, ValueError, TypeError) as error:
            raise GansmithError(
                f"TorchScript cannot record this model: {first_line(error)}. Try --to onnx or --to exported."
            ) from error
        torch.jit.save(traced, file, _extra_files={"gansmith.json": json.dumps(program.facts)})
    return file.getvalue()


def to_exported(program: Program) -> bytes:
    """A program as ``torch.export`` writes it, which ``torch.export.load`` and AOTInductor read; free in the batch only.

    Raises:
        GansmithError: the network does what torch.export cannot record.
    """
    batch = torch.export.Dim("batch", min=1)
    shapes = [{0: batch} if 0 in axes else {} for axes in program.free.values()]
    free = (shapes[0], tuple(shapes[1:])) if len(shapes) > 1 else (shapes[0],)  # forward(first, *rest)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), recording():
        warnings.simplefilter("ignore")
        try:
            exported = torch.export.export(
                program.module, tuple(program.inputs.values()), dynamic_shapes=free, strict=False
            )
        except Exception as error:  # torch.export has no common class of errors
            raise GansmithError(
                f"torch.export cannot record this model: {first_line(error)}. Try --to torchscript or --to onnx."
            ) from error
        torch.export.save(exported, file, extra_files={"gansmith.json": json.dumps(program.facts)})
    return file.getvalue()


def loaded(content: bytes, kind: str) -> Any:
    """Read ``torchscript`` or ``exported`` bytes back as a function of the inputs, in their order."""
    if kind == "torchscript":
        return torch.jit.load(io.BytesIO(content))
    return torch.export.load(io.BytesIO(content)).module()
