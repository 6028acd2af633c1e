"""Walks through latent space that never jump and end where they began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gansmith.bundle import Model
from gansmith.errors import GansmithError
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
    game = model.game
    columns = max(1, round(tiles**0.5))
    if space == "w":
        mapping = getattr(game, "styles", None)
        if mapping is None:
            raise GansmithError(f"A {model.family} model has no styles w; walk in z: --space z.")
        with torch.inference_mode():
            each = [mapping(z.to(game.device), None if labels is None else labels.to(game.device), truncation) for z in latents]
        path = loop(torch.stack(each).cpu(), frames)
        for w in path:
            with torch.inference_mode():
                yield grid(game.synthesize(w.to(game.device)).float().cpu(), columns)  # type: ignore[operator]
        return
    for z in on_the_shell(loop(latents, frames)):
        yield grid(model.decode(z, labels, truncation), columns)
