"""Walk through a model's latent space: a smooth, looping video."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gansmith.commands._parse import parse
from gansmith.errors import GansmithError


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


def main(argv: list[str]) -> int:
    """Run ``gansmith walk``."""
    options = parse(Options, argv, "walk", __doc__ or "")
    if options.seconds <= 0 or options.fps <= 0 or options.points < 2 or options.tiles < 1:
        raise GansmithError("--seconds and --fps must be above 0, --points at least 2 and --tiles at least 1.")
    from gansmith import devices, pictures
    from gansmith.apply.walk import walk
    from gansmith.bundle import load

    if options.out.suffix.lower() not in pictures.VIDEO_SUFFIXES:
        raise GansmithError(f"--out {options.out}: videos are written as {', '.join(pictures.VIDEO_SUFFIXES)}.")
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
    pictures.save_video(options.out, frames, options.fps)
    print(f"{options.out}", file=sys.stderr)
    return 0
