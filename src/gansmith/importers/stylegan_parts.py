"""What the networks of StyleGAN2's and StyleGAN3's pickles share: settings, mapping networks, and the discriminator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.game import Game, ImageSpec
from gansmith.importers.imported import expected_shapes, misfit
from gansmith.importers.notes import Refused, mapping, printable
from gansmith.importers.persistent import Network, collect
from gansmith.importers.pickled_tensors import Tensors
from gansmith.nn.styled_discriminator import levels

CLAMPED = ("conv0.conv_clamp", "conv1.conv_clamp", "torgb.conv_clamp")
"""Where StyleGAN2's layers say what they keep activations within."""


# --- settings ---------------------------------------------------------------------------------------------------------


def number(values: dict[str, Any], name: str, source: str, default: float | None = None) -> float:
    """A number of sensible size among the arguments a network was built with."""
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**53:
        raise ModelError(f"{source} does not say the generator's '{name}' as a number.")
    return value


def whole(values: dict[str, Any], name: str, source: str, default: int | None = None, least: int = 0) -> int:
    """The same, a whole number."""
    value = number(values, name, source, default)
    if value != int(value) or not least <= value <= 2**20:
        raise ModelError(f"{source} says {value:g} for the generator's '{name}', which cannot be.")
    return int(value)


def unusual(given: dict[Any, Any], usual: dict[str, Any]) -> str:
    """The first argument that is given and not as usual, or an empty string."""
    for name, value in usual.items():
        theirs = given.get(name)
        if theirs is not None and not (isinstance(theirs, (str, int, float)) and theirs == value):
            return name
    return ""


def clamp_of(network: Network, source: str, layers: tuple[str, ...] = CLAMPED) -> float:
    """What a network keeps its activations within, 0 where it does not.

    Its layers, whose names end in one of ``layers``, are asked: StyleGAN2-ADA clamps where an argument says so, the StyleGAN3 trainer unless one forbids it.
    """
    values = [value for name, value in network.attributes.items() if name.endswith(layers)]
    if not values:
        inner = {**network.arguments, **(mapping(network.arguments.get("synthesis_kwargs")) or {})}
        values = [inner.get("conv_clamp")]
    clamps = {0.0 if value is None else number({"conv_clamp": value}, "conv_clamp", source) for value in values}
    if len(clamps) > 1 or min(clamps) < 0:
        raise ModelError(f"{source} clamps some layers of a network otherwise than others; it cannot be read.")
    return float(clamps.pop())


def mapping_depth(network: Network, style: int, classes: int, source: str, usual_depth: int = 8) -> int:
    """How many layers a generator's mapping network has.

    Raises:
        ModelError: it is of another kind than ours.
    """
    mapped = mapping(network.arguments.get("mapping_kwargs")) or {}
    depth = whole(mapped, "num_layers", source, usual_depth)
    usual = {"activation": "lrelu", "layer_features": style, "lr_multiplier": 0.01}
    if name := unusual(mapped, usual | ({"embed_features": style} if classes else {})):
        raise ModelError(f"{source} holds a generator whose mapping has an unusual '{name}'; it cannot be read.")
    layers = sum(head == "mapping.fc" for head in (name.rstrip("0123456789") for name in network.modules))
    if depth != layers:
        raise ModelError(f"{source} says that its mapping has {depth} layers, and holds {layers}; it cannot be read.")
    return depth


# --- tensors ----------------------------------------------------------------------------------------------------------


def pick(network: Network, name: str, source: str, missing: Tensor | None = None) -> Tensor:
    """One tensor as float32; ``missing`` where the file has none."""
    if name not in network.tensors:
        if missing is not None:
            return missing
        raise ModelError(f"{source} has no tensor '{name}', which every network of its kind has.")
    return network.reader.read(network.tensors[name]).to(torch.float32)


