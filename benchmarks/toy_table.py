"""Every family in the toy worlds, five seeds each: ``python benchmarks/toy_table.py [--families ...]``.

Runs ``gansmith toy`` for each and writes results/toy.json beside this file; rows that are there already are kept unless
``--again``. Families that keep PacGAN's protocol, which sees 40 million points, get --images of them here: about as
much computing as r3gan's usual run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tables import Table, gansmith

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


def row(world: str, name: str, result: dict[str, Any]) -> dict[str, Any]:
    """A row of the table, with all that ``gansmith toy`` said under ``details``."""
    total, run = result["summary"], result["runs"][0]

    def spread(key: str, form: str) -> str:
        return f"{total[key]['mean']:{form}} ± {total[key]['stderr']:{form}}"

    return {
        "world": world,
        "family": name,
        "modes": f"{spread('modes', '.1f')} of {run['of']}",
        "fewest modes": min(run["modes"] for run in result["runs"]),
        "good samples": spread("good", ".1%"),
        "fewest good": f"{min(run['good'] for run in result['runs']):.1%}",
        "reverse KL": spread("reverse_kl", ".3f"),
        "points seen": f"{run['images']:,}",
        "seconds per run": round(total["seconds"]["mean"]),
        "details": result,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="+", default=["ring", "grid"])
    parser.add_argument("--families", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="ROW")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=400_000, help="points seen by all but r3gan")
    parser.add_argument("--out", type=Path, help="folder for pictures and films, one sub-folder per row")
    parser.add_argument("--again", action="store_true", help="play rows that are in the results already")
    arguments = parser.parse_args()
    table = Table("toy", ["world", "family"], [(world, name) for world in ("ring", "grid") for name in ROWS])
    for world in arguments.worlds:
        for name in arguments.families:
            if (world, name) in table.rows() and not arguments.again:
                continue
            family, options = ROWS[name]
            argv = ["toy", world, "--family", family, *options]
            argv += ["--seeds", str(arguments.seeds), "--threads", str(arguments.threads)]
            argv += [] if family == "r3gan" else ["--images", str(arguments.images)]
            argv += ["--out", str(arguments.out / f"{world}-{name}".replace(" ", "-"))] if arguments.out else []
            table.add(row(world, name, json.loads(gansmith(*argv, "--json"))))


if __name__ == "__main__":
    main()
