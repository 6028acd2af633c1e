"""Everything a run writes and shows as it goes: log, grids, checkpoints, models, the coach's words, the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gansmith import chance, checkpoint, coach, hooks
from gansmith.data.batches import to_uint8
from gansmith.engine import Hook, State
from gansmith.game import Game, Logs
from gansmith.report import write_report
from gansmith.reporting import TensorBoard
from gansmith.tracking import Tracker
from gansmith.vitals import Vitals, classifier_for

if TYPE_CHECKING:
    from gansmith.training import Session

LOG_LINES = 500
"""Log lines per run where ``--log-images`` does not say."""


class Outputs:
    """The hooks of a run, and what has to be finished after it. Only the first process writes anything.

    Attributes:
        hooks: for the engine, in order.
        findings: everything the coach has said.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.hooks: list[Hook] = [session.average]
        self.findings: list[coach.Finding] = []
        self.boards: list[TensorBoard | Tracker] = []
        if not session.main:
            return
        settings, state, data = session.settings, session.state, session.data
        device = session.device.torch_device
        self.records = list(session.run.records())
        self.boards.append(TensorBoard(session.run.root / "tb"))
        self.log = hooks.Log(self._write, log_due(settings.log_images, state))
        self.snapshots = hooks.Snapshots(
            session.run, session.average, data.preview_batch(64, device), settings.snapshots, settings.seed
        )
        self.save = hooks.Save(settings.save_minutes, self._check, self._checkpoint, self._model)
        vitals = Vitals(
            data.preview_batch(256, device), data.unseen_batch(device), classify=classifier_for(data.name, data.spec)
        )
        self.hooks.append(vitals)
        if settings.eval_every:
            self.hooks.append(Evaluate(session, settings.eval_every))
        self.hooks += [self.log, self.snapshots, self.save]
        if state.clock.images == 0:
            self.save.now(state)  # a run can be resumed from its first moment on
        if settings.track != "none":
            self.boards.append(Tracker(settings.track, session.run, session.display.warn))
        self.snapshots.on_grid += [board.grid for board in self.boards]

    def save_last(self, status: str) -> None:
        """The last checkpoint and model, and the film of a finished run."""
        if self.session.main:
            self.save.now(self.session.state)
            if status == "finished":
                self.snapshots.finish()

    def close(self, status: str) -> None:
        """Write the report, mark the run as ended."""
        if not self.session.main:
            return
        for board in self.boards:
            board.close()
        run = self.session.run
        run.facts |= {"status": status, "images": self.session.state.clock.images}
        run.write_config()
        run.write_skipped(self.session.data.skipped)
        write_report(run, self.findings, status)

    def _write(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        found = coach.diagnose(self.records)
        record["health"] = found[0].headline if found else "healthy"
        known = {finding.kind for finding in self.findings}
        self.findings += [finding for finding in found if finding.kind not in known]
        self.session.run.log(record)
        self.session.display.health = record["health"]
        self.session.display.show(record)
        for board in self.boards:
            board.show(record)

    def _check(self, state: State) -> None:
        self.log.flush(state)
        hooks.check_weights(self.session.game, state)

    def _checkpoint(self, state: State) -> None:
        checkpoint.save(self.session.run.checkpoints, f"{state.clock.images:012d}", self.session.tree())

    def _model(self, state: State) -> None:
        hooks.write_model(
            self.session.run.model,
            self.session.average,
            self.session.name,
            self.session.info(),
            self.session.batch,
            state.seed,
        )


class Evaluate:
    """A hook that measures the samples every so many images, and keeps the best model beside the last.

    Args:
        samples: how many pictures are drawn for a measurement.
    """

    def __init__(self, session: Session, every: int, samples: int = 1000) -> None:
        from gansmith.metrics.cheap import Cheap

        self.session, self.every = session, every
        self.samples = min(samples, len(session.data))
        self.cheap = Cheap(session.data.source)
        self._name = f"score/{self.cheap.name}"
        self._done = session.state.clock.images // every
        seen = [record[self._name] for record in session.run.records() if self._name in record]
        self.best = min(seen, default=float("inf"))

    def __call__(self, game: Game, state: State, logs: Logs) -> None:
        if state.clock.images // self.every <= self._done and state.clock.progress < 1.0:
            return
        self._done = state.clock.images // self.every
        session = self.session
        averaged = session.average.ready(session.batch, state.seed)
        real = session.data.preview_batch(min(64, self.samples), session.device.torch_device)
        parts, drawn = [], 0
        with torch.inference_mode():
            while drawn < self.samples:
                parts.append(
                    to_uint8(averaged.metrics_images(real, chance.derive(state.seed, "evaluate", drawn)).cpu())
                )
                drawn += len(parts[-1])
        score = self.cheap(torch.cat(parts))
        logs[self._name] = torch.tensor(score)
        if score < self.best:
            self.best = score
            info = session.info() | {"metrics": {self.cheap.name: score}}
            best: Path = session.run.root / "model-best"
            hooks.write_model(best, session.average, session.name, info, session.batch, state.seed)


def log_due(log_images: int, state: State) -> Callable[[State], bool]:
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
