"""Runs followed by an experiment tracker: Weights & Biases, or trackio, which has the same interface.

Both keep runs on this machine too (``WANDB_MODE=offline``; trackio without ``TRACKIO_SPACE_ID``). TensorBoard's files are
always written, whatever is tracked besides (:class:`gansmith.training.display.TensorBoard`).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import uuid
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from gansmith.config import Tracking
from gansmith.errors import GansmithError
from gansmith.files.run import Run
from gansmith.training.state import State


def check(service: Tracking) -> None:
    """Raise a GansmithError unless the tracker's package is installed."""
    if service != "none" and _missing(service):
        raise GansmithError(f"--track {service} needs the package {service}: pip install 'gansmith[track]'.")


def _missing(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is None
    except ValueError:  # it stands in sys.modules as not to be imported
        return True


class Tracker:
    """Sends every number of the log, and the sample grids, to a tracker; images seen is the step.

    A run that is resumed goes on as the same run there. A tracker that fails in the middle of a run is left alone from
    then on: training never stops for it.

    Args:
        service: which one.
        run: the run, whose folder names it and whose settings go along.
        warn: told once when the tracker fails.

    Raises:
        GansmithError: it cannot be started; the message is the tracker's own.
    """

    def __init__(self, service: Literal["wandb", "trackio"], run: Run, warn: Callable[[str], None]) -> None:
        self.service, self.warn = service, warn
        self.module = importlib.import_module(service)
        run.facts.setdefault("tracked_as", uuid.uuid4().hex[:8])
        run.write_config()
        project = os.environ.get(f"{service.upper()}_PROJECT", "gansmith")
        settings = {"family": run.family, **run.train, **run.settings, **run.facts}
        name = f"{run.root.name}-{run.facts['tracked_as']}"
        own: dict[str, Any] = {"id": name, "dir": str(run.root)} if service == "wandb" else {"embed": False}
        try:
            self.run: Any = self.module.init(project=project, name=name, config=settings, resume="allow", **own)
        except Exception as error:  # theirs to define: no login, no network, no such project
            raise GansmithError(
                f"{service} could not start: {' '.join(str(error).split()) or type(error).__name__}. Log in to it, keep the run on this "
                f"machine ({'WANDB_MODE=offline' if service == 'wandb' else 'unset TRACKIO_SPACE_ID'}), or leave --track out; then go on "
                f"with: gansmith train --resume --out {run.root}"
            ) from None

    def show(self, record: dict[str, Any]) -> None:
        """Send a log record."""
        values = {name: value for name, value in record.items() if name not in ("images", "step")}
        self._try(lambda: self.run.log(values, step=record["images"]))

    def grid(self, array: np.ndarray, state: State) -> None:
        """Send a sample grid, uint8 [H, W] or [H, W, C]."""
        self._try(lambda: self.run.log({"samples": self.module.Image(array)}, step=state.clock.images))

    def close(self) -> None:
        """End the run there."""
        self._try(lambda: self.run.finish())

    def _try(self, call: Callable[[], Any]) -> None:
        if self.run is None:
            return
        try:
            call()
        except Exception as error:
            self.run = None
            self.warn(f"{self.service} failed ({error}) and gets no more of this run. Training goes on.")
