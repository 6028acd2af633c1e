"""Other people's translation weights: CycleGAN's and pix2pix's ``*_net_G*.pth``, and RRDBNet ``.pth`` of ESRGAN and Real-ESRGAN.

Files are told apart by the names and shapes of their tensors, whatever they are called, and read with
``weights_only=True``: nothing in them is ever executed.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.game import ImageSpec
from gansmith.importers.imported import Imported

Tensors = dict[str, Tensor]

_OLD_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def import_translation(path: str | Path) -> Imported:
    """Read a generator's weights.

    ``X_net_G_A.pth`` with ``X_net_G_B.pth`` beside it become a ``cyclegan`` that translates both ways; any other generator of
    that project a ``pix2pix``; an RRDBNet an ``upscale``.

    Raises:
        ModelError: not weights, unsafe content, or another network; says what was found.
    """
    path = Path(path)
    tensors = read_tensors(path)
    if any(name.startswith(("conv_first.", "model.1.sub.")) for name in tensors):
        return rrdb(tensors)
    if "model.model.0.weight" in tensors:
        return unet(tensors)
    if "model.1.weight" in tensors and any(".conv_block." in name for name in tensors):
        partner = _partner(path)
        if partner is not None:
            return cyclegan(tensors, read_tensors(partner), partner.name)
        return resnet(tensors)
    raise ModelError(_unknown(path, tensors))


def is_translation(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names look like a file of :func:`import_translation`."""
    names = set(tensors)
    resnet_like = "model.1.weight" in names and any(".conv_block." in name for name in names)
    return (
        resnet_like
        or "model.model.0.weight" in names
        or any(n.startswith(("conv_first.", "model.1.sub.")) for n in names)
    )


