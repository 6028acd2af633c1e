"""Loaded models, the few used last, and pictures from them."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gansmith.studio.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from gansmith.models.bundle import Model

KEPT = 4
"""Models held in memory."""
MOST_WEIGHTS = 500_000_000
"""Weights held in memory, over all models but the one in use."""


@dataclass
class Loaded:
    """A model in memory; its lock keeps two requests from computing at once, which would only make both slower."""

    model: Model
    stamp: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def weights(self) -> int:
        return sum(p.numel() for p in self.model.game.parameters())


class Models:
    """Loads models and keeps the few used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, Loaded] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, folder: Path) -> Loaded:
        """The model of a run or model folder; loaded anew when training has written a newer one."""
        from gansmith.models.bundle import load

        place = folder / "model" if (folder / "model").is_dir() else folder
        try:
            stamp = (place / "config.json").stat().st_mtime_ns
        except OSError:
            raise Refused(
                "This run has no model yet: the first one is written with its first checkpoint.", 404
            ) from None
        with self._lock:
            kept = self._kept.get(place)
            if kept is None or kept.stamp != stamp:
                kept = Loaded(load(place), stamp)
                self._kept[place] = kept
            self._kept.move_to_end(place)
            while len(self._kept) > 1 and (
                len(self._kept) > KEPT or sum(m.weights for m in list(self._kept.values())[:-1]) > MOST_WEIGHTS
            ):
                self._kept.popitem(last=False)
            return kept

    def forget(self, folder: Path) -> None:
        """A run was renamed or deleted."""
        with self._lock:
            for place in [place for place in self._kept if place.is_relative_to(folder)]:
                del self._kept[place]


def translates(family: str) -> bool:
    """Do models of a family change pictures (the Repair page) rather than make them (Play)? One that is not here makes them."""
    from gansmith import registry
    from gansmith.abilities import Translates

    try:
        return issubclass(registry.family(family), Translates)
    except Exception:
        return False


def facts(model: Model) -> dict[str, Any]:
    """What the page needs to know of a model."""
    from gansmith.abilities import Sampled, Styled, Translates

    game, spec = model.game, model.spec
    changes = game if isinstance(game, Translates) else None
    return {
        "family": model.family,
        "makes": isinstance(game, Sampled),
        "translates": changes is not None,
        "size": [spec.width, spec.height, spec.channels],
        "classes": list(spec.class_names) or [str(i) for i in range(model.classes)] if model.classes else [],
        "styles": game.layers if isinstance(game, Styled) else 0,
        "directions": [] if changes is None else list(changes.directions),
        "takes_mask": changes is not None and changes.takes_mask,
        "inputs": spec.channels if changes is None else changes.inputs,
        "scale": 1 if changes is None else changes.scale,
        "weights": sum(p.numel() for p in game.parameters()),
        "images": model.info.get("images", 0),
    }


def class_of(label: str) -> str | int:
    """A class from the page: its number, as text, or its name. Of a class named by another's number, the number counts."""
    return int(label) if label.isascii() and label.isdecimal() and len(label) < 10 else label


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """From a to b [D] along the sphere, as latents of normal length lie on one; t in [0, 1]."""
    import torch

    unit_a, unit_b = a / a.norm().clamp_min(1e-8), b / b.norm().clamp_min(1e-8)
    angle = torch.arccos((unit_a @ unit_b).clamp(-1, 1))
    if angle < 1e-4:
        return torch.lerp(a, b, t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def latent(model: Model, recipe: Any) -> Tensor:
    """A latent [D] from what the page asks for.

    ``{"seed": 3}``; ``{"from": 3, "to": 9, "t": 0.25}``; or ``{"seed": 3, "x": -1, "y": 2}``, steps along two fixed
    random directions on the sphere of latents.

    Raises:
        Refused: it is none of them.
    """
    from gansmith.apply.walk import on_the_shell
    from gansmith.studio.arguments import Arguments

    if not isinstance(recipe, dict):
        raise Refused("A picture is asked for by a seed.")
    arguments = Arguments(recipe)

    def seeded(name: str) -> Tensor:
        return model.latents(1, arguments.integer(name, 0, 2**31 - 1))[0].cpu()

    if "from" in recipe:
        return slerp(seeded("from"), seeded("to"), arguments.number("t", 0.0, 1.0))
    z = seeded("seed")
    if "x" in recipe or "y" in recipe:
        x, y = (arguments.number(axis, -10.0, 10.0, 0.0) for axis in ("x", "y"))
        if x or y:
            directions = model.latents(2, derive_walk(arguments.integer("seed", 0, 2**31 - 1))).cpu()
            z = on_the_shell(z + x * directions[0] + y * directions[1]) * (z.norm() / z.shape[-1] ** 0.5)
    return z


def derive_walk(seed: int) -> int:
    """The seed of a walk's two directions."""
    from gansmith.parallel import seeding

    return seeding.derive(seed, "walk") % 2**31


def sheet(pictures: np.ndarray, columns: int) -> np.ndarray:
    """uint8 [N, H, W, C] as one picture of ``columns`` per row, without gaps; missing ones are black."""
    count, height, width, channels = pictures.shape
    rows = -(-count // columns)
    full = np.zeros((rows * columns, height, width, channels), np.uint8)
    full[:count] = pictures
    return (
        full.reshape(rows, columns, height, width, channels)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width, channels)
    )


def png(array: np.ndarray) -> bytes:
    """uint8 [H, W, C] as a PNG, quickly rather than small."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
