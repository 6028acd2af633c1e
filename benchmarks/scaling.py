"""How the cost of training grows: arithmetic, time and memory per picture against resolution, batch and width.

    python benchmarks/scaling.py [dcgan r3gan ...] [--rounds 3] [--large]

Every case is the family's own turns on random pictures, counted as often as they are played. Exponents are slopes of
straight lines in log-log coordinates. ``--large`` also counts the arithmetic (one step, not timed) of GPU-sized cases.
Writes scaling, scaling-exponents, -large and -gpus.json to benchmarks/results, and docs/images/scaling.png.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
RESULTS, PICTURE = HERE / "results", HERE.parent / "docs" / "images" / "scaling.png"

Case = dict[str, Any]
BASES: dict[str, Case] = {
    "dcgan": {"size": 32, "batch": 16, "width": 32},
    "wgan-gp": {"size": 32, "batch": 16, "width": 32},
    "r3gan": {"size": 32, "batch": 16, "width": 32},
    "stylegan2": {"size": 32, "batch": 8, "width": 0.25, "path_weight": 2.0, "style_mixing": 0.9},
    "cyclegan": {"size": 64, "batch": 2, "width": 32},
}
FACTORS = {"size": (1, 2, 4), "batch": (0.5, 1, 2), "width": (0.5, 1, 2)}
LARGE: dict[str, tuple[str, Case]] = {
    "stylegan2, small, 256 px": ("stylegan2", {"size": 256, "batch": 2}),
    "stylegan2, full, 1024 px": ("stylegan2", {"size": 1024, "batch": 1, "preset": "full"}),
    "r3gan, width 768 (the paper's CIFAR-10 model), 32 px": (
        "r3gan",
        {"size": 32, "batch": 4, "width": 768, "taper": 1, "stem": 1, "blocks": 2},
    ),
    "cyclegan, 9 blocks, 256 px": ("cyclegan", {"size": 256, "batch": 1}),
}


PICTURES = {"stylegan2": 25_000_000, "r3gan": 20_000_000, "cyclegan": 400_000}
"""What the papers' runs see: 25,000 kimg; the length of R3GAN's CIFAR-10 schedules; 200 epochs over 2,000 pictures."""
PEAK, SHARE = 312e12, 0.3
"""An A100's bf16 peak in operations per second, and the share of it that a run is taken to reach."""


def subject(family: str, case: Case) -> Any:
    """A family on random pictures, ready to be played."""
    from gansmith import config, devices, registry
    from gansmith.bench.measure import RandomPictures, Subject, ready_to_train
    from gansmith.game import ImageSpec

    kind, size = registry.family(family), case["size"]
    settings = {name: value for name, value in case.items() if name not in ("size", "batch")}
    spec = ImageSpec(size, size, 3, other_channels=3 if kind.data == "unpaired" else 0)
    device = devices.Device(torch.device("cpu"))
    game, channels_last = ready_to_train(kind(config.make(kind.Config, settings, family), spec), device)
    return Subject(family, game, RandomPictures(spec, case["batch"], device.torch_device, channels_last), device, size)


def measure(family: str, case: Case, rounds: int) -> dict[str, Any]:
    """One case in a process of its own, since memory that one case gave back would hide what the next one takes."""
    command = [sys.executable, __file__, "--case", json.dumps([family, case, rounds])]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measure_here(family: str, case: Case, rounds: int) -> dict[str, Any]:
    """One case: GFLOP, milliseconds and megabytes per picture."""
    from gansmith.bench.measure import peak_memory

    subject(family, {**case, "size": 32, "batch": 2}).play()  # libraries and kernels are loaded, and do not count
    with peak_memory(torch.device("cpu")) as peak:
        player = subject(family, case)
        player.warm_up(1)
        for _ in range(rounds):
            player.round()
    row = player.finish(None)
    return {
        "family": family,
        **case,
        "GFLOP per picture": row.gflop / case["batch"],
        "ms per picture": 1000 / row.images_per_second,
        "MB in all": (peak.bytes or 0) / 1e6,
    }


def cases(family: str) -> list[tuple[str, Case]]:
    """What varies, and the case; the base stands in every line."""
    base, found = BASES[family], []
    for what, factors in FACTORS.items():
        for factor in factors:
            value = base[what] * factor
            found.append((what, base | {what: value if family == "stylegan2" and what == "width" else int(value)}))
    return found


def slope(rows: list[dict[str, Any]], x: str, y: str) -> float:
    """The exponent of y against x."""
    return float(np.polyfit([math.log(row[x]) for row in rows], [math.log(max(row[y], 1e-9)) for row in rows], 1)[0])


def plot(lines: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    """Time per picture against what varies, log-log."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(FACTORS), figsize=(12, 3.6), constrained_layout=True)
    for axis, what in zip(axes, FACTORS, strict=True):
        for (family, varied), rows in lines.items():
            if varied == what:
                axis.loglog([row[what] for row in rows], [row["ms per picture"] for row in rows], "o-", label=family)
        axis.set_xlabel({"size": "pixels a side", "batch": "batch", "width": "--width"}[what])
        axis.grid(True, which="both", alpha=0.2)
    axes[0].set_ylabel("ms per picture")
    axes[0].legend()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


def count_large() -> list[dict[str, Any]]:
    """The arithmetic of one picture at sizes that need GPUs, counted on one step of every turn."""
    rows = []
    for name, (family, case) in LARGE.items():
        player = subject(family, case)
        gflop = player.gflop_per_step() / case["batch"]
        weights = sum(p.numel() for p in player.game.parameters())
        rows.append({"model": name, "weights": f"{weights:,}", "GFLOP per picture": gflop})
        print(rows[-1], flush=True)
    return rows


def bill(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Days of training on 1, 8 and 64 GPUs, calculated from the arithmetic."""
    found = []
    for row in rows:
        pictures = next(count for name, count in PICTURES.items() if row["model"].startswith(name))
        seconds = row["GFLOP per picture"] * 1e9 * pictures / (SHARE * PEAK)
        days = {f"days on {n} GPU{'s' if n > 1 else ''}": seconds / 86400 / n for n in (1, 8, 64)}
        found.append({"model": row["model"], "pictures": f"{pictures:,}", **days})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=list(BASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure_here(*json.loads(options.case))))
        return
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for family in options.families:
        for what, case in cases(family):
            lines.setdefault((family, what), []).append(measure(family, case, options.rounds))
            print(lines[family, what][-1], flush=True)
    exponents = [
        {
            "family": family,
            "against": what,
            "GFLOP per picture": round(slope(rows, what, "GFLOP per picture"), 2),
            "ms per picture": round(slope(rows, what, "ms per picture"), 2),
            "memory": round(slope(rows, what, "MB in all"), 2),
        }
        for (family, what), rows in lines.items()
    ]
    write("scaling", [row for rows in lines.values() for row in rows])
    write("scaling-exponents", exponents)
    plot(lines)
    if options.large:
        counted = count_large()
        write("scaling-large", counted)
        write("scaling-gpus", bill(counted))


def write(name: str, rows: list[dict[str, Any]]) -> None:
    """A table that docs/build.py shows."""
    (RESULTS / f"{name}.json").write_text(json.dumps({"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
