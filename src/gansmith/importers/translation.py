"""Other people's translation weights: CycleGAN's and pix2pix's ``*_net_G*.pth``, and RRDBNet ``.pth`` of ESRGAN and Real-ESRGAN.

Networks are told apart by the names and shapes of their tensors, whatever their files are called (:mod:`gansmith.importers.kinds`).
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from gansmith.errors import ModelError, first_line
from gansmith.game import ImageSpec
from gansmith.importers import kinds, upscalers
from gansmith.importers.imported import Imported
from gansmith.importers.notes import printable
from gansmith.importers.tables import Table, choose, tables
from gansmith.importers.torch_file import open_weights

Tensors = dict[str, Tensor]

_OLD_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
MOST_BLOCKS, MOST_WIDE = 256, 8192
"""Residual blocks of a network, and channels of a layer; published ones have at most 32 and 2048."""


def read_table(table: Table) -> Imported:
    """A generator's weights as a model.

    ``X_net_G_A.pth`` with ``X_net_G_B.pth`` beside it become a ``cyclegan`` that translates both ways; any other generator of
    that project a ``pix2pix``; an RRDBNet an ``upscale``.

    Raises:
        ModelError: it is of a form that is not read; says which.
    """
    check_sizes(table)
    if table.kind == kinds.RRDB:
        return with_discriminator(rrdb(table.read()), table.weights.path)
    if table.kind == kinds.COMPACT:
        return with_discriminator(upscalers.compact(table.read(), table.weights.name), table.weights.path)
    partner = _partner(table.weights.path) if not table.key else None
    if table.kind == kinds.UNET:
        imported = unet(table.read())
        if partner is not None:
            imported.notes.append(_alone(partner.name, "U-Nets"))
        return imported
    return resnet(table.read()) if partner is None else with_partner(table, partner)


def with_discriminator(imported: Imported, path: Path) -> Imported:
    """An ``upscale`` model with the discriminator whose file lies beside the generator's, where one does."""
    other = upscalers.beside(path)
    if other is None:
        return imported
    found = [table for table in tables(open_weights(other)) if kinds.is_unet_discriminator(table.shapes)]
    if not found:
        imported.notes.append(f"{other.name} is not Real-ESRGAN's U-Net discriminator and was left out.")
        return imported
    settings, imported.discriminator = upscalers.discriminator(found[0].read(), imported.spec.channels, other.name)
    imported.config |= settings
    imported.notes.append(
        f"The discriminator was read from {other.name}: gansmith train upscale --init goes on with both."
    )
    return imported


def check_sizes(table: Table) -> None:
    """Before anything is read or built: do names and shapes ask for no more than such networks have?

    Raises:
        ModelError: they do, or the numbers of blocks have gaps.
    """
    numbers = {match[1] for name in table.shapes if (match := _BLOCK.match(name))}
    # names are not believed: 'body.1000000000' would ask for a billion of blocks
    whole = all(len(number) <= 4 for number in numbers) and len(numbers) <= MOST_BLOCKS
    found = sorted(map(int, numbers)) if whole else []
    first = found[0] if found else 0
    if not whole or found != list(range(first, first + len(found))):
        raise ModelError(
            f"{table.weights.name} names blocks of a network that cannot be: they are numbered with gaps, or there are more than "
            f"{MOST_BLOCKS}. The file is damaged, or made to attack whoever opens it."
        )
    widest = max((side for shape in table.shapes.values() for side in shape), default=0)
    if widest > MOST_WIDE:
        raise ModelError(
            f"{table.weights.name} has a layer of {widest:,} channels; generators of at most {MOST_WIDE:,} are read."
        )


_BLOCK = re.compile(r"(?:body|RRDB_trunk|model\.1\.sub|model)\.(\d+)\.(?:rdb1\.|RDB1\.|conv_block\.)")


# --- CycleGAN and pix2pix -----------------------------------------------------------------------------------------


