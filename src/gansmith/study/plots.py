"""Plots of the study's report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from gansmith.files.plots import new_figure, save_figure
from gansmith.study.comparison import ARMS, Study
from gansmith.study.statistics import in_bins

_COLOURS = ("#9aa0a6", "#4c78a8", "#72b7b2", "#f2a541", "#d1495b", "#8e6bbf")
_MOST_CLASSES = 20


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)


def _colours(study: Study) -> dict[str, str]:
    return {name: colour for name, colour in zip(ARMS, _COLOURS, strict=True) if name in study.arms}


def accuracy(study: Study, path: Path) -> None:
    """Accuracy of every way of training: mean, 95 % interval, and a dot for each seed."""
    colours = _colours(study)
    figure = new_figure(7, 0.9 + 0.45 * len(colours))
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
    save_figure(figure, path)


def recall(study: Study, path: Path) -> None:
    """Change of every class's recall by synthetic pictures on top of classic augmentation."""
    rows = [(n, e) for n, e in zip(study.class_names, study.headline.recalls, strict=True) if not math.isnan(e.mean)]
    rows = sorted(rows, key=lambda row: -abs(row[1].mean))[:_MOST_CLASSES]
    rows.sort(key=lambda row: row[1].mean, reverse=True)
    figure = new_figure(7, 0.9 + 0.32 * len(rows))
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
    save_figure(figure, path)


def reliability(study: Study, path: Path, bins: int = 15) -> None:
    """How often predictions of some confidence are right, over all seeds."""
    figure = new_figure(5.5, 5)
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
    save_figure(figure, path)
