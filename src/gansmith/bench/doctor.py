"""What a run will need, measured on a few steps of it: memory, time, how fast the data comes; and what to change."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import torch

from gansmith.bench.measure import Subject, human_bytes, peak_memory, ready_to_train
from gansmith.config import TrainSettings
from gansmith.data.training import TrainingData
from gansmith.devices import Device, suited, synchronise
from gansmith.game import Game
from gansmith.generation import GenerationConfig

RESERVE = 0.9
"""Share of the free memory that a run may need and still be said to fit."""


@dataclass
class Diagnosis:
    """What :func:`examine` found.

    Attributes:
        parameters: weights by player.
        step_seconds: one step, lazy turns counted as often as they are played.
        images_per_second: of training.
        loader_images_per_second: of the data alone, or 0 where it could not be measured.
        memory: estimated peak in bytes at this batch, or None where the system does not tell.
        available: free bytes on the device before the run.
        fits: whether the run fits, None where nobody can tell.
        advice: what to change.
    """

    parameters: dict[str, int]
    batch: int
    step_seconds: float
    images_per_second: float
    loader_images_per_second: float
    memory: int | None
    available: int | None
    fits: bool | None
    advice: list[str] = field(default_factory=list)


def available_memory(device: torch.device) -> int | None:
    """Free bytes on a device; on the CPU within the container's limit."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    import psutil

    from gansmith.data.planning import default_memory_limit

    half = default_memory_limit()  # knows containers, and stops at 8 GiB
    return 2 * half if half < 8 << 30 else psutil.virtual_memory().available


