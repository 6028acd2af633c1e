"""Play a family's turns with a watch: time and arithmetic of every turn, memory, and the machine's own GEMM peak."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith import devices
from gansmith.devices import Device
from gansmith.files.pictures import to_float
from gansmith.game import Batch, Clock, Game, ImageSpec, Logs, Turn
from gansmith.parallel import seeding
from gansmith.training import engine, steps
from gansmith.training.scaling import make_scalers
from gansmith.training.state import BatchSource, Plan


@dataclass
class Row:
    """What was measured of one family in one precision.

    Attributes:
        turns: milliseconds per turn, the median over rounds; played at every ``every``-th step.
        images_per_second: with every turn counted as often as it is played.
        memory: peak bytes above what was in use before, or None where the system does not tell.
        gflop: arithmetic per step (convolutions and matrix products), in 10^9 operations.
        gflop_per_second: arithmetic done per second of training.
        share: of the GEMM peak of this precision, measured in the same run.
        skipped: why it was not measured, or empty.
    """

    family: str
    precision: str
    size: int
    batch: int
    turns: dict[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    memory: int | None = None
    gflop: float = 0.0
    gflop_per_second: float = 0.0
    share: float = 0.0
    skipped: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class RandomPictures:
    """Batches of noise, held in memory as bytes like real pictures."""

    def __init__(self, spec: ImageSpec, batch: int, device: torch.device, channels_last: bool) -> None:
        self.world_size, self.device = batch, device
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        random = torch.Generator().manual_seed(0)
        count = max(2 * batch, 64)

        def pixels(channels: int) -> Tensor:
            return torch.randint(256, (count, channels, spec.height, spec.width), dtype=torch.uint8, generator=random)

        self.images = pixels(spec.channels)
        self.other = pixels(spec.other_channels) if spec.other_channels else None
        self.labels = torch.arange(count) % spec.classes if spec.classes else None

    def at(self, drawn: int) -> Batch:
        rows = torch.arange(drawn, drawn + self.world_size) % len(self.images)

        def taken(pixels: Tensor) -> Tensor:
            return to_float(pixels.index_select(0, rows).contiguous(memory_format=self.layout), self.device)

        other = None if self.other is None else taken(self.other)
        labels = None if self.labels is None else self.labels[rows].to(self.device)
        return Batch(taken(self.images), labels, other, world_size=self.world_size)


class Subject:
    """A game, its optimizers and its batches, ready to be played with a watch.

    Args:
        game: on its device, in the memory layout that training uses (:func:`ready_to_train`).
    """

    def __init__(self, name: str, game: Game, batches: BatchSource, device: Device, size: int) -> None:
        self.game, self.batches, self.device = game.train(), batches, device
        self.optimizers = engine.make_optimizers(game, device.torch_device)
        self.turns = game.turns()
        self.plan = Plan(device, scalers=make_scalers(game.players, device))
        self.clock = Clock(0, 0, 0.6)
        self.row = Row(name, device.precision, size, batches.world_size)
        self._times: dict[str, list[float]] = {}

    def _step(self) -> Iterator[tuple[str, Callable[[], Logs]]]:
        """Every turn once, as if all were due: its name, and what plays it."""
        self.clock = Clock(self.clock.images + self.batches.world_size, self.clock.step + 1, 0.6)
        seeding.seed_step(0, self.clock.step)
        drawn = self.clock.images
        shared = steps.split(self.batches.at(drawn), 1, self.clock)
        for i, turn in enumerate(self.turns):

            def play(turn: Turn = turn, to_come: Sequence[Turn] = self.turns[i:]) -> Logs:
                parts = steps.split(self.batches.at(drawn + 1), 1, self.clock) if turn.fresh else shared
                with steps.resting(self.optimizers, to_come):
                    return steps.play(self.game, self.optimizers[turn.player], turn, parts, self.plan)

            yield turn.loss.__name__, play

    def play(self) -> dict[str, float]:
        """Every turn once; seconds by turn."""
        spent = {}
        for name, turn in self._step():
            start = self._now()
            turn()
            spent[name] = self._now() - start
        return spent

    def warm_up(self, rounds: int) -> None:
        """Play until allocators and kernels have settled; count the arithmetic of each turn on the way."""
        self._gflop = self._count()
        for _ in range(rounds):
            self.play()

    def round(self) -> None:
        """One timed round."""
        for name, seconds in self.play().items():
            self._times.setdefault(name, []).append(seconds)

    def finish(self, peak: float | None) -> Row:
        """The row, from the medians of the rounds; ``peak`` is the GEMM peak in GFLOP/s."""
        row, step = self.row, self.step_seconds()
        row.turns = {name: round(1000 * seconds, 3) for name, seconds in self._medians().items()}
        row.images_per_second = self.batches.world_size / step
        row.gflop = self._per_step(self._gflop)
        row.gflop_per_second = row.gflop / step
        row.share = row.gflop_per_second / peak if peak else 0.0
        return row

    def step_seconds(self) -> float:
        """One step, from the medians of the rounds, every turn counted as often as it is played."""
        return self._per_step(self._medians())

    def gflop_per_step(self) -> float:
        """Convolutions and matrix products of a step, in 10^9 operations, counted on one round."""
        return self._per_step(self._count())

    def _medians(self) -> dict[str, float]:
        return {name: statistics.median(times) for name, times in self._times.items()}

    def _per_step(self, by_turn: dict[str, float]) -> float:
        every = {turn.loss.__name__: turn.every for turn in self.turns}
        return sum(value / every[name] for name, value in by_turn.items())

    def _count(self) -> dict[str, float]:
        from torch.utils.flop_counter import FlopCounterMode

        found = {}
        for name, turn in self._step():
            counter = FlopCounterMode(display=False)
            counter.mod_tracker = _NoModules()  # type: ignore[assignment]
            with counter:
                turn()
            found[name] = counter.get_total_flops() / 1e9
        return found

    def _now(self) -> float:
        devices.synchronise(self.device.torch_device)
        return time.perf_counter()


class _NoModules:
    """Stands in for FlopCounterMode's table of modules, whose hooks break a gradient inside a loss (R1, path length)."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def ready_to_train(game: Game, device: Device) -> tuple[Game, bool]:
    """A game as training holds it, and whether its pictures are channels-last."""
    return devices.ready_to_train(game, device.torch_device), game.convolutional


