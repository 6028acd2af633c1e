"""Edit a picture along the directions in which a StyleGAN2's pictures change most (SeFa)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gansmith.commands._parse import parse
from gansmith.errors import GansmithError


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith edit``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    seed: int = 0
    """Which picture to edit."""
    styles: Path | None = None
    """Edit the styles that 'gansmith invert' saved (its w.npz) instead of a seed's."""
    directions: int = 5
    """How many directions, the strongest first: one row each."""
    first: int = 0
    """Skip this many directions."""
    strength: float = 3.0
    """How far to go both ways."""
    steps: int = 7
    """Pictures per row."""
    layers: str = "all"
    """Layers to edit: coarse (shape), middle, fine (colour), all, or numbers such as 0-3,7."""
    label: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """Class number or name (conditional models)."""
    truncation: float = 0.7
    """Below 1: closer to the average picture."""
    out: Path = Path("edit.png")
    """The picture to write."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""


def main(argv: list[str]) -> int:
    """Run ``gansmith edit``."""
    options = parse(Options, argv, "edit", __doc__ or "")
    if options.steps < 2 or options.strength <= 0 or options.first < 0:
        raise GansmithError("--steps is at least 2, --strength above 0 and --first at least 0.")
    import torch

    from gansmith import devices, pictures
    from gansmith.apply.styles import Styles, chosen_layers, edit, factorise
    from gansmith.bundle import load

    styles = Styles(load(options.model).to(devices.resolve(options.device, "fp32").torch_device))
    layers = chosen_layers(options.layers, styles.layers)
    directions = factorise(styles, layers, options.first + options.directions)[options.first :]
    if options.styles is None:
        w = styles.of_seeds([options.seed], options.label, options.truncation)
    else:
        w = read_styles(options.styles, tuple(styles.average().shape)).to(styles.model.game.device)
    strengths = torch.linspace(-options.strength, options.strength, options.steps).tolist()
    pictures.save(options.out, pictures.grid(edit(styles, w, directions, strengths, layers), options.steps))
    print(f"{options.out}", file=sys.stderr)
    return 0


def read_styles(path: Path, shape: tuple[int, ...]):
    """Styles [1, L, D] from an .npz with ``w``.

    Raises:
        GansmithError: no such file, or of another model.
    """
    import numpy as np
    import torch

    try:
        with np.load(path, allow_pickle=False) as content:
            w = content["w"]
    except FileNotFoundError:
        raise GansmithError(f"There is no file {path}. 'gansmith invert' writes one.") from None
    except (KeyError, ValueError, OSError) as error:
        raise GansmithError(f"{path} holds no styles ({error}). 'gansmith invert' writes them as w.npz.") from None
    if w.shape != shape or not np.isfinite(w).all():
        raise GansmithError(
            f"{path} holds styles of shape {list(w.shape)}, and this model takes {list(shape)}. Invert with this model."
        )
    return torch.from_numpy(w.astype(np.float32))
