"""ONNX: a model for any runtime, checked against torch before it is handed over."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansmith.abilities import Translates
from gansmith.errors import GansmithError, MissingExtra, first_line
from gansmith.export.program import Program
from gansmith.export.rewrites import recording
from gansmith.models.bundle import Model
from gansmith.translation import Translation

OPSET = 17
"""Of 2022: what every runtime in use understands, and the first with all that these networks need."""

TOLERANCE = 1e-4
"""The largest difference to torch, of values in [-1, 1], that counts as the same picture."""

FOREIGN_TOLERANCE = 1e-3
"""The same for networks of others, deep ones with attention among them: an eighth of a grey level of 255."""

HALF_TOLERANCE = 2e-2
"""The same where weights and everything between them are float16."""


LEVEL = 1.01 / 127.5
"""One step of 8-bit values, which both sides may round apart."""


@dataclass(frozen=True)
class Check:
    """One comparison of an export with the model.

    Attributes:
        batch: pictures at once.
        size: (H, W) of what comes out.
        difference: largest absolute difference, of values in [-1, 1].
        against: what it was compared with: ``model``, or ``apply`` and which way there.
        tolerance: what counts as the same; None for ``TOLERANCE`` beside the model and a level of 8 bits beside apply.
    """

    batch: int
    size: tuple[int, int]
    difference: float
    against: str = "model"
    tolerance: float | None = None

    @property
    def limit(self) -> float:
        """The largest difference that passes."""
        usual = TOLERANCE if self.against == "model" else LEVEL
        return usual if self.tolerance is None else max(usual, self.tolerance)

    @property
    def passed(self) -> bool:
        return self.difference <= self.limit


def to_onnx(program: Program) -> bytes:
    """A program as an ONNX file's bytes, its facts among the metadata (key ``gansmith``, json).

    Raises:
        MissingExtra: the package ``onnx`` is not installed.
        GansmithError: the model holds something that ONNX cannot say.
    """
    onnx = _need("onnx", "Writing ONNX")
    free = {name: axes for name, axes in program.free.items() if axes}
    made = {
        axis: name if axis == 0 else f"out_{name}" for axis, name in program.free[next(iter(program.inputs))].items()
    }
    try:
        with _quiet(), torch.no_grad(), recording(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            # the recorder of executions, not the newer compiler: it knows every operation here, with free sizes, in a second
            torch.onnx.export(
                program.module,
                tuple(program.inputs.values()),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=list(program.inputs),
                output_names=["pictures"],
                dynamic_axes=free | {"pictures": made},
            )
            model = onnx.load(str(path))
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise GansmithError(f"This model cannot be written as ONNX: {first_line(error, 300)}") from error
    onnx.helper.set_model_props(model, {"gansmith": json.dumps(program.facts | {"smallest": program.smallest})})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def to_half(file: bytes) -> bytes:
    """The same ONNX file with weights and computation in float16; pictures in and out stay float32.

    Raises:
        MissingExtra: ``onnx`` or ``onnxruntime`` is not installed.
        GansmithError: the network has something that float16 cannot hold.
    """
    onnx = _need("onnx", "Writing ONNX")
    _need("onnxruntime", "Writing ONNX in float16")
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16

        with _quiet():
            return convert_float_to_float16(onnx.load_from_string(file), keep_io_types=True).SerializeToString()
    except Exception as error:  # the converter raises many kinds for what it does not know
        raise GansmithError(
            f"This model cannot be written in float16 ({first_line(error)}): leave out --dtype float16."
        ) from error


def check_onnx(file: bytes, program: Program, model: Model, tolerance: float | None = None) -> list[Check]:
    """Run an ONNX file beside the model itself on inputs it was not recorded with: other batches, sizes and truncations.

    Args:
        tolerance: the largest difference that counts as the same; None for ``TOLERANCE``.

    Raises:
        MissingExtra: the package ``onnxruntime`` is not installed.
        GansmithError: the runtime refuses the file.
    """
    return compare(runner(file, program.smallest > 1), program, model, tolerance)


def runner(file: bytes, sized: bool = False) -> Any:
    """An ONNX file as a function (inputs by name) -> pictures [N, C, H, W].

    Args:
        sized: it takes pictures, which may have to be of one size.

    Raises:
        MissingExtra: the package ``onnxruntime`` is not installed.
        GansmithError: the runtime refuses the file.
    """
    runtime = _need("onnxruntime", "Checking an ONNX file")
    try:
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what fails is said by us
        session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises kinds of its own for everything
        raise GansmithError(f"onnxruntime does not run the file: {' '.join(str(error).split())[:300]}") from error

    def run(inputs: dict[str, Tensor]) -> np.ndarray:
        try:
            return session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]
        except Exception as error:
            shapes = " and ".join("x".join(map(str, tensor.shape)) or "one number" for tensor in inputs.values())
            advice = " Its network is built for one size: add --fixed-size." if sized else ""
            raise GansmithError(
                f"onnxruntime cannot run the export on {shapes}: {first_line(error)}.{advice}"
            ) from error

    return run


def compare(run: Any, program: Program, model: Model, tolerance: float | None = None) -> list[Check]:
    """Compare ``run(inputs by name) -> pictures [N, C, H, W]`` with the model, on several kinds of inputs."""
    checks = []
    fitting, odd = _sizes(program, model.game.overview_size if isinstance(model.game, Translates) else 0)
    for seed, (batch, size) in enumerate(((1, None), (3, fitting), (2, odd)), start=1):
        inputs = program.example(batch, seed, size)
        if "truncation" in inputs and seed == 1:
            inputs["truncation"] = torch.tensor(1.0)
        expected = reference(model, program, inputs).numpy()
        got = np.asarray(run(inputs))
        if got.shape != expected.shape:
            raise GansmithError(
                f"The export makes pictures of shape {list(got.shape)} instead of {list(expected.shape)}."
            )
        difference = float(np.abs(got - expected).max())
        finite = difference if np.isfinite(difference) else float("inf")
        checks.append(Check(batch, expected.shape[2:], finite, tolerance=tolerance))
    return checks


@torch.no_grad()
def reference(model: Model, program: Program, inputs: dict[str, Tensor]) -> Tensor:
    """What the model itself makes of a program's inputs, [N, C, H, W]."""
    if isinstance(model.game, Translation):
        return model.game.translate(
            inputs["picture"], direction=program.facts["direction"], mask=inputs.get("mask")
        ).float()
    if "noise" in inputs:  # the model's own sampling has no such input; the program is plain torch
        return program.module(*inputs.values())
    return model.decode(inputs["z"], inputs.get("label"), float(inputs["truncation"]))


def _sizes(program: Program, overview: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two sizes to try: one that fits the network, one odd and beyond the size at which models look at the whole."""
    smallest = program.smallest
    return (3 * smallest, 2 * smallest), (max(2 * smallest, overview) + 5, max(smallest, overview) + 3)


def _need(package: str, purpose: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise MissingExtra(package, "export", purpose) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the recorder's remarks on constants, which is what :mod:`gansmith.export.rewrites` makes of them on purpose."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.onnx._internal")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
