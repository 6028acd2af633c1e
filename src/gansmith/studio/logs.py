"""What runs are doing, read cheaply: only what is new at the end of their logs, only files that changed."""

from __future__ import annotations

import os
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gansmith.errors import GansmithError, first_line
from gansmith.files.documents import MAX_LINE, Unreadable, parse_json
from gansmith.studio import models, scores

if TYPE_CHECKING:  # it brings torch, which need not be there before the page is
    from gansmith.files.run import Run
    from gansmith.game import ImageSpec

KEPT = 20_000
"""Records of one log held in memory; older ones are thinned out beyond that."""
SENT = 2000
"""Records sent at once; a longer log is thinned evenly for the curve."""
_ALIVE_SECONDS = 90.0
"""A run whose log is not older than this goes on, or twice the time between its lines; its first line may take longer."""
_COMPARED = 256
READ = 1 << 25
"""Bytes of a log that are read in one go; what is left is read next time."""


class Tail:
    """Follows a log.jsonl.

    Attributes:
        records: what has been read.
        scores: the newest value of every score in them.
        generation: grows whenever the log was rewritten (a resumed run forgets what came after its checkpoint).
    """

    def __init__(self, path: Path) -> None:
        self.path, self.records = path, []
        self.scores: dict[str, float] = {}
        self.generation = secrets.randbelow(10**6)  # a page that followed another log, or another server, starts anew
        self._offset, self._before, self._rest = 0, b"", b""

    def read(self) -> None:
        """Read what was added since last time."""
        try:
            with self.path.open("rb") as file:
                # what stood before the place it was read to: a log that was cut and has grown past it differs there
                file.seek(max(0, self._offset - _COMPARED))
                if file.read(min(_COMPARED, self._offset)) != self._before:
                    self.records, self._offset, self._rest, self._before = [], 0, b"", b""
                    self.scores = {}
                    self.generation += 1
                file.seek(self._offset)
                new = file.read(READ)
                self._offset += len(new)
                self._before = (self._before + new)[-_COMPARED:]
        except OSError:
            return
        *lines, rest = (self._rest + new).split(b"\n")
        self._rest = rest[: MAX_LINE + 1]  # a line without end is kept no longer than that
        for line in lines:
            try:
                record = parse_json(line.decode("utf-8", "replace")) if len(line) <= MAX_LINE else None
            except Unreadable:
                continue
            if isinstance(record, dict) and isinstance(record.get("images"), (int, float)):
                self.records.append(_finite(record))
                self.scores |= _scores(record)
        while len(self.records) > KEPT:
            self.records = self.records[::2]
            self.generation += 1


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """JSON in the browser knows no NaN."""
    return {
        k: None if isinstance(v, float) and (v != v or v in (float("inf"), float("-inf"))) else v
        for k, v in record.items()
    }


@dataclass(frozen=True)
class _Config:
    """A run's config.yaml as it was at some time, and what follows from it; without a run where it is damaged."""

    stamp: int
    run: Run | None
    spec: ImageSpec | None
    translates: bool