def examine(
    kind: type[Game],
    name: str,
    data: TrainingData,
    config: Any,
    settings: TrainSettings,
    device: Device,
    seconds: float = 10.0,
) -> Diagnosis:
    """Play a few steps of a run on its own data.

    Memory is measured at two small batches and drawn out to the run's, so that what does not fit is told and not tried.
    """
    batch = settings.batch or kind.usual_batch(data.spec)
    free = available_memory(device.torch_device)
    config, lines = kind.settled(config, data.spec, data.class_counts())
    game = kind(config, data.spec)
    if settings.precision == "auto":
        device = suited(device, game)
    parameters = {player: sum(p.numel() for p in game.player_parameters(player)) for player in game.players}
    memory, subject = _estimate_memory(game, name, data, batch // settings.accumulate, device, free)
    fits = None if memory is None or free is None else memory < RESERVE * free
    if fits is not False and subject.batches.world_size != batch // settings.accumulate:
        subject = _subject(subject.game, name, data, batch // settings.accumulate, device)
    row = _time(subject, seconds)
    measured = subject.batches.world_size
    step = batch / row.images_per_second
    found = Diagnosis(
        parameters, batch, step, row.images_per_second, loader_speed(data, measured, device), memory, free, fits
    )
    found.advice = [*advise(found, kind, data, config, settings, device), *lines]
    return found


def _subject(game: Game, name: str, data: TrainingData, batch: int, device: Device) -> Subject:
    game, channels_last = ready_to_train(game, device)
    return Subject(name, game, data.batches(batch, 0, device.torch_device, channels_last), device, data.spec.height)


def _estimate_memory(
    game: Game, name: str, data: TrainingData, batch: int, device: Device, free: int | None
) -> tuple[int | None, Subject]:
    """Peak bytes at ``batch``, by a line through what two smaller batches need (or measured, where it is small)."""
    smaller = sorted({max(1, batch // 8), max(1, batch // 4)})
    smaller = [max(n, game.judged_together(game.config)) for n in smaller]
    needs: list[tuple[int, int | None]] = []
    before = None
    for n in smaller:
        with peak_memory(device.torch_device, before) as peak:
            subject = _subject(game, name, data, n, device)
            subject.play()
            subject.play()
        before = peak.before
        needs.append((n, peak.bytes))
    if any(need is None for _, need in needs):
        return None, subject
    (n1, need1), (n2, need2) = needs[0], needs[-1]
    assert need1 is not None
    assert need2 is not None
    per_picture = max(need2 - need1, 0) / max(n2 - n1, 1) if n2 > n1 else 0.0
    weights = sum(p.numel() for p in game.parameters())
    least = 4 * weights * 4  # weights, gradients and two moments, as floats
    line = max(need2, least) + per_picture * (batch - n2)
    return round(line), subject


def _time(subject: Subject, seconds: float) -> Any:
    subject.warm_up(1)
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or (time.perf_counter() < end and rounds < 20):
        subject.round()
        rounds += 1
    return subject.finish(None)


def loader_speed(data: TrainingData, batch: int, device: Device, seconds: float = 2.0) -> float:
    """Pictures per second that the data gives by itself: read, decoded, cut, mirrored, on the device."""
    batches = data.batches(batch, 0, device.torch_device, True)
    drawn, times = 0, []
    end = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < end and len(times) < 200):
        start = time.perf_counter()
        batches.at(drawn)
        synchronise(device.torch_device)
        times.append(time.perf_counter() - start)
        drawn += batch
    return batch / max(statistics.fmean(times[1:]), 1e-9)  # on the whole: prefetching hides nothing when nobody trains


def advise(
    found: Diagnosis, kind: type[Game], data: TrainingData, config: Any, settings: TrainSettings, device: Device
) -> list[str]:
    """What to change, in full sentences, the most pressing first."""
    advice = []
    spec, count = data.spec, len(data)
    if found.fits is False and found.memory and found.available:
        parts = next(
            (n for n in (2, 4, 8, 16, 32) if found.batch % n == 0 and found.memory / n < RESERVE * found.available), 0
        )
        way = (
            f"--accumulate {parts * settings.accumulate} computes the same batch in parts"
            if parts
            else "a smaller --size or width"
        )
        advice.append(f"It does not fit: try {way}, or a smaller --batch.")
    if found.loader_images_per_second < 1.2 * found.images_per_second:
        advice.append(
            "The data comes hardly faster than it is trained on. Pack it once with 'gansmith data pack', resize the files to the "
            "size trained at, or put them on a faster disk."
        )
    if device.torch_device.type == "cpu" and found.step_seconds > 1.0:
        advice.append(
            "A step takes over a second here: a GPU, a smaller --size, or the family's smaller settings will help most."
        )
    generates = isinstance(config, GenerationConfig)
    if generates and count < 5000 and config.augment == "none":
        advice.append(
            f"{count:,} pictures are few for a GAN: --augment ada keeps the discriminator from learning them by heart."
        )
    if generates and spec.classes >= 2 and config.conditional is False:
        advice.append(
            f"The pictures have labels ({spec.classes} classes): --conditional learns to make each class on demand."
        )
    if found.batch > count:
        advice.append(f"The batch of {found.batch} is larger than the {count} pictures there are.")
    if device.precision.startswith("bf16") and device.torch_device.type == "cpu":
        advice.append("bf16 is faster than fp32 on this CPU, and is used.")
    return advice


# --- what is installed --------------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Versions of what training stands on."""
    import platform

    names = ("gansmith", "torch", "torchvision", "numpy", "pillow")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    cuda = torch.version.cuda
    found["cuda"] = f"{cuda}, {torch.cuda.device_count()} GPU(s)" if cuda and torch.cuda.is_available() else "none"
    found["cpu"] = f"{torch.get_num_threads()} threads"
    return found


def missing_extras() -> dict[str, list[str]]:
    """Extras of the package that are not complete: name -> packages that are not installed."""
    try:
        required = metadata.requires("gansmith") or []
    except metadata.PackageNotFoundError:
        return {}
    missing: dict[str, list[str]] = {}
    for line in required:
        match = re.match(r"([A-Za-z0-9_.-]+)[^;]*;.*extra == ['\"]([\w-]+)['\"]", line)
        if match is None or match[2] in ("dev", "docs", "bench"):
            continue
        try:
            metadata.version(match[1])
        except metadata.PackageNotFoundError:
            missing.setdefault(match[2], []).append(match[1])
    return missing


__all__ = ["Diagnosis", "available_memory", "examine", "human_bytes", "loader_speed", "missing_extras", "versions"]
