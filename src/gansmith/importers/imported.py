"""What an importer hands over, and how it checks that tensors fit our networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.game import Game, ImageSpec
from gansmith.importers.notes import printable


@dataclass
class Imported:
    """Networks in our terms.

    Attributes:
        family: command-line name of the family.
        config: that family's settings, as plain values.
        spec: facts about the pictures.
        tensors: the model's weights and buffers by our names, ``generator.*`` or what else the family exports.
        discriminator: the discriminator's, ``discriminator.*``, to train on; empty where the file has none that fits.
        notes: what a person should know about the file.
    """

    family: str
    config: dict[str, Any]
    spec: ImageSpec
    tensors: dict[str, Tensor]
    discriminator: dict[str, Tensor] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def square_pictures(size: int, channels: int, classes: int, source: str) -> ImageSpec:
    """Facts about the pictures of an imported generator.

    Raises:
        ModelError: it makes no such pictures.
    """
    if not 8 <= size <= 2048 or size & (size - 1):
        raise ModelError(f"{source} makes pictures of {size} px; only powers of two from 8 to 2048 px are read.")
    if channels not in (1, 3, 4):
        raise ModelError(f"{source} makes pictures of {channels} channels; only grey, RGB and RGBA are read.")
    if classes == 1:
        raise ModelError(f"{source} is conditioned on a single number, not on classes; it cannot be read.")
    return ImageSpec(size, size, channels, classes)


def expected_shapes(game: type[Game], config: Any, spec: ImageSpec, prefix: str) -> dict[str, torch.Size]:
    """Names and shapes of the tensors our networks have under ``prefix``."""
    with torch.device("meta"):
        state = game(config, spec).state_dict()
    return {name: tensor.shape for name, tensor in state.items() if name.startswith(prefix)}


def misfit(tensors: Mapping[str, Tensor], expected: Mapping[str, torch.Size]) -> str:
    """The first thing that does not fit, in words, or an empty string."""
    for name, shape in expected.items():
        if name not in tensors:
            return f"'{name}' is missing"
        if tensors[name].shape != shape:
            return f"'{name}' has shape {list(tensors[name].shape)} instead of {list(shape)}"
        if not bool(torch.isfinite(tensors[name]).all()):
            return f"'{name}' has values that are not finite"
    for name in tensors:
        if name not in expected:
            return f"'{printable(name)}' does not belong"
    return ""


def require_fit(
    tensors: Mapping[str, Tensor], expected: Mapping[str, torch.Size], source: str, kind: str = "StyleGAN2"
) -> None:
    """Check that the tensors are those of our networks.

    Raises:
        ModelError: a tensor is missing, has another shape, or is not finite.
    """
    wrong = misfit(tensors, expected)
    if wrong:
        raise ModelError(f"The weights in {source} do not fit a {kind} of the settings it names: {wrong}.")
