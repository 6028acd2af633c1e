"""The ``.pt`` checkpoints of rosinality's widespread StyleGAN2 in PyTorch: ``g_ema``, ``g``, ``d``, ``latent_avg``.

These are plain dicts of tensors. torch reads them with its own restricted unpickler, which knows nothing but tensors.
"""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith import config as configs
from gansmith.errors import ModelError, first_line
from gansmith.game import ImageSpec
from gansmith.gans.stylegan2 import Config, StyleGAN2
from gansmith.importers.imported import Imported, expected_shapes, misfit, require_fit, square_pictures
from gansmith.importers.notes import printable

AVERAGE = "generator.mapping.w_avg"
MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # torch's number for its files of before 2020, as a pickle holds it


def is_legacy(start: bytes) -> bool:
    """Whether a file that starts with these bytes is one that ``torch.save`` wrote before 2020."""
    return MAGIC in start


def networks(content: Mapping[str, Any]) -> list[str]:
    """The generators of a checkpoint, the averaged one first; none where the file is another trainer's."""
    return [name for name in ("g_ema", "g") if isinstance(content.get(name), Mapping)]


def read(content: Mapping[str, Any], source: str) -> Imported:
    """The networks in a checkpoint, loaded by :func:`load`.

    Raises:
        ModelError: see :func:`gansmith.importers.import_file`.
    """
    which = networks(content)[0]
    theirs = tensors_of(content[which], source)
    config, spec = settings(theirs, source)
    average = tensors_of({"latent_avg": content.get("latent_avg")}, source).get("latent_avg")
    notes = []
    tensors = generator_tensors(theirs, config, spec, source)
    tensors[AVERAGE] = torch.zeros(config.style_dim) if average is None else average.flatten()
    require_fit(tensors, expected_shapes(StyleGAN2, config, spec, "generator."), source)
    if average is None:
        tensors[AVERAGE] = average_style(tensors, config)
        notes.append("The file has no latent_avg; the average style for truncation was measured on 10,000 latents.")
    discriminator: dict[str, Tensor] = {}
    if isinstance(content.get("d"), Mapping):
        try:
            discriminator = discriminator_tensors(tensors_of(content["d"], source), source)
            wrong = misfit(discriminator, expected_shapes(StyleGAN2, config, spec, "discriminator."))
        except ModelError as error:
            wrong = str(error).rstrip(".")
        if wrong:
            discriminator = {}
            notes.append(f"The discriminator was left out ({wrong}): the model can be used, not trained on.")
    if which == "g":
        notes.append("The file has no averaged generator (g_ema); the generator g was taken.")
    return Imported("stylegan2", configs.to_plain(config), spec, tensors, discriminator, notes)


def load(path: Path) -> Mapping[str, Any]:
    """The file's dict, read by torch's restricted unpickler.

    Raises:
        ModelError: not written by torch, damaged, or asking for something else than tensors.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if not any(name.endswith("data.pkl") for name in archive.namelist()):
                    raise ModelError(
                        f"{path.name} is a zip without weights of torch. Unpack it and import a file inside."
                    )
        # checkpoints of its training script hold the command line's arguments too: a bag of plain values
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is None:
            raise ModelError(
                f"{path.name} was not read: it is damaged, or holds something other than tensors. Nothing in it was run."
            ) from None
        raise ModelError(
            f"{path.name} was not read: it asks for '{asked.group(1)}', which a file of weights never does. Nothing in it "
            "was run. It may have been made to attack whoever opens it."
        ) from None
    except Exception as error:  # torch raises whatever its readers stumble over
        raise ModelError(
            f"{path.name} cannot be read ({printable(first_line(error))}). It is damaged, incomplete or no file of weights."
        ) from None
    if not isinstance(content, Mapping):
        raise ModelError(f"{path.name} holds a {type(content).__name__}, not a table of networks or weights.")
    return content


def tensors_of(state: Mapping[Any, Any], source: str) -> dict[str, Tensor]:
    """The tensors of a state dict, also of one saved from several GPUs, as float32.

    Raises:
        ModelError: one is sparse, quantised, complex or without numbers, or they are larger than what the file holds.
    """
    found = {str(name).removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
    held: dict[int, int] = {}
    for name, value in found.items():
        plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not plain or value.is_complex():
            raise ModelError(f"{source} holds '{printable(name)}' in a form that no trainer of StyleGAN2 writes.")
        held[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
    # a small file could repeat its numbers without end
    if sum(value.nbytes for value in found.values()) > 2 * sum(held.values()) + 2**20:
        raise ModelError(f"{source} holds tensors that are larger than the numbers in it. It is damaged, or an attack.")
    return {name: value.detach().to(torch.float32) for name, value in found.items()}


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

    network = MappingNetwork(config.latent_dim, 0, config.style_dim, config.mapping_layers)
    prefix = "generator.mapping."
    network.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    z = torch.randn(10_000, config.latent_dim, generator=torch.Generator().manual_seed(0))
    return network(z).mean(0)


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
