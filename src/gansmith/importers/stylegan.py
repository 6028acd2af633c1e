"""StyleGAN2-ADA's network pickles, and those that the StyleGAN3 trainer writes with its StyleGAN2 configuration.

Such a file holds ``G``, ``D`` and ``G_ema``: each a persistent object, that is the source of its class (never looked at
here), the class's name, the arguments it was built with, and its state with all tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.gans.stylegan2 import Config, StyleGAN2, levels
from gansmith.importers.imported import Imported, expected_shapes, misfit, require_fit
from gansmith.importers.pickled_tensors import tensor
from gansmith.importers.safe_pickle import MAX_DEPTH, Call, Refused, mapping, read_notes

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
MAX_MODULES = 1000


@dataclass
class Network:
    """One network of the file.

    Attributes:
        class_name: of the outermost object.
        arguments: the keyword arguments it was built with.
        tensors: name -> note of the tensor, not yet decoded.
        modules: the names of all inner modules.
    """

    class_name: str
    arguments: dict[str, Any]
    tensors: dict[str, Any] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)


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
    network = collect(content[which], source, which)
    check_kind(network, source)
    notes = [] if which == "G_ema" else ["The file has no averaged generator (G_ema); the generator G was taken."]
    config, spec, note = generator_settings(network, source)
    notes += note
    tensors = generator_tensors(network, spec, source)
    require_fit(tensors, expected_shapes(StyleGAN2, config, spec, "generator."), source)
    discriminator: dict[str, Tensor] = {}
    if content.get("D") is not None:
        discriminator, note = discriminator_tensors(content["D"], config, spec, source)
        notes += note
    return Imported("stylegan2", configs.to_plain(config), spec, tensors, discriminator, notes)


# --- from notes to networks -------------------------------------------------------------------------------------------


def persistent(note: Any, source: str, what: str) -> tuple[str, dict[Any, Any]]:
    """Class name and state of a persistent object's note."""
    meta = None
    if isinstance(note, Call) and note.function.name == PERSISTENT and len(note.arguments) == 1:
        meta = mapping(note.arguments[0])
    state = None if meta is None else mapping(meta.get("state"))
    if meta is None or state is None or meta.get("type") != "class" or not isinstance(meta.get("class_name"), str):
        raise ModelError(f"'{what}' in {source} is not a network as StyleGAN2-ADA writes them.")
    return meta["class_name"], state


def collect(note: Any, source: str, what: str) -> Network:
    """Walk through a network's inner modules and gather names."""
    class_name, state = persistent(note, source, what)
    arguments = mapping(state.get("_init_kwargs")) or {}
    network = Network(class_name, {k: v for k, v in arguments.items() if isinstance(k, str)})
    waiting: list[tuple[str, dict[Any, Any], int]] = [("", state, 0)]
    while waiting:
        prefix, state, depth = waiting.pop()
        if depth > MAX_DEPTH or len(network.modules) > MAX_MODULES:
            raise Refused(
                f"{source} was not read: '{what}' is nested or inflated beyond reason. Nothing in it was run."
            )
        for kind in ("_parameters", "_buffers"):
            for name, value in (mapping(state.get(kind)) or {}).items():
                if value is not None:
                    network.tensors[f"{prefix}{name}"] = value
        for name, child in (mapping(state.get("_modules")) or {}).items():
            if child is not None:
                inner = persistent(child, source, f"{what}.{prefix}{name}")[1]
                network.modules.append(f"{prefix}{name}")
                waiting.append((f"{prefix}{name}.", inner, depth + 1))
    return network


def check_kind(network: Network, source: str) -> None:
    """Raises:
    ModelError: the network is another one than StyleGAN2's generator.
    """
    if "synthesis.input" in network.modules or any(m.startswith("synthesis.L0_") for m in network.modules):
        raise ModelError(
            f"{source} holds a StyleGAN3 generator (configuration t or r), which is another network than StyleGAN2. "
            "Only pickles of StyleGAN2 can be imported, also those the StyleGAN3 trainer writes with --cfg=stylegan2."
        )
    if "mapping" not in network.modules or "synthesis.b4" not in network.modules:
        raise ModelError(f"{source} holds a '{network.class_name[:60]}' that is not a StyleGAN2 generator.")


