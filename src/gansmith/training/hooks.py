"""What happens after a step besides training: averaging, logging, sample grids, checkpoints. f(game, state, logs)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gansmith.errors import Diverged
from gansmith.files import pictures
from gansmith.files.run import Run
from gansmith.game import Batch, Clock, Game, Logs
from gansmith.models.bundle import Model, averaged_copy
from gansmith.models.bundle import save as save_model
from gansmith.models.networks import opponent_tensors
from gansmith.training.scaling import SKIPPED
from gansmith.training.state import State


class Average:
    """Keeps the exponential moving average of the exported networks' weights; buffers are copied.

    A slow average is moved at every k-th step only, k times as far. k is the largest number with which the average moves at
    most :data:`Average.LEAP` of the way to the weights at once. Moving it at the steps in between would change nothing that
    can be seen, and on small networks averaging takes as long as a matrix product.

    Attributes:
        game: a twin of the game with the averaged networks, in eval mode.
    """

    LEAP = 0.02

    def __init__(self, game: Game, batch: int) -> None:
        self.game, self.batch = averaged_copy(game), batch
        # listed once: to walk all modules at every step takes longer than to average small networks
        pairs = [(self.game.get_submodule(name), game.get_submodule(name)) for name in game.exports]
        self._mine: list[Tensor] = [p.detach() for mine, _ in pairs for p in mine.parameters()]
        self._theirs: list[Tensor] = [p.detach() for _, theirs in pairs for p in theirs.parameters()]
        self._copies = [b for mine, _ in pairs for b in mine.buffers()]
        self._buffers = [b for _, theirs in pairs for b in theirs.buffers()]

    def interval(self, game: Game, clock: Clock) -> int:
        """At every how many steps the average moves at this moment; a function of the clock, so that resuming is exact."""
        way = 1 - game.ema_beta(clock, self.batch)
        return max(1, int(self.LEAP / way)) if way > 0 else 1

    @torch.no_grad()
    def __call__(self, game: Game, state: State, logs: Logs) -> None:
        every = self.interval(game, state.clock)
        if state.clock.step % every:
            return
        beta = game.ema_beta(state.clock, self.batch) ** every
        get_ema_multi_avg_fn(beta)(self._mine, self._theirs, 0)
        for copy, buffer in zip(self._copies, self._buffers, strict=True):
            copy.copy_(buffer)

    def ready(self, batch: int, seed: int) -> Game:
        """The averaged game, its statistics fresh."""
        with torch.no_grad():
            self.game.calibrate(batch, seed)
        return self.game


class Log:
    """Averages the logs of many steps and hands them on once per interval, so that the program rarely waits for the device.

    Args:
        write: called with one record of plain numbers.
        due: is a record due at this state?
        memory: gives the most memory taken on the device so far, in MB, or None.

    Raises (when called):
        Diverged: a logged value is NaN or infinite; in float16, at every step since the last record.
    """

    def __init__(
        self,
        write: Callable[[dict[str, Any]], None],
        due: Callable[[State], bool],
        memory: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.write, self.due, self.memory = write, due, memory
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int | Tensor] = {}
        self._since: tuple[int, float] | None = None

    def begin(self, state: State) -> None:
        """Training begins now: the first record's rate counts from here."""
        self._since = state.clock.images, time.monotonic()

    def __call__(self, game: Game, state: State, logs: Logs) -> None:
        if self._since is None:
            self.begin(state)
        scaled = any(name.startswith(SKIPPED) for name in logs)
        for name, value in logs.items():
            value, count = value.detach(), 1
            if scaled:  # a skipped step's infinities say nothing about the weights
                value, count = torch.where(value.isfinite(), value, 0), value.isfinite()
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
            self._counts[name] = self._counts.get(name, 0) + count
        if self.due(state) or state.clock.progress >= 1.0:
            self.flush(state)

    def flush(self, state: State) -> None:
        """Write what has gathered since the last record."""
        if not self._sums:
            return
        names = list(self._sums)
        values = numbers([self._sums[name].float() / self._counts[name] for name in names])
        now = time.monotonic()
        since = self._since or (state.clock.images, now)
        passed = now - since[1]
        record: dict[str, Any] = {
            "images": state.clock.images,
            "step": state.clock.step,
            "progress": round(state.clock.progress, 6),
            "seconds": round(state.seconds, 3),
            "images_per_second": round((state.clock.images - since[0]) / passed, 2) if passed > 0 else 0.0,
        }
        if (megabytes := self.memory()) is not None:
            record["memory_mb"] = megabytes
        record |= {name: float(f"{value:.6g}") for name, value in zip(names, values, strict=True)}
        self._sums, self._counts = {}, {}
        self._since = state.clock.images, now
        broken = [name for name, value in zip(names, values, strict=True) if not math.isfinite(value)]
        if broken:
            raise Diverged(
                f"{broken[0]} became {record[broken[0]]} at {state.clock.images:,} images. The last good state is in "
                "checkpoint/. Try a lower --lr, a gradient penalty (--r1 where the family has it), --clip-grad 1, or "
                "--precision fp32."
            )
        self.write(record)


