"""Other people's weights, read without running anything of theirs."""

from __future__ import annotations

import zipfile
from pathlib import Path

from gansmith.errors import ModelError
from gansmith.importers.imported import Imported

__all__ = ["Imported", "import_file"]


def import_file(path: str | Path) -> Imported:
    """Read networks that another trainer wrote.

    These are StyleGAN2-ADA's ``.pkl``, rosinality's StyleGAN2 ``.pt``, and the ``.pth`` generators of CycleGAN, pix2pix and
    ESRGAN; told apart by what is in them, not by their names.

    Raises:
        ModelError: no such file, not a file of a known kind, damaged, or asking for anything but numbers and names.
    """
    from gansmith.importers import rosinality, stylegan
    from gansmith.importers.translation import import_translation

    path = Path(path)
    if path.is_dir():
        raise ModelError(f"{path} is a folder. Give the file with the weights: a .pkl, .pt or .pth.")
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        raise ModelError(f"There is no file {path}.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not (zipfile.is_zipfile(path) or rosinality.is_legacy(start)):
        return stylegan.read(path)
    content = rosinality.load(path)
    if rosinality.networks(content):
        return rosinality.read(content, path.name)
    return import_translation(path)
