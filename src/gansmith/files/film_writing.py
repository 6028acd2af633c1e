"""Films as they are written: pieces of frames, joined at the end with the sound of the film they come from."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from gansmith.errors import GansmithError
from gansmith.files.atomic import clear_leftovers, replacing
from gansmith.files.film import KEPT, Film, ffmpeg, last_line, quiet


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
        return GansmithError(f"The film could not be encoded ({last_line(self.said.read())}).")


def _timescale(rate: Fraction) -> int:
    """Ticks per second of which every frame takes a whole number."""
    return rate.numerator * (1 if rate.numerator >= 10_000 else -(-10_000 // rate.numerator))


def suffix_for(path: Path) -> str:
    """The ending of a result's name: the film's own, or ``.mp4`` for kinds that are not written."""
    return path.suffix.lower() if path.suffix.lower() in KEPT else ".mp4"


def join(pieces: Sequence[Path], film: Film, target: Path) -> list[str]:
    """Put pieces together with the film's sound and subtitles, whole or not at all; returns what a person should know.

    Raises:
        GansmithError: ffmpeg cannot write it.
    """
    clear_leftovers(target.parent, target.name)
    sound = "libopus" if target.suffix == ".webm" else "aac"
    ways: list[tuple[list[str], str]] = [(["-map", "1:a?", "-map", "1:s?", "-c", "copy"], "")]
    ways += [(["-map", "1:a?", "-c", "copy"], "its subtitles were left out: this kind of file cannot hold them")]
    ways += [
        (
            ["-map", "1:a?", "-c:v", "copy", "-c:a", sound],
            f"its sound was encoded anew ({sound}): this kind of file cannot hold it as it was",
        )
    ]
    with tempfile.TemporaryDirectory() as folder, replacing(target, ending=True) as temporary:
        listing = Path(folder) / "pieces.txt"
        listing.write_text("".join(f"file '{_escaped(piece)}'\n" for piece in pieces), encoding="utf-8")
        given = ["-f", "concat", "-safe", "0", "-i", listing, "-i", film.path, "-map", "0:v:0"]
        fast = ["-movflags", "+faststart"] if target.suffix in (".mp4", ".m4v", ".mov") else []
        for words, note in ways:
            done = subprocess.run(
                quiet("-y", *given, *words, "-map_metadata", "1", *fast, temporary), capture_output=True
            )
            if done.returncode == 0:
                return [note] if note else []
        raise GansmithError(f"{target.name} could not be put together ({last_line(done.stderr)}).")


def _escaped(path: Path) -> str:
    return str(path.resolve()).replace("'", "'\\''")
