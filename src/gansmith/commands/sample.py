"""Draw new pictures from a model: a grid, a folder or an .npz."""

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
    """Options of ``gansmith sample``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    out: Path = Path("grid.png")
    """grid.png (or .jpg, .webp) writes one grid, a name without suffix a folder of pictures, images.npz one array."""
    n: int = 64
    """How many pictures."""
    seed: int = 0
    """The same seed gives the same pictures."""
    seeds: str | None = None
    """One picture per seed instead, for example 0-63 or 3,7,11-20."""
    label: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """Only this class, by number or name (conditional models); by default every class in turn."""
    truncation: float = 1.0
    """Below 1: closer to the average picture, less variety."""
    columns: int = 0
    """Pictures per row of the grid; 0 chooses."""
    batch: int = 64
    """Pictures computed at once."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""
    overwrite: bool = False
    """Write into a folder that has pictures already, or over an .npz."""


def main(argv: list[str]) -> int:
    """Run ``gansmith sample``."""
    options = parse(Options, argv, "sample", __doc__ or "")
    if options.n < 1:
        raise GansmithError(f"--n is how many pictures to draw: 1 or more, not {options.n}.")
    numbers = None if options.seeds is None else parse_seeds(options.seeds)
    check_out(options.out, options.overwrite)
    import torch

    from gansmith import devices
    from gansmith.bundle import load
    from gansmith.pictures import to_arrays

    model = load(options.model).to(devices.resolve(options.device, "fp32").torch_device)
    count = options.n if numbers is None else len(numbers)
    labels = model.labels(count, options.label)
    latents = (
        model.latents(count, options.seed) if numbers is None else torch.cat([model.latents(1, s) for s in numbers])
    )
    images = model.decode(latents, labels, options.truncation, options.batch)
    write(options, to_arrays(images), images, None if labels is None else labels.numpy(), model.classes)
    print(f"{count} pictures: {options.out}", file=sys.stderr)
    return 0


def parse_seeds(text: str) -> list[int]:
    """``3,7,11-13`` -> [3, 7, 11, 12, 13].

    Raises:
        GansmithError: it is not written like that.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise GansmithError(f"--seeds '{text}' is not understood. Write numbers and ranges: 0-63 or 3,7,11-20.")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def check_out(out: Path, overwrite: bool) -> None:
    """Before any work: can the result be written there?"""
    from gansmith.pictures import PICTURE_SUFFIXES

    suffix = out.suffix.lower()
    if suffix and suffix not in (*PICTURE_SUFFIXES, ".npz") and not out.is_dir():
        raise GansmithError(
            f"--out {out}: give a picture ({', '.join(PICTURE_SUFFIXES)}), an .npz, or a folder name without suffix."
        )
    if not overwrite and suffix == ".npz" and out.exists():
        raise GansmithError(f"{out} exists. Choose another --out, or add --overwrite.")
    if not overwrite and out.is_dir() and any(out.iterdir()):
        raise GansmithError(f"The folder {out} is not empty. Choose another --out, or add --overwrite.")


def write(options: Options, arrays, images, labels, classes: int) -> None:
    """Write pictures uint8 [N, H, W, C] as what ``--out`` names."""
    import numpy as np

    from gansmith import pictures

    out = options.out
    if out.suffix.lower() == ".npz":
        x = arrays[..., 0] if arrays.shape[-1] == 1 else arrays
        out.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(out, **({"x": x} if labels is None else {"x": x, "y": labels}))
    elif out.suffix and not out.is_dir():
        columns = options.columns or (
            classes if 1 < classes <= 16 and options.label is None else round(len(images) ** 0.5)
        )
        pictures.save(out, pictures.grid(images, max(columns, 1)))
    else:
        for i, array in enumerate(arrays):
            name = f"{i:06d}.png" if labels is None else f"{int(labels[i])}/{i:06d}.png"
            pictures.save(out / name, array)
