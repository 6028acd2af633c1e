"""Weights of upscalers beside RRDBNet: the compact SRVGG, Real-ESRGAN's discriminator, and whatever spandrel knows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gansmith.config import to_plain
from gansmith.errors import MissingExtra, ModelError
from gansmith.game import ImageSpec
from gansmith.importers import kinds
from gansmith.importers.imported import Imported
from gansmith.importers.tables import Table

Tensors = Mapping[str, Tensor]

_SCALES = (1, 2, 3, 4, 8, 16)
_DISCRIMINATOR = {"weight_orig": "parametrizations.weight.original", "weight_u": "parametrizations.weight.0._u",
                  "weight_v": "parametrizations.weight.0._v"}  # fmt: skip
"""torch's names of spectral normalisation before 2021, and today's."""


def window(scale: int) -> int:
    """Side of the windows that an imported upscaler is said to have learned from: a multiple of its scale."""
    return 96 if scale == 3 else 128


def rrdb_settings(inputs: int, channels: int, ups: int, step3: bool = False) -> dict[str, object] | None:
    """``scale`` and ``fold`` of an RRDBNet, or None where none of ours is like it.

    Args:
        inputs: channels of its first layer.
        channels: of its result.
        ups: how many convolutions stand behind a step up.
        step3: the one step is by 3. Nothing in the weights tells 3 from 2; only the file's name does.
    """
    if inputs == channels:
        scale = 3 if step3 and ups == 1 else 2**ups
        return {"scale": scale, "fold": scale not in (1, 2)} if scale in _SCALES else None
    folded = {(4, 2): 2, (16, 2): 1}.get((inputs // channels, ups))
    return None if folded is None or inputs % channels else {"scale": folded, "fold": True}


# --- SRVGG ------------------------------------------------------------------------------------------------------------


def compact(tensors: Tensors, source: str) -> Imported:
    """A compact SRVGG as an ``upscale`` model.

    Raises:
        ModelError: its layers are of another form.
    """
    numbers = sorted({int(name.split(".")[1]) for name in tensors})
    layers = [tensors[f"body.{n}.weight"] for n in numbers if tensors.get(f"body.{n}.weight", torch.empty(0)).ndim == 4]
    slopes = [n for n in numbers if tensors.get(f"body.{n}.weight", torch.empty(0)).ndim == 1]
    broken = ModelError(
        f"{source} looks like the compact network SRVGG, but its layers are of another form (3x3 convolutions of one width, each but the "
        "last with an activation)."
    )
    if len(layers) < 3 or numbers[-1] != 2 * (len(layers) - 1) or any(layer.shape[2:] != (3, 3) for layer in layers):
        raise broken
    (width, channels), outputs = layers[0].shape[:2], layers[-1].shape[0]
    if slopes and slopes != list(range(1, numbers[-1], 2)):
        raise broken
    scale = next((s for s in _SCALES if channels and outputs == channels * s**2), 0)
    if channels not in (1, 3, 4) or not scale:
        raise ModelError(
            f"{source} is a compact SRVGG from {channels} to {outputs} channels; grey, RGB and RGBA at scales {', '.join(map(str, _SCALES))} "
            "are read."
        )
    settings = {"scale": scale, "network": "compact", "width": width, "blocks": len(layers) - 2}
    notes = (
        [] if slopes else ["Nothing in the file says which activation it has; LeakyReLU with a slope of .1 was taken."]
    )
    if scale == 1:
        settings["damage"] = "wild"
    return Imported(
        "upscale", settings | {"activation": "prelu" if slopes else "leaky"}, ImageSpec(window(scale), window(scale), channels),
        {f"generator.{name}": tensor.float() for name, tensor in tensors.items()}, notes=notes,
    )  # fmt: skip


# --- Real-ESRGAN's discriminator --------------------------------------------------------------------------------------


def discriminator(tensors: Tensors, channels: int, source: str) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Settings of ``upscale`` and ``discriminator.*`` tensors of a ``netD``.

    Raises:
        ModelError: its layers are of another form, or for pictures of other channels.
    """
    from gansmith.nn.unet_discriminator import UNetDiscriminator

    first = tensors["conv0.weight"]
    if first.ndim != 4 or first.shape[1] != channels or not 1 <= first.shape[0] <= 512:
        raise ModelError(
            f"{source} is a discriminator of other pictures than the generator's, which have {channels} channels."
        )
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, what = name.partition(".")
        renamed[f"{layer}.{_DISCRIMINATOR.get(what, what)}"] = tensor.float()
    with torch.device("meta"):
        expected = UNetDiscriminator(channels, first.shape[0]).state_dict()
    if {n: t.shape for n, t in expected.items()} != {n: t.shape for n, t in renamed.items()}:
        raise ModelError(
            f"{source} is not Real-ESRGAN's U-Net discriminator, though its layers are called like that one's."
        )
    settings: dict[str, object] = {"discriminator": "unet", "width_discriminator": first.shape[0]}
    return settings, {f"discriminator.{name}": tensor for name, tensor in renamed.items()}


def beside(path: Path) -> Path | None:
    """The discriminator's file that belongs to a generator's: of the same name with ``_netD``, or D for G."""
    names = [f"{path.stem}_netD", re.sub(r"net_g", "net_d", path.stem), re.sub(r"_G$|_netG$", "_netD", path.stem)]
    for name in names:
        other = path.with_name(name + path.suffix)
        if name != path.stem and other.is_file():
            return other
    return None


# --- spandrel ---------------------------------------------------------------------------------------------------------


_MOST_NUMBERS = 1 << 30
"""Numbers of a network that is handed to spandrel; the largest upscalers have some 40 million."""


def foreign_of(found: Sequence[Table], source: str, otherwise: str) -> Imported:
    """The first table of tensors that spandrel builds a network for, as a model.

    Args:
        found: tables that none of our importers knows.
        otherwise: what to say of a network that spandrel does not know either.

    Raises:
        ModelError: spandrel is not installed, knows none of them, or the tensors do not fit.
    """
    from gansmith.gans.foreign.spandrel import Unknown, imported

    for table in found[:8]:
        if sum(math.prod(shape) for shape in table.shapes.values()) > _MOST_NUMBERS:
            continue
        try:
            config, spec, tensors = imported(table.read(), source)
        except Unknown:
            continue
        except MissingExtra:
            raise ModelError(otherwise + (_HINT if _may_be_known(table) else "")) from None
        except ModelError as error:
            raise ModelError(f"{otherwise} (As spandrel sees it: {error})") from None
        notes = [f"The network is {config.architecture}, built by the package spandrel; it is used, not trained."]
        return Imported("spandrel", to_plain(config), spec, tensors, notes=notes)
    raise ModelError(otherwise)


_HINT = " Some 40 other kinds of upscalers are read with the package spandrel: pip install 'gansmith[upscalers]'"


def _may_be_known(table: Table) -> bool:
    """Whether spandrel is worth naming: for upscalers, LaMa, and files that are not recognised."""
    known = kinds.other(table.shapes)
    return known is None or any(word in known[0] for word in ("upscaler", "LaMa", "ESRGAN+"))
