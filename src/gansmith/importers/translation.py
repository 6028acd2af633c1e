"""Other people's weights of networks that turn pictures into pictures: which importer reads which, U-Nets, and RRDBNets.

Networks are told apart by the names and shapes of their tensors, whatever their files are called (:mod:`gansmith.importers.kinds`).
"""

from __future__ import annotations

import re
from pathlib import Path

from gansmith.errors import ModelError
from gansmith.importers import inpainting, kinds, pix2pixhd, residual, upscalers
from gansmith.importers.imported import Imported
from gansmith.importers.layers import Tensors, check_sizes, normed, prefixed, spec_of, weight_of
from gansmith.importers.tables import Table, tables
from gansmith.importers.torch_file import open_weights


def read_table(table: Table) -> Imported:
    """A generator's weights as a model.

    ``X_net_G_A.pth`` with ``X_net_G_B.pth`` beside it become a ``cyclegan`` that translates both ways; any other generator of
    that project, and pix2pixHD's, a ``pix2pix``; CUT's a ``cut``; LaMa and MI-GAN an ``inpaint``; an RRDBNet an ``upscale``.

    Raises:
        ModelError: it is of a form that is not read; says which.
    """
    check_sizes(table)
    if table.kind == kinds.RRDB:
        return with_discriminator(rrdb(table.read()), table.weights.path)
    if table.kind == kinds.COMPACT:
        return with_discriminator(upscalers.compact(table.read(), table.weights.name), table.weights.path)
    if table.kind in (kinds.LAMA, kinds.MIGAN):
        return (inpainting.lama if table.kind == kinds.LAMA else inpainting.migan)(table.read())
    if table.kind == kinds.LOCAL:
        return pix2pixhd.local_network(table.read())
    if table.kind == kinds.RESNET and kinds.first_block(table.shapes) > 12:
        return pix2pixhd.global_network(table.read())
    partner = residual.partner_of(table.weights.path) if not table.key else None
    if table.kind == kinds.UNET:
        imported = unet(table.read())
        if partner is not None:
            imported.notes.append(residual.alone(partner.name, "U-Nets"))
        return imported
    return residual.resnet(table.read()) if partner is None else residual.with_partner(table, partner)


def with_discriminator(imported: Imported, path: Path) -> Imported:
    """An ``upscale`` model with the discriminator whose file lies beside the generator's, where one does."""
    other = upscalers.beside(path)
    if other is None:
        return imported
    found = [table for table in tables(open_weights(other)) if kinds.is_unet_discriminator(table.shapes)]
    if not found:
        imported.notes.append(f"{other.name} is not Real-ESRGAN's U-Net discriminator and was left out.")
        return imported
    settings, imported.discriminator = upscalers.discriminator(found[0].read(), imported.spec.channels, other.name)
    imported.config |= settings
    imported.notes.append(
        f"The discriminator was read from {other.name}: gansmith train upscale --init goes on with both."
    )
    return imported


def unet(tensors: Tensors) -> Imported:
    """A U-Net as a ``pix2pix`` model."""
    level = "model.model.1.model"
    cleaned, norm = normed(tensors, f"{level}.1", f"{level}.2")
    depth = 1 + max(name.count("model.") - 2 for name in cleaned)
    if not 3 <= depth <= 10:
        raise ModelError(
            f"This U-Net halves the size {depth} times; those of 3 to 10 halvings (8 to 1024 px) are read."
        )
    first, last = weight_of(cleaned, "model.model.0"), weight_of(cleaned, "model.model.3")
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
        spec_of(2**depth, first.shape[1], last.shape[1]),
        prefixed("generator", cleaned),
        notes=residual.notes_of(tensors, cleaned, norm),
    )


# --- RRDBNet ------------------------------------------------------------------------------------------------------


def rrdb(tensors: Tensors) -> Imported:
    """An RRDBNet of any of its three ways of naming, as an ``upscale`` model."""
    named = _rrdb_names(tensors)
    blocks = len({match[1] for name in named if (match := re.match(r"body\.(\d{1,4})\.", name))})
    layers = [named.get(f"{name}.weight") for name in ("conv_first", "conv_last", "body.0.rdb1.conv1")]
    if not blocks or any(layer is None or layer.ndim != 4 for layer in layers):
        raise ModelError("This looks like an ESRGAN network but has no RRDB blocks, or lacks its first or last layer.")
    first, last, growing = (layer for layer in layers if layer is not None)
    channels, width, growth = last.shape[0], first.shape[0], growing.shape[0]
    ups = sum(re.fullmatch(r"conv_up\d\.weight", name) is not None for name in named)
    settings = upscalers.rrdb_settings(first.shape[1], channels, ups)
    if settings is None or width != 2 * growth:
        raise ModelError(
            f"An RRDBNet with {blocks} blocks of width {width} and growth {growth}, from {first.shape[1]} to {channels} channels with "
            f"{ups} steps up is not supported: those of ESRGAN and Real-ESRGAN at scales 1 to 16 are, whatever their depth, with a "
            "growth of half the width."
        )
    config: dict[str, object] = {**settings, "network": "full", "width": width, "blocks": blocks}
    if settings["scale"] == 1:
        config["damage"] = "wild"
    side = upscalers.window(int(str(settings["scale"])))
    return Imported("upscale", config, spec_of(side, channels, 0), prefixed("generator", named))


def _rrdb_names(tensors: Tensors) -> Tensors:
    """The same tensors by today's names of RRDBNet's layers, from any of the names that they have had."""
    numbers = sorted({int(m[1]) for name in tensors if (m := re.fullmatch(r"model\.(\d{1,4})\.weight", name))})
    ups = [f"conv_up{i + 1}" for i in range(len(numbers) - 3)]
    roles = dict(zip(numbers, ["conv_first", *ups, "conv_hr", "conv_last"], strict=False))

    def today(name: str) -> str:
        if name.startswith("model."):  # ESRGAN's first release: numbered layers
            if match := re.fullmatch(r"model\.1\.sub\.(\d{1,4})\.RDB(\d)\.conv(\d)\.0\.(weight|bias)", name):
                return f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}"
            if match := re.fullmatch(r"model\.1\.sub\.\d{1,4}\.(weight|bias)", name):
                return f"conv_body.{match[1]}"
            match = re.fullmatch(r"model\.(\d{1,4})\.(weight|bias)", name)
            role = roles.get(int(match[1])) if match else None
            return f"{role}.{match[2]}" if match and role else name
        name = re.sub(r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2.", name)
        name = re.sub(r"^trunk_conv\.", "conv_body.", name)
        name = re.sub(r"^upconv(\d)\.", r"conv_up\1.", name)
        return re.sub(r"^HRconv\.", "conv_hr.", name)

    return {today(name): tensor for name, tensor in tensors.items()}
