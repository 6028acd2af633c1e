"""The network pickles of StyleGAN2-ADA and of the StyleGAN3 trainer, and those of R3GAN, which come in the same form.

Such a file holds ``G``, ``D`` and ``G_ema``: each a persistent object, that is the source of its class (never looked at
here), the class's name, the arguments it was built with, and its state with all tensors.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.game import Game, ImageSpec
from gansmith.gans.stylegan2 import Config, StyleGAN2, levels
from gansmith.importers import r3gan, stylegan3
from gansmith.importers.imported import Imported, expected_shapes, require_fit, square_pictures
from gansmith.importers.notes import class_of_module, mapping, printable
from gansmith.importers.persistent import Network, collect
from gansmith.importers.pickled_tensors import Tensors
from gansmith.importers.safe_pickle import read_notes
from gansmith.importers.stylegan_parts import (
    check_filters,
    clamp_of,
    dense_tensors,
    discriminator_tensors,
    mapping_depth,
    mapping_tensors,
    pick,
    unusual,
    whole,
)


def read(path: Path) -> Imported:
    """The networks in a pickle of StyleGAN2, StyleGAN3 or R3GAN.

    Raises:
        ModelError: see :func:`gansmith.importers.import_file`.
    """
    source = path.name
    with path.open("rb") as file:
        content = mapping(read_notes(file, source))
    if content is None or (content.get("G_ema") is None and content.get("G") is None):
        raise ModelError(
            f"{source} is a pickle, but not a network of StyleGAN2, StyleGAN3 or R3GAN: it has neither 'G_ema' nor 'G'."
        )
    which = "G_ema" if content.get("G_ema") is not None else "G"
    notes = [] if which == "G_ema" else ["The file has no averaged generator (G_ema); the generator G was taken."]
    reader = Tensors(source, path.stat().st_size)
    if class_of_module(content[which]):
        return r3gan.networks(content[which], content.get("D"), reader, notes)
    network = collect(content[which], reader, which)
    game: type[Game] = StyleGAN2
    if stylegan3.is_generator(network):
        game = stylegan3.StyleGAN3
        config, spec, note = stylegan3.generator_settings(network, source)
        tensors = stylegan3.generator_tensors(network, config, spec, source)
    else:
        check_kind(network, source)
        config, spec, note = generator_settings(network, source)
        tensors = generator_tensors(network, spec, source)
    notes += note
    family = game.__name__.lower()
    require_fit(tensors, expected_shapes(game, config, spec, "generator."), source, game.__name__)
    discriminator: dict[str, Tensor] = {}
    if content.get("D") is not None:
        discriminator, note = discriminator_tensors(content["D"], game, config, spec, reader)
        notes += note
    return Imported(family, configs.to_plain(config), spec, tensors, discriminator, notes)


# --- from a network to our settings ------------------------------------------------------------------------------------


def check_kind(network: Network, source: str) -> None:
    """Check that a network is StyleGAN2's generator.

    Raises:
        ModelError: it is another one.
    """
    if "mapping" not in network.modules or "synthesis.b4" not in network.modules:
        raise ModelError(
            f"{source} holds a '{printable(network.class_name)}' that is not a generator of StyleGAN2 or StyleGAN3."
        )


def generator_settings(network: Network, source: str) -> tuple[Config, ImageSpec, list[str]]:
    """Our settings for a generator built with these arguments."""
    given = network.arguments
    size, channels = whole(given, "img_resolution", source), whole(given, "img_channels", source)
    spec = square_pictures(size, channels, whole(given, "c_dim", source, 0), source)
    inner = {**given, **(mapping(given.get("synthesis_kwargs")) or {})}
    style = whole(given, "w_dim", source, least=1)
    if name := unusual(inner, {"architecture": "skip", "activation": "lrelu"}):
        raise ModelError(f"{source} holds a generator with another '{name}' than StyleGAN2's own; it cannot be read.")
    depth = mapping_depth(network, style, spec.classes, source)
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
