"""Does r3gan collapse? Twenty seeds on the embedded digits: ``python benchmarks/r3gan_twenty_seeds.py``.

Draws 5,000 samples from each model and counts classes with mnist-cnn. A run counts as collapsed if any digit makes up
less than 4 % of its samples. Adds to results/r3gan_twenty_seeds.json beside this file after every seed; ``--first 10
--seeds 10 --threads 1`` does the second half of them, on another core perhaps.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from gansmith import api
from gansmith.metrics.modes import class_shares

RESULTS = Path(__file__).parent / "results" / "r3gan_twenty_seeds.json"
SAMPLES = 5_000
LEAST = 0.04


def one(seed: int, minutes: float, width: int) -> dict[str, Any]:
    """Train one model and count the classes of its samples."""
    with tempfile.TemporaryDirectory() as folder:
        model = api.train(
            "r3gan",
            data="mnist10k",
            out=Path(folder) / "run",
            seed=seed,
            minutes=minutes,
            width=width,
            conditional=False,
            quiet=True,
        )
    shares = class_shares(torch.from_numpy(model.sample(SAMPLES, seed=seed)).permute(0, 3, 1, 2), "mnist-cnn")
    return {
        "seed": seed,
        "images": model.info["images"],
        "shares": [round(float(share), 4) for share in shares],
        "least": round(float(shares.min()), 4),
        "collapsed": bool(shares.min() < LEAST),
    }


def read_runs() -> list[dict[str, Any]]:
    """The runs so far."""
    return json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's own choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    runs: list[dict[str, Any]] = []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        run = one(seed, arguments.minutes, arguments.width)
        print(json.dumps(run), flush=True)
        runs = [r for r in read_runs() if r["seed"] != seed] + [run]
        document = {
            "minutes": arguments.minutes,
            "width": arguments.width,
            "threads": torch.get_num_threads(),
            "samples": SAMPLES,
            "collapsed": sum(other["collapsed"] for other in runs),
            "runs": sorted(runs, key=lambda run: run["seed"]),
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(f"{sum(run['collapsed'] for run in runs)} of {len(runs)} runs collapsed: {RESULTS}")


if __name__ == "__main__":
    main()
