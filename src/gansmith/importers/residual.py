"""Weights of residual generators: CycleGAN's and pix2pix's, CUT's with their anti-aliased layers, pix2pixHD's global and local ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from gansmith.errors import ModelError, first_line
from gansmith.game import ImageSpec
from gansmith.importers import kinds
from gansmith.importers.imported import Imported
from gansmith.importers.layers import Tensors, check_sizes, normed, prefixed, spec_of, weight_of
from gansmith.importers.notes import printable
from gansmith.importers.tables import Table, choose
from gansmith.importers.torch_file import open_weights


@dataclass(frozen=True)
class Layout:
    """How a residual generator is built.

    Attributes:
        width: channels of its first layer.
        halvings: how often it halves the size.
        blocks: residual blocks.
        dropout: whether a block has dropout between its convolutions.
        antialias: halves by a convolution of stride 1 and a blur.
        blur: doubles by a blur and a convolution of stride 1.
        inputs, outputs: channels; 0 outputs where the last layers are not there (in pix2pixHD's local networks).
    """

    width: int
    halvings: int
    blocks: int
    dropout: bool
    antialias: bool
    blur: bool
    inputs: int
    outputs: int

    @property
    def plain(self) -> bool:
        """Is it one of CycleGAN's form?"""
        return self.halvings == 2 and not (self.antialias or self.blur)


_ANOTHER = "This residual generator's {} are of another form than those of CycleGAN, CUT and pix2pixHD."


def layout(tensors: Tensors, whole: bool = True) -> Layout:
    """Read a generator's layout off the numbers of its layers.

    Args:
        whole: its last layers are there.

    Raises:
        ModelError: it is of no form that is read; says why.
    """
    first = kinds.first_block({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    inside = rf"model\.{first}\.conv_block\.(\d{{1,4}})\.weight"
    within = {int(m[1]) for name in tensors if (m := re.fullmatch(inside, name)) and tensors[name].ndim == 4}
    if within in ({0, 3}, {0, 4}):
        raise ModelError(
            "This residual generator pads with zeros (padding type 'zero'); only the form that pads by mirroring ('reflect') is read."
        )
    blocks = {int(m[1]) for name in tensors if (m := re.match(r"model\.(\d{1,4})\.conv_block\.", name))}
    end = first + len(blocks)
    if within not in ({1, 5}, {1, 6}) or blocks != set(range(first, end)):
        raise ModelError(_ANOTHER.format("blocks") + " Those have two 3x3 convolutions that pad by mirroring.")
    layers = {int(m[1]) for name in tensors if (m := re.fullmatch(r"model\.(\d{1,4})\.weight", name))}
    numbers = sorted(number for number in layers if tensors[f"model.{number}.weight"].ndim == 4)
    before, after = [n for n in numbers if n < first], [n for n in numbers if n >= end]
    halvings, antialias, blur = len(before) - 1, before[2:3] == [8] or first == 8, after[:1] == [end + 1]
    step, back = (4 if antialias else 3), (4 if blur else 3)
    ups = [end + blur + back * n for n in range(halvings)]
    expected = ups + ([end + back * halvings + 1] if whole else [])
    if before != [1, *(4 + step * n for n in range(halvings))] or after != expected or first != 4 + step * halvings:
        raise ModelError(_ANOTHER.format("layers"))
    weight = weight_of(tensors, "model.1")
    outputs = weight_of(tensors, f"model.{after[-1]}").shape[0] if whole else 0
    return Layout(
        weight.shape[0], halvings, len(blocks), within == {1, 6}, antialias, blur, weight.shape[1], outputs
    )  # fmt: skip


def without_filters(tensors: Tensors) -> Tensors:
    """The tensors without the constant filters of anti-aliased layers.

    Raises:
        ModelError: such a layer filters in another way than CUT's.
    """
    for name in [name for name in tensors if name.endswith(".filt")]:
        filt = tensors[name]
        taps = {3: (1.0, 2.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}.get(filt.shape[-1])
        line = torch.tensor(taps if taps is not None else (0.0,))
        wanted = torch.outer(line, line) / line.sum().square() * (4 if filt.shape[-1] == 4 else 1)
        if filt.ndim != 4 or filt.shape[2:] != wanted.shape or not torch.allclose(filt.float(), wanted, atol=1e-3):
            raise ModelError(
                f"The anti-aliased layer '{printable(name)}' has another filter than CUT's (1 2 1 where it halves, 1 3 3 1 where it doubles)."
            )
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(".filt")}


def resnet(tensors: Tensors) -> Imported:
    """A residual generator by itself: a ``pix2pix`` model, or a ``cut`` one where it has anti-aliased layers."""
    found = layout(tensors)
    if found.halvings != 2:
        raise ModelError(_ANOTHER.format("halvings"))
    cleaned, norm = normed(without_filters(tensors), "model.1", "model.2")
    if found.plain:
        config: dict[str, object] = {"generator": "resnet", **_facts(found, norm)}
        weights = prefixed("generator", cleaned)
        return Imported("pix2pix", config, _spec(found), weights, notes=notes_of(tensors, cleaned, norm))
    if norm != "instance":
        raise ModelError("This generator of CUT has batch norm; those with instance norm, CUT's usual one, are read.")
    notes = notes_of(without_filters(tensors), cleaned)
    config = {
        "blocks": found.blocks,
        "width": found.width,
        "antialias": found.antialias,
        "upsample": "blur" if found.blur else "transposed",
    }
    if found.dropout:
        notes.append("It was trained with dropout, which cut has not; pictures are the same, further training is not.")
    weights = prefixed("generator", _without_dropout(cleaned, found))
    return Imported("cut", config, _spec(found), weights, notes=notes)


def _facts(found: Layout, norm: str) -> dict[str, object]:
    return {"blocks": found.blocks, "width": found.width, "norm": norm, "dropout": found.dropout}


def _spec(found: Layout) -> ImageSpec:
    return spec_of(256 if found.blocks == 9 else 128, found.inputs, found.outputs)


def notes_of(before: Tensors, after: Tensors, norm: str = "instance") -> list[str]:
    """What a person should know: statistics that were left out, and how the official tester differs."""
    dropped = len(before.keys() - after.keys())
    notes = [f"Left out {dropped} unused statistics of old instance norms."] if dropped else []
    if norm == "batch":
        notes.append(
            "The official tester runs batch norm and dropout as in training unless it is given --eval, and its pictures differ from those "
            "made here by the averages of training. For pictures like its own: gansmith apply --norm batch."
        )
    return notes


# --- both directions ----------------------------------------------------------------------------------------------


def partner_of(path: Path) -> Path | None:
    """``X_net_G_B.pth`` for ``X_net_G_A.pth``, if it is there."""
    if not path.stem.endswith("_G_A"):
        return None
    other = path.with_name(path.stem[:-1] + "B" + path.suffix)
    return other if other.is_file() else None


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
        imported.notes.append(alone(partner.name, first_line(error).rstrip("."), imported.family))
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


def alone(partner: str, reason: str, family: str = "pix2pix") -> str:
    """A note that the other direction was not read, and why."""
    return (
        f"The way back, {partner}, was not read with it ({reason}): a cyclegan has two residual generators of one form with instance norm. "
        f"This direction is a {family} by itself; import {partner} into another folder for the other one."
    )


def cyclegan(ab: Tensors, ba: Tensors, partner: str) -> Imported:
    """Both residual generators of a CycleGAN.

    Raises:
        ModelError: they are of no form that a ``cyclegan`` has, or of two; says which.
    """
    here, there = layout(ab), layout(ba)
    if not (here.plain and there.plain):
        raise ModelError("their layers are not CycleGAN's own")
    cleaned, norm = normed(ab, "model.1", "model.2")
    other, other_norm = normed(ba, "model.1", "model.2")
    spec, back = _spec(here), _spec(there)
    if norm != "instance":
        raise ModelError("they have batch norm")
    facts, other_facts = _facts(here, norm), _facts(there, other_norm)
    differs = next((name for name in ("blocks", "width", "norm") if facts[name] != other_facts[name]), None)
    if differs is not None:
        raise ModelError(f"its {differs} is {other_facts[differs]}, and {facts[differs]} here")
    if (spec.channels, spec.other_channels) != (back.other_channels, back.channels):
        raise ModelError(
            f"it takes {back.channels} channels and makes {back.other_channels}, which does not lead back here"
        )
    notes = [*notes_of(ab, cleaned), f"The way back was read from {partner}."]
    config: dict[str, object] = {"blocks": here.blocks, "width": here.width}
    if spec.channels != spec.other_channels:
        config["identity"] = 0.0  # nothing can stay the same
    cleaned, other = _without_dropout(cleaned, here), _without_dropout(other, there)
    names = prefixed("generator_ab", cleaned) | prefixed("generator_ba", other)
    if here.dropout or there.dropout:
        notes.append(
            "They were trained with dropout, which a cyclegan here has not; pictures are the same, further training is not."
        )
    return Imported("cyclegan", config, spec, names, notes=notes)


def _without_dropout(tensors: Tensors, found: Layout) -> Tensors:
    """The layers' names where no dropout stands before a block's second convolution."""
    if not found.dropout:
        return tensors
    return {re.sub(r"(\.conv_block)\.6\.", r"\1.5.", name): tensor for name, tensor in tensors.items()}
