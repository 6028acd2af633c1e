"""Everything a run writes and shows as it goes: log, grids, checkpoints, models, the coach's words, the report."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gansmith.abilities import Sampled
from gansmith.data.photographs import Photographs
from gansmith.data.sources import Pictures
from gansmith.devices import peak_megabytes
from gansmith.errors import GansmithError, first_line
from gansmith.files.pictures import to_uint8
from gansmith.game import Game, Logs
from gansmith.health import coach
from gansmith.health.believable import features_for
from gansmith.health.copies import CHUNK, MOST, MOST_STREAMED, Copies
from gansmith.health.report import write_report
from gansmith.health.vitals import Vitals, classifier_for
from gansmith.parallel import seeding, seeds
from gansmith.training import checkpoint, hooks
from gansmith.training.context import RunContext
from gansmith.training.display import TensorBoard
from gansmith.training.engine import Hook
from gansmith.training.state import State
from gansmith.training.trackers import Tracker

LOG_LINES = 500
"""Log lines per run where ``--log-images`` does not say."""


class Outputs:
    """The hooks of a run, and what has to be finished after it. Only the first process writes anything.

    Attributes:
        hooks: for the engine, in order.
        findings: everything the coach has said.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.hooks: list[Hook] = [context.average]
        self.findings: list[coach.Finding] = []
        self.records: list[dict[str, Any]] = []
        self.boards: list[TensorBoard | Tracker] = []
        if not context.main:
            return
        settings, state, data = context.settings, context.state, context.data
        device = context.device.torch_device
        self.records = list(context.run.records())
        self.findings = said_before(context.run.facts, state.clock.images) or coach.history(self.records)
        if (
            _makes_pictures(context)
            and (few := coach.few_pictures(len(data))) is not None
            and few.kind not in {f.kind for f in self.findings}
        ):
            self.findings.insert(0, few)
        self.boards.append(TensorBoard(context.run.root / "tb", context.display.warn))
        self.log = hooks.Log(
            self._write, log_due(settings.log_images, state), functools.partial(peak_megabytes, device)
        )
        self.snapshots = hooks.Snapshots(
            context.run, context.average, data.preview_batch(64, device), settings.snapshots, settings.seed, state.clock
        )
        self.save = hooks.Save(settings.save_minutes, self._check, self._checkpoint, self._model)
        vitals = Vitals(
            data.preview_batch(256, device),
            data.unseen_batch(device),
            classify=classifier_for(data.name, data.spec),
            begins=state.clock,
            copies=self._copies(),
            features=features_for(data.name, data.spec) if _makes_pictures(context) else None,
        )
        self.hooks.append(vitals)
        if settings.eval_every:
            self.hooks.append(Evaluate(context, settings.eval_every))
        self.hooks += [self.log, self.snapshots, self.save]
        if state.clock.images == 0:
            self.save.now(state)  # a run can be resumed from its first moment on
        if settings.track != "none":
            self.boards.append(Tracker(settings.track, context.run, context.display.warn))
        self.snapshots.on_grid += [board.grid for board in self.boards]

    def _copies(self) -> Copies | None:
        """The training pictures that samples are compared with; None where samples are no pictures of their own."""
        data = self.context.data
        if not _makes_pictures(self.context):
            return None
        batches = data.batches(CHUNK, seeding.derive(0, "copies"), torch.device("cpu"), False, process=seeds.ALONE)
        batches.flip = False
        most = MOST_STREAMED if isinstance(data.source, Pictures) and data.source.streams else MOST
        return Copies(batches.one, len(data.trained_on), self.context.settings.flip, most)

    def begin(self) -> None:
        """Training begins now: rates count from here."""
        if self.context.main:
            self.log.begin(self.context.state)
            self.context.display.begin(self.context.state.clock.images)

    def save_last(self, status: str) -> None:
        """The last checkpoint and model, and the film of a finished run."""
        if self.context.main:
            self.save.now(self.context.state)
            if status == "finished":
                try:
                    self.snapshots.finish()
                except (GansmithError, OSError) as error:  # the run itself is safe on the disk
                    self.context.display.warn(f"The film of {self.context.run.samples} is missing: {first_line(error)}")

    def close(self, status: str, reason: str = "") -> None:
        """Mark the run as ended, and write the report. On a full disk it warns, and hides nothing that was raised before.

        Args:
            status: ``finished``, ``stopped``, ``diverged`` or ``failed``.
            reason: what went wrong, where something did.
        """
        if not self.context.main:
            return
        for board in self.boards:
            board.close()
        run = self.context.run
        run.facts.pop("failure", None)
        run.facts |= {"status": status, "images": self.context.state.clock.images}
        run.facts |= {"failure": reason} if reason else {}
        run.facts["coach"] = [finding.headline for finding in self.findings]
        run.facts["findings"] = [dataclasses.asdict(finding) for finding in self.findings]
        try:
            run.write_config()
            run.write_skipped(self.context.data.skipped)
            write_report(run, self.findings)
        except OSError as error:
            self.context.display.warn(f"The report of {run.root} could not be written ({error.strerror or error}).")

    def _write(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        found = coach.diagnose(self.records)
        record["health"] = found[0].headline if found else "healthy"
        known = {finding.kind for finding in self.findings}
        self.findings += [finding for finding in found if finding.kind not in known]
        self.context.run.log(record)
        self.context.display.health = record["health"]
        self.context.display.show(record)
        for board in self.boards:
            board.show(record)

    def _check(self, state: State) -> None:
        self.log.flush(state)
        hooks.check_weights(self.context.game, state)

    def _checkpoint(self, state: State) -> None:
        checkpoint.save(self.context.run.checkpoints, f"{state.clock.images:012d}", self.context.tree())

    def _model(self, state: State) -> None:
        hooks.write_model(
            self.context.run.model,
            self.context.average,
            self.context.game,
            self.context.name,
            self.context.info(),
            self.context.batch,
            state.seed,
        )


def _makes_pictures(context: RunContext) -> bool:
    """Whether the run makes pictures from noise, and its data are whole pictures, not crops."""
    return isinstance(context.game, Sampled) and context.data.whole


class Evaluate:
    """A hook that measures the samples every so many images, and keeps the best model beside the last.

    Args:
        samples: how many pictures are drawn for a measurement.
    """

    def __init__(self, context: RunContext, every: int, samples: int = 1000) -> None:
        from gansmith.metrics.cheap import Cheap

        self.context, self.every = context, every
        self.samples = min(samples, len(context.data))
        source = context.data.source
        assert not isinstance(source, Photographs), "--eval-every is refused where windows are cut"
        self.cheap = Cheap(source, device=context.device.torch_device)
        count, seed = min(64, self.samples), seeding.derive(0, "evaluate")
        self.real = context.data.batches(count, seed, context.device.torch_device, False, process=seeds.ALONE)
        self.real.flip = False
        self._name = f"score/{self.cheap.name}"
        self._done = context.state.clock.images // every
        seen = [record[self._name] for record in context.run.records() if self._name in record]
        self.best = min(seen, default=float("inf"))

    def __call__(self, game: Game, state: State, logs: Logs) -> None:
        if state.clock.images // self.every <= self._done and state.clock.progress < 1.0:
            return
        self._done = state.clock.images // self.every
        context = self.context
        averaged = context.average.ready(context.batch, state.seed)
        parts, drawn = [], 0
        with torch.inference_mode():
            while (
                drawn < self.samples
            ):  # each part takes the classes of other real pictures, so classes are as frequent as in the data
                real = self.real.one(drawn)
                parts.append(
                    to_uint8(averaged.metrics_images(real, seeding.derive(state.seed, "evaluate", drawn)).cpu())
                )
                drawn += len(parts[-1])
        found = self.cheap.measure(torch.cat(parts))
        score = found[self.cheap.name]
        logs |= {self._name if name == self.cheap.name else name: torch.tensor(value) for name, value in found.items()}
        if score < self.best:
            self.best = score
            info = context.info() | {"metrics": {self.cheap.name: score}}
            best: Path = context.run.root / "model-best"
            hooks.write_model(best, context.average, game, context.name, info, context.batch, state.seed)


def said_before(facts: dict[str, Any], images: int) -> list[coach.Finding]:
    """What the coach said about a run before it was resumed at this many images, from its config.yaml."""
    kept = facts.get("findings")
    names = {field.name for field in dataclasses.fields(coach.Finding)}
    rows = [row for row in kept if isinstance(row, dict) and set(row) == names] if isinstance(kept, list) else []
    return [coach.Finding(**row) for row in rows if isinstance(row["images"], int) and row["images"] <= images]


def log_due(log_images: int | None, state: State) -> Callable[[State], bool]:
    """Is a log line due? Every ``log_images``, or ``LOG_LINES`` times per run."""

    def count(s: State) -> int:
        return s.clock.images // log_images if log_images else int(s.clock.progress * LOG_LINES)

    last = count(state)

    def due(s: State) -> bool:
        nonlocal last
        now, before = count(s), last
        last = now
        return now > before

    return due
