"""Weights of networks that fill holes: LaMa with its fast Fourier convolutions, and MI-GAN."""

from __future__ import annotations

import re

import torch

from gansmith import registry
from gansmith.config import make
from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.importers.imported import Imported, expected_shapes, misfit
from gansmith.importers.layers import MOST_BLOCKS, Tensors, prefixed, spec_of, weight_of
from gansmith.nn.ffc import MOST_CHANNELS

_SIZE = 256
"""Side of the windows that LaMa was trained on."""


def lama(tensors: Tensors) -> Imported:
    """LaMa's generator as an ``inpaint`` model with ``arch="ffc"``.

    Raises:
        ModelError: it is of a form that is not read; says which tensor is amiss.
    """
    numbers = {int(m[1]) for n in tensors if (m := re.match(r"model\.(\d{1,4})\.conv1\.ffc\.", n))}
    first = min(numbers, default=0)
    if not 3 <= first <= 12 or len(numbers) > MOST_BLOCKS or numbers != set(range(first, first + len(numbers))):
        raise ModelError(
            "This LaMa has no row of Fourier blocks behind its halvings, so it is of a form that is not read."
        )
    block = f"model.{first}.conv1.ffc"
    near, far = (weight_of(tensors, f"{block}.{name}").shape[0] for name in ("convl2l", "convl2g"))
    entry = weight_of(tensors, "model.1.ffc.convl2l")
    share = far / (near + far)
    share = share if int((near + far) * share) == far else (far + 0.5) / (near + far)  # as rounded as ours is
    config: dict[str, object] = {
        "arch": "ffc", "width": entry.shape[0], "blocks": len(numbers), "halvings": first - 2, "global_share": share,
    }  # fmt: skip
    if near + far > MOST_CHANNELS:
        raise ModelError(f"This LaMa has blocks of {near + far} channels; those of up to {MOST_CHANNELS} are read.")
    spec = spec_of(_SIZE, entry.shape[1] - 1, 0)
    counters = {n.replace("running_mean", "num_batches_tracked") for n in tensors if n.endswith(".running_mean")}
    tensors = dict.fromkeys(counters, torch.zeros((), dtype=torch.long)) | tensors
    return _fitting("LaMa", config, spec, tensors, "Its generator was read; a new discriminator learns beside it.")


def migan(tensors: Tensors) -> Imported:
    """MI-GAN's generator for inference as an ``inpaint`` model with ``arch="migan"``.

    Raises:
        ModelError: it is of a form that is not read; says which tensor is amiss.
    """
    size = max((int(m[1]) for n in tensors if (m := re.match(r"encoder\.b(\d{1,4})\.", n))), default=0)
    if not 8 <= size <= 2048 or size & (size - 1):
        raise ModelError(f"This MI-GAN is for pictures of {size} px; powers of two from 8 to 2048 px are read.")
    width = weight_of(tensors, f"encoder.b{size}.conv1.conv1").shape[0]
    channels = weight_of(tensors, "synthesis.b4.torgb").shape[0]
    line = torch.tensor((1.0, 3.0, 3.0, 1.0)) / 8
    for name in [name for name in tensors if name.endswith((".filter.weight", ".filter_const"))]:
        kernel = torch.outer(line, line) * (1 if ".downsample." in name else 4)
        if name.endswith(".weight") and (
            tensors[name].shape[2:] != (4, 4) or not torch.allclose(tensors[name].float(), kernel, atol=1e-3)
        ):
            raise ModelError("This MI-GAN resizes by other filters than the released ones (1 3 3 1).")
    kept = {n: t for n, t in tensors.items() if not n.endswith((".filter.weight", ".filter_const"))}
    config: dict[str, object] = {"arch": "migan", "width": width}
    return _fitting("MI-GAN", config, spec_of(size, channels, 0), kept, "It was read as it is; its teacher was not.")


def _fitting(what: str, config: dict[str, object], spec: ImageSpec, tensors: Tensors, note: str) -> Imported:
    """The model, once its tensors are those that our network of these settings has."""
    family = registry.family("inpaint")
    weights = prefixed("generator", tensors)
    expected = expected_shapes(family, make(family.Config, config, "inpaint"), spec, "generator.")
    if wrong := misfit(weights, expected):
        raise ModelError(f"This is {what} in a form that is not read: {wrong}.")
    return Imported("inpaint", config, spec, weights, notes=[f"Read as inpaint --arch {config['arch']}. {note}"])