def check_filters(network: Network, source: str, called: str = "resample_filter") -> None:
    """Our resampling is the trained one's only if its filter is [1, 3, 3, 1]."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for name in network.tensors:
        if name.endswith(called):
            theirs = pick(network, name, source)
            usual = line if theirs.dim() == 1 else torch.outer(line, line)
            if theirs.shape != usual.shape or not torch.allclose(theirs, usual, atol=1e-6):
                raise ModelError(
                    f"{source} resamples with another filter than [1, 3, 3, 1] ('{printable(name)}'); it cannot be read."
                )


def dense_tensors(network: Network, theirs: str, ours: str, source: str) -> dict[str, Tensor]:
    """Weight and bias of a layer."""
    return {f"{ours}.{part}": pick(network, f"{theirs}.{part}", source) for part in ("weight", "bias")}


def mapping_tensors(network: Network, ours: str, source: str) -> dict[str, Tensor]:
    """A mapping network's layers."""
    found: dict[str, Tensor] = {}
    for name in network.modules:
        head, _, layer = name.rpartition(".")
        if head == "mapping" and layer.startswith("fc") and layer[2:].isdecimal():
            found |= dense_tensors(network, name, f"{ours}.layers.{int(layer[2:])}", source)
        elif name == "mapping.embed":
            found |= dense_tensors(network, name, f"{ours}.embed", source)
    return found


# --- the discriminator ------------------------------------------------------------------------------------------------


def discriminator_tensors(
    note: Any, game: type[Game], config: Any, spec: ImageSpec, reader: Tensors
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a StyleGAN2 discriminator by our names, and notes; no tensors, and a note why, where its kind is not ours."""
    source = reader.source
    try:
        network = collect(note, reader, "D")
        if wrong := unusual_discriminator(network):
            raise ModelError(f"it has another '{wrong}' than StyleGAN2's own")
        check_filters(network, source)
        found = mapping_tensors(network, "discriminator.mapping", source)
        sizes = [size for size, _ in levels(spec.height, spec.width)][::-1]
        found |= dense_tensors(network, f"b{sizes[0]}.fromrgb", "discriminator.from_image", source)
        for index, size in enumerate(sizes[:-1]):
            ours = f"discriminator.blocks.{index}"
            for conv in ("conv0", "conv1"):
                found |= dense_tensors(network, f"b{size}.{conv}", f"{ours}.{conv}", source)
            found[f"{ours}.skip.weight"] = pick(network, f"b{size}.skip.weight", source)
        for theirs, ours in (("conv", "conv"), ("fc", "dense"), ("out", "logit")):
            found |= dense_tensors(network, f"b4.{theirs}", f"discriminator.{ours}", source)
        if wrong := misfit(found, expected_shapes(game, config, spec, "discriminator.")):
            raise ModelError(wrong)
        return found, differences(network, config, source)
    except Refused:
        raise
    except ModelError as error:
        reason = str(error).rstrip(".")
        return {}, [f"The discriminator was left out ({reason}): the model can be used, not trained on."]


def unusual_discriminator(network: Network) -> str:
    """The first argument by which a discriminator is of another kind than ours, or an empty string."""
    given = network.arguments
    kinds = (
        ("", {"architecture": "resnet"}),
        ("block_kwargs", {"activation": "lrelu"}),
        ("epilogue_kwargs", {"activation": "lrelu"}),
        ("mapping_kwargs", {"activation": "lrelu", "lr_multiplier": 0.01}),
    )
    found = (unusual(given if not kind else mapping(given.get(kind)) or {}, usual) for kind, usual in kinds)
    return next((name for name in found if name), "")


def differences(network: Network, config: Any, source: str) -> list[str]:
    """What a discriminator will do otherwise here, in words; its weights are the same."""
    notes = []
    clamp = clamp_of(network, source)
    if clamp != config.clamp:
        notes.append(
            f"Its discriminator kept activations within {clamp:g} (0: not at all); here within {config.clamp:g}."
        )
    epilogue = mapping(network.arguments.get("epilogue_kwargs")) or {}
    group = network.attributes.get("b4.mbstd.group_size", epilogue.get("mbstd_group_size", 4))
    if group != 4:
        words = f"groups of {group}" if isinstance(group, int) else "the whole batch"
        notes.append(f"Its discriminator compared pictures within {words}; here within groups of 4.")
    return notes
