"""Other people's weights, read without running anything of theirs."""

from __future__ import annotations

import zipfile
from pathlib import Path

from gansmith.errors import ModelError
from gansmith.importers.imported import Imported

__all__ = ["Imported", "import_file"]

_TORCH = "a .pkl, .pt or .pth of torch"
_OTHERS = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the weights. Run 'git lfs pull' beside it, then import again."),
    (b"\x1f\x8b", f"is compressed. Unpack it first and import what is inside: {_TORCH}."),
    (b"7z\xbc\xaf", f"is a 7z archive. Unpack it first and import what is inside: {_TORCH}."),
    (b"Rar!", f"is a RAR archive. Unpack it first and import what is inside: {_TORCH}."),
    (b"\x89HDF", f"holds weights of TensorFlow or Keras (HDF5), which are not read, only {_TORCH}."),
)  # fmt: skip


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
    if path.exists() and not path.is_file():
        raise ModelError(f"{path} is not a file. Give the file with the weights: a .pkl, .pt or .pth.")
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if what := other_kind(start):
            raise ModelError(f"{path} {what}")
        if not (zipfile.is_zipfile(path) or rosinality.is_legacy(start[:16])):
            return stylegan.read(path)
    except FileNotFoundError:
        raise ModelError(f"There is no file {path}.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from None
    content = rosinality.load(path)
    if rosinality.networks(content):
        return rosinality.read(content, path.name)
    return import_translation(path)


def other_kind(start: bytes) -> str:
    """What a file that starts like this is, where people often take it for weights, and what to do; else empty."""
    if not start:
        return "is empty. Download it again."
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "is a web page, not a file of weights: the site asked something before the download. Open its address in a "
            "browser and save the file from there."
        )
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < 2**32:
        return f"is a .safetensors file. Models of gansmith are used without importing; of others, import {_TORCH}."
    return next((what for magic, what in _OTHERS if start.startswith(magic)), "")
