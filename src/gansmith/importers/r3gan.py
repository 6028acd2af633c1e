"""R3GAN's networks, out of the pickles that its trainer writes: plain modules, which keep no arguments.

The shapes of their tensors tell what they were built with.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from torch import Tensor

from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.gans.r3gan import R3GAN, Config
from gansmith.importers.imported import Imported, expected_shapes, misfit, require_fit, square_pictures
from gansmith.importers.notes import Refused, printable
from gansmith.importers.persistent import Network, collect
from gansmith.importers.pickled_tensors import Tensors
from gansmith.importers.stylegan_parts import check_filters, pick, whole
from gansmith.nn.r3gan_resnet import widths_of

_BLOCK = re.compile(r"Model\.MainLayers\.(\d{1,3})\.Layers\.(\d{1,3})\.LinearLayer2")
_STAGES = "Model.MainLayers"


def networks(generator: Any, discriminator: Any, reader: Tensors, notes: list[str]) -> Imported:
    """R3GAN's generator and discriminator, from the notes of them.

    Raises:
        ModelError: it is another generator, or none that ours can be.
    """
    source = reader.source
    network = collect(generator, reader, "G_ema")
    if f"{_STAGES}.0.Layers.0" not in network.modules or "Model.AggregationLayer" not in network.modules:
        raise ModelError(f"{source} holds a '{printable(network.class_name)}' that is not a generator of R3GAN.")
    config, spec = _settings(network, source)
    judge, found, more = None, {}, []
    if discriminator is not None:
        try:
            judge = collect(discriminator, reader, "D")
            config = dataclasses.replace(config, class_dim=_class_dim(judge, spec, source))
        except Refused:
            raise
        except ModelError as error:
            more, judge = [_left_out(error)], None
    tensors = _generator_tensors(network, config, spec, source)
    require_fit(tensors, expected_shapes(R3GAN, config, spec, "generator."), source, "R3GAN")
    if judge is not None:
        try:
            found = _discriminator_tensors(judge, config, spec, source)
            if wrong := misfit(found, expected_shapes(R3GAN, config, spec, "discriminator.")):
                raise ModelError(wrong)
        except ModelError as error:
            found, more = {}, [_left_out(error)]
    notes += (["Its classes have no names."] if spec.classes else []) + more
    return Imported("r3gan", configs.to_plain(config), spec, tensors, found, notes)


def _left_out(error: ModelError) -> str:
    return f"The discriminator was left out ({str(error).rstrip('.')}): the model can be used, not trained on."


# --- settings ---------------------------------------------------------------------------------------------------------


def _blocks(network: Network) -> list[int]:
    """Residual blocks of every stage, in the network's order."""
    found: dict[int, set[int]] = {}
    for name in network.modules:
        if match := _BLOCK.fullmatch(name):
            found.setdefault(int(match[1]), set()).add(int(match[2]))
    return [len(found[stage]) for stage in sorted(found)] if sorted(found) == list(range(len(found))) else []


def _settings(network: Network, source: str) -> tuple[Config, ImageSpec]:
    given, blocks = network.arguments, _blocks(network)
    size = whole(given, "img_resolution", source)
    channels = pick(network, "Model.AggregationLayer.Layer.weight", source).shape[0]
    spec = square_pictures(size, channels, whole(given, "c_dim", source, 0), source)
    basis = pick(network, f"{_STAGES}.0.Layers.0.Basis", source)
    inner = [pick(network, f"{_STAGES}.{k}.Layers.1.LinearLayer1.Layer.weight", source) for k in range(len(blocks))]
    mixed = [pick(network, f"{_STAGES}.{k}.Layers.1.LinearLayer2.Layer.weight", source) for k in range(len(blocks))]
    if not inner or any(t.dim() != 4 or 0 in t.shape for t in (*inner, *mixed)) or basis.shape[1:] != (4, 4):
        raise ModelError(
            f"{source} holds a generator that does not begin with 4x4 px as R3GAN's does; it cannot be read."
        )
    widths = [t.shape[1] for t in inner]
    expansions, groups = {t.shape[0] / t.shape[1] for t in inner}, {t.shape[1] for t in mixed}
    level = max(k for k, width in enumerate(widths) if width == widths[0])
    config = Config(
        latent_dim=whole(given, "z_dim", source, least=1),
        conditional=spec.classes > 0,
        generator="residual",
        width=widths[0],
        taper=widths[level + 1] / widths[level] if level + 1 < len(widths) else 1.0,
        level=level if level + 1 < len(widths) else 0,
        stem=1,
        blocks=blocks[0],
        expansion=int(min(expansions)),
        group_width=min(groups),
    )
    usual = len({*blocks}) == len(expansions) == len(groups) == 1 and expansions == {config.expansion}
    if (
        not usual
        or size != 4 << (len(blocks) - 1)
        or widths[0] % config.group_width
        or widths_of(config, spec) != widths
    ):
        raise ModelError(
            f"{source} holds a generator whose stages differ in more than their channels, or whose channels shrink otherwise than by one "
            "factor from one stage on; it cannot be read."
        )
    return config, spec


