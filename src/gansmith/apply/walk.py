"""Walks through latent space that never jump and end where they began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gansmith.apply.styles import Styles
from gansmith.files.pictures import grid, opaque
from gansmith.models.bundle import Model
from gansmith.parallel import seeding


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


def waypoints(model: Model, points: int, tiles: int, seed: int) -> Tensor:
    """The latents that a walk passes through, [points, tiles, latent_dim]: the seed's own first, then others of each tile."""
    first = model.latents(tiles, seed).cpu()
    later = [model.latents(points - 1, seeding.derive(seed, "walk", tile)).cpu() for tile in range(tiles)]
    return torch.cat([first[None], torch.stack(later, 1)]) if points > 1 else first[None]


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
    """Frames of a looping walk, uint8 [H, W] or [H, W, 3]: ``tiles`` pictures, each passing through ``points`` latents.

    The walk of a tile begins at the picture of that number that ``sample --seed`` draws, and is the same for any number of tiles.

    Raises:
        GansmithError: the model has no w space, or no such class.
    """
    # whatever is wrong shows here, not at the first frame, when a file may have been opened for it
    latents = waypoints(model, points, tiles, seed)  # [P, T, D]
    labels = model.labels(tiles, label)
    columns = max(1, round(tiles**0.5))
    if space == "z":
        return (opaque(grid(model.decode(z, labels, truncation), columns)) for z in on_the_shell(loop(latents, frames)))
    styles, device = Styles(model), model.game.device
    with torch.inference_mode():
        chosen = None if labels is None else labels.to(device)
        # every layer has the same style, so the first stands for all
        each = [styles.game.styles(z.to(device), chosen, truncation)[:, 0] for z in latents]
    way = loop(torch.stack(each).cpu(), frames)  # [F, T, D]
    return (opaque(grid(styles.pictures(w[:, None].expand(-1, styles.layers, -1).to(device)), columns)) for w in way)
