"""The discriminator of a model: where it is found again."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.models.bounds import load_tensors
from gansmith.models.bundle import OPPONENT


def find_opponent(model_folder: Path) -> tuple[dict[str, Tensor], str]:
    """The discriminator's tensors of a model folder, and where they were found: beside the model, or in its run's checkpoint.

    Raises:
        ModelError: the file beside the model is damaged.
    """
    beside = model_folder / OPPONENT
    if beside.is_file():
        tensors = load_tensors(beside)
        if spoilt := [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]:
            raise ModelError(f"{beside} is damaged: '{spoilt[0]}' holds NaN or infinity. Copy it again, or remove it.")
        return tensors, str(beside)
    checkpoints = model_folder.parent / "checkpoint"
    found = (
        sorted(checkpoints.glob("[0-9]*/state.safetensors")) if (model_folder.parent / "config.yaml").is_file() else []
    )
    for path in reversed(found):
        try:
            tensors = load_tensors(path)
        except ModelError:
            continue  # the one before it, as a resumed run does
        prefix = "game/"
        return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}, str(path.parent)
    return {}, ""