def number(values: dict[str, Any], name: str, source: str, default: float | None = None) -> float:
    """A finite number among the arguments a network was built with."""
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ModelError(f"{source} does not say the generator's '{name}' as a number.")
    return value


def whole(values: dict[str, Any], name: str, source: str, default: int | None = None) -> int:
    """The same, a whole number."""
    value = number(values, name, source, default)
    if value != int(value) or not 0 <= value <= 2**20:
        raise ModelError(f"{source} says {value} for the generator's '{name}', which cannot be.")
    return int(value)


def generator_settings(network: Network, source: str) -> tuple[Config, ImageSpec, list[str]]:
    """Our settings for a generator built with these arguments."""
    given = network.arguments
    size, channels = whole(given, "img_resolution", source), whole(given, "img_channels", source)
    spec = ImageSpec(size, size, channels, whole(given, "c_dim", source, 0))
    inner = {**given, **(mapping(given.get("synthesis_kwargs")) or {})}
    architecture = inner.get("architecture", "skip")
    if architecture != "skip":
        raise ModelError(
            f"{source} holds a generator of architecture '{architecture}'; only 'skip', StyleGAN2's own, is read."
        )
    mapping_kwargs = mapping(given.get("mapping_kwargs")) or {}
    activations = {inner.get("activation", "lrelu"), mapping_kwargs.get("activation", "lrelu")}
    if activations != {"lrelu"}:
        raise ModelError(f"{source} holds a generator with another activation than lrelu, StyleGAN2's own.")
    depth = whole(mapping_kwargs, "num_layers", source, 8)
    style = whole(given, "w_dim", source)
    for name, usual in (("layer_features", style), ("embed_features", style), ("lr_multiplier", 0.01)):
        if mapping_kwargs.get(name) not in (None, usual):
            raise ModelError(f"{source} holds a generator whose mapping has an unusual '{name}'; it cannot be read.")
    clamp = None if inner.get("conv_clamp") is None else number(inner, "conv_clamp", source)
    config = Config(
        latent_dim=whole(given, "z_dim", source),
        style_dim=style,
        conditional=spec.classes > 0,
        preset="full" if depth > 2 else "small",
        mapping_layers=depth,
        channel_base=whole(inner, "channel_base", source, 32768),
        channel_max=whole(inner, "channel_max", source, 512),
        clamp=clamp or 0.0,
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
    return tensor(network.tensors[name], source).to(torch.float32)


def check_filters(network: Network, source: str) -> None:
    """Our resampling is the trained one's only if its filter is [1, 3, 3, 1]."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for name in network.tensors:
        if name.endswith("resample_filter"):
            theirs = pick(network, name, source)
            usual = line if theirs.dim() == 1 else torch.outer(line, line)
            if theirs.shape != usual.shape or not torch.allclose(theirs, usual, atol=1e-6):
                raise ModelError(
                    f"{source} resamples with another filter than [1, 3, 3, 1] ('{name}'); it cannot be read."
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
    note: Any, config: Config, spec: ImageSpec, source: str
) -> tuple[dict[str, Tensor], list[str]]:
    """A discriminator's tensors by our names; none, and a note why, where its kind is not ours."""
    network = collect(note, source, "D")
    given = network.arguments
    if given.get("architecture", "resnet") != "resnet":
        return {}, [
            "The discriminator is not of the residual kind, and was left out: the model can be used, not trained on."
        ]
    try:
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
    except Refused:
        raise
    except ModelError as error:
        return {}, [f"The discriminator was left out ({error}): the model can be used, not trained on."]
    wrong = misfit(found, expected_shapes(StyleGAN2, config, spec, "discriminator."))
    if wrong:
        return {}, [f"The discriminator was left out ({wrong}): the model can be used, not trained on."]
    return found, []