def _class_dim(network: Network, spec: ImageSpec, source: str) -> int:
    """Length of the vectors by which a discriminator compares classes."""
    return pick(network, "Model.EmbeddingLayer.weight", source).shape[0] if spec.classes else 0


# --- tensors ----------------------------------------------------------------------------------------------------------


def _stages(network: Network, config: Config, spec: ImageSpec, source: str, up: bool) -> dict[str, Tensor]:
    """Blocks, and what lies between stages, by our names in ``layers``."""
    found: dict[str, Tensor] = {}
    count, ours = len(widths_of(config, spec)), 0 if up else 1
    for stage in range(count):
        if up and stage:  # the change of size comes before the blocks of its stage
            found |= _change(network, f"{_STAGES}.{stage}.Layers.0", f"layers.{ours}", source)
            ours += 1
        for block in range(config.blocks):
            theirs, name = f"{_STAGES}.{stage}.Layers.{block + up}", f"layers.{ours}"
            for number, part in ((1, "expand"), (2, "mix"), (3, "project")):
                found[f"{name}.{part}.weight"] = pick(network, f"{theirs}.LinearLayer{number}.Layer.weight", source)
            for number, part in ((1, "expand"), (2, "mix")):
                found[f"{name}.{part}.bias"] = pick(network, f"{theirs}.NonLinearity{number}.Bias", source)
            ours += 1
        if not up and stage < count - 1:  # and behind them where it shrinks
            found |= _change(network, f"{_STAGES}.{stage}.Layers.{config.blocks}", f"layers.{ours}", source)
            ours += 1
    return found


def _change(network: Network, theirs: str, ours: str, source: str) -> dict[str, Tensor]:
    """The 1x1 convolution of a change of size, where there is one."""
    name = f"{theirs}.LinearLayer.Layer.weight"
    return {f"{ours}.match.weight": pick(network, name, source)} if name in network.tensors else {}


def _generator_tensors(network: Network, config: Config, spec: ImageSpec, source: str) -> dict[str, Tensor]:
    check_filters(network, source, "Kernel")
    found = {
        "basis": pick(network, f"{_STAGES}.0.Layers.0.Basis", source),
        "weigh.weight": pick(network, f"{_STAGES}.0.Layers.0.LinearLayer.weight", source),
        "to_image.weight": pick(network, "Model.AggregationLayer.Layer.weight", source),
    }
    if spec.classes:
        found["embed.weight"] = pick(network, "Model.EmbeddingLayer.weight", source).t().contiguous()
    found |= _stages(network, config, spec, source, up=True)
    return {f"generator.{name}": tensor for name, tensor in found.items()}


def _discriminator_tensors(network: Network, config: Config, spec: ImageSpec, source: str) -> dict[str, Tensor]:
    check_filters(network, source, "Kernel")
    last = f"{_STAGES}.{len(widths_of(config, spec)) - 1}.Layers.{config.blocks}"
    found = {
        "layers.0.weight": pick(network, "Model.ExtractionLayer.Layer.weight", source),
        "basis.weight": pick(network, f"{last}.Basis.weight", source),
        "logit.weight": pick(network, f"{last}.LinearLayer.weight", source),
    }
    if spec.classes:  # ours divides by the root of the length, theirs has that in its weights
        embedding = pick(network, "Model.EmbeddingLayer.weight", source)
        found["embed.weight"] = embedding.t() * math.sqrt(embedding.shape[0])
    found |= _stages(network, config, spec, source, up=False)
    return {f"discriminator.{name}": tensor for name, tensor in found.items()}