def read_tensors(path: Path) -> Tensors:
    """The tensors of a ``.pth``, out of ``params_ema`` or ``params`` where they lie there, without ``module.`` in front.

    Raises:
        ModelError: missing, damaged, more than tensors, or nothing of the kind.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"There is no file '{path}'.") from None
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "not a pickle of tensors"
        raise ModelError(
            f"'{path}' holds more than tensors, or is no file of weights, and is not read: {reason}"
        ) from None
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError, ... on damaged archives
        raise ModelError(f"'{path}' cannot be read as a file of weights: {error or type(error).__name__}") from None
    for key in ("params_ema", "params", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(f"'{path}' holds no table of tensors, so it is no file of a generator's weights.")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


# --- CycleGAN and pix2pix -----------------------------------------------------------------------------------------


def resnet(tensors: Tensors) -> Imported:
    """A residual generator as a ``pix2pix`` model with ``generator="resnet"``."""
    facts, cleaned = _resnet_facts(tensors)
    config: dict[str, object] = {"generator": "resnet", **facts}
    spec = _spec(256 if facts["blocks"] == 9 else 128, tensors["model.1.weight"].shape[1], _last_outputs(cleaned))
    return Imported("pix2pix", config, spec, _prefixed("generator", cleaned), notes=_notes(tensors, cleaned))


def cyclegan(ab: Tensors, ba: Tensors, partner: str) -> Imported:
    """Both residual generators of a CycleGAN."""
    facts, cleaned = _resnet_facts(ab)
    other_facts, other = _resnet_facts(ba)
    if facts != other_facts or facts["norm"] != "instance" or facts["dropout"]:
        imported = resnet(ab)
        imported.notes.append(f"{partner} has another form, so this direction was read alone.")
        return imported
    spec = _spec(256 if facts["blocks"] == 9 else 128, ab["model.1.weight"].shape[1], _last_outputs(cleaned))
    config: dict[str, object] = {"blocks": facts["blocks"], "width": facts["width"]}
    names = _prefixed("generator_ab", cleaned) | _prefixed("generator_ba", other)
    return Imported(
        "cyclegan", config, spec, names, notes=[*_notes(ab, cleaned), f"The way back was read from {partner}."]
    )


def unet(tensors: Tensors) -> Imported:
    """A U-Net as a ``pix2pix`` model."""
    cleaned, norm = _without_old_statistics(tensors, "model.model.1.model.2.weight" in tensors)
    depth = 1 + max(name.count("model.") - 2 for name in cleaned)
    first = cleaned["model.model.0.weight"]
    outputs = next(t.shape[1] for n, t in cleaned.items() if n == "model.model.3.weight")
    config: dict[str, object] = {
        "generator": "unet",
        "width": first.shape[0],
        "depth": depth,
        "norm": norm,
        "dropout": True,
    }
    return Imported(
        "pix2pix",
        config,
        _spec(2**depth, first.shape[1], outputs),
        _prefixed("generator", cleaned),
        notes=_notes(tensors, cleaned),
    )


def _resnet_facts(tensors: Tensors) -> tuple[dict[str, object], Tensors]:
    cleaned, norm = _without_old_statistics(tensors, "model.2.weight" in tensors)
    blocks = {int(match[1]) for name in cleaned if (match := re.match(r"model\.(\d+)\.conv_block\.", name))}
    convs = {
        int(match[1])
        for name in cleaned
        if (match := re.match(r"model\.10\.conv_block\.(\d+)\.weight", name)) and cleaned[name].ndim == 4
    }
    if convs not in ({1, 5}, {1, 6}) or blocks != set(range(10, 10 + len(blocks))):
        raise ModelError(
            "This residual generator does not pad by mirroring (padding type 'reflect'), which is the only form that is read."
        )
    facts: dict[str, object] = {
        "blocks": len(blocks),
        "width": cleaned["model.1.weight"].shape[0],
        "norm": norm,
        "dropout": convs == {1, 6},
    }
    return facts, cleaned


def _without_old_statistics(tensors: Tensors, has_weights: bool) -> tuple[Tensors, str]:
    """Instance norm of torch before 0.4 saved running statistics that were never meant to be used."""
    if has_weights:
        return dict(tensors), "batch"
    return {n: t for n, t in tensors.items() if not n.endswith(_OLD_STATISTICS)}, "instance"


def _last_outputs(tensors: Tensors) -> int:
    last = max((int(m[1]), n) for n in tensors if (m := re.fullmatch(r"model\.(\d+)\.weight", n)))[1]
    return tensors[last].shape[0]


def _notes(before: Tensors, after: Tensors) -> list[str]:
    dropped = len(before) - len(after)
    return [f"Left out {dropped} unused statistics of old instance norms."] if dropped else []


def _partner(path: Path) -> Path | None:
    """``X_net_G_B.pth`` for ``X_net_G_A.pth``, if it is there."""
    if not path.stem.endswith("_G_A"):
        return None
    other = path.with_name(path.stem[:-1] + "B" + path.suffix)
    return other if other.is_file() else None


# --- RRDBNet ------------------------------------------------------------------------------------------------------


def rrdb(tensors: Tensors) -> Imported:
    """An RRDBNet of any of its three ways of naming, as an ``upscale`` model."""
    named = {_rrdb_name(name, tensors): tensor for name, tensor in tensors.items()}
    blocks = 1 + max((int(m[1]) for n in named if (m := re.match(r"body\.(\d+)\.", n))), default=-1)
    first, last = named.get("conv_first.weight"), named.get("conv_last.weight")
    if not blocks or first is None or last is None or "conv_up1.weight" not in named:
        raise ModelError("This looks like an ESRGAN network but has no RRDB blocks, or lacks its first or last layer.")
    channels, width, growth = last.shape[0], first.shape[0], named["body.0.rdb1.conv1.weight"].shape[0]
    ways = {(1, True): 4, (4, True): 2, (16, True): 1, (1, False): None}
    key = (first.shape[1] // channels, "conv_up2.weight" in named)
    scale = ways.get(key)
    if scale not in (2, 4) or width != 2 * growth:
        raise ModelError(
            f"An RRDBNet with {blocks} blocks of width {width} and growth {growth}, {first.shape[1]} input channels and "
            f"{2 if key[1] else 1} steps up is not supported: the x4 and x2 networks of ESRGAN and Real-ESRGAN are, whatever their depth."
        )
    config: dict[str, object] = {"scale": scale, "network": "full", "width": width, "blocks": blocks}
    return Imported("upscale", config, ImageSpec(128, 128, channels), _prefixed("generator", named))


def _rrdb_name(name: str, tensors: Tensors) -> str:
    """Any of the names that RRDBNet's layers have had -> today's."""
    if name.startswith("model."):  # ESRGAN's first release: numbered layers
        if match := re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(weight|bias)", name):
            return f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}"
        if match := re.fullmatch(r"model\.1\.sub\.\d+\.(weight|bias)", name):
            return f"conv_body.{match[1]}"
        numbers = sorted({int(m[1]) for n in tensors if (m := re.fullmatch(r"model\.(\d+)\.weight", n))})
        ups = [f"conv_up{i + 1}" for i in range(len(numbers) - 3)]
        roles = dict(zip(numbers, ["conv_first", *ups, "conv_hr", "conv_last"], strict=False))
        match = re.fullmatch(r"model\.(\d+)\.(weight|bias)", name)
        return f"{roles[int(match[1])]}.{match[2]}" if match else name
    name = re.sub(r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2.", name)
    name = re.sub(r"^trunk_conv\.", "conv_body.", name)
    name = re.sub(r"^upconv(\d)\.", r"conv_up\1.", name)
    return re.sub(r"^HRconv\.", "conv_hr.", name)


# --- all ----------------------------------------------------------------------------------------------------------


def _spec(size: int, channels: int, other: int) -> ImageSpec:
    return ImageSpec(size, size, channels, other_channels=other)


def _prefixed(network: str, tensors: Tensors) -> Tensors:
    return {
        f"{network}.{name}": tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


def _unknown(path: Path, tensors: Tensors) -> str:
    known = "Generators of CycleGAN and pix2pix (*_net_G*.pth) and RRDBNets of ESRGAN and Real-ESRGAN are read."
    if "model.0.weight" in tensors and "model.11.weight" in tensors and tensors["model.0.weight"].shape[-1] == 4:
        return f"'{path}' holds a discriminator; give the generator's file, *_net_G*.pth."
    if "body.0.weight" in tensors:
        return f"'{path}' holds a compact network (SRVGGNet), which is not supported. {known}"
    shown = ", ".join(list(tensors)[:3])
    return f"'{path}' holds a network that is not known here (its tensors: {shown}, ...). {known}"
