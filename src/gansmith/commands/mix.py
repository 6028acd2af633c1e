"""Mix styles: a grid of pictures with the coarse styles of one and the fine styles of another (StyleGAN)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gansmith.commands._parse import parse, say
from gansmith.commands.sample import MOST_PICTURES, check_draw, check_file, parse_seeds, save_grid
from gansmith.errors import GansmithError


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith mix``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    rows: str = "0-3"
    """Seeds of the pictures that give all other styles."""
    columns: str = "4-9"
    """Seeds of the pictures that give the styles of --layers."""
    layers: str = "fine"
    """Which layers take the column's style: coarse, middle, fine, or numbers such as 0-3,7."""
    label: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """Class number or name (conditional models)."""
    truncation: float = 0.7
    """Below 1: closer to the average picture."""
    out: Path = Path("mix.png")
    """The picture to write."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""
    overwrite: bool = False
    """Replace the file if it is there."""


def main(argv: list[str]) -> int:
    """Run ``gansmith mix``."""
    options = parse(Options, argv, "mix", __doc__ or "")
    rows, columns = parse_seeds(options.rows, "--rows"), parse_seeds(options.columns, "--columns")
    if len(rows) * len(columns) > MOST_PICTURES:
        raise GansmithError(
            f"--rows and --columns make {len(rows) * len(columns):,} pictures; at most {MOST_PICTURES:,} fit in one."
        )
    check_draw(truncation=options.truncation)
    from gansmith import devices
    from gansmith.apply.styles import Styles, chosen_layers, mix
    from gansmith.files import pictures
    from gansmith.models.bundle import load

    check_file(options.out, pictures.PICTURE_SUFFIXES, "pictures", options.overwrite)
    styles = Styles(load(options.model).to(devices.resolve(options.device, "fp32").torch_device))
    layers = chosen_layers(options.layers, styles.layers)
    label, truncation = options.label, options.truncation
    grid = mix(styles, styles.of_seeds(rows, label, truncation), styles.of_seeds(columns, label, truncation), layers)
    save_grid(options.out, pictures.grid(grid, len(columns) + 1))
    say(f"{options.out}")
    return 0
