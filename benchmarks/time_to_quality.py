"""How long each family takes to the quality at which the textbook's GAN ends.

    python benchmarks/time_to_quality.py --rows r3gan dcgan --draw

The textbook's script (the first GAN of most tutorials: two MLPs, 10,000 batches of 64) is the family ``gan`` here,
weight for weight; its row runs as long as that. Every other row trains on Fashion-MNIST's 60,000 pictures for
--minutes. Each run measures itself as it goes (``--eval-every``): FD[fashion-cnn] of 1,000 samples against 2,000 real
pictures, which is higher than that of 10,000, alike for all. The time is that of training, measuring left in.

Rows lie in results/time_to_quality.json beside this file; --draw makes docs/images/time-to-quality.png of them.
``--from RUN NAME`` takes a row from a run that is there already. ``--cpu`` counts processor time instead of time on
the wall, for a busy machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from gansmith.files.run import Run
from tables import Table, count_processor_time, gansmith

HERE = Path(__file__).parent
TEXTBOOK = "gan, as in the textbook"
ROWS: dict[str, list[str]] = {
    TEXTBOOK: ["gan", "--no-conditional", "--steps", "10000"],
    "gan": ["gan"],
    "dcgan": ["dcgan"],
    "wgan-gp": ["wgan-gp"],
    "stylegan2": ["stylegan2", "--width", "0.0625"],
    "r3gan": ["r3gan"],
    "r3gan, kinds in place of labels": ["r3gan", "--kinds", "50"],
}
"""Name of a row -> family and options."""
KERAS_SECONDS = 840.0
"""What the textbook's 10,000 steps take with Keras on two cores of the machine of docs/results."""


def curve(run: Path) -> list[tuple[float, float]]:
    """(seconds, FD) at every measurement of a run."""
    records = list(Run.open(run).records())
    return [
        (round(r["seconds"], 1), round(r["score/FD[fashion-cnn]"], 3)) for r in records if "score/FD[fashion-cnn]" in r
    ]


def row(name: str, run: Path, command: str, clock: str) -> dict[str, Any]:
    """A row of the results."""
    return {"family": name, "clock": clock, "threads": torch.get_num_threads(), "command": command, "curve": curve(run)}


def reached(points: list[tuple[float, float]], target: float) -> float | None:
    """Seconds until a curve is as good as ``target`` for the first time; None where it never is."""
    return next((seconds for seconds, value in points if value <= target), None)


def measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train one row."""
    run = args.work / name.replace(" ", "-").replace(",", "")
    options = ROWS[name]
    goal = [] if "--steps" in options else ["--minutes", f"{args.minutes:g}"]
    words = ["train", *options, *goal, "--data", args.data, "--eval-every", str(args.every), "--snapshots", "2"]
    gansmith(*words, "--out", str(run))
    return row(name, run, f"gansmith {' '.join(words)}", "processor" if args.cpu else "wall")


def draw(rows: dict[tuple[str, ...], dict[str, Any]]) -> None:
    """The curves of all rows, and the line that they are to cross."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), dpi=120)
    for (name,), found in rows.items():
        axes.plot(*zip(*found["curve"], strict=True), label=name, linewidth=1.4)
    if (TEXTBOOK,) in rows:
        end = rows[(TEXTBOOK,)]["curve"][-1][1]
        axes.axhline(end, color="black", linewidth=0.8, linestyle=":")
        axes.plot([KERAS_SECONDS], [end], "k*", markersize=9, label="the textbook's script in Keras")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("seconds of training")
    axes.set_ylabel("FD[fashion-cnn] of 1,000 samples")
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(HERE.parent / "docs" / "images" / "time-to-quality.png")
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=[], choices=list(ROWS))
    parser.add_argument("--from", dest="found", nargs=2, metavar=("RUN", "NAME"), help="a run that is there already")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=int, default=6400, help="images between two measurements")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--work", type=Path, default=Path("runs/time-to-quality"))
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's own choice")
    parser.add_argument("--cpu", action="store_true", help="count processor time")
    parser.add_argument("--draw", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.cpu:
        count_processor_time()
    table = Table("time_to_quality", ["family"], [(name,) for name in ROWS])
    for name in args.rows:
        table.add(measure(name, args))
    if args.found:
        table.add(
            row(args.found[1], Path(args.found[0]), f"the run {args.found[0]}", "processor" if args.cpu else "wall")
        )
    rows = table.rows()
    if args.draw:
        draw(rows)
    if (TEXTBOOK,) in rows:
        target = rows[(TEXTBOOK,)]["curve"][-1][1]
        print(f"The textbook's GAN ends at {target:g}.")
        for (name,), found in rows.items():
            seconds = reached(found["curve"], target)
            print(
                f"{name}: "
                + (
                    "never"
                    if seconds is None
                    else f"{seconds:g} s, Keras takes {KERAS_SECONDS / seconds:.0f} times as long"
                )
            )


if __name__ == "__main__":
    main()
