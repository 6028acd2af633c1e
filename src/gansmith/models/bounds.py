"""What a model's files may ask for: no more memory and time than the weights in them explain."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor
from torch.nn.modules import module as modules

from gansmith.errors import ModelError, first_line

MAX_HEADER = 2**23
"""Bytes of a .safetensors file's header. It is read whole and takes several times as much memory; ten thousand tensors take 1 MB."""
MAX_SIDE = 2**14
"""Pixels a side of the pictures of a model."""
MAX_COUNT = 1024
"""Layers, blocks and halvings of a network."""
SPARE = 2**26
"""Numbers that the networks of any family may have beside those of the weights: discriminators, which are thrown away again."""
_COUNTS = re.compile(r"depth|blocks|blocks_local|halvings|enhancers|(\w+_)?layers|stages")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file by name.

    Raises:
        ModelError: it is missing, damaged, or has a header that is longer than any network's.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise ModelError(f"{path} cannot be read: its header is damaged. Copy or download it again.")
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise ModelError(
            f"{path.parent} has no {path.name}: the model is incomplete. Copy or download it again."
        ) from None
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({first_line(error)}). Copy or download it again.") from None
    except KeyError as error:  # a kind of numbers that this torch does not have
        raise ModelError(f"{path} cannot be read: it has numbers of the kind {error}.") from None


def check_settings(settings: Mapping[str, Any], height: int, width: int, source: str) -> None:
    """Before networks are built: are counts and sizes such as networks have?

    Raises:
        ModelError: one is not; names it.
    """
    if max(height, width) > MAX_SIDE:
        raise ModelError(f"{source} describes pictures of {width}x{height} px; up to {MAX_SIDE:,} px a side are made.")
    for name, value in settings.items():
        counts = _COUNTS.fullmatch(name) is not None
        if isinstance(value, int) and value > (MAX_COUNT if counts else 2**53):
            raise ModelError(
                f"{source} says {value:.6g} for '{name}', which no network has. It was changed or damaged."
            )


@contextmanager
def within(tensors: Mapping[str, Tensor], source: str) -> Iterator[None]:
    """While networks are built in this thread for these weights: stop as soon as they need far more than the weights explain.

    Raises:
        ModelError: they do.
    """
    own = threading.get_ident()
    left = {"tensors": 16 * len(tensors) + 4096, "numbers": 16 * sum(t.numel() for t in tensors.values()) + SPARE}

    def count(_module: object, _name: str, value: Tensor | None) -> None:
        if value is None or threading.get_ident() != own:
            return
        left["tensors"] -= 1
        left["numbers"] -= value.numel()
        if min(left.values()) < 0:
            raise ModelError(
                f"The settings of {source} ask for networks that are far larger than its weights: it was changed or damaged. Copy or "
                "download the model again."
            )

    handles = [
        modules.register_module_parameter_registration_hook(count),
        modules.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
