"""Walk through a model's latent space: a smooth, looping video."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gansmith.commands._parse import parse, say
from gansmith.commands.film import MOST_SIZE, check_length, fitted
from gansmith.commands.sample import check_draw, check_file
from gansmith.config import Bounds, check_numbers
from gansmith.errors import GansmithError
from gansmith.files.paths import writing

MOST_FRAMES = 20_000


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith walk``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    out: Path = Path("walk.mp4")
    """The video: .mp4, .webm or .gif."""
    seconds: float = 8.0
    """Length of the loop."""
    fps: float = 30.0
    """Frames per second."""
    size: Annotated[int | None, Bounds(16, MOST_SIZE, unit="pixels", was=0)] = None
    """The video's longer side; by default what the pictures side by side have."""
    points: int = 6
    """How many random pictures it passes through."""
    tiles: int = 9
    """How many walks are shown side by side."""
    seed: int = 0
    """The same seed gives the same walk."""
    space: Literal["z", "w"] = "z"
    """Where to walk: among latents z, or among StyleGAN's styles w."""
    label: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """Only this class, by number or name (conditional models)."""
    truncation: float = 1.0
    """Below 1: closer to the average picture."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""
    overwrite: bool = False
    """Replace the file if it is there."""


def main(argv: list[str]) -> int:
    """Run ``gansmith walk``."""
    options = parse(Options, argv, "walk", __doc__ or "")
    if not (0 < options.seconds < math.inf and 0 < options.fps < math.inf) or options.points < 2 or options.tiles < 1:
        raise GansmithError("--seconds and --fps must be above 0, --points at least 2 and --tiles at least 1.")
    if options.fps > 240 or options.points > 1000 or options.tiles > 400 or options.seconds * options.fps > MOST_FRAMES:
        raise GansmithError(
            f"--fps is at most 240, --points 1,000, --tiles 400, and --seconds times --fps {MOST_FRAMES:,} frames."
        )
    check_numbers(options)
    check_length(options.seconds, options.fps)
    check_draw(options.seed, options.truncation)
    from gansmith import devices
    from gansmith.apply.walk import walk
    from gansmith.files import pictures
    from gansmith.models.bundle import load

    check_file(options.out, pictures.VIDEO_SUFFIXES, "videos", options.overwrite)
    model = load(options.model).to(devices.resolve(options.device, "fp32").torch_device)
    frames = walk(
        model,
        frames=max(2, round(options.seconds * options.fps)),
        points=options.points,
        tiles=options.tiles,
        seed=options.seed,
        space=options.space,
        label=options.label,
        truncation=options.truncation,
    )
    with writing(options.out):
        pictures.save_video(options.out, (fitted(frame, options.size) for frame in frames), options.fps)
    say(f"{options.out}")
    return 0
