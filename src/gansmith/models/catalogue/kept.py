"""What is kept on this machine: the models' folder, and checksums of downloads. What an address gave once, it must give again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gansmith.data.standard import home_cache
from gansmith.errors import ModelError
from gansmith.files.atomic import write_atomically
from gansmith.models.catalogue.download import sha256
from gansmith.models.catalogue.entries import File


def models_folder() -> Path:
    """Where the models of the catalogue are kept: ``$GANSMITH_MODELS``, ``$GANSMITH_CACHE/models``, or ``~/.cache/gansmith/models``."""
    named, cache = os.environ.get("GANSMITH_MODELS"), os.environ.get("GANSMITH_CACHE")
    if named:
        return Path(named).expanduser()
    return (Path(cache).expanduser() if cache else home_cache()) / "models"


def _pins() -> dict[str, str]:
    """Address -> SHA-256 of what it gave at the first download."""
    try:
        known = json.loads((models_folder() / "pins.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def compared(file: File, target: Path, own: bool = False) -> str:
    """The SHA-256 of a downloaded file, compared with the one that its first download had.

    Args:
        own: somebody's own file, which is never deleted.

    Raises:
        ModelError: it has changed since; the download is deleted.
    """
    digest, before = sha256(target), _pins().get(file.url)
    if before is not None and before != digest:
        if not own:
            target.unlink()
        raise ModelError(
            f"{file.name} has changed since it was first downloaded: its SHA-256 was {before} and is {digest}. It was not used. If you know "
            f"that the project replaced the file, delete its line in {models_folder() / 'pins.json'} and try again."
        )
    return digest


def pin(digests: dict[str, str]) -> None:
    """Note the checksums of files that turned out to be good."""
    pins = models_folder() / "pins.json"
    pins.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(pins, json.dumps(_pins() | digests, indent=1) + "\n")
