"""The Python API: the same things as the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gansmith import config, registry
from gansmith.errors import GansmithError
from gansmith.game import Game, ImageSpec
from gansmith.generation import GenerationConfig
from gansmith.models.bundle import Model
from gansmith.models.bundle import load as load


def build(family: str, *, size: int | tuple[int, int], channels: int, classes: int = 0, **settings: Any) -> Game:
    """An untrained game of a family; its networks are attributes (``generator``, ``discriminator``, ...).

    Args:
        family: a name of :func:`families`, or a dotted module path of your own family.
        size: pixels a side, or (height, width).
        channels: 1, 3 or 4.
        classes: number of classes; more than 0 makes it conditional where the family can be.
        settings: the family's own settings, by name.

    Raises:
        GansmithError: unknown family or setting, or a size that the family cannot make.
    """
    kind = registry.named(family)
    height, width = _sides(size)
    if height < 1 or width < 1 or channels < 1 or classes < 0:
        raise GansmithError(f"size, channels and classes must be positive, not {size}, {channels}, {classes}.")
    if classes and "conditional" not in settings and issubclass(kind.Config, GenerationConfig):
        settings["conditional"] = True
    spec = ImageSpec(
        height, width, channels, classes, other_channels=channels if kind.data in ("paired", "unpaired") else 0
    )
    return kind(config.make(kind.Config, settings, family), spec)


def _sides(size: Any) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, int) else size
    if not (isinstance(sides, (tuple, list)) and len(sides) == 2 and all(isinstance(side, int) for side in sides)):
        raise GansmithError(f"size is a whole number of pixels, or (height, width), not {size!r}.")
    return sides[0], sides[1]


def train(
    family: str,
    *,
    data: str | Path | Sequence[str] = "mnist10k",
    out: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Model:
    """Train a family, as ``gansmith train`` does, and return the model.

    Args:
        family: a name of :func:`families`, a dotted module path of your own family, or ``auto``, which takes one that suits the data.
        data: a folder, zip, .npz, IDX file, ``hf:NAME`` or a standard name; two of them for two-sided families.
        out: the run folder; by default ``runs/FAMILY-DATA-NUMBER``.
        quiet: show no progress.
        settings: run settings (``images=``, ``steps=``, ``batch=``, ``seed=``, ``size=``, ...) and the family's own.

    Raises:
        GansmithError: something the caller can put right.
    """
    from gansmith.training.choosing import AUTO, choose
    from gansmith.training.session import train as run_training
    from gansmith.training.settings import settings_from

    specs = (data,) if isinstance(data, (str, Path)) else tuple(data)
    if not all(isinstance(spec, (str, Path)) for spec in specs):
        raise GansmithError(
            "data is the name of a folder, a file or a set. Save arrays first: numpy.savez('x.npz', x=x, y=y)."
        )
    data = tuple(map(str, specs))
    kind = registry.named(choose(data)[0] if family == AUTO else family)
    run_settings, family_config = settings_from(kind, None if out is None else Path(out), data=data, **settings)
    return run_training(kind, settings=run_settings, family_config=family_config, quiet=quiet).model


__all__ = ["build", "load", "train"]