class Logs:
    """Tails and configs of many runs, kept while they do not change."""

    def __init__(self) -> None:
        self._tails: dict[Path, Tail] = {}
        self._runs: dict[Path, _Config] = {}
        self._lock = threading.Lock()

    def run(self, root: Path) -> Run | None:
        """A run's config.yaml, or None where it is damaged."""
        kept = self._config(root)
        return kept.run if kept is not None else None

    def _config(self, root: Path) -> _Config | None:
        """What a run's config.yaml says, read anew once it has changed; None where there is none."""
        from gansmith.files.run import Run

        try:
            stamp = (root / "config.yaml").stat().st_mtime_ns
        except OSError:
            return None
        kept = self._runs.get(root)
        if kept is None or kept.stamp != stamp:
            try:
                found = Run.open(root)
                kept = _Config(stamp, found, found.spec, models.translates(found.family))
            except (GansmithError, KeyError, TypeError, ValueError, AttributeError):
                kept = _Config(stamp, None, None, False)
            self._runs[root] = kept
        return kept

    def tail(self, root: Path) -> Tail:
        """The log of a run, read to its end."""
        with self._lock:
            tail = self._tails.setdefault(root, Tail(root / "log.jsonl"))
            tail.read()
            return tail

    def progress(self, root: Path) -> float:
        """How far a run is, in [0, 1]."""
        records = self.tail(root).records
        found = records[-1].get("progress") if records else 0.0
        return float(found) if isinstance(found, (int, float)) else 0.0

    def since(self, root: Path, generation: int, after: int) -> dict[str, Any]:
        """Records after the first ``after`` ones, or all of them (thinned) where the page's are of another generation."""
        tail = self.tail(root)
        records = list(tail.records)
        fresh = records[after:] if generation == tail.generation else records
        step = max(1, -(-len(fresh) // SENT))
        return {
            "generation": tail.generation,
            "total": len(records),
            "whole": generation != tail.generation,
            "records": fresh[::-1][::step][::-1],  # the newest always
        }

    def forget(self, root: Path) -> None:
        """A run was renamed or deleted."""
        with self._lock:
            self._tails = {path: tail for path, tail in self._tails.items() if not path.is_relative_to(root)}
            self._runs = {path: kept for path, kept in self._runs.items() if not path.is_relative_to(root)}

    def summary(self, root: Path, name: str, job: dict[str, Any] | None) -> dict[str, Any] | None:
        """A run in a few numbers, a broken one with what is wrong (``problem``), or None where the folder is no run."""
        kept = self._config(root)
        problem = "" if kept is not None and kept.run is not None else self.problem(root)
        if kept is not None and kept.run is not None and kept.spec is not None:
            try:
                return self._summary(root, name, job, kept.run, kept.spec, kept.translates)
            except OSError:
                return None  # renamed meanwhile
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:  # edited by hand
                problem = f"Its config.yaml or log.jsonl is damaged ({first_line(error)})."
        return _broken(name, problem) if problem else None

    def problem(self, root: Path) -> str:
        """Why a folder's config.yaml cannot be read as a run's; empty where it is another program's."""
        from gansmith.files.run import Run

        return Run.problem(root)

    def _summary(
        self, root: Path, name: str, job: dict[str, Any] | None, run: Run, spec: ImageSpec, translates: bool
    ) -> dict[str, Any]:
        tail = self.tail(root)
        last = tail.records[-1] if tail.records else {}
        progress, seconds = last.get("progress") or 0.0, last.get("seconds") or 0.0
        status = self._status(root, run, job)
        data = run.facts.get("data", {})
        return {
            "id": name,
            "family": run.family,
            "data": data.get("name", "?"),
            "data_spec": run.train.get("data"),
            "pictures": data.get("pictures"),
            "size": [spec.width, spec.height, spec.channels],
            "classes": spec.classes,
            "images": last.get("images", 0),
            "progress": progress,
            "seconds": seconds,
            "speed": last.get("images_per_second", 0.0),
            "left": seconds * (1 - progress) / progress if progress else None,
            "health": _health(run, last, status),
            "status": status,
            "job": job["id"] if job else None,
            "has_model": (root / "model" / "config.json").is_file(),
            "translates": translates,
            "grid": newest_grid(root),
            "created": int((root / "config.yaml").stat().st_ctime),
            "scores": scores.values(root) | tail.scores,
        }

    def _status(self, root: Path, run: Run, job: dict[str, Any] | None) -> str:
        if job is not None and job["status"] in ("queued", "running", "stopping"):
            return job["status"]
        config_age = time.time() - (root / "config.yaml").stat().st_mtime
        try:
            age = time.time() - (root / "log.jsonl").stat().st_mtime
        except OSError:
            age = config_age
        kept = run.facts.get("status")
        fresh = age < _patience(self.tail(root).records) and (kept is None or config_age > age + 5)
        if fresh and not _ended_with(job, time.time() - age):
            return "running"  # started by the command line
        return {"finished": "finished", "stopped": "stopped", "diverged": "diverged"}.get(str(kept), "stopped")


def _health(run: Run, last: dict[str, Any], status: str) -> str:
    """The coach's words: of this moment while a run goes on, and all that its report says once it has ended."""
    said = run.facts.get("coach")
    if status == "running" or not isinstance(said, list):
        return str(last.get("health", ""))
    return "; ".join(map(str, said)) or "healthy"


def _broken(name: str, problem: str) -> dict[str, Any]:
    """The row of a run that cannot be read."""
    nothing: dict[str, Any] = dict.fromkeys(("data_spec", "pictures", "left", "job", "grid"))
    numbers = dict.fromkeys(("classes", "images", "progress", "seconds", "speed", "created"), 0)
    flags = {"has_model": False, "translates": False, "size": [0, 0, 0], "scores": {}, "health": ""}
    return {
        "id": name,
        "family": "?",
        "data": "?",
        **nothing,
        **numbers,
        **flags,
        "status": "broken",
        "problem": problem,
    }


def _patience(records: list[dict[str, Any]]) -> float:
    """How many seconds a run may be silent before it counts as ended: a long one writes a line every few minutes."""
    if len(records) < 2:
        return 3 * _ALIVE_SECONDS
    return max(_ALIVE_SECONDS, 2.5 * (records[-1].get("seconds", 0.0) - records[-2].get("seconds", 0.0)))


def _ended_with(job: dict[str, Any] | None, logged: float) -> bool:
    """Was a log's last line, of time ``logged``, this job's? Else somebody has gone on with the run in a terminal."""
    if job is None or job["status"] not in ("done", "stopped", "failed"):
        return False
    return job["ended"] is None or logged <= job["ended"] + 5


def _scores(record: dict[str, Any]) -> dict[str, float]:
    """What a record says of measured scores."""
    return {
        key: value
        for key, value in record.items()
        if isinstance(value, (int, float)) and ("[" in key or key.startswith(("score/", "metric/", "eval/")))
    }


def grids(root: Path) -> list[int]:
    """Images seen at every sample grid of a run, in order."""
    try:
        names = os.listdir(root / "samples")
    except OSError:
        return []
    return sorted(int(name[:-4]) for name in names if name.endswith(".png") and name[:-4].isdecimal())


def newest_grid(root: Path) -> str | None:
    """File name of the last sample grid."""
    numbers = grids(root)
    return f"{numbers[-1]:010d}.png" if numbers else None