def resnet(tensors: Tensors) -> Imported:
    """A residual generator as a ``pix2pix`` model with ``generator="resnet"``."""
    facts, cleaned = _resnet_facts(tensors)
    config: dict[str, object] = {"generator": "resnet", **facts}
    return Imported(
        "pix2pix",
        config,
        _resnet_spec(cleaned, facts),
        _prefixed("generator", cleaned),
        notes=_notes(tensors, cleaned, str(facts["norm"])),
    )


def with_partner(table: Table, partner: Path) -> Imported:
    """A residual generator, and where the other direction's is of the same kind, both as a ``cyclegan``."""
    ab = table.read()
    try:
        other = choose(open_weights(partner))
        if other.kind != kinds.RESNET:
            raise ModelError(f"it holds {other.kind}")
        check_sizes(other)
        return cyclegan(ab, other.read(), partner.name)
    except ModelError as error:
        imported = resnet(ab)
        imported.notes.append(_alone(partner.name, first_line(error).rstrip(".")))
        return imported


def both_ways(there: Table, back: Table) -> Imported:
    """Two residual generators of one checkpoint as a ``cyclegan``.

    Raises:
        ModelError: they cannot be one; says why.
    """
    try:
        for table in (there, back):
            if table.kind != kinds.RESNET:
                raise ModelError(f"'{printable(table.key)}' is {table.kind}")
            check_sizes(table)
        return cyclegan(there.read(), back.read(), f"'{printable(back.key)}'")
    except ModelError as error:
        raise ModelError(
            f"'{printable(there.key)}' and '{printable(back.key)}' in {there.weights.name} make no cyclegan ({first_line(error).rstrip('.')}): one "
            "has two residual generators of one form with instance norm. Import each by itself, with one --key."
        ) from None


def _alone(partner: str, reason: str) -> str:
    return (
        f"The way back, {partner}, was not read with it ({reason}): a cyclegan has two residual generators of one form with instance norm. "
        f"This direction is a pix2pix by itself; import {partner} into another folder for the other one."
    )


def cyclegan(ab: Tensors, ba: Tensors, partner: str) -> Imported:
    """Both residual generators of a CycleGAN.

    Raises:
        ModelError: they are of no form that a ``cyclegan`` has, or of two; says which.
    """
    facts, cleaned = _resnet_facts(ab)
    other_facts, other = _resnet_facts(ba)
    spec, back = _resnet_spec(cleaned, facts), _resnet_spec(other, other_facts)
    if facts["norm"] != "instance":
        raise ModelError("they have batch norm")
    differs = next((name for name in ("blocks", "width", "norm") if facts[name] != other_facts[name]), None)
    if differs is not None:
        raise ModelError(f"its {differs} is {other_facts[differs]}, and {facts[differs]} here")
    if (spec.channels, spec.other_channels) != (back.other_channels, back.channels):
        raise ModelError(
            f"it takes {back.channels} channels and makes {back.other_channels}, which does not lead back here"
        )
    cleaned, other = _without_dropout(cleaned, facts), _without_dropout(other, other_facts)
    config: dict[str, object] = {"blocks": facts["blocks"], "width": facts["width"]}
    if spec.channels != spec.other_channels:
        config["identity"] = 0.0  # nothing can stay the same
    names = _prefixed("generator_ab", cleaned) | _prefixed("generator_ba", other)
    notes = [*_notes(ab, cleaned), f"The way back was read from {partner}."]
    if facts["dropout"] or other_facts["dropout"]:
        notes.append(
            "They were trained with dropout, which a cyclegan here has not; pictures are the same, further training is not."
        )
    return Imported("cyclegan", config, spec, names, notes=notes)


def _without_dropout(tensors: Tensors, facts: dict[str, object]) -> Tensors:
    """The layers' names where no dropout stands before a block's second convolution."""
    if not facts["dropout"]:
        return tensors
    return {re.sub(r"(\.conv_block)\.6\.", r"\1.5.", name): tensor for name, tensor in tensors.items()}


