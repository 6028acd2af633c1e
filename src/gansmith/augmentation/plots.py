"""Plots of the reports, as SVG. Drawn without a display and without matplotlib's global state."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gansmith import pictures
from gansmith.augmentation.comparison import ARMS, Study
from gansmith.augmentation.dataset import SyntheticDataset
from gansmith.augmentation.statistics import in_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#9aa0a6", "#4c78a8", "#72b7b2", "#f2a541", "#d1495b", "#8e6bbf")
_MOST_CLASSES = 20


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "gansmith"}):  # the same plot is the same file
        figure.savefig(path, format="svg", metadata={"Date": None})


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)


def _colours(study: Study) -> dict[str, str]:
    return {name: colour for name, colour in zip(ARMS, _COLOURS, strict=True) if name in study.arms}


def accuracy(study: Study, path: Path) -> None:
    """Accuracy of every way of training: mean, 95 % interval, and a dot for each seed."""
    colours = _colours(study)
    figure = _figure(7, 0.9 + 0.45 * len(colours))
    axes = figure.add_subplot()
    for row, (name, colour) in enumerate(colours.items()):
        arm = study.arms[name]
        axes.errorbar(
            100 * arm.accuracy.mean, row, xerr=100 * arm.accuracy.half, fmt="D", color=colour, capsize=4, markersize=7
        )
        axes.plot(
            [100 * value for value in arm.by_seed],
            [row + 0.22] * len(arm.by_seed),
            "o",
            color=colour,
            alpha=0.5,
            markersize=4,
        )
    axes.set_yticks(range(len(colours)), list(colours))
    axes.set_ylim(len(colours) - 0.4, -0.6)
    axes.set_xlabel("accuracy on the test pictures, %")
    _plain(axes)
    _save(figure, path)


def recall(study: Study, path: Path) -> None:
    """Change of every class's recall by synthetic pictures on top of classic augmentation."""
    rows = [(n, e) for n, e in zip(study.class_names, study.headline.recalls, strict=True) if not math.isnan(e.mean)]
    rows = sorted(rows, key=lambda row: -abs(row[1].mean))[:_MOST_CLASSES]
    rows.sort(key=lambda row: row[1].mean, reverse=True)
    figure = _figure(7, 0.9 + 0.32 * len(rows))
    axes = figure.add_subplot()
    for i, (_, e) in enumerate(rows):
        sure = e.p < 0.05
        colour = ("#2a9d5c" if e.mean > 0 else "#d1495b") if sure else "#9aa0a6"
        axes.errorbar(100 * e.mean, i, xerr=100 * e.half, fmt="o", color=colour, capsize=3)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel("change of recall, points (coloured: significant after correction)")
    _plain(axes)
    _save(figure, path)


def reliability(study: Study, path: Path, bins: int = 15) -> None:
    """How often predictions of some confidence are right, over all seeds."""
    figure = _figure(5.5, 5)
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color="black", linewidth=0.8, linestyle="--")
    for name, colour in _colours(study).items():
        predictions = study.arms[name].predictions
        confidence, right = predictions.max(2).ravel(), (predictions.argmax(2) == study.labels).ravel()
        filled = [mine for mine in in_bins(confidence, bins) if mine.sum() >= 20]
        x, y = ([100 * float(values[mine].mean()) for mine in filled] for values in (confidence, right))
        axes.plot(x, y, "o-", color=colour, markersize=4, linewidth=1.2, label=name)
    axes.set_xlabel("how sure the classifier is, %")
    axes.set_ylabel("how often it is right, %")
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)
    _save(figure, path)


def samples(real_x: Tensor, real_y: Tensor, made: SyntheticDataset, path: Path, columns: int = 8) -> None:
    """A row per class: real pictures on the left, synthetic ones on the right."""
    shown = [c for c in range(len(made.classes)) if (made.targets == c).any()][:_MOST_CLASSES]
    figure = _figure(11, max(1.5, 0.62 * len(shown)))
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
    _save(figure, path)


def _row(images: Tensor, columns: int) -> Tensor:
    """Pictures from all over a class, [columns, C, H, W]; white where there are not enough."""
    chosen = images[np.unique(np.linspace(0, len(images) - 1, columns).round().astype(int))]
    return torch.cat([chosen, chosen.new_full((columns - len(chosen), *chosen.shape[1:]), 255)])
