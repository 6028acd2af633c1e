"""Other people's weights, read without running anything of theirs."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from gansmith.errors import ModelError
from gansmith.importers.imported import Imported

__all__ = ["Imported", "import_file"]

_TORCH = "a .pkl, .pt, .pth or .safetensors of PyTorch"
_OTHERS = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the weights. Run 'git lfs pull' beside it, then import again."),
    (b"\x1f\x8b", f"is compressed. Unpack it first and import what is inside: {_TORCH}."),
    (b"BZh", f"is compressed. Unpack it first and import what is inside: {_TORCH}."),
    (b"\xfd7zXZ", f"is compressed. Unpack it first and import what is inside: {_TORCH}."),
    (b"7z\xbc\xaf", f"is a 7z archive. Unpack it first and import what is inside: {_TORCH}."),
    (b"Rar!", f"is a RAR archive. Unpack it first and import what is inside: {_TORCH}."),
    (b"\x89HDF", f"holds weights of TensorFlow or Keras (HDF5), which are not read, only {_TORCH}."),
    (b"\x93NUMPY", f"holds an array of NumPy, not a network. Give {_TORCH}."),
    (b"GGUF", f"is a network for llama.cpp (GGUF), which is not read, only {_TORCH}."),
)  # fmt: skip
_ONNX = (
    "is an ONNX program: a graph to run, which is not read. Give the file of weights that it was exported from (a .pth), or run it as it "
    "is with the package onnxruntime."
)


def import_file(path: str | Path, key: str | Sequence[str] = (), labels: int | None = None) -> Imported:
    """Read networks that another trainer wrote.

    These are StyleGAN2-ADA's ``.pkl``, rosinality's StyleGAN2 ``.pt``, the generators of CycleGAN, CUT, pix2pix, pix2pixHD, LaMa,
    MI-GAN, ESRGAN and SRVGG
    in ``.pth`` or ``.safetensors``, also out of a whole training's checkpoint, upscalers of ncnn (``.param`` and ``.bin``), and
    with the package spandrel its networks; told apart by what is in them, not by their names.

    Args:
        key: which network of a file that holds several; a refusal lists them. Two keys name both directions of a CycleGAN.
        labels: how many labels a network of pix2pixHD knows, where that is not one less than its channels.

    Raises:
        ModelError: no such file, not a file of a known kind, damaged, asking for anything but numbers and names, or asking
            for more memory than its size explains.
    """
    from gansmith.importers import (
        kinds,
        ncnn,
        pix2pixhd,
        rosinality,
        safetensors_file,
        stylegan,
        tables,
        torch_file,
        upscalers,
    )
    from gansmith.importers.residual import both_ways
    from gansmith.importers.translation import read_table

    path, keys = Path(path), [key] if isinstance(key, str) else list(key)
    keys = [one for one in keys if one]
    if len(keys) > 2:
        raise ModelError(f"--key takes one network, or the two directions of a CycleGAN, not {len(keys)}.")
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder. Give the file with the weights: {_TORCH}.")
        if path.exists() and not path.is_file():
            raise ModelError(f"{path} is not a file. Give the file with the weights: {_TORCH}.")
        with path.open("rb") as file:
            start = file.read(512)
        if ncnn.is_ncnn(path, start):
            return ncnn.import_ncnn(path)
        if what := other_kind(start, path):
            raise ModelError(f"{path} {what}")
        if not (zipfile.is_zipfile(path) or torch_file.LEGACY in start[:16] or safetensors_file.is_safetensors(start)):
            if keys:
                raise ModelError(
                    f"{path.name} is no file with several networks, so --key chooses nothing. Leave it out."
                )
            return stylegan.read(path)
    except FileNotFoundError:
        raise ModelError(f"There is no file '{path}'.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from None
    weights = torch_file.open_weights(path)
    if len(keys) == 2:
        return both_ways(*(tables.choose(weights, one) for one in keys))
    try:
        table = tables.choose(weights, *keys)
    except tables.Unknown as refusal:
        return upscalers.foreign_of(tables.candidates(weights, *keys), path.name, str(refusal))
    imported = rosinality.read(table) if table.kind == kinds.STYLEGAN2 else read_table(table)
    return pix2pixhd.with_labels(imported, labels) if labels is not None else imported


def other_kind(start: bytes, path: Path) -> str:
    """What a file that starts like this is, where people often take it for weights, and what to do; else empty."""
    if not start:
        return "is empty. Download it again."
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "is a web page, not a file of weights: the site asked something before the download. Open its address in a "
            "browser and save the file from there."
        )
    if (
        start[8:9] == b"{"
        and (path.parent / "config.json").is_file()
        and path.name in ("model.safetensors", "discriminator.safetensors")
    ):
        return f"is part of a model of gansmith, which is used without importing: give its folder, {path.parent}."
    if path.suffix.lower() == ".onnx" or _is_onnx(start):
        return _ONNX
    return next((what for magic, what in _OTHERS if start.startswith(magic)), "")


def _is_onnx(start: bytes) -> bool:
    """An ONNX program begins with the version of its format (field 1) and who wrote it (field 2)."""
    return (
        start[:1] == b"\x08"
        and start[2:3] == b"\x12"
        and start[4 : 4 + start[3]].isascii()
        and b"pytorch" in start[:40].lower()
    )
