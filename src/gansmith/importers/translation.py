"""Other people's translation weights: CycleGAN's and pix2pix's ``*_net_G*.pth``, and RRDBNet ``.pth`` of ESRGAN and Real-ESRGAN.

Files are told apart by the names and shapes of their tensors, whatever they are called, and read with
``weights_only=True``: nothing in them is ever executed.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from torch import Tensor

from gansmith.errors import ModelError, first_line
from gansmith.game import ImageSpec
from gansmith.importers.imported import Imported

Tensors = dict[str, Tensor]

_OLD_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "generator", "netG")
"""Names under which trainers put a network's tensors, the averaged ones first."""
_AROUND = re.compile(r"^((module|_orig_mod)\.)+")
"""What training on several GPUs and torch.compile put in front of every name."""


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


def read_tensors(path: Path) -> Tensors:
    """The tensors of a ``.pth``, out of ``params_ema``, ``state_dict``, ... where they lie there, without ``module.`` in front.

    Raises:
        ModelError: missing, damaged, more than tensors, or nothing of the kind.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"There is no file '{path}'.") from None
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"'{path}' holds more than tensors, or is no file of weights, and is not read: {first_line(error)}"
        ) from None
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError, ... on damaged archives
        raise ModelError(f"'{path}' cannot be read as a file of weights: {first_line(error)}") from None
    for _ in range(2):  # some trainers wrap twice
        inner = next(
            (key for key in _WRAPPERS if isinstance(content, dict) and isinstance(content.get(key), dict)), None
        )
        content = content if inner is None else content[inner]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(f"'{path}' holds no table of tensors, so it is no file of a generator's weights.")
    return {_AROUND.sub("", str(name)): tensor for name, tensor in content.items()}


# --- CycleGAN and pix2pix -----------------------------------------------------------------------------------------


def resnet(tensors: Tensors) -> Imported:
    """A residual generator as a ``pix2pix`` model with ``generator="resnet"``."""
    facts, cleaned = _resnet_facts(tensors)
    config: dict[str, object] = {"generator": "resnet", **facts}
    return Imported(
        "pix2pix", config, _resnet_spec(cleaned, facts), _prefixed("generator", cleaned), notes=_notes(tensors, cleaned)
    )


def cyclegan(ab: Tensors, ba: Tensors, partner: str) -> Imported:
    """Both residual generators of a CycleGAN."""
    facts, cleaned = _resnet_facts(ab)
    spec = _resnet_spec(cleaned, facts)
    try:
        other_facts, other = _resnet_facts(ba)
        back = _resnet_spec(other, other_facts)
        alike = facts == other_facts and (spec.channels, spec.other_channels) == (back.other_channels, back.channels)
    except ModelError:
        alike, other = False, {}
    if not alike or facts["norm"] != "instance" or facts["dropout"]:
        imported = resnet(ab)
        imported.notes.append(f"{partner} has another form, so this direction was read alone.")
        return imported
    config: dict[str, object] = {"blocks": facts["blocks"], "width": facts["width"]}
    if spec.channels != spec.other_channels:
        config["identity"] = 0.0  # nothing can stay the same
    names = _prefixed("generator_ab", cleaned) | _prefixed("generator_ba", other)
    return Imported(
        "cyclegan", config, spec, names, notes=[*_notes(ab, cleaned), f"The way back was read from {partner}."]
    )


def unet(tensors: Tensors) -> Imported:
    """A U-Net as a ``pix2pix`` model."""
    level = "model.model.1.model"
    cleaned, norm = _normed(tensors, f"{level}.1", f"{level}.2")
    depth = 1 + max(name.count("model.") - 2 for name in cleaned)
    first, last = _weight(cleaned, "model.model.0"), _weight(cleaned, "model.model.3")
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
        _spec(2**depth, first.shape[1], last.shape[1]),
        _prefixed("generator", cleaned),
        notes=_notes(tensors, cleaned),
    )


def _resnet_facts(tensors: Tensors) -> tuple[dict[str, object], Tensors]:
    blurring = next((name for name in tensors if name.endswith(".filt")), None)
    if blurring is not None:
        raise ModelError(
            f"This residual generator blurs where it changes size ('{blurring}': the anti-aliased layers of CUT and FastCUT), "
            "which is not supported. Generators trained with --no_antialias and --no_antialias_up are read."
        )
    cleaned, norm = _normed(tensors, "model.1", "model.2")
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
        "width": _weight(cleaned, "model.1").shape[0],
        "norm": norm,
        "dropout": convs == {1, 6},
    }
    return facts, cleaned


def _resnet_spec(tensors: Tensors, facts: dict[str, object]) -> ImageSpec:
    size = 256 if facts["blocks"] == 9 else 128
    return _spec(size, _weight(tensors, "model.1").shape[1], _last_outputs(tensors))


def _normed(tensors: Tensors, convolution: str, norm: str) -> tuple[Tensors, str]:
    """The tensors that are used, and the kind of norm, told by a first convolution and the norm behind it.

    Instance norm of torch before 0.4 saved running statistics that were never meant to be used, and batch norm of that
    time did not count batches.
    """
    bias = f"{convolution}.bias" in tensors
    if f"{norm}.weight" not in tensors:
        if not bias:
            raise ModelError("This generator has no norm layers; those with instance norm or batch norm are read.")
        return {n: t for n, t in tensors.items() if not n.endswith(_OLD_STATISTICS)}, "instance"
    if f"{norm}.running_mean" not in tensors:
        raise ModelError(
            "This generator's instance norms have weights of their own (affine), which is not supported; plain instance norm "
            "and batch norm are."
        )
    if bias:
        raise ModelError(
            "This generator has biases in front of its batch norms, as releases before mid-2017 wrote it, which is not supported."
        )
    counters = [n.replace("running_mean", "num_batches_tracked") for n in tensors if n.endswith(".running_mean")]
    return dict.fromkeys(counters, torch.zeros((), dtype=torch.long)) | tensors, "batch"


def _weight(tensors: Tensors, layer: str) -> Tensor:
    """A convolution's weight."""
    weight = tensors.get(f"{layer}.weight")
    if weight is None or weight.ndim != 4:
        raise ModelError(f"This is no generator that is known here: its layer '{layer}' is not a convolution.")
    return weight


