"""Draw new pictures from a model: a grid, a folder or an .npz."""

from __future__ import annotations

import io
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from gansmith.commands._parse import parse, say
from gansmith.config import Bounds, Count, check_numbers
from gansmith.errors import GansmithError
from gansmith.files.atomic import clear_leftovers, temporary_beside
from gansmith.files.paths import check_free, check_writable, folder_names, nearest_folder, writing

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from gansmith.models.bundle import Model

MOST_SEEDS = 100_000
MOST_PICTURES = 4096
"""In one grid of ``mix`` or ``edit``."""


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith sample``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    out: Path = Path("grid.png")
    """grid.png (or .jpg, .webp) writes one grid, a name without suffix a folder of pictures (with classes: a sub-folder for each,
    by its name), images.npz one array (with classes: y and class_names)."""
    n: int | None = None
    """How many pictures; by default 64, or ten of each class where there are up to 16."""
    seed: int = 0
    """The same seed gives the same pictures: the first of --n 64 are those of --n 8."""
    seeds: str | None = None
    """One picture per seed instead, for example 0-63 or 3,7,11-20; each is the first picture of its seed."""
    label: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """Only this class, by number or name (conditional models); by default every class in turn, and with --seeds the seed decides the class."""
    truncation: float = 1.0
    """Below 1: closer to the average picture, less variety."""
    columns: Annotated[int | None, Bounds(1, was=0)] = None
    """Pictures per row of the grid, in which each class has rows of its own; by default about as many as rows."""
    batch: Count = 64
    """Pictures computed at once."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""
    overwrite: bool = False
    """Replace what is there already: a file, or the pictures of the same names in a folder."""


def main(argv: list[str]) -> int:
    """Run ``gansmith sample``."""
    options = parse(Options, argv, "sample", __doc__ or "")
    if options.n is not None and options.n < 1:
        raise GansmithError(f"--n is how many pictures to draw: 1 or more, not {options.n}.")
    check_numbers(options)
    check_draw(options.seed, options.truncation)
    numbers = None if options.seeds is None else parse_seeds(options.seeds)
    check_out(options.out, options.overwrite)
    import torch

    from gansmith import devices
    from gansmith.models.bundle import load

    model = load(options.model).to(devices.resolve(options.device, "fp32").torch_device)
    count = (options.n or usual_count(model, options.label)) if numbers is None else len(numbers)
    in_turn = options.label is None and numbers is not None and model.classes > 0
    labels = model.labels(count, [s % model.classes for s in numbers or ()] if in_turn else options.label)
    latents = (
        model.latents(count, options.seed) if numbers is None else torch.cat([model.latents(1, s) for s in numbers])
    )
    write(options, model, latents, labels)
    say(f"{count} pictures: {options.out}")
    return 0


# --- what the commands that draw from a model share -------------------------------------------------------------------


def parse_seeds(text: str, flag: str = "--seeds") -> list[int]:
    """``3,7,11-13`` -> [3, 7, 11, 12, 13].

    Raises:
        GansmithError: it is not written like that, or names too many.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip(), re.ASCII)
        first, last = (0, -1) if match is None else (int(match[1]), int(match[2] or match[1]))
        if last < first:
            raise GansmithError(f"{flag} '{text}' is not understood. Write numbers and ranges: 0-63 or 3,7,11-20.")
        if len(numbers) + last - first >= MOST_SEEDS:
            raise GansmithError(f"{flag} '{text}' names more than {MOST_SEEDS:,} seeds. Draw them in several goes.")
        numbers += range(first, last + 1)
    return numbers


def check_draw(seed: int = 0, truncation: float = 1.0) -> None:
    """Raise where torch would not take a seed, or nothing could be drawn."""
    if not -(2**63) <= seed < 2**63:
        raise GansmithError(f"--seed {seed} is too large: a seed has at most 63 bits.")
    if not math.isfinite(truncation):
        raise GansmithError(f"--truncation is a number such as 0.7, not {truncation}.")


def check_out(out: Path, overwrite: bool) -> None:
    """Before any work: can the result be written there?"""
    from gansmith.files.pictures import PICTURE_SUFFIXES

    check_writable(out)
    suffix = out.suffix.lower()
    if suffix and suffix not in (*PICTURE_SUFFIXES, ".npz") and not out.is_dir():
        raise GansmithError(
            f"--out {out}: give a picture ({', '.join(PICTURE_SUFFIXES)}), an .npz, or a folder name without suffix."
        )
    if not suffix and out.exists() and not out.is_dir():
        raise GansmithError(f"--out {out} is a file, not a folder. Choose another --out.")
    check_free(out, overwrite)


