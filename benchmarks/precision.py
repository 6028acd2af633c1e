"""Does bf16 change what comes out? ``python benchmarks/precision.py [dcgan wgan-gp gan]`` makes the same runs in both.

Trains each family on Fashion-MNIST (28 px) for --images pictures with each seed and in each precision, and measures
it with ``gansmith evaluate``. Writes results/precision.json beside this file: the mean over the seeds, their standard
deviation, and the time a run took. Rows of families that are not named are kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tables import Table, gansmith

FAMILIES = ("dcgan", "wgan-gp", "r3gan", "stylegan2", "gan")
DISTANCE = "FD[fashion-cnn]"


def precisions(family: str) -> tuple[str, str]:
    """The two that are compared: networks of matrix products alone may be played in those."""
    return ("fp32", "bf16-products") if family == "gan" else ("fp32", "bf16")


def one(family: str, precision: str, seed: int, images: int, data: str, n: int) -> dict[str, float]:
    """Train and measure one run."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = [
            "--data",
            data,
            "--images",
            str(images),
            "--seed",
            str(seed),
            "--precision",
            precision,
            "--no-conditional",
        ]
        gansmith("train", family, *options, "--out", str(run))
        measured = json.loads(
            gansmith("evaluate", str(run), "--data", data, "--n", str(n), "--metrics", "fid,kid", "--json")
        )
        last = json.loads((run / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    scores = {score["name"]: score["value"] for score in measured["scores"]}
    return {"distance": scores[DISTANCE], "seconds": last["seconds"]}


def row(family: str, precision: str, runs: list[dict[str, float]], images: int) -> dict[str, Any]:
    distances = [run["distance"] for run in runs]
    return {
        "family": family,
        "precision": precision,
        DISTANCE: f"{statistics.mean(distances):.2f} ± {statistics.stdev(distances):.2f}",
        "each seed": ", ".join(f"{value:.2f}" for value in distances),
        "pictures seen": f"{images:,}",
        "seconds": round(statistics.median(run["seconds"] for run in runs)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=["dcgan", "wgan-gp"], choices=FAMILIES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=64_000)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--n", type=int, default=10_000)
    args = parser.parse_args()
    table = Table(
        "precision", ["family", "precision"], [(name, kind) for name in FAMILIES for kind in precisions(name)]
    )
    for family in args.families:
        for precision in precisions(family):
            runs = [one(family, precision, seed, args.images, args.data, args.n) for seed in range(args.seeds)]
            table.add(row(family, precision, runs, args.images))
    print(json.dumps(list(table.rows().values()), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
