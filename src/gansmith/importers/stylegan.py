"""StyleGAN2-ADA's network pickles, and those that the StyleGAN3 trainer writes with its StyleGAN2 configuration.

Such a file holds ``G``, ``D`` and ``G_ema``: each a persistent object, that is the source of its class (never looked at
here), the class's name, the arguments it was built with, and its state with all tensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.gans.stylegan2 import Config, StyleGAN2, levels
from gansmith.importers.imported import Imported, expected_shapes, misfit, require_fit, square_pictures
from gansmith.importers.notes import Refused, mapping, printable
from gansmith.importers.persistent import Network, collect
from gansmith.importers.pickled_tensors import Tensors
from gansmith.importers.safe_pickle import read_notes


def read(path: Path) -> Imported:
    """The networks in a StyleGAN2 pickle.

    Raises:
        ModelError: see :func:`gansmith.importers.import_file`.
    """
    source = path.name
    with path.open("rb") as file:
        content = mapping(read_notes(file, source))
    if content is None or (content.get("G_ema") is None and content.get("G") is None):
        raise ModelError(f"{source} is a pickle, but not a StyleGAN2 network: it has neither 'G_ema' nor 'G'.")
    which = "G_ema" if content.get("G_ema") is not None else "G"
    reader = Tensors(source, path.stat().st_size)
    network = collect(content[which], reader, which)
    check_kind(network, source)
    notes = [] if which == "G_ema" else ["The file has no averaged generator (G_ema); the generator G was taken."]
    config, spec, note = generator_settings(network, source)
    notes += note
    tensors = generator_tensors(network, spec, source)
    require_fit(tensors, expected_shapes(StyleGAN2, config, spec, "generator."), source)
    discriminator: dict[str, Tensor] = {}
    if content.get("D") is not None:
        discriminator, note = discriminator_tensors(content["D"], config, spec, reader)
        notes += note
    return Imported("stylegan2", configs.to_plain(config), spec, tensors, discriminator, notes)


# --- from a network to our settings ------------------------------------------------------------------------------------


def check_kind(network: Network, source: str) -> None:
    """Check that a network is StyleGAN2's generator.

    Raises:
        ModelError: it is another one.
    """
    if "synthesis.input" in network.modules or any(m.startswith("synthesis.L0_") for m in network.modules):
        raise ModelError(
            f"{source} holds a StyleGAN3 generator (configuration t or r), which is another network than StyleGAN2. "
            "Only pickles of StyleGAN2 can be imported, also those the StyleGAN3 trainer writes with --cfg=stylegan2."
        )
    if "mapping" not in network.modules or "synthesis.b4" not in network.modules:
        raise ModelError(f"{source} holds a '{printable(network.class_name)}' that is not a StyleGAN2 generator.")


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


def clamp_of(network: Network, source: str) -> float:
    """What a network keeps its activations within, 0 where it does not.

    Its layers are asked: StyleGAN2-ADA clamps where an argument says so, the StyleGAN3 trainer unless one forbids it.
    """
    layers = ("conv0.conv_clamp", "conv1.conv_clamp", "torgb.conv_clamp")
    values = [value for name, value in network.attributes.items() if name.endswith(layers)]
    if not values:
        inner = {**network.arguments, **(mapping(network.arguments.get("synthesis_kwargs")) or {})}
        values = [inner.get("conv_clamp")]
    clamps = {0.0 if value is None else number({"conv_clamp": value}, "conv_clamp", source) for value in values}
    if len(clamps) > 1 or min(clamps) < 0:
        raise ModelError(f"{source} clamps some layers of a network otherwise than others; it cannot be read.")
    return float(clamps.pop())


def generator_settings(network: Network, source: str) -> tuple[Config, ImageSpec, list[str]]:
    """Our settings for a generator built with these arguments."""
    given = network.arguments
    size, channels = whole(given, "img_resolution", source), whole(given, "img_channels", source)
    spec = square_pictures(size, channels, whole(given, "c_dim", source, 0), source)
    inner = {**given, **(mapping(given.get("synthesis_kwargs")) or {})}
    mapped = mapping(given.get("mapping_kwargs")) or {}
    depth, style = whole(mapped, "num_layers", source, 8), whole(given, "w_dim", source, least=1)
    if name := unusual(inner, {"architecture": "skip", "activation": "lrelu"}):
        raise ModelError(f"{source} holds a generator with another '{name}' than StyleGAN2's own; it cannot be read.")
    usual = {"activation": "lrelu", "layer_features": style, "lr_multiplier": 0.01}
    if name := unusual(mapped, usual | ({"embed_features": style} if spec.classes else {})):
        raise ModelError(f"{source} holds a generator whose mapping has an unusual '{name}'; it cannot be read.")
    layers = sum(head == "mapping.fc" for head in (name.rstrip("0123456789") for name in network.modules))
    if depth != layers:
        raise ModelError(f"{source} says that its mapping has {depth} layers, and holds {layers}; it cannot be read.")
    config = Config(
        latent_dim=whole(given, "z_dim", source, least=1),
        style_dim=style,
        conditional=spec.classes > 0,
        preset="full" if depth > 2 else "small",
        mapping_layers=depth,
        channel_base=whole(inner, "channel_base", source, 32768),
        channel_max=whole(inner, "channel_max", source, 512),
        clamp=clamp_of(network, source),
    )
    notes = ["Its classes have no names."] if spec.classes else []
    return config, spec, notes


# --- from their names to ours -----------------------------------------------------------------------------------------


def pick(network: Network, name: str, source: str, missing: Tensor | None = None) -> Tensor:
    """One tensor as float32; ``missing`` where the file has none."""
    if name not in network.tensors:
        if missing is not None:
            return missing
        raise ModelError(f"{source} has no tensor '{name}', which every StyleGAN2 has.")
    return network.reader.read(network.tensors[name]).to(torch.float32)


def check_filters(network: Network, source: str) -> None:
    """Our resampling is the trained one's only if its filter is [1, 3, 3, 1]."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for name in network.tensors:
        if name.endswith("resample_filter"):
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