def numbers(scalars: Sequence[Tensor]) -> list[float]:
    """Scalars of any devices as numbers: losses are on the run's device, vital signs and scores on the CPU.

    Every device is asked once for all of its scalars.
    """
    found = [0.0] * len(scalars)
    for device in {scalar.device for scalar in scalars}:
        places = [i for i, scalar in enumerate(scalars) if scalar.device == device]
        for i, value in zip(places, torch.stack([scalars[i] for i in places]).tolist(), strict=True):
            found[i] = value
    return found


EARLY = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Early grids, at these shares of the time until the first regular one: a run of hours shows its first pictures soon."""
EARLY_FROM = 10


class Snapshots:
    """Saves the preview grid as training goes on, and a film strip and a video of all of them at the end.

    Args:
        count: how many grids per run, evenly. Runs of :data:`EARLY_FROM` grids and more take some more before the first of these.
        begins: the clock of the run's start, or of the checkpoint that it goes on from.
    """

    def __init__(self, run: Run, average: Average, real: Batch, count: int, seed: int, begins: Clock) -> None:
        self.run, self.average, self.real, self.count, self.seed = run, average, real, count, seed
        self.on_grid: list[Callable[[np.ndarray, State], None]] = []
        # a function of the clock: a resumed run takes the grids that it would have taken, and none twice
        self._taken = self._number(begins.progress)

    def __call__(self, game: Game, state: State, logs: Logs) -> None:
        number = self._number(state.clock.progress)
        if number > self._taken:
            self._taken = number
            self.take(state)

    def _number(self, progress: float) -> float:
        """The last grid that is due at a progress in [0, 1]: 1, 2, 3, ..., and before 1 the early ones."""
        due = progress * self.count
        if due >= 1 or self.count < EARLY_FROM:
            return float(int(due))
        return max((mark for mark in EARLY if mark <= due), default=0.0)

    def take(self, state: State) -> Path:
        """Save the grid of this moment."""
        averaged = self.average.ready(self.real.world_size, self.seed)
        with torch.inference_mode():
            shown = averaged.preview(self.real, self.seed)
        array = pictures.grid(shown.images.float(), shown.columns)
        path = self.run.samples / f"{state.clock.images:010d}.png"
        pictures.save(path, array)
        for listener in self.on_grid:
            listener(array, state)
        return path

    def finish(self) -> None:
        """Make ``samples/film.png`` and ``samples/film.mp4`` from the grids."""
        from PIL import Image

        files = sorted(self.run.samples.glob("[0-9]*.png"))
        grids = [pictures.opaque(np.asarray(Image.open(file))) for file in files]
        grids = [g for g in grids if g.shape == grids[-1].shape]
        if grids:
            pictures.save(self.run.samples / "film.png", pictures.film_strip(grids))
            pictures.save_video(self.run.samples / "film.mp4", [g for g in grids for _ in range(5)] + [grids[-1]] * 30)


class Save:
    """Writes the checkpoint and the model every few minutes, and whenever it is told to.

    Args:
        gather: gives the whole state of the run as a tree of tensors and plain values.
        write_checkpoint: writes that tree.
    """

    def __init__(
        self,
        minutes: float,
        check: Callable[[State], None],
        write_checkpoint: Callable[[State], None],
        write_model: Callable[[State], None],
    ) -> None:
        self.seconds, self.check = 60 * minutes, check
        self.write_checkpoint, self.write_model = write_checkpoint, write_model
        self._last = time.monotonic()
        self.saved_at = -1

    def __call__(self, game: Game, state: State, logs: Logs) -> None:
        if time.monotonic() - self._last >= self.seconds:
            self.now(state)

    def now(self, state: State) -> None:
        """Save, unless this very state is saved already. A state with a NaN in it is never saved."""
        if self.saved_at != state.clock.images:
            self.check(state)
            self.write_checkpoint(state)
            self.write_model(state)
            self.saved_at = state.clock.images
        self._last = time.monotonic()


def check_weights(game: Game, state: State) -> None:
    """Stop before weights that are NaN or infinite can be saved.

    Raises:
        Diverged: naming the network.
    """
    names, weights = zip(*game.named_parameters(), strict=True)
    sound = torch.stack([torch.isfinite(w.detach().sum()) for w in weights]).tolist()
    for name, whole in zip(names, sound, strict=True):
        if not whole:
            raise Diverged(
                f"The weights of {name} became NaN or infinite at {state.clock.images:,} images. The last good state is in "
                "checkpoint/. Try a lower --lr, --clip-grad 1, or --precision fp32."
            )


def write_model(
    folder: Path, average: Average, game: Game, family: str, info: dict[str, Any], batch: int, seed: int
) -> None:
    """Write a model folder from the averaged networks, and beside them the discriminator that a later --init goes on with."""
    save_model(folder, Model(family, average.ready(batch, seed), info), opponent_tensors(game))
