"""Make a film of how a run's samples changed as training went on, of any length and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from gansmith.commands._parse import parse, say
from gansmith.commands.sample import check_file
from gansmith.config import Bounds, check_numbers
from gansmith.errors import GansmithError
from gansmith.files.paths import writing

if TYPE_CHECKING:
    import numpy as np

MOST_FRAMES, MOST_SIZE = 20_000, 8192


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith film``."""

    run: tyro.conf.Positional[Path]
    """A run folder, finished or not."""
    out: Path = Path("film.mp4")
    """The video: .mp4, .webm or .gif."""
    seconds: float = 10.0
    """Length in seconds. The last second stands still if there is room for it."""
    fps: float = 30.0
    """Frames per second."""
    size: Annotated[int | None, Bounds(16, MOST_SIZE, unit="pixels", was=0)] = None
    """The longer side; by default the grids' own size."""
    overwrite: bool = False
    """Replace the file if it is there."""


def main(argv: list[str]) -> int:
    """Run ``gansmith film``."""
    options = parse(Options, argv, "film", __doc__ or "")
    check_numbers(options)
    check_length(options.seconds, options.fps)
    from gansmith.files import pictures
    from gansmith.files.run import Run

    check_file(options.out, pictures.VIDEO_SUFFIXES, "videos", options.overwrite)
    run = Run.open(options.run)
    files = sorted(run.samples.glob("[0-9]*.png"))
    if not files:
        raise GansmithError(f"{options.run} has no grids in samples/ yet. They come as training goes on.")
    count = max(len(files) if options.seconds * options.fps < len(files) else 1, round(options.seconds * options.fps))
    with writing(options.out):
        pictures.save_video(options.out, _frames(files, count, round(options.fps), options.size), options.fps)
    say(f"{options.out}")
    return 0


def check_length(seconds: float, fps: float) -> None:
    """Raise a GansmithError unless a film of this length and rate can be made."""
    if not (0 < seconds < float("inf") and 0 < fps <= 240) or seconds * fps > MOST_FRAMES:
        raise GansmithError(
            f"--seconds and --fps must be above 0, --fps at most 240, and both together {MOST_FRAMES:,} frames at most."
        )


def _frames(files: list[Path], count: int, still: int, size: int | None) -> Iterator[np.ndarray]:
    """The grids, each shown equally long, the last one for a second more where there is time."""
    import numpy as np
    from PIL import Image

    from gansmith.files.pictures import opaque

    moving = max(1, count - still) if count > 2 * still else count
    shape: tuple[int, ...] | None = None
    last: tuple[int, np.ndarray] | None = None
    for number in range(count):
        index = min(number * len(files) // moving, len(files) - 1)
        if last is None or last[0] != index:
            grid = fitted(opaque(np.asarray(Image.open(files[index]))), size)
            if shape is not None and grid.shape != shape:  # another number of pictures: a run that was changed
                grid = np.asarray(Image.fromarray(grid).resize((shape[1], shape[0])))
            shape, last = grid.shape, (index, grid)
        yield last[1]


def fitted(frame: np.ndarray, size: int | None) -> np.ndarray:
    """A frame, uint8 [H, W] or [H, W, C], whose longer side has ``size`` pixels, or its own; small ones are enlarged without blur."""
    import numpy as np
    from PIL import Image

    height, width = frame.shape[:2]
    if size is None or size == max(height, width):
        return frame
    factor = size / max(height, width)
    how = Image.Resampling.NEAREST if factor >= 2 else Image.Resampling.LANCZOS
    flat = frame[..., 0] if frame.ndim == 3 and frame.shape[2] == 1 else frame
    return np.asarray(
        Image.fromarray(flat).resize((max(1, round(width * factor)), max(1, round(height * factor))), how)
    )
