"""Writing a model folder, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from gansmith import config as configs
from gansmith.errors import ModelError
from gansmith.files.atomic import clear_leftovers, sync_folder, temporary_beside
from gansmith.files.run import spec_to_plain
from gansmith.game import Game
from gansmith.models.card import model_card
from gansmith.models.networks import exported_tensors
from gansmith.version import __version__

FORMAT = 1
"""Of config.json; a larger number was written by a newer version."""

OPPONENT = "discriminator.safetensors"
"""Beside ``model.safetensors``: the discriminator and what goes with it. ``train --init`` wants it, nothing else does."""


def write(
    folder: Path,
    family: str,
    game: Game,
    info: Mapping[str, Any],
    discriminator: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a game's exported networks as a model folder; an older one in its place is replaced once the new one is whole.

    Args:
        family: its command-line name.
        info: what else config.json says.
        discriminator: tensors for :data:`OPPONENT`.

    Raises:
        ModelError: the disk is full, or nothing may be written there.
    """
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in exported_tensors(game).items()}
    document = {
        "format": FORMAT,
        "gansmith": __version__,
        "family": family,
        "settings": configs.to_plain(game.config),
        "spec": spec_to_plain(game.spec),
        **info,
    }
    temporary, old = temporary_beside(folder), temporary_beside(folder, "old")
    try:
        clear_leftovers(folder.parent, folder.name)
        temporary.mkdir(parents=True)
        safetensors.torch.save_file(tensors, temporary / "model.safetensors", {"format": "pt"})
        if discriminator:
            kept = {name: t.detach().cpu().contiguous().clone() for name, t in discriminator.items()}
            safetensors.torch.save_file(kept, temporary / OPPONENT, {"format": "pt"})
        (temporary / "config.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(model_card(document, game), encoding="utf-8")
        if folder.exists():
            folder.replace(old)
        temporary.replace(folder)
        sync_folder(folder.parent)
    except (OSError, safetensors.SafetensorError) as error:  # the second is how safetensors says that a disk is full
        if old.exists() and not folder.exists():
            old.replace(folder)
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"The model could not be written to {folder}: {reason}.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.is_file() or old.is_symlink():  # --overwrite of a file
            old.unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)
    return folder
