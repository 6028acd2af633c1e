"""Films through ffmpeg: their facts, frame after frame out of them, frames into pieces, and pieces with the sound into one film."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from gansmith.errors import GansmithError

SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".wmv",
    ".flv",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".m2ts",
    ".3gp",
    ".ogv",
)
KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
"""Kinds of files that are written as what they were; others become ``.mp4``."""
_RATES = sorted(
    {Fraction(n * 1000, d) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120) for d in (1000, 1001)}
)
MOST_RATE, MOST_SIDE = Fraction(1000), 16_384


@dataclass(frozen=True)
class Film:
    """What is known of a film.

    Attributes:
        path: the file.
        width, height: of its frames as they are seen, after turning.
        rate: frames per second, exactly.
        frames: how many there are at this rate.
        shape: of a pixel, its width over its height.
        sound: it has any.
        steady: all its frames are equally long; others are repeated or left out to be at ``rate``.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    frames: int
    shape: Fraction
    sound: bool
    steady: bool

    @property
    def seconds(self) -> float:
        return float(self.frames / self.rate)


def ffmpeg() -> str:
    """The program.

    Raises:
        GansmithError: it is not installed.
    """
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise GansmithError(
            f"Films need the program ffmpeg, and none is found ({error}). pip install imageio-ffmpeg brings one; or name yours with "
            "the variable IMAGEIO_FFMPEG_EXE."
        ) from None