def _last_outputs(tensors: Tensors) -> int:
    last = max(int(m[1]) for n in tensors if (m := re.fullmatch(r"model\.(\d+)\.weight", n)))
    return _weight(tensors, f"model.{last}").shape[0]


def _notes(before: Tensors, after: Tensors) -> list[str]:
    dropped = len(before.keys() - after.keys())
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
    layers = [named.get(f"{name}.weight") for name in ("conv_first", "conv_last", "body.0.rdb1.conv1")]
    if not blocks or any(layer is None or layer.ndim != 4 for layer in layers):
        raise ModelError("This looks like an ESRGAN network but has no RRDB blocks, or lacks its first or last layer.")
    first, last, growing = (layer for layer in layers if layer is not None)
    channels, width, growth = last.shape[0], first.shape[0], growing.shape[0]
    ups = sum(re.fullmatch(r"conv_up\d\.weight", name) is not None for name in named)
    scale = {(1, 2): 4, (4, 2): 2}.get((first.shape[1] // channels, ups))
    if scale is None or width != 2 * growth:
        raise ModelError(
            f"An RRDBNet with {blocks} blocks of width {width} and growth {growth}, {first.shape[1]} input channels and "
            f"{ups} steps up is not supported: the x4 and x2 networks of ESRGAN and Real-ESRGAN are, whatever their depth."
        )
    config: dict[str, object] = {"scale": scale, "network": "full", "width": width, "blocks": blocks}
    return Imported("upscale", config, _spec(128, channels, 0), _prefixed("generator", named))


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
        role = roles.get(int(match[1])) if match else None
        return f"{role}.{match[2]}" if match and role else name
    name = re.sub(r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2.", name)
    name = re.sub(r"^trunk_conv\.", "conv_body.", name)
    name = re.sub(r"^upconv(\d)\.", r"conv_up\1.", name)
    return re.sub(r"^HRconv\.", "conv_hr.", name)


# --- all ----------------------------------------------------------------------------------------------------------


def _spec(size: int, channels: int, other: int) -> ImageSpec:
    if not {channels, other or channels} <= {1, 3, 4}:
        raise ModelError(
            f"This generator turns pictures of {channels} channels into pictures of {other or channels}; 1 (grey), 3 (RGB) and "
            "4 (RGB with alpha) are supported."
        )
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
