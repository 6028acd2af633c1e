"""State as files: nested dicts of tensors and plain values <-> one safetensors file and one json document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_TENSOR = "\0tensor"


def flatten(tree: Any, prefix: str = "") -> tuple[Any, dict[str, Tensor]]:
    """Split a tree of dicts, lists, plain values and tensors into its json-able skeleton and its tensors by path.

    The tensors are those of the tree, not copies.
    """
    if isinstance(tree, Tensor):
        return {_TENSOR: prefix}, {prefix: tree.detach()}
    if isinstance(tree, Mapping):
        skeleton, tensors = {}, {}
        for key, value in tree.items():
            # json knows only text keys; optimizers number their parameters
            name = f"\0int{key}" if isinstance(key, int) else str(key)
            skeleton[name], more = flatten(value, f"{prefix}/{key}" if prefix else str(key))
            tensors |= more
        return skeleton, tensors
    if isinstance(tree, (list, tuple)):
        parts = [flatten(value, f"{prefix}/{index}") for index, value in enumerate(tree)]
        return [part[0] for part in parts], {k: v for part in parts for k, v in part[1].items()}
    return tree, {}


def unflatten(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of :func:`flatten` (tuples come back as lists)."""
    if isinstance(skeleton, dict):
        if _TENSOR in skeleton:
            return tensors[skeleton[_TENSOR]]
        return {_key(key): unflatten(value, tensors) for key, value in skeleton.items()}
    if isinstance(skeleton, list):
        return [unflatten(value, tensors) for value in skeleton]
    return skeleton


def _key(name: str) -> int | str:
    if not name.startswith("\0int"):
        return name
    if len(name) > 16:  # optimizers count parameters; larger numbers could be chosen to have equal hashes
        raise ValueError("a key is too large")
    return int(name[4:])
