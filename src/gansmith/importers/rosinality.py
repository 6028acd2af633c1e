"""The ``.pt`` checkpoints of rosinality's widespread StyleGAN2 in PyTorch: ``g_ema``, ``g``, ``d``, ``latent_avg``.

These are plain dicts of tensors, beside optimizers and the command line's arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.gans.stylegan2 import Config, StyleGAN2
from gansmith.importers.imported import Imported, expected_shapes, misfit, require_fit, square_pictures
from gansmith.importers.notes import mapping, printable
from gansmith.importers.tables import Table

AVERAGE = "generator.mapping.w_avg"
MOST_LAYERS, MOST_WIDE = 64, 4096
"""Layers of a mapping, and numbers along any side of a tensor; the largest published networks have 8 and 1024."""


def read(table: Table) -> Imported:
    """The generator of a table, with what its checkpoint has beside it.

    Raises:
        ModelError: see :func:`gansmith.importers.import_file`.
    """
    weights, source = table.weights, table.weights.name
    check_sizes(table.shapes, source)
    theirs = floats(table.read(), source)
    config, spec = settings(theirs, source)
    content = mapping(weights.root) or {}
    latent = content.get("latent_avg")
    average = weights.tensor(latent).float() if weights.is_tensor(latent) else None
    notes = []
    tensors = generator_tensors(theirs, config, spec, source)
    if average is None:
        tensors[AVERAGE] = torch.zeros(config.style_dim)
    else:  # pSp has one for every layer, all alike
        per_layer = average.dim() == 2 and average.shape[1] == config.style_dim
        tensors[AVERAGE] = average.mean(0) if per_layer else average.flatten()
    require_fit(tensors, expected_shapes(StyleGAN2, config, spec, "generator."), source)
    if average is None:
        tensors[AVERAGE] = average_style(tensors, config)
        notes.append("The file has no latent_avg; the average style for truncation was measured on random latents.")
    discriminator: dict[str, Tensor] = {}
    judge = weights.table(content.get("d"))
    if judge:
        try:
            discriminator = discriminator_tensors(floats(Table(weights, "d", judge).read(), source), source)
            wrong = misfit(discriminator, expected_shapes(StyleGAN2, config, spec, "discriminator."))
        except ModelError as error:
            wrong = str(error).rstrip(".")
        if wrong:
            discriminator = {}
            notes.append(f"The discriminator was left out ({wrong}): the model can be used, not trained on.")
    if table.key == "g":
        notes.append("The file's generator g was taken, not its averaged one (g_ema).")
    return Imported("stylegan2", configs.to_plain(config), spec, tensors, discriminator, notes)


def check_sizes(shapes: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Before anything is read: is every layer of a size that a StyleGAN2 may have?

    Raises:
        ModelError: one is not.
    """
    depth = sum(re.fullmatch(r"style\.\d+\.weight", name) is not None for name in shapes)
    widest = max((side for shape in shapes.values() for side in shape), default=0)
    if depth > MOST_LAYERS or widest > MOST_WIDE:
        raise ModelError(
            f"{source} has a mapping of {depth} layers and sides of up to {widest:,}; a StyleGAN2 has at most {MOST_LAYERS} and {MOST_WIDE:,}."
        )


