"""Films through ffmpeg: their facts, frame after frame out of them, frames into pieces, and pieces with the sound into one film."""

from __future__ import annotations

import contextlib
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
_KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
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


def _quiet(*words: str | Path) -> list[str]:
    return [ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", *map(str, words)]


def _last_line(text: bytes) -> str:
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
        raise GansmithError(f"{path.name} {what} ({_last_line(listed)}).")
    seen = subprocess.run(_quiet("-i", path, "-map", "0:V:0", "-c", "copy", "-f", "framecrc", "-"), capture_output=True)
    base, shape, stamps = _stamps(seen.stdout)
    if not stamps:
        raise GansmithError(f"{path.name} has no frames ({_last_line(seen.stderr)}).")
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
        _quiet("-i", path, "-map", "0:V:0", "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"),
        capture_output=True,
    )
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+\d+\s", done.stdout)
    if header is None:
        raise GansmithError(
            f"{path.name} cannot be decoded ({_last_line(done.stderr)}). Where its codec is missing, name an ffmpeg that has it with "
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
    command = _quiet("-i", film.path, "-map", "0:V:0", "-vf", filters, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
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
                    f"{film.path.name} could be read up to frame {number:,} only ({_last_line(said.read())})."
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


class Piece:
    """A part of a film that is being encoded: a file of its own, whole once :meth:`close` has returned.

    Args:
        path: ``.mp4``; the codec is the one of the film that it will be part of.
        width, height: of the frames.
        rate: frames per second.
        suffix: of the whole film.
        shape: of a pixel.
    """

    def __init__(
        self, path: Path, width: int, height: int, rate: Fraction, suffix: str, shape: Fraction = Fraction(1)
    ) -> None:
        self.path, self.width, self.height = path, width, height
        self.temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
        codec = ["-c:v", "libx264", "-crf", "16", "-preset", "fast"]
        if suffix == ".webm":
            codec = [
                "-c:v",
                "libvpx-vp9",
                "-crf",
                "20",
                "-b:v",
                "0",
                "-deadline",
                "good",
                "-cpu-used",
                "4",
                "-row-mt",
                "1",
            ]
        filters = (
            f"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,setsar={shape.numerator}/{shape.denominator},"
            "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
        )
        frame = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width + width % 2}x{height + height % 2}"]
        command = [
            ffmpeg(), "-hide_banner", "-v", "error", "-y", *frame, "-framerate", f"{rate.numerator}/{rate.denominator}", "-i", "-",
            "-an", "-vf", filters, *codec, "-video_track_timescale", str(_timescale(rate)), str(self.temporary),
        ]  # fmt: skip
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self.said)

    def write(self, frame: np.ndarray) -> None:
        """Add a frame, uint8 [H, W, 3]; odd sides get their last row or column twice, as the codecs want even ones."""
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(np.ascontiguousarray(even).tobytes())
        except OSError:
            self.process.wait()
            raise self.failed() from None

    def close(self) -> None:
        """Finish the file.

        Raises:
            GansmithError: the encoder failed, for want of space for example.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if self.process.wait() != 0:
            raise self.failed()
        self.said.close()
        self.temporary.replace(self.path)

    def abandon(self) -> None:
        """Leave nothing of it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None and not self.process.stdin.closed:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        self.said.close()
        self.temporary.unlink(missing_ok=True)

    def failed(self) -> GansmithError:
        self.said.seek(0)
        return GansmithError(f"The film could not be encoded ({_last_line(self.said.read())}).")


def _timescale(rate: Fraction) -> int:
    """Ticks per second of which every frame takes a whole number."""
    return rate.numerator * (1 if rate.numerator >= 10_000 else -(-10_000 // rate.numerator))


def suffix_for(path: Path) -> str:
    """The ending of a result's name: the film's own, or ``.mp4`` for kinds that are not written."""
    return path.suffix.lower() if path.suffix.lower() in _KEPT else ".mp4"


def join(pieces: Sequence[Path], film: Film, target: Path) -> list[str]:
    """Put pieces together with the film's sound and subtitles, whole or not at all; returns what a person should know.

    Raises:
        GansmithError: ffmpeg cannot write it.
    """
    notes = []
    temporary = target.with_name(f".{target.stem}.tmp{target.suffix}")
    sound = "libopus" if target.suffix == ".webm" else "aac"
    ways: list[tuple[list[str], str]] = [(["-map", "1:a?", "-map", "1:s?", "-c", "copy"], "")]
    ways += [(["-map", "1:a?", "-c", "copy"], "its subtitles were left out: this kind of file cannot hold them")]
    ways += [
        (
            ["-map", "1:a?", "-c:v", "copy", "-c:a", sound],
            f"its sound was encoded anew ({sound}): this kind of file cannot hold it as it was",
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "pieces.txt"
        listing.write_text("".join(f"file '{_escaped(piece)}'\n" for piece in pieces), encoding="utf-8")
        given = ["-f", "concat", "-safe", "0", "-i", listing, "-i", film.path, "-map", "0:v:0"]
        fast = ["-movflags", "+faststart"] if target.suffix in (".mp4", ".m4v", ".mov") else []
        try:
            for words, note in ways:
                done = subprocess.run(
                    _quiet("-y", *given, *words, "-map_metadata", "1", *fast, temporary), capture_output=True
                )
                if done.returncode == 0:
                    notes += [note] if note else []
                    temporary.replace(target)
                    return notes
            raise GansmithError(f"{target.name} could not be put together ({_last_line(done.stderr)}).")
        finally:
            temporary.unlink(missing_ok=True)


def _escaped(path: Path) -> str:
    return str(path.resolve()).replace("'", "'\\''")


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
