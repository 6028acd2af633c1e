"""The plot of the report beside synthetic pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gansmith.files import pictures
from gansmith.files.plots import new_figure, save_figure
from gansmith.synthetic.dataset import SyntheticDataset

_MOST_CLASSES = 20


def samples(real_x: Tensor, real_y: Tensor, made: SyntheticDataset, path: Path, columns: int = 8) -> None:
    """A row per class: real pictures on the left, synthetic ones on the right."""
    shown = [c for c in range(len(made.classes)) if (made.targets == c).any()][:_MOST_CLASSES]
    figure = new_figure(11, max(1.5, 0.62 * len(shown)))
    left, right = figure.subplots(1, 2)
    for axes, title, images, labels in (
        (left, "real", real_x, real_y),
        (right, "synthetic", made.images, made.targets),
    ):
        rows = [_row(images[labels == c], columns) for c in shown]
        array = pictures.grid(torch.cat(rows).float() / 127.5 - 1, columns)
        axes.imshow(
            array, cmap="gray" if array.ndim == 2 else None, vmin=0, vmax=255, interpolation="nearest", aspect="auto"
        )
        axes.set_title(title)
        axes.set_xticks([])
        side = array.shape[0] / len(shown)
        axes.set_yticks(
            [side * (i + 0.5) for i in range(len(shown))] if axes is left else [],
            [made.classes[c] for c in shown] if axes is left else [],
        )
    save_figure(figure, path)


def _row(images: Tensor, columns: int) -> Tensor:
    """Pictures from all over a class, [columns, C, H, W]; white where there are not enough."""
    chosen = images[np.unique(np.linspace(0, len(images) - 1, columns).round().astype(int))]
    return torch.cat([chosen, chosen.new_full((columns - len(chosen), *chosen.shape[1:]), 255)])
