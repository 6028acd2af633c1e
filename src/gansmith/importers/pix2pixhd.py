"""Weights of pix2pixHD: its global generator, and its local enhancer around one, for pictures and for label maps."""

from __future__ import annotations

import re

from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.importers.imported import Imported
from gansmith.importers.layers import Tensors, normed, prefixed, spec_of, weight_of
from gansmith.importers.residual import Layout, layout

_SIZES = {"global": 512, "local": 1024}
"""Widths of the pictures that the published networks are for."""
_CITYSCAPES_WITH_FEATURES = 39
"""35 labels, a plane of borders, and three features of an encoder that is another file."""


def global_network(tensors: Tensors) -> Imported:
    """A global generator as a ``pix2pix`` model with ``generator="global"``.

    Raises:
        ModelError: it is of a form that is not read; says which.
    """
    found = layout(tensors)
    if found.antialias or found.blur or found.dropout:
        raise ModelError(
            f"This residual generator halves the size {found.halvings} times and has anti-aliased layers or dropout: neither CUT's nor "
            "pix2pixHD's have that form."
        )
    cleaned, norm = normed(tensors, "model.1", "model.2", biased=True)
    return _imported("global", found, found.width, found.outputs, norm, cleaned, {})


def local_network(tensors: Tensors) -> Imported:
    """A local enhancer with the global generator inside it, as a ``pix2pix`` model with ``generator="local"``.

    Raises:
        ModelError: it is of a form that is not read; says which.
    """
    found = layout({name: t for name, t in tensors.items() if name.startswith("model.")}, whole=False)
    numbers = sorted({int(m[1]) for name in tensors if (m := re.match(r"model(\d{1,2})_1\.", name))})
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) > 4:
        raise ModelError(
            "This local network of pix2pixHD has enhancers that are numbered with gaps, or more than four."
        )
    cleaned, norm = normed(tensors, "model.1", "model.2", biased=True)
    outer = f"model{numbers[-1]}"
    blocks = {int(m[1]) for name in cleaned if (m := re.match(rf"{outer}_2\.(\d{{1,4}})\.conv_block\.", name))}
    last = weight_of(cleaned, f"{outer}_2.{len(blocks) + 4}").shape[0]
    width = weight_of(cleaned, f"{outer}_1.1").shape[0]
    enhancers: dict[str, object] = {"enhancers": len(numbers), "blocks_local": len(blocks)}
    return _imported("local", found, width, last, norm, cleaned, enhancers)


def _imported(
    kind: str, found: Layout, width: int, outputs: int, norm: str, tensors: Tensors, more: dict[str, object]
) -> Imported:
    config: dict[str, object] = {
        "generator": kind, "width": width, "blocks": found.blocks, "halvings": found.halvings, "norm": norm, **more,
    }  # fmt: skip
    if found.inputs == _CITYSCAPES_WITH_FEATURES:
        raise ModelError(
            "This network of pix2pixHD takes 39 channels: most likely 35 labels, borders, and three features from an encoder in another file "
            "(--instance_feat), which is not read. Those without features are."
        )
    if found.inputs == 4 and outputs == 3 and norm == "batch":
        raise ModelError(
            "This is a network of pix2pixHD's form from RGB with a mask to RGB, as LaMa's comparisons have it, which is not read; LaMa with "
            "Fourier convolutions is."
        )
    notes = []
    if found.inputs in (1, 3):
        spec = spec_of(_SIZES[kind], found.inputs, outputs)
    else:
        config |= {"labels": found.inputs - 1, "instances": True}
        spec = ImageSpec(_SIZES[kind], _SIZES[kind], 1, other_channels=spec_of(8, outputs, 0).channels)
        notes.append(
            f"Its {found.inputs} input channels were taken for {found.inputs - 1} labels and the borders of instances. Where it was trained "
            f"without instance maps (--no_instance), import it with --labels {found.inputs}."
        )
    return Imported("pix2pix", config, spec, prefixed("generator", tensors), notes=notes)


def with_labels(imported: Imported, labels: int) -> Imported:
    """The same with another reading of its channels: ``labels`` label planes, and the borders of instances where one more is left.

    Raises:
        ModelError: it takes no label maps, or another number of channels.
    """
    channels = int(imported.config.get("labels", 0)) + int(imported.config.get("instances", 0))
    if not channels:
        raise ModelError(
            "--labels is for networks of pix2pixHD that draw pictures of label maps; this one takes pictures."
        )
    if labels not in (channels, channels - 1):
        raise ModelError(
            f"This network takes {channels} channels, so it knows {channels} labels, or {channels - 1} and the borders of instances, not "
            f"{labels}."
        )
    imported.config |= {"labels": labels, "instances": labels < channels}
    imported.notes = [note for note in imported.notes if "--labels" not in note]
    return imported
