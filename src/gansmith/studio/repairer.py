"""Works through the repairs of a workspace, in a process of its own that outlives the studio.

    python -m gansmith.studio.repairer WORKSPACE

One per workspace (a lock file says so). It keeps the last model in memory and waits a few minutes for more work, so that the next
repair begins at once. A repair whose process was killed is continued; its finished pictures stay.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from gansmith.studio import repair_files, repairs
from gansmith.studio.worker import read_json, write_json
from gansmith.studio.workspace import Workspace

IDLE_SECONDS = 300.0
"""It waits so long for more work before it ends."""
POLL = 0.2
WRITE_SECONDS = 0.25
"""State is written no more often than this while tiles are done."""
PATIENCE = 3.0
"""Seconds that a tile may still take after somebody asked to stop; then the process ends itself."""


class Cancelled(Exception):
    """Somebody asked to stop this repair."""


@dataclass
class Work:
    """A repair that is being done; what :mod:`repairs` shows of it."""

    folder: Path
    state: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    written: float = 0.0

    def tell(self, now: bool = True, **values: Any) -> None:
        """Change the state, and write it down (at most a few times a second unless ``now``)."""
        with self.lock:
            self.state |= values | {"updated": time.time()}
            if now or time.monotonic() - self.written > WRITE_SECONDS:
                self.written = time.monotonic()
                write_json(self.folder / "state.json", self.state)

    def check_stop(self) -> None:
        """Raise Cancelled where somebody asked for it."""
        if (self.folder / "stop").exists():
            raise Cancelled


class Repairer:
    """Does repairs one after the other."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.work: Work | None = None
        self._model: tuple[str, int, Any] | None = None

    def next(self) -> Path | None:
        """The oldest repair that waits."""
        folders = sorted((self.workspace.state / "repairs").glob("*/job.json"))
        return next((f.parent for f in folders if repairs.status_of(f.parent) == "queued"), None)

    def run(self, folder: Path) -> None:
        """Do a repair to its end, a stop or a failure that concerns all of it."""
        job, before = read_json(folder / "job.json"), read_json(folder / "state.json")
        done = {n: row for n, row in (before.get("results") or {}).items() if not row.get("reason")}
        self.work = work = Work(folder)
        began = time.monotonic()
        spent = float(before.get("seconds") or 0.0)
        work.tell(status="running", pid=os.getpid(), started=time.time(), results=done, picture=0, loading=True)
        try:
            model = self._load(job["model"])
            work.tell(loading=False)
            for number, picture in enumerate(job["pictures"]):
                if str(number) not in work.state["results"]:
                    work.check_stop()
                    self._picture(work, model, job, number, picture)
            status, error = "done", ""
        except Cancelled:
            status, error = "cancelled", ""
        except (
            Exception
        ) as reason:  # a model that cannot be loaded, a full disk: the page shows it, the next repair goes on
            status, error = "failed", " ".join(str(reason).split()) or type(reason).__name__
        results = work.state["results"]
        if status == "done" and results and all(row.get("reason") for row in results.values()):
            status, error = "failed", next(iter(results.values()))["reason"]
        work.tell(status=status, error=error, ended=time.time(), seconds=round(spent + time.monotonic() - began, 2))
        self.work = None

    def _load(self, name: str) -> Any:
        from gansmith.models.bundle import load

        folder = self.workspace.model(name)
        place = folder / "model" if (folder / "model").is_dir() else folder
        stamp = (place / "config.json").stat().st_mtime_ns
        if self._model is None or self._model[:2] != (str(place), stamp):
            self._model = None  # the old one's memory first
            self._model = (str(place), stamp, load(place))
        return self._model[2]

    def _picture(self, work: Work, model: Any, job: dict[str, Any], number: int, picture: dict[str, Any]) -> None:
        """One picture: translated as ``gansmith apply`` does, its result written as the kind of file it was."""
        from gansmith.apply.deep import trained_range
        from gansmith.apply.files import Options, apply_to_pictures
        from gansmith.apply.finding import Item

        folder, name, game = work.folder, picture["name"], model.game
        mask = folder / "seen" / f"{number}.mask.png"
        megapixels = size_of_work(picture, mask if game.takes_mask else None)
        rate = repairs.rates(self.workspace).get(job["model"])
        began = time.monotonic()
        work.tell(
            picture=number,
            done=0,
            of=0,
            picture_began=time.time(),
            tile_seconds=None,
            expected=None if rate is None else round(rate * megapixels, 2),
        )
        tiles = Tiles(work)
        options = Options(
            job.get("direction", "ab"),
            mask=_painted(mask, (picture["width"], picture["height"])) if game.takes_mask and mask.is_file() else None,
            overwrite=True,
            before=drawing(game, folder / "given" / f"{number}.png") if job.get("edges") else None,
            trained=trained_range(model.info),
        )
        item = Item(name, PurePosixPath(name), lambda: (folder / "in" / name).open("rb"))
        report = apply_to_pictures(game, [item], folder / "out", options, progress=tiles)
        seconds = time.monotonic() - began
        result: dict[str, Any] = {"seconds": round(seconds, 2)}
        if report.failed:
            result["reason"] = report.failed[0][1]
        else:
            result |= facts_of(folder, number, name, game.repairs) | (
                {"note": report.notes[0][1]} if report.notes else {}
            )
            repairs.keep_rate(self.workspace, job["model"], seconds / megapixels)
        work.tell(results=work.state["results"] | {str(number): result})


