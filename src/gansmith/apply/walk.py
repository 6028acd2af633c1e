"""Walks through latent space that never jump and end where they began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gansmith.apply.styles import Styles
from gansmith.bundle import Model
from gansmith.pictures import grid


def loop(points: Tensor, frames: int) -> Tensor:
    """A smooth closed curve through points [P, ...], as ``frames`` steps [frames, ...].

    A periodic cubic spline: its velocity is continuous, at the seam too.
    """
    from scipy.interpolate import CubicSpline

    closed = torch.cat([points, points[:1]]).double().numpy()
    spline = CubicSpline(np.arange(len(closed)), closed, axis=0, bc_type="periodic")
    return torch.from_numpy(spline(np.linspace(0, len(points), frames, endpoint=False))).float()


def on_the_shell(z: Tensor) -> Tensor:
    """Latents scaled to the length that random ones have, sqrt(dim): between two of them the straight way is too short."""
    return z / z.norm(dim=-1, keepdim=True).clamp_min(1e-8) * z.shape[-1] ** 0.5


def walk(
    model: Model,
    *,
    frames: int = 240,
    points: int = 6,
    tiles: int = 9,
    seed: int = 0,
    space: Literal["z", "w"] = "z",
    label: int | str | None = None,
    truncation: float = 1.0,
) -> Iterator[np.ndarray]:
    """Frames of a looping walk, uint8 [H, W] or [H, W, C]: ``tiles`` pictures, each passing through ``points`` latents.

    Raises:
        GansmithError: the model has no w space, or no such class.
    """
    latents = model.latents(points * tiles, seed).cpu().unflatten(0, (points, tiles))  # [P, T, D]
    labels = model.labels(tiles, label)
    columns = max(1, round(tiles**0.5))
    if space == "w":
        styles = Styles(model)
        device = model.game.device
        with torch.inference_mode():
            chosen = None if labels is None else labels.to(device)
            each = [styles.generator.styles(z.to(device), chosen, truncation) for z in latents]
        for w in loop(torch.stack(each).cpu(), frames):
            yield grid(styles.pictures(w.to(device)), columns)
        return
    for z in on_the_shell(loop(latents, frames)):
        yield grid(model.decode(z, labels, truncation), columns)
