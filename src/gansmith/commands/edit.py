"""Edit a picture along the directions in which a StyleGAN's pictures change most (SeFa), or along directions of your own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from gansmith.commands._parse import parse, say
from gansmith.commands.sample import MOST_PICTURES, check_draw, check_file, parse_seeds, save_grid
from gansmith.errors import GansmithError
from gansmith.files.paths import writing

if TYPE_CHECKING:
    from torch import Tensor

    from gansmith.apply.directions import Direction
    from gansmith.apply.styles import Styles


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith edit``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    seed: int = 0
    """Which picture to edit."""
    styles: Path | None = None
    """Edit the styles that 'gansmith invert' saved (its w.npz) instead of a seed's."""
    along: tuple[Path, ...] = ()
    """Edit along these directions, saved with --save: one row each, in the layers that they were saved with."""
    without: str = ""
    """Edit along a direction of your own: seeds of pictures that lack something, such as 3,8,20-24, ..."""
    having: str = ""
    """... and seeds of pictures that have it. A handful on each side."""
    save: Path | None = None
    """Also write the first row's direction to this .npz, for --along. The file's name becomes the direction's name."""
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
    overwrite: bool = False
    """Replace the file if it is there."""


def main(argv: list[str]) -> int:
    """Run ``gansmith edit``."""
    options = parse(Options, argv, "edit", __doc__ or "")
    if options.steps < 2 or not 0 < options.strength < math.inf or options.first < 0 or options.directions < 1:
        raise GansmithError(
            "--steps is at least 2, --strength above 0, --first at least 0 and --directions at least 1."
        )
    if options.steps * (len(options.along) or options.directions) > MOST_PICTURES:
        raise GansmithError(f"--steps times --directions is at most {MOST_PICTURES:,} pictures.")
    if options.styles is not None and options.label is not None:
        raise GansmithError("--class chooses among seeds' pictures; the styles of --styles have theirs. Leave one out.")
    if bool(options.without) != bool(options.having):
        raise GansmithError(
            "--without and --having go together: seeds of pictures that lack something, and of some that have it."
        )
    if options.along and options.having:
        raise GansmithError("--along takes saved directions, and --having makes one from pictures. Leave one out.")
    check_draw(options.seed, options.truncation)
    if options.save is not None:
        check_file(options.save, (".npz",), "directions", options.overwrite, "--save")
    import torch

    from gansmith import devices
    from gansmith.apply.styles import Styles, edit
    from gansmith.files import pictures
    from gansmith.models.bundle import load

    check_file(options.out, pictures.PICTURE_SUFFIXES, "pictures", options.overwrite)
    styles = Styles(load(options.model).to(devices.resolve(options.device, "fp32").torch_device))
    rows = chosen_directions(styles, options)
    if options.styles is None:
        w = styles.of_seeds([options.seed], options.label, options.truncation)
    else:
        w = read_styles(options.styles, tuple(styles.average().shape)).to(styles.model.game.device)
    strengths = torch.linspace(-options.strength, options.strength, options.steps).tolist()
    made = [edit(styles, w, row.direction[None], strengths, row.layers) for row in rows]
    save_grid(options.out, pictures.grid(torch.cat(made), options.steps))
    say(f"{options.out}: " + ", ".join(row.name for row in rows))
    if options.save is not None:
        with writing(options.save):
            rows[0].save(options.save)
        say(f"{options.save}: {rows[0].name}")
    return 0


def chosen_directions(styles: Styles, options: Options) -> list[Direction]:
    """The directions to edit along, a row each."""
    from gansmith.apply.directions import Direction, between, read
    from gansmith.apply.styles import chosen_layers, factorise

    if options.along:
        return [read(path, styles) for path in options.along]
    layers = tuple(chosen_layers(options.layers, styles.layers))
    name = options.save.stem if options.save is not None else ""
    if options.having:
        seeds = parse_seeds(options.without, "--without"), parse_seeds(options.having, "--having")
        return [Direction(name or "your direction", between(styles, *seeds, options.label), layers)]
    found = factorise(styles, layers, options.directions, options.first)
    return [
        Direction(name if name and not row else f"direction {options.first + row}", direction, layers)
        for row, direction in enumerate(found)
    ]


def read_styles(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Styles [1, L, D] from an .npz with ``w``.

    Raises:
        GansmithError: no such file, or of another model.
    """
    import numpy as np
    import torch

    from gansmith.files.npz import read_npz

    try:
        (w,) = read_npz(path, "w")
    except FileNotFoundError:
        raise GansmithError(f"There is no file '{path}'. 'gansmith invert' writes one.") from None
    except ValueError as error:
        raise GansmithError(f"{path} holds no styles ({error}). 'gansmith invert' writes them as w.npz.") from None
    w = w.astype(np.float32)
    if w.shape != shape:
        raise GansmithError(
            f"{path} holds styles of shape {list(w.shape)}, and this model takes {list(shape)}. Invert with this model."
        )
    if not np.isfinite(w).all():
        raise GansmithError(f"{path} holds styles that are not finite numbers. Invert the picture again.")
    return torch.from_numpy(w)