def unet(tensors: Tensors) -> Imported:
    """A U-Net as a ``pix2pix`` model."""
    level = "model.model.1.model"
    cleaned, norm = _normed(tensors, f"{level}.1", f"{level}.2")
    depth = 1 + max(name.count("model.") - 2 for name in cleaned)
    if not 3 <= depth <= 10:
        raise ModelError(
            f"This U-Net halves the size {depth} times; those of 3 to 10 halvings (8 to 1024 px) are read."
        )
    first, last = _weight(cleaned, "model.model.0"), _weight(cleaned, "model.model.3")
    config: dict[str, object] = {
        "generator": "unet",
        "width": first.shape[0],
        "depth": depth,
        "norm": norm,
        "dropout": True,
    }
    return Imported(
        "pix2pix",
        config,
        _spec(2**depth, first.shape[1], last.shape[1]),
        _prefixed("generator", cleaned),
        notes=_notes(tensors, cleaned, norm),
    )


def _resnet_facts(tensors: Tensors) -> tuple[dict[str, object], Tensors]:
    cleaned, norm = _normed(tensors, "model.1", "model.2")
    blocks = {int(match[1]) for name in cleaned if (match := re.match(r"model\.(\d{1,4})\.conv_block\.", name))}
    convs = {
        int(match[1])
        for name in cleaned
        if (match := re.match(r"model\.10\.conv_block\.(\d{1,4})\.weight", name)) and cleaned[name].ndim == 4
    }
    if convs in ({0, 3}, {0, 4}):
        raise ModelError(
            "This residual generator pads with zeros (padding type 'zero'); only the form that pads by mirroring ('reflect') is read."
        )
    if convs not in ({1, 5}, {1, 6}) or blocks != set(range(10, 10 + len(blocks))):
        raise ModelError(
            "This residual generator's blocks are of another form than CycleGAN's: two 3x3 convolutions that pad by mirroring."
        )
    facts: dict[str, object] = {
        "blocks": len(blocks),
        "width": _weight(cleaned, "model.1").shape[0],
        "norm": norm,
        "dropout": convs == {1, 6},
    }
    return facts, cleaned


def _resnet_spec(tensors: Tensors, facts: dict[str, object]) -> ImageSpec:
    size = 256 if facts["blocks"] == 9 else 128
    return _spec(size, _weight(tensors, "model.1").shape[1], _last_outputs(tensors))


def _normed(tensors: Tensors, convolution: str, norm: str) -> tuple[Tensors, str]:
    """The tensors that are used, and the kind of norm, told by a first convolution and the norm behind it.

    Instance norm of torch before 0.4 saved running statistics that were never meant to be used, and batch norm of that
    time did not count batches.
    """
    bias = f"{convolution}.bias" in tensors
    if f"{norm}.weight" not in tensors:
        if not bias:
            raise ModelError("This generator has no norm layers; those with instance norm or batch norm are read.")
        return {n: t for n, t in tensors.items() if not n.endswith(_OLD_STATISTICS)}, "instance"
    if f"{norm}.running_mean" not in tensors:
        raise ModelError(
            "This generator's instance norms have weights of their own (affine), which is not supported; plain instance norm "
            "and batch norm are."
        )
    if bias:
        raise ModelError(
            "This generator has biases in front of its batch norms, as releases before mid-2017 wrote it, which is not supported."
        )
    counters = [n.replace("running_mean", "num_batches_tracked") for n in tensors if n.endswith(".running_mean")]
    return dict.fromkeys(counters, torch.zeros((), dtype=torch.long)) | tensors, "batch"


def _weight(tensors: Tensors, layer: str) -> Tensor:
    """A convolution's weight."""
    weight = tensors.get(f"{layer}.weight")
    if weight is None or weight.ndim != 4:
        raise ModelError(f"This is no generator that is known here: its layer '{layer}' is not a convolution.")
    return weight


def _last_outputs(tensors: Tensors) -> int:
    last = max(int(m[1]) for n in tensors if (m := re.fullmatch(r"model\.(\d{1,4})\.weight", n)))
    return _weight(tensors, f"model.{last}").shape[0]


def _notes(before: Tensors, after: Tensors, norm: str = "instance") -> list[str]:
    dropped = len(before.keys() - after.keys())
    notes = [f"Left out {dropped} unused statistics of old instance norms."] if dropped else []
    if norm == "batch":
        notes.append(
            "The official tester runs batch norm and dropout as in training unless it is given --eval, and its pictures differ from those "
            "made here by the averages of training. For pictures like its own: gansmith apply --norm batch."
        )
    return notes