def generator_tensors(network: Network, spec: ImageSpec, source: str) -> dict[str, Tensor]:
    """A generator's tensors by our names."""
    check_filters(network, source)
    found = mapping_tensors(network, "generator.mapping", source)
    found["generator.mapping.w_avg"] = pick(network, "mapping.w_avg", source)
    found["generator.synthesis.const"] = pick(network, "synthesis.b4.const", source)
    for level, (size, _) in enumerate(levels(spec.height, spec.width)):
        block = f"synthesis.b{size}"
        layers = {"conv1": 2 * level, "conv0": 2 * level - 1}
        for conv, index in layers.items():
            if index < 0:
                continue
            theirs, ours = f"{block}.{conv}", f"generator.synthesis.layers.{index}"
            found |= dense_tensors(network, theirs, ours, source)
            found |= dense_tensors(network, f"{theirs}.affine", f"{ours}.affine", source)
            found[f"{ours}.noise_strength"] = pick(network, f"{theirs}.noise_strength", source, torch.zeros(()))
            found[f"{ours}.noise_const"] = pick(network, f"{theirs}.noise_const", source, torch.zeros(size, size))
        ours = f"generator.synthesis.to_image.{level}"
        found |= dense_tensors(network, f"{block}.torgb", ours, source)
        found |= dense_tensors(network, f"{block}.torgb.affine", f"{ours}.affine", source)
    return found


def discriminator_tensors(
    note: Any, config: Config, spec: ImageSpec, reader: Tensors
) -> tuple[dict[str, Tensor], list[str]]:
    """A discriminator's tensors by our names, and notes; no tensors, and a note why, where its kind is not ours."""
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
        if wrong := misfit(found, expected_shapes(StyleGAN2, config, spec, "discriminator.")):
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


def differences(network: Network, config: Config, source: str) -> list[str]:
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
