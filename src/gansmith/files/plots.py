"""Plots as SVG files, drawn without a display and without matplotlib's global state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as SVG. The same figure gives the same file."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "gansmith"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
