"""Every family in the toy worlds, five seeds each: ``python benchmarks/toy_table.py [--families ...]``.

Runs ``gansmith toy`` for each and writes results/toy.json beside this file; rows that are there already are kept unless
``--again``. Prints the table as markdown at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from pathlib import Path
from typing import Any

from gansmith import cli

RESULTS = Path(__file__).parent / "results" / "toy.json"
ROWS: dict[str, tuple[str, list[str]]] = {
    "gan": ("gan", []),
    "gan, hinge": ("gan", ["--loss", "hinge"]),
    "gan, least squares": ("gan", ["--loss", "least-squares"]),
    "gan, R1 .1": ("gan", ["--r1", "0.1"]),
    "gan, pack 4 (PacGAN)": ("gan", ["--pack", "4"]),
    "wgan": ("wgan", []),
    "wgan-gp": ("wgan-gp", []),
    "r3gan": ("r3gan", []),
}
"""Name of a row -> family and options. dcgan is missing: on points it has gan's networks and losses."""


def markdown(results: dict[str, Any]) -> str:
    """The table, a row per family."""
    lines = [
        "| world | family | modes | good samples | reverse KL | points seen | time per run |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key, result in results.items():
        world, name = key.split("/", 1)
        s, run = result["summary"], result["runs"][0]
        lines.append(
            f"| {world} | {name} | {s['modes']['mean']:.1f} ± {s['modes']['stderr']:.1f} of {run['of']} | "
            f"{s['good']['mean']:.1%} ± {s['good']['stderr']:.1%} | "
            f"{s['reverse_kl']['mean']:.3f} ± {s['reverse_kl']['stderr']:.3f} | "
            f"{run['images']:,} | {s['seconds']['mean']:.0f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="+", default=["ring", "grid"])
    parser.add_argument("--families", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="ROW")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for pictures and films, one sub-folder per row")
    parser.add_argument("--again", action="store_true", help="play rows that are in the results already")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for world in arguments.worlds:
        for name in arguments.families:
            if f"{world}/{name}" in results and not arguments.again:
                continue
            family, options = ROWS[name]
            argv = [
                "toy",
                world,
                "--family",
                family,
                "--seeds",
                str(arguments.seeds),
                "--threads",
                str(arguments.threads),
            ]
            argv += ["--out", str(arguments.out / f"{world}-{name}".replace(" ", "-"))] if arguments.out else []
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                code = cli.main([*argv, *options, "--json"])
            if code:
                raise SystemExit(f"{world}, {name}: gansmith toy ended with code {code}")
            results[f"{world}/{name}"] = json.loads(printed.getvalue())
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(markdown(results))


if __name__ == "__main__":
    main()
