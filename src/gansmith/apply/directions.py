"""Directions in w with a name: found by examples, or by factorising, and kept in a file to be used again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gansmith.apply.styles import Styles
from gansmith.errors import GansmithError
from gansmith.files.atomic import write_atomically
from gansmith.files.npz import read_npz


@dataclass(frozen=True)
class Direction:
    """A way to change pictures.

    Attributes:
        name: what it changes, such as ``smile``.
        direction: [D], of length 1, in w.
        layers: which layers it moves.
    """

    name: str
    direction: Tensor
    layers: tuple[int, ...]

    def save(self, path: Path) -> Path:
        """Write it as an ``.npz`` with ``direction`` [D] and ``layers``; its name is the file's."""
        content = io.BytesIO()
        np.savez(content, direction=self.direction.cpu().numpy(), layers=np.array(self.layers, np.int64))
        write_atomically(path, content.getvalue())
        return path


def between(styles: Styles, without: Sequence[int], having: Sequence[int], label: int | str | None = None) -> Tensor:
    """The direction [D], of length 1, from the mean style of some seeds' pictures to that of others'.

    Examples say what it changes: pictures that lack something, and pictures that have it. With a handful on each side, what they do
    not have in common cancels out.

    Raises:
        GansmithError: a side has no seeds, or both have the same pictures.
    """
    if not without or not having:
        raise GansmithError(
            "A direction needs seeds of pictures without something, and seeds of pictures that have it."
        )
    means = [styles.of_seeds(seeds, label)[:, 0].mean(0) for seeds in (without, having)]
    way = means[1] - means[0]
    if not way.norm() > 1e-6:
        raise GansmithError(
            "Both groups of seeds have the same pictures, so that no direction leads from one to the other."
        )
    return way / way.norm()


def read(path: Path, styles: Styles) -> Direction:
    """A direction that was saved.

    Raises:
        GansmithError: no such file, no direction in it, or one of another model.
    """
    try:
        way, moved = read_npz(path, "direction", "layers")
    except FileNotFoundError:
        raise GansmithError(f"There is no file {path}. 'gansmith edit --save {path}' writes one.") from None
    except ValueError as error:
        raise GansmithError(
            f"{path} holds no direction ({error}). 'gansmith edit --save FILE.npz' writes one."
        ) from None
    direction = torch.from_numpy(way.astype(np.float32))
    layers = tuple(int(layer) for layer in moved.astype(np.int64).ravel()[:1000])
    length = styles.average().shape[2]
    if direction.shape != (length,) or not layers or not all(0 <= layer < styles.layers for layer in layers):
        raise GansmithError(
            f"{path} holds a direction of {direction.numel()} numbers for the layers {list(layers)}, and this model's styles have {length} "
            f"numbers in layers 0 to {styles.layers - 1}. Use it with the model that it was made with, or one tuned from it."
        )
    norm = direction.norm()
    if not bool(torch.isfinite(norm)) or float(norm) < 1e-6:
        raise GansmithError(f"{path} holds a direction without a length. Save it again.")
    return Direction(path.stem, direction / norm, layers)