def check_file(out: Path, suffixes: Sequence[str], what: str, overwrite: bool, flag: str = "--out") -> None:
    """Before any work: can a picture or a video be written there, and would nothing be lost?"""
    if out.suffix.lower() not in suffixes:
        raise GansmithError(f"{flag} {out}: {what} are written as {', '.join(suffixes)}.")
    if out.is_dir():
        raise GansmithError(f"{flag} {out} is a folder. Give the name of a file.")
    check_writable(out, flag)
    check_free(out, overwrite, flag)


def save_grid(out: Path, array: np.ndarray) -> None:
    """Write a grid of pictures.

    Raises:
        GansmithError: it has more pixels a side than the format can hold, or cannot be written.
    """
    from gansmith.files import pictures

    with writing(out):
        pictures.save(out, array)


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to write to whose files move into ``folder`` once all are there; where one fails, nothing is left."""
    temporary = temporary_beside(nearest_folder(folder) / "gansmith")
    try:
        with writing(folder):
            clear_leftovers(temporary.parent, "gansmith")
            temporary.mkdir()
            yield temporary
            for file in sorted(f for f in temporary.rglob("*") if f.is_file()):
                target = folder / file.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def class_names(model: Model) -> list[str]:
    """A name for every class that the model draws: the data's, or the number where the data had none."""
    names = model.spec.class_names
    return [names[i] if i < len(names) else str(i) for i in range(model.classes)]


def usual_count(model: Model, label: str | None) -> int:
    """How many pictures where nobody says: 64, or ten of each class where there are few enough to look at."""
    return 10 * model.classes if label is None and 1 < model.classes <= 16 else 64


def in_rows(images: Tensor, labels: Tensor | None, columns: int | None = None) -> tuple[Tensor, int]:
    """Pictures in the order of a grid, and how many stand in a row. Each class has rows of its own where it has four pictures or more.

    Args:
        images: [N, C, H, W] in [-1, 1].
        labels: class numbers [N], or None.
        columns: pictures per row; None chooses.

    Returns:
        The pictures [N', C, H, W], where white ones fill up the rows, and the pictures per row.
    """
    import torch

    classes = [] if labels is None else labels.unique().tolist()
    if len(classes) < 2 or len(images) < 4 * len(classes):
        return images, columns or max(1, round(len(images) ** 0.5))
    assert labels is not None
    groups = [images[labels == number] for number in classes]
    columns = columns or min(16, max(len(group) for group in groups))
    parts = []
    for group in groups:
        parts.append(group)
        parts.append(torch.ones(-len(group) % columns, *images.shape[1:]))
    return torch.cat(parts), columns


# --- writing ----------------------------------------------------------------------------------------------------------


def write(options: Options, model: Model, latents: Tensor, labels: Tensor | None) -> None:
    """Draw pictures and write them as what ``--out`` names."""
    import numpy as np
    import torch

    from gansmith.files import pictures
    from gansmith.files.atomic import write_atomically

    out = options.out

    def drawn() -> Iterator[Tensor]:
        for start in range(0, len(latents), options.batch):
            part = slice(start, start + options.batch)
            yield model.decode(
                latents[part], None if labels is None else labels[part], options.truncation, options.batch
            )

    if out.suffix and not out.is_dir() and out.suffix.lower() != ".npz":
        images, columns = in_rows(torch.cat(list(drawn())), labels, options.columns)
        save_grid(out, pictures.grid(images, columns))
    elif out.suffix.lower() == ".npz" and not out.is_dir():
        x = np.concatenate([pictures.to_arrays(images) for images in drawn()])
        content = io.BytesIO()
        x = x[..., 0] if x.shape[-1] == 1 else x
        arrays: dict[str, Any] = {"x": x}
        if labels is not None:
            arrays |= {"y": labels.numpy(), "class_names": np.array(class_names(model))}
        np.savez_compressed(content, **arrays)
        with writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, content.getvalue())
    else:
        folders = folder_names(class_names(model))
        with filling(out) as folder:
            count = 0
            for images in drawn():  # a folder may hold more pictures than memory does
                for array in pictures.to_arrays(images):
                    name = f"{count:06d}.png" if labels is None else f"{folders[int(labels[count])]}/{count:06d}.png"
                    pictures.save(folder / name, array)
                    count += 1
