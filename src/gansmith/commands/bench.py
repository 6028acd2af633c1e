"""Measure how fast families train here: images/s, ms per turn, memory, share of the machine's peak."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from gansmith.commands._parse import parse, say, show_table
from gansmith.config import MANY, Bounds, Pixels, check_numbers
from gansmith.errors import GansmithError

if TYPE_CHECKING:
    from gansmith.bench.measure import Row, Subject


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith bench``."""

    families: tyro.conf.Positional[tuple[str, ...]] = ()
    """Families to measure; all of them by default."""
    size: Pixels = 32
    """Pixels a side of the (random) pictures."""
    channels: Annotated[int, Bounds(1, 4)] = 3
    """1 (grey), 3 (RGB) or 4 (RGBA)."""
    batch: Annotated[int | None, Bounds(1, unit="pictures", memory=MANY, was=0)] = None
    """Pictures per step; by default each family's usual number."""
    rounds: Annotated[int, Bounds(1)] = 5
    """Timed rounds, each playing every turn of every family once; medians are shown."""
    precision: tuple[Literal["fp32", "bf16", "fp16", "bf16-products"], ...] = ()
    """By default fp32, and bf16 where the machine has it in hardware."""
    tiny: bool = False
    """Measure the small networks that families name for trying things out."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""
    json: bool = False
    """Print json instead of a table."""


def main(argv: list[str]) -> int:
    """Run ``gansmith bench``."""
    options = parse(Options, argv, "bench", __doc__ or "")
    check_numbers(options)
    import torch

    from gansmith import devices, registry
    from gansmith.bench.measure import Row, measure

    names = list(options.families or registry.families())
    for name in names:
        registry.named(name)  # an unknown one is said before anything is measured
    where = devices.resolve(options.device, "fp32").torch_device
    subjects, skipped = [], []
    for name in names:
        for precision in options.precision or ("fp32", "bf16"):
            reason = "" if options.precision or precision == "fp32" else bf16_missing(where)
            if reason:
                skipped.append(Row(name, precision, options.size, options.batch or 0, skipped=reason))
                continue
            say(f"{name} {precision} ...")
            try:
                subjects.append(prepare(name, options, devices.Device(where, precision)))
            except GansmithError as error:
                skipped.append(Row(name, precision, options.size, options.batch or 0, skipped=str(error)))
    if not subjects:
        raise GansmithError(f"There is nothing to measure: {skipped[0].skipped}")
    rows, peaks = measure(subjects, options.rounds)
    if options.json:
        facts = {
            "device": str(where),
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
            "gemm_gflop_per_second": peaks,
        }
        print(json_module.dumps(facts | {"rows": [row.as_dict() for row in rows + skipped]}, indent=2))
        return 0
    show(rows, skipped, peaks, f"{devices.Device(where)}".split(",")[0], torch.get_num_threads())
    return 0


def bf16_missing(device: object) -> str:
    """Why bf16 is not measured by default, or empty."""
    import torch

    from gansmith.bench.measure import gemm_peak

    assert isinstance(device, torch.device)
    fp32, bf16 = (gemm_peak(device, precision, 0.1) for precision in ("fp32", "bf16"))
    if bf16 > 0.7 * fp32:
        return ""
    return (
        f"bf16 is emulated here, {fp32 / bf16:.0f} times slower than fp32 (--precision bf16 measures it all the same)"
    )


def prepare(name: str, options: Options, device: object) -> Subject:
    """A family with its usual settings on random pictures, warm, its memory measured."""
    from gansmith import config, devices, registry
    from gansmith.bench.measure import RandomPictures, Subject, peak_memory, ready_to_train
    from gansmith.game import ImageSpec

    assert isinstance(device, devices.Device)
    kind = registry.named(name)
    two_sided = kind.data in ("paired", "unpaired")
    spec = ImageSpec(options.size, options.size, options.channels, other_channels=options.channels if two_sided else 0)
    with peak_memory(device.torch_device) as peak:
        game, channels_last = ready_to_train(
            kind(config.make(kind.Config, kind.tiny if options.tiny else {}, name), spec), device
        )
        pictures = RandomPictures(spec, options.batch or kind.usual_batch(spec), device.torch_device, channels_last)
        subject = Subject(name, game, pictures, device, options.size)
        subject.play()
    subject.row.memory = peak.bytes
    return subject


def show(rows: list[Row], skipped: list[Row], peaks: dict[str, float], device: str, threads: int) -> None:
    """Print the table."""
    from gansmith.bench.measure import human_bytes

    peak = ", ".join(f"{precision} {value:.0f} GFLOP/s" for precision, value in sorted(peaks.items()))
    lines = [
        [
            row.family,
            row.precision,
            f"{row.batch} x {row.size} px",
            f"{row.images_per_second:,.0f}" if row.images_per_second >= 10 else f"{row.images_per_second:.2f}",
            "\n".join(f"{name} {ms:.1f}" for name, ms in row.turns.items()),
            human_bytes(row.memory),
            f"{row.gflop_per_second:.1f}",
            f"{100 * row.share:.0f}%",
        ]
        for row in rows
    ]
    columns = ["family", "precision", "batch", "images/s", "ms per turn", "memory", "GFLOP/s", "of peak"]
    show_table(f"{device}, {threads} threads, GEMM peak {peak}", columns, lines)
    for reason in dict.fromkeys(row.skipped for row in skipped):
        names = ", ".join(f"{row.family} {row.precision}" for row in skipped if row.skipped == reason)
        say(f"not measured: {names}: {reason}", sys.stdout)
