"""A film through a translation model: frames in, frames out, its sound and rate kept; an interrupted film continues.

Finished pieces lie in ``OUT/.NAME.pieces`` until the film is whole, with a plan that says of what they are; pieces of
another film, model or setting are thrown away.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gansmith.apply.steady import Steady
from gansmith.errors import GansmithError
from gansmith.files.atomic import write_atomically
from gansmith.files.film import Film, frames, probe
from gansmith.files.film_writing import Piece, join, suffix_for
from gansmith.translation import Translation

SECONDS = 60.0
"""A piece is closed after this long, so that no more work is lost by an interruption."""
_LEAST, _MOST = 8, 240
"""Frames of a piece."""
_MOST_SIDE = 8192
"""Sides that players and codecs can be trusted with."""

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all)."""


@dataclass
class Pieces:
    """What is finished of a film.

    Attributes:
        folder: where the pieces lie.
        plan: what they are pieces of.
        done: frames in each piece, in order.
    """

    folder: Path
    plan: dict[str, Any]
    done: list[int] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, plan: dict[str, Any]) -> Pieces:
        """What an earlier command left, if it is of the same plan; else an empty folder."""
        try:
            document = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
            done = document.pop("done")
            whole = all((folder / f"{number:05d}.mp4").is_file() for number in range(len(done)))
            if document == json.loads(json.dumps(plan)) and whole and all(isinstance(n, int) and n > 0 for n in done):
                return cls(folder, plan, done)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return cls(folder, plan)

    @property
    def frames(self) -> int:
        return sum(self.done)

    @property
    def paths(self) -> list[Path]:
        return [self.folder / f"{number:05d}.mp4" for number in range(len(self.done))]

    def add(self, count: int) -> None:
        """Note that the next piece is whole."""
        self.done.append(count)
        write_atomically(self.folder / "plan.json", json.dumps({**self.plan, "done": self.done}))

    def next(self) -> Path:
        return self.folder / f"{len(self.done):05d}.mp4"


@dataclass(frozen=True)
class Work:
    """What is done to every frame.

    Attributes:
        game: the model.
        translate: a frame (RGB or RGBA) and what to fill of it -> the model's picture, of any size.
        mask_of: what to fill, bool [H, W], by the size (width, height) of the frames; None for models that fill nothing.
        settings: whatever else the result depends on, in words.
        steady: damp what flickers from frame to frame (:mod:`gansmith.apply.steady`).
        overwrite: replace results that are there.
    """

    game: Translation
    translate: Callable[[Image.Image, np.ndarray | None], Image.Image]
    mask_of: Callable[[tuple[int, int]], np.ndarray | None] = lambda size: None
    settings: str = ""
    steady: bool = True
    overwrite: bool = False

    def damper(self) -> Steady | None:
        return Steady(self.game) if self.steady else None


def apply_to_film(
    work: Work,
    path: Path,
    out: Path,
    *,
    progress: Progress = lambda done, of: None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Translate every frame of a film; returns the result's path.

    Args:
        out: the folder for it.
        say: told what a person should know.

    Raises:
        GansmithError: no film, without frames, too large a result, or one that exists. What is done stays for the next try.
    """
    target = out / f"{path.stem}{suffix_for(path)}"
    if target.exists() and path.exists() and target.samefile(path):
        raise GansmithError(f"its result would replace the film itself, {target}; choose another --out")
    if target.is_dir() or (target.exists() and not work.overwrite):
        raise GansmithError(f"{target} exists; --overwrite replaces it")
    film = probe(path)
    width, height = film.width * work.game.scale, film.height * work.game.scale
    if max(width, height) > _MOST_SIDE:
        raise GansmithError(f"its frames would be {width}x{height}; at most {_MOST_SIDE} px a side can be played")
    mask = work.mask_of((film.width, film.height))
    pieces = Pieces.open(out / f".{target.name}.pieces", _plan(work, film))
    if pieces.frames:
        say(f"it goes on at frame {pieces.frames + 1:,} of {film.frames:,}")
    if not film.steady:
        say(f"its frames are of different lengths; the result has {float(film.rate):g} frames in every second")
    if target.suffix != path.suffix.lower():
        say(f"it becomes {target.name}, for films are not written as {path.suffix}")
    _translate(work, film, pieces, target.suffix, mask, progress)
    if not pieces.frames:
        shutil.rmtree(pieces.folder, ignore_errors=True)
        raise GansmithError("it has no frames")
    for note in join(pieces.paths, film, target):
        say(note)
    shutil.rmtree(pieces.folder, ignore_errors=True)
    return target


def _plan(work: Work, film: Film) -> dict[str, Any]:
    """What a piece depends on, json-able."""
    weights = hashlib.sha256()
    for name, tensor in sorted(work.game.state_dict().items()):
        weights.update(name.encode())
        weights.update(tensor.detach().cpu().contiguous().reshape(-1).numpy().tobytes())
    stat = film.path.stat()
    return {
        "format": 1,
        "film": [film.path.name, stat.st_size, stat.st_mtime_ns, film.width, film.height, str(film.rate)],
        "model": weights.hexdigest(),
        "settings": [work.settings, work.steady],
    }


def _translate(
    work: Work, film: Film, pieces: Pieces, suffix: str, mask: np.ndarray | None, progress: Progress
) -> None:
    """Make the pieces that are missing."""
    number, steady = pieces.frames, work.damper()
    first = (
        max(0, number - 1) if steady is not None else number
    )  # the last frame again, for what the next ones take over
    piece: Piece | None = None
    count, since = 0, time.monotonic()
    progress(number, film.frames)
    try:
        for index, frame in enumerate(frames(film, first), first):
            made = np.asarray(work.translate(Image.fromarray(frame), mask).convert("RGB"))
            made = made if steady is None else steady(frame, made, mask)
            if index < number:
                continue
            if piece is None:
                piece = Piece(pieces.next(), made.shape[1], made.shape[0], film.rate, suffix, film.shape)
                count, since = 0, time.monotonic()
            piece.write(made)
            count += 1
            progress(index + 1, max(film.frames, index + 1))
            if count >= _MOST or (count >= _LEAST and time.monotonic() - since > SECONDS):
                piece.close()
                pieces.add(count)
                piece = None
        if piece is not None:
            piece.close()
            pieces.add(count)
            piece = None
    finally:
        if piece is not None:
            piece.abandon()