class Tiles:
    """Called after every tile: tells how far a picture is, and stops it where somebody asks."""

    def __init__(self, work: Work) -> None:
        self.work, self.seconds, self.last = work, 0.0, time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        passed, self.last = now - self.last, now
        # the first tile carries what comes before all of them; later ones are averaged, since a machine is not always as busy
        self.seconds = passed if done <= 2 else 0.7 * self.seconds + 0.3 * passed
        self.work.tell(done == of, done=done, of=of, tile_seconds=round(self.seconds, 4), tile_ended=time.time())
        self.work.check_stop()


def size_of_work(picture: dict[str, Any], mask: Path | None) -> float:
    """Millions of pixels that a model works on: of a mask, what lies around it."""
    pixels = picture["width"] * picture["height"]
    if mask is not None and mask.is_file():
        from PIL import Image

        with Image.open(mask, formats=("PNG",)) as painted:
            box = painted.convert("RGBA").getchannel("A").getbbox() or (0, 0, 1, 1)
            grow = picture["width"] / painted.width
        pixels = min(pixels, (grow * (box[2] - box[0]) + 128) * (grow * (box[3] - box[1]) + 128))
    return max(pixels, 4096) / 1e6


def _painted(mask: Path, size: tuple[int, int]) -> Path:
    """What was painted (opaque), as a black and white picture of the picture's own size."""
    from PIL import Image

    with Image.open(mask, formats=("PNG",)) as painted:
        white = painted.convert("RGBA").getchannel("A").point(repair_files.OPAQUE)
    if white.size != size:  # painted on a smaller copy of a very large picture
        white = white.resize(size, Image.Resampling.NEAREST)
    target = mask.with_name(f"{mask.name.partition('.')[0]}.hole.png")
    white.save(target)
    return target


def drawing(game: Any, target: Path) -> Any:
    """What turns a photograph into the drawing that a sketch model expects, and keeps that for the page."""

    def drawn(pixels: Any) -> Any:
        import torch

        from gansmith.damage import edges
        from gansmith.files.pictures import to_arrays
        from gansmith.studio.models import png

        images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        made = to_arrays(edges(images, "canny"))[0]
        made = made.repeat(game.inputs, 2) if game.inputs > 1 else made
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(png(made))
        return made

    return drawn


def facts_of(folder: Path, number: int, name: str, repairs: bool) -> dict[str, Any]:
    """A result's size, where it differs from the picture (left, top, right, bottom as shares), and a PNG where no browser shows it.

    Args:
        repairs: the result has the picture's black and white.
    """
    import numpy as np
    from PIL import Image

    out = folder / "out" / name
    result, deep = repair_files.seen(out, folder / "in" / name if repairs else None)
    facts: dict[str, Any] = {"width": result.width, "height": result.height, "bytes": out.stat().st_size}
    if deep or out.suffix.lower() not in repair_files.SHOWN_AS_THEY_ARE:
        target = folder / "after" / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        result.save(target, compress_level=1)
    with Image.open(folder / "seen" / f"{number}.png", formats=("PNG",)) as before:
        if before.size == result.size:
            small = max(1, min(result.width, 512)), max(1, min(result.height, 512))
            pair = [np.asarray(image.convert("RGB").resize(small)).astype(int) for image in (before, result)]
            rows, columns = np.nonzero(np.abs(pair[0] - pair[1]).max(-1) > 6)
            if len(rows):
                box = (
                    columns.min() / small[0],
                    rows.min() / small[1],
                    (columns.max() + 1) / small[0],
                    (rows.max() + 1) / small[1],
                )
                facts["box"] = [round(float(value), 4) for value in box]
    return facts


def watch(repairer: Repairer) -> None:
    """Beside the work: says that it goes on, and ends the process where a tile takes too long to stop."""
    asked: tuple[Path, float] | None = None
    while True:
        time.sleep(POLL)
        work = repairer.work
        if work is None:
            asked = None
            continue
        if time.time() - work.state.get("updated", 0.0) > 1.0:
            with contextlib.suppress(OSError):
                work.tell()
        if not (work.folder / "stop").exists():
            continue
        if asked is None or asked[0] != work.folder:
            asked = work.folder, time.monotonic()
        elif time.monotonic() - asked[1] > PATIENCE:
            with contextlib.suppress(OSError):
                work.tell(status="cancelled", ended=time.time())
            os._exit(0)  # whatever else waits is done by the next one


def work_through(workspace: Workspace, idle: float = IDLE_SECONDS) -> None:
    """Do what waits, and wait ``idle`` seconds for more."""
    repairer = Repairer(workspace)
    threading.Thread(target=watch, args=(repairer,), daemon=True).start()
    last = time.monotonic()
    while time.monotonic() - last <= idle:
        folder = repairer.next()
        if folder is None:
            time.sleep(POLL)
            continue
        repairer.run(folder)
        last = time.monotonic()


def main(root: Path) -> int:
    """Work in this workspace unless another one does."""
    from filelock import FileLock, Timeout

    workspace = Workspace(root)
    try:
        with FileLock(workspace.state / "repairer.lock").acquire(timeout=0):
            import gansmith.apply.files
            import gansmith.models.bundle  # noqa: F401 - so that the first repair does not wait for it

            work_through(workspace)
    except Timeout:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