def gemm_peak(device: torch.device, precision: str, seconds: float = 0.3) -> float:
    """The fastest matrix product of this moment, in GFLOP/s."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16 if precision.startswith("bf16") else torch.float32

    def rate(n: int, seconds: float) -> float:
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        best, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end or best == float("inf"):
            devices.synchronise(device)
            start = time.perf_counter()
            torch.matmul(a, b)
            devices.synchronise(device)
            best = min(best, time.perf_counter() - start)
        return 2 * n**3 / best / 1e9

    if device.type == "cuda":
        return rate(8192, seconds)
    small = rate(256, seconds / 4)
    return max(small, rate(1024, seconds)) if small > 5 else small  # emulated, a large one would take a minute


def measure(subjects: Sequence[Subject], rounds: int = 5, warm: int = 2) -> tuple[list[Row], dict[str, float]]:
    """Time subjects in turns, so that what else the machine does hits all alike.

    Returns:
        A row per subject, and the GEMM peak (GFLOP/s) of each precision: the best one seen between the rounds.
    """
    kinds = {(s.device.torch_device, s.device.precision) for s in subjects}
    peaks = dict.fromkeys((precision for _, precision in kinds), 0.0)
    for subject in subjects:
        subject.warm_up(warm)
    for _ in range(rounds):
        for device, precision in kinds:
            peaks[precision] = max(peaks[precision], gemm_peak(device, precision))
        for subject in subjects:
            subject.round()
    return [subject.finish(peaks[subject.device.precision]) for subject in subjects], peaks


# --- memory -------------------------------------------------------------------------------------------------------


@dataclass
class Peak:
    """Bytes in use: before, and the most above that inside :func:`peak_memory`; None where nobody knows."""

    before: int | None = None
    bytes: int | None = None


@contextmanager
def peak_memory(device: torch.device, before: int | None = None) -> Iterator[Peak]:
    """Measure the peak of what happens inside: on the GPU, or in this process's memory (Linux).

    Args:
        before: what to count from, instead of what is in use now (an earlier peak's ``before``).
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        peak = Peak(torch.cuda.memory_allocated() if before is None else before)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated() - (peak.before or 0)
        return
    now = _reset_high_water()
    peak = Peak(now if before is None else before)
    yield peak
    high = _status("VmHWM")
    peak.bytes = None if now is None or high is None or peak.before is None else max(0, high - peak.before)


def _reset_high_water() -> int | None:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # man 5 proc: resets the peak of the resident set
    except OSError:
        return None
    return _status("VmRSS")


def _status(name: str) -> int | None:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def human_bytes(count: float | None) -> str:
    """1536 -> '1.5 KB'."""
    if count is None:
        return "unknown"
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if count >= 100 or unit == "bytes" else f"{count:.1f} {unit}"