def quiet(*words: str | Path) -> list[str]:
    """The words that begin a call of FFmpeg, which then says nothing but errors."""
    return [ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", *map(str, words)]


def last_line(text: bytes) -> str:
    """The last line of what a program said that is not empty."""
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return re.sub(r"[^\x20-\x7e]", "?", lines[-1])[:200] if lines else "no reason given"


# --- facts ------------------------------------------------------------------------------------------------------------


def probe(path: Path) -> Film:
    """The facts of a film; reads the file through once, without decoding more than a frame.

    Raises:
        GansmithError: no film, damaged, without frames, or of a kind that this ffmpeg cannot decode.
    """
    if not path.is_file():
        raise GansmithError(f"There is no film '{path}'.")
    listed = subprocess.run([ffmpeg(), "-nostdin", "-hide_banner", "-i", path], capture_output=True).stderr
    streams = re.findall(rb"Stream #\d+:\d+.*?: (Video|Audio): ([^\n]*)", listed)
    if not any(kind == b"Video" and b"attached pic" not in rest for kind, rest in streams):
        what = "has sound but no pictures" if streams else "is no film, or it is damaged"
        raise GansmithError(f"{path.name} {what} ({last_line(listed)}).")
    seen = subprocess.run(quiet("-i", path, "-map", "0:V:0", "-c", "copy", "-f", "framecrc", "-"), capture_output=True)
    base, shape, stamps = _stamps(seen.stdout)
    if not stamps:
        raise GansmithError(f"{path.name} has no frames ({last_line(seen.stderr)}).")
    rate, steady = _rate(stamps, base, path.name)
    length = (stamps[-1] - stamps[0]) * base + 1 / rate
    width, height = _first_frame(path)
    return Film(
        path,
        width,
        height,
        rate,
        max(1, round(length * rate)),
        shape,
        any(kind == b"Audio" for kind, _ in streams),
        steady,
    )


def _stamps(listed: bytes) -> tuple[Fraction, Fraction, list[int]]:
    """Seconds per tick, a pixel's shape, and the frames' times in ticks, in order."""
    base, shape, stamps = Fraction(1, 1000), Fraction(1), []
    for line in listed.decode("ascii", "replace").splitlines():
        if line.startswith("#tb 0:"):
            base = _fraction(line.rpartition(" ")[2]) or base
        elif line.startswith("#sar 0:"):
            shape = _fraction(line.rpartition(" ")[2]) or shape
        elif line.startswith("0,"):
            words = [word.strip() for word in line.split(",")]
            if len(words) > 2 and words[2].lstrip("-").isdecimal():
                stamps.append(int(words[2]))
    return base, shape, sorted(set(stamps))


def _fraction(text: str) -> Fraction | None:
    top, _, bottom = text.partition("/")
    if not (top.isdecimal() and bottom.isdecimal()) or not int(top) or not int(bottom):
        return None
    return Fraction(int(top), int(bottom))


def _rate(stamps: Sequence[int], base: Fraction, name: str) -> tuple[Fraction, bool]:
    """Frames per second, and whether all frames are equally long (to a tick)."""
    if len(stamps) < 2:
        return Fraction(25), True
    steps = np.diff(np.array(stamps, np.int64))
    middle = int(np.median(steps))
    steady = bool((np.abs(steps - middle) <= 1).all())
    average = Fraction(len(stamps) - 1, 1) / ((stamps[-1] - stamps[0]) * base)
    exact = (
        1 / (middle * base)
        if steady and (steps == middle).all()
        else average
        if steady
        else 1 / (max(1, middle) * base)
    )
    near = min(_RATES, key=lambda rate: abs(rate - exact))
    # clocks that count milliseconds round 23.976 to 23.98; a standard rate within a thousandth is what was meant
    rate = near if abs(near / exact - 1) < Fraction(1, 2000) else exact.limit_denominator(100_000)
    if not 0 < rate <= MOST_RATE:
        raise GansmithError(f"{name} claims {float(rate):g} frames per second, which no film has; it is damaged.")
    return rate, steady


def _first_frame(path: Path) -> tuple[int, int]:
    """Width and height of a decoded frame, as it is seen."""
    done = subprocess.run(
        quiet("-i", path, "-map", "0:V:0", "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"),
        capture_output=True,
    )
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+\d+\s", done.stdout)
    if header is None:
        raise GansmithError(
            f"{path.name} cannot be decoded ({last_line(done.stderr)}). Where its codec is missing, name an ffmpeg that has it with "
            "the variable IMAGEIO_FFMPEG_EXE."
        )
    width, height = int(header[1]), int(header[2])
    if max(width, height) > MOST_SIDE:
        raise GansmithError(f"{path.name} has frames of {width}x{height}; at most {MOST_SIDE} px a side are read.")
    return width, height


# --- frames -----------------------------------------------------------------------------------------------------------


def frames(film: Film, start: int = 0) -> Iterator[np.ndarray]:
    """The frames from number ``start`` on, uint8 [H, W, 3], at the film's rate from the beginning of its sound.

    Raises:
        GansmithError: the film turns out to be damaged.
    """
    filters = f"fps={film.rate.numerator}/{film.rate.denominator}:start_time=0,scale={film.width}:{film.height}:flags=accurate_rnd+full_chroma_int"
    command = quiet("-i", film.path, "-map", "0:V:0", "-vf", filters, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    size = film.width * film.height * 3
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said)
        assert process.stdout is not None
        try:
            number = 0
            while len(data := _read(process.stdout, size)) == size:
                if number >= start:
                    yield np.frombuffer(data, np.uint8).reshape(film.height, film.width, 3)
                number += 1
            if process.wait() != 0:
                said.seek(0)
                raise GansmithError(
                    f"{film.path.name} could be read up to frame {number:,} only ({last_line(said.read())})."
                )
        finally:
            process.stdout.close()
            process.kill()
            process.wait()


def _read(stream: IO[bytes], size: int) -> bytes:
    """As many bytes as are asked for, or fewer at the end."""
    parts, missing = [], size
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def films_among(specs: Iterable[str]) -> tuple[list[Path], list[str]]:
    """The films that are named, and the other names; a pattern that fits films only stands for them."""
    import glob
    import os

    films: dict[Path, None] = {}
    others = []
    for spec in specs:
        path = Path(os.path.expanduser(spec))
        matches = (
            [path]
            if path.is_file() or not glob.has_magic(spec)
            else sorted(map(Path, glob.glob(str(path), recursive=True)))
        )
        found = [match for match in matches if match.suffix.lower() in SUFFIXES]
        films |= dict.fromkeys(found)
        if len(found) < len(matches) or not matches:
            others += [spec] if not found else [str(match) for match in matches if match not in films]
    return list(films), others