def _partner(path: Path) -> Path | None:
    """``X_net_G_B.pth`` for ``X_net_G_A.pth``, if it is there."""
    if not path.stem.endswith("_G_A"):
        return None
    other = path.with_name(path.stem[:-1] + "B" + path.suffix)
    return other if other.is_file() else None


# --- RRDBNet ------------------------------------------------------------------------------------------------------


def rrdb(tensors: Tensors) -> Imported:
    """An RRDBNet of any of its three ways of naming, as an ``upscale`` model."""
    named = _rrdb_names(tensors)
    blocks = len({match[1] for name in named if (match := re.match(r"body\.(\d{1,4})\.", name))})
    layers = [named.get(f"{name}.weight") for name in ("conv_first", "conv_last", "body.0.rdb1.conv1")]
    if not blocks or any(layer is None or layer.ndim != 4 for layer in layers):
        raise ModelError("This looks like an ESRGAN network but has no RRDB blocks, or lacks its first or last layer.")
    first, last, growing = (layer for layer in layers if layer is not None)
    channels, width, growth = last.shape[0], first.shape[0], growing.shape[0]
    ups = sum(re.fullmatch(r"conv_up\d\.weight", name) is not None for name in named)
    settings = upscalers.rrdb_settings(first.shape[1], channels, ups)
    if settings is None or width != 2 * growth:
        raise ModelError(
            f"An RRDBNet with {blocks} blocks of width {width} and growth {growth}, from {first.shape[1]} to {channels} channels with "
            f"{ups} steps up is not supported: those of ESRGAN and Real-ESRGAN at scales 1 to 16 are, whatever their depth, with a "
            "growth of half the width."
        )
    config: dict[str, object] = {**settings, "network": "full", "width": width, "blocks": blocks}
    if settings["scale"] == 1:
        config["damage"] = "wild"
    side = upscalers.window(int(str(settings["scale"])))
    return Imported("upscale", config, _spec(side, channels, 0), _prefixed("generator", named))


def _rrdb_names(tensors: Tensors) -> Tensors:
    """The same tensors by today's names of RRDBNet's layers, from any of the names that they have had."""
    numbers = sorted({int(m[1]) for name in tensors if (m := re.fullmatch(r"model\.(\d{1,4})\.weight", name))})
    ups = [f"conv_up{i + 1}" for i in range(len(numbers) - 3)]
    roles = dict(zip(numbers, ["conv_first", *ups, "conv_hr", "conv_last"], strict=False))

    def today(name: str) -> str:
        if name.startswith("model."):  # ESRGAN's first release: numbered layers
            if match := re.fullmatch(r"model\.1\.sub\.(\d{1,4})\.RDB(\d)\.conv(\d)\.0\.(weight|bias)", name):
                return f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}"
            if match := re.fullmatch(r"model\.1\.sub\.\d{1,4}\.(weight|bias)", name):
                return f"conv_body.{match[1]}"
            match = re.fullmatch(r"model\.(\d{1,4})\.(weight|bias)", name)
            role = roles.get(int(match[1])) if match else None
            return f"{role}.{match[2]}" if match and role else name
        name = re.sub(r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2.", name)
        name = re.sub(r"^trunk_conv\.", "conv_body.", name)
        name = re.sub(r"^upconv(\d)\.", r"conv_up\1.", name)
        return re.sub(r"^HRconv\.", "conv_hr.", name)

    return {today(name): tensor for name, tensor in tensors.items()}


# --- all ----------------------------------------------------------------------------------------------------------


def _spec(size: int, channels: int, other: int) -> ImageSpec:
    if not {channels, other or channels} <= {1, 3, 4}:
        raise ModelError(
            f"This generator turns pictures of {channels} channels into pictures of {other or channels}; 1 (grey), 3 (RGB) and "
            "4 (RGB with alpha) are supported."
        )
    return ImageSpec(size, size, channels, other_channels=other)


def _prefixed(network: str, tensors: Tensors) -> Tensors:
    return {
        f"{network}.{name}": tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