def floats(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The same as float32.

    Raises:
        ModelError: one has no floating-point numbers.
    """
    odd = next((name for name, value in tensors.items() if not value.is_floating_point()), None)
    if odd is not None:
        raise ModelError(f"{source} holds '{printable(odd)}' in a form that no trainer of StyleGAN2 writes.")
    return {name: value.to(torch.float32) for name, value in tensors.items()}


def settings(theirs: Mapping[str, Tensor], source: str) -> tuple[Config, ImageSpec]:
    """Settings and picture size, read off the tensors' shapes."""
    try:
        depth = sum(re.fullmatch(r"style\.\d+\.weight", name) is not None for name in theirs)
        style, latent = theirs["style.1.weight"].shape
        base, colours = theirs["input.input"].shape[-1], theirs["to_rgb1.conv.weight"].shape[1]
        doublings = sum(re.fullmatch(r"to_rgbs\.\d+\.conv\.weight", name) is not None for name in theirs)
        channels = [theirs["input.input"].shape[1]]
        channels += [theirs[f"convs.{2 * k}.conv.weight"].shape[1] for k in range(doublings)]
    except (KeyError, ValueError, IndexError) as error:
        raise ModelError(
            f"{source} is not a StyleGAN2 of rosinality: a tensor is missing or misshapen ({error})."
        ) from None
    if base != 4 or not 3 <= doublings + 2 <= 11:
        raise ModelError(f"{source} does not make pictures of 8 to 2048 px from a base of 4, as StyleGAN2 does.")
    size = base * 2**doublings
    most = max(channels)
    # narrower than the most: channels times resolution; otherwise any base large enough does
    narrow = [c * (base << k) for k, c in enumerate(channels) if c < most]
    channel_base = narrow[0] if narrow else most * size
    if min(style, latent, most) < 1:
        raise ModelError(f"{source} is not a StyleGAN2 of rosinality: its layers are empty.")
    config = Config(
        latent_dim=latent, style_dim=style, preset="full" if depth > 2 else "small", mapping_layers=depth,
        channel_base=channel_base, channel_max=most, clamp=0.0,
    )  # fmt: skip
    return config, square_pictures(size, colours, 0, source)


@torch.no_grad()
def average_style(tensors: Mapping[str, Tensor], config: Config) -> Tensor:
    """The mean of the mapping's output, for files that do not have it."""
    from gansmith.nn.styled import Mapping as MappingNetwork

    assert config.mapping_layers is not None
    network = MappingNetwork(config.latent_dim, 0, config.style_dim, config.mapping_layers)
    prefix = "generator.mapping."
    network.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    generator, total, count = torch.Generator().manual_seed(0), torch.zeros(config.style_dim), 0
    cost = sum(parameter.numel() for parameter in network.parameters())
    most = max(500, min(10_000, 10**11 // cost))  # some seconds, however large the layers are
    while count < most:
        styles = network(torch.randn(500, config.latent_dim, generator=generator))
        total, count = total + styles.sum(0), count + len(styles)
    return total / count


_GENERATOR = (
    (r"style\.(\d+)\.(weight|bias)", lambda m: f"mapping.layers.{int(m[1]) - 1}.{m[2]}"),
    (r"input\.input", lambda m: "synthesis.const"),
    (r"conv1\.(.+)", lambda m: f"synthesis.layers.0.{m[1]}"),
    (r"convs\.(\d+)\.(.+)", lambda m: f"synthesis.layers.{int(m[1]) + 1}.{m[2]}"),
    (r"to_rgb1\.(.+)", lambda m: f"synthesis.to_image.0.{m[1]}"),
    (r"to_rgbs\.(\d+)\.(.+)", lambda m: f"synthesis.to_image.{int(m[1]) + 1}.{m[2]}"),
    (r"noises\.noise_(\d+)", lambda m: f"synthesis.layers.{m[1]}.noise_const"),
)
_INSIDE = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}


def generator_tensors(theirs: Mapping[str, Tensor], config: Config, spec: ImageSpec, source: str) -> dict[str, Tensor]:
    """A generator's tensors by our names and in our shapes, all but the average style."""
    found: dict[str, Tensor] = {}
    for name, value in theirs.items():
        if name.endswith(".kernel"):
            check_filter(name, value, source)
            continue
        for pattern, rename in _GENERATOR:
            match = re.fullmatch(pattern, name)
            if match:
                ours = rename(match)
                break
        else:
            raise ModelError(f"{source} has a tensor '{printable(name)}' that no StyleGAN2 of rosinality has.")
        for inside, short in _INSIDE.items():
            ours = ours.removesuffix(inside) + short if ours.endswith("." + inside) else ours
        if ours.endswith(("noise_strength", "noise_const", "const")) or value.dim() > 2:
            value = value.reshape(value.shape[1:]) if value.dim() in (4, 5) and value.shape[0] == 1 else value
        if ours.endswith("noise_const") and value.dim() == 3 and value.shape[0] == 1:
            value = value[0]
        elif ours.endswith("noise_strength"):
            value = value.reshape(()) if value.numel() == 1 else value
        elif ours.endswith("bias"):
            value = value.flatten()
        found[f"generator.{ours}"] = value.contiguous()
    # noise maps are drawn anew by versions that do not store them
    for name, shape in expected_shapes(StyleGAN2, config, spec, "generator.").items():
        if name.endswith("noise_const") and name not in found:
            found[name] = torch.zeros(shape)
    return found


def check_filter(name: str, kernel: Tensor, source: str) -> None:
    """Our resampling is the trained one's only if its filter is [1, 3, 3, 1], whatever its gain."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    total = kernel.sum()
    if (
        kernel.shape != (4, 4)
        or not total > 0
        or not torch.allclose(kernel / total, torch.outer(line, line), atol=1e-6)
    ):
        raise ModelError(
            f"{source} resamples with another filter than [1, 3, 3, 1] ('{printable(name)}'); it cannot be read."
        )


_DISCRIMINATOR = (
    (r"convs\.0\.0\.weight", lambda m: "from_image.weight"),
    (r"convs\.0\.1\.bias", lambda m: "from_image.bias"),
    (r"convs\.(\d+)\.conv1\.0\.weight", lambda m: f"blocks.{int(m[1]) - 1}.conv0.weight"),
    (r"convs\.(\d+)\.conv1\.1\.bias", lambda m: f"blocks.{int(m[1]) - 1}.conv0.bias"),
    (r"convs\.(\d+)\.conv2\.1\.weight", lambda m: f"blocks.{int(m[1]) - 1}.conv1.weight"),
    (r"convs\.(\d+)\.conv2\.2\.bias", lambda m: f"blocks.{int(m[1]) - 1}.conv1.bias"),
    (r"convs\.(\d+)\.skip\.1\.weight", lambda m: f"blocks.{int(m[1]) - 1}.skip.weight"),
    (r"final_conv\.0\.weight", lambda m: "conv.weight"),
    (r"final_conv\.1\.bias", lambda m: "conv.bias"),
    (r"final_linear\.0\.(weight|bias)", lambda m: f"dense.{m[1]}"),
    (r"final_linear\.1\.(weight|bias)", lambda m: f"logit.{m[1]}"),
)


def discriminator_tensors(theirs: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """A discriminator's tensors by our names; names that are not known are kept, and noticed as not belonging."""
    found = {}
    for name, value in theirs.items():
        if name.endswith(".kernel"):
            check_filter(name, value, source)
            continue
        matches = ((re.fullmatch(pattern, name), rename) for pattern, rename in _DISCRIMINATOR)
        ours = next((rename(match) for match, rename in matches if match), name)
        found[f"discriminator.{ours}"] = value.contiguous()
    return found
