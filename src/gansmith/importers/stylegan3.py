"""StyleGAN3's generators (configurations t and r), out of the pickles that its trainer writes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gansmith.errors import GansmithError, ModelError
from gansmith.game import ImageSpec
from gansmith.gans.stylegan3 import Config, StyleGAN3, signals_of
from gansmith.importers.imported import square_pictures
from gansmith.importers.persistent import Network
from gansmith.importers.stylegan_parts import (
    clamp_of,
    dense_tensors,
    mapping_depth,
    mapping_tensors,
    number,
    pick,
    unusual,
    whole,
)
from gansmith.nn.alias_free import Resampling, resampling

__all__ = ["StyleGAN3", "generator_settings", "generator_tensors", "is_generator"]

_USUAL = {"filter_size": 6, "lrelu_upsampling": 2, "output_scale": 0.25}
"""What our layers have without a setting."""
_VARIANTS = {(3, False): "t", (1, True): "r"}
"""(kernel, radial filters) of the two configurations."""


def is_generator(network: Network) -> bool:
    """Whether a network looks like StyleGAN3's generator."""
    return "synthesis.input" in network.modules or bool(_layers(network))


def _layers(network: Network) -> list[str]:
    return [name for name in network.modules if name.startswith("synthesis.L") and name.count(".") == 1]


def generator_settings(network: Network, source: str) -> tuple[Config, ImageSpec, list[str]]:
    """Our settings for a generator built with these arguments.

    Raises:
        ModelError: it is none that our layers can be.
    """
    given = network.arguments
    size, channels = whole(given, "img_resolution", source), whole(given, "img_channels", source)
    spec = square_pictures(size, channels, whole(given, "c_dim", source, 0), source)
    style = whole(given, "w_dim", source, least=1)
    if name := unusual(given, _USUAL):
        raise ModelError(f"{source} holds a generator with another '{name}' than StyleGAN3's own; it cannot be read.")
    layers = whole(given, "num_layers", source, 14, least=2)
    if layers + 1 != len(_layers(network)):
        raise ModelError(
            f"{source} says that its generator has {layers} layers and one for the colours, and holds {len(_layers(network))}; it "
            "cannot be read."
        )
    config = Config(
        latent_dim=whole(given, "z_dim", source, least=1),
        style_dim=style,
        conditional=spec.classes > 0,
        variant=_variant(given, source),
        layers=layers,
        critical=whole(given, "num_critical", source, 2, least=1),
        margin=whole(given, "margin_size", source, 10),
        first_cutoff=_positive(given, "first_cutoff", source, 2.0),
        first_stopband=_positive(given, "first_stopband", source, 2**2.1),
        last_stopband=_positive(given, "last_stopband_rel", source, 2**0.3),
        mapping_layers=mapping_depth(network, style, spec.classes, source, usual_depth=2),
        channel_base=whole(given, "channel_base", source, 32768, least=1),
        channel_max=whole(given, "channel_max", source, 512, least=1),
        clamp=clamp_of(network, source, tuple(f"{name}.conv_clamp" for name in _layers(network))),
    )
    try:
        signals_of(config, spec)
    except GansmithError as error:
        raise ModelError(f"{source} holds a generator whose settings cannot be: {error}") from None
    return config, spec, ["Its classes have no names."] if spec.classes else []


def _variant(given: dict[str, Any], source: str) -> Any:
    kernel, radial = whole(given, "conv_kernel", source, 3), given.get("use_radial_filters", False)
    variant = _VARIANTS.get((kernel, radial)) if isinstance(radial, bool) else None
    if variant is None:
        raise ModelError(
            f"{source} holds a generator that is neither StyleGAN3's configuration t (3x3 convolutions) nor r (1x1 convolutions and "
            "radial filters); it cannot be read."
        )
    return variant


def _positive(given: dict[str, Any], name: str, source: str, default: float) -> float:
    value = float(number(given, name, source, default))
    if not (math.isfinite(value) and value > 0):
        raise ModelError(f"{source} says {value:g} for the generator's '{name}', which cannot be.")
    return value


def generator_tensors(network: Network, config: Config, spec: ImageSpec, source: str) -> dict[str, Tensor]:
    """A generator's tensors by our names, its filters compared with ours.

    Raises:
        ModelError: a tensor is missing, or a filter or the placing of the waves is not ours.
    """
    signals = signals_of(config, spec)
    found = mapping_tensors(network, "generator.mapping", source)
    found["generator.mapping.w_avg"] = pick(network, "mapping.w_avg", source)
    ours = "generator.synthesis.input"
    for name in ("weight", "freqs", "phases"):
        found[f"{ours}.{name}"] = pick(network, f"synthesis.input.{name}", source)
    found |= dense_tensors(network, "synthesis.input.affine", f"{ours}.affine", source)
    if not torch.equal(pick(network, "synthesis.input.transform", source, torch.eye(3)), torch.eye(3)):
        raise ModelError(
            f"{source} holds a generator whose pictures are turned or moved ('transform'); it cannot be read."
        )
    for index, after in enumerate(signals):
        last = index == len(signals) - 1
        theirs = f"synthesis.L{index}_{after.width}_{spec.channels if last else after.channels}"
        ours = f"generator.synthesis.{'to_image' if last else f'layers.{index}'}"
        found |= dense_tensors(network, theirs, ours, source)
        found |= dense_tensors(network, f"{theirs}.affine", f"{ours}.affine", source)
        found[f"{ours}.magnitude"] = pick(network, f"{theirs}.magnitude_ema", source)
        if not last:
            rotates = config.variant == "r"
            radial = rotates and index < len(signals) - 1 - config.critical
            plan = resampling(signals[max(index - 1, 0)], after, 1 if rotates else 3, radial=radial, clamp=config.clamp)
            _check_filters(network, theirs, plan, source)
    return found


def _check_filters(network: Network, layer: str, plan: Resampling, source: str) -> None:
    """Our resampling is the trained one's only if its filters are ours."""
    for name, taps in (("up_filter", plan.up_taps), ("down_filter", plan.down_taps)):
        theirs, ours = pick(network, f"{layer}.{name}", source), torch.tensor(taps)
        if theirs.shape != ours.shape or not torch.allclose(theirs, ours, atol=1e-5):
            raise ModelError(
                f"{source} resamples with another filter than StyleGAN3's own ('{layer}.{name}'); it cannot be read."
            )
