"""Modes of stacked digits: ``python benchmarks/stacked_mnist.py [r3gan] [--minutes 40]``.

Runs ``gansmith toy stacked-mnist`` for each family and writes results/stacked_mnist.json beside this file, with all
that the command said under ``details``. Rows of families that are not named are kept.
"""

from __future__ import annotations

import argparse
import json

from tables import Table, gansmith

FAMILIES = ("gan", "dcgan", "wgan", "wgan-gp", "r3gan", "stylegan2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=["r3gan"], choices=FAMILIES)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    table = Table("stacked_mnist", ["family"], [(name,) for name in FAMILIES])
    for family in args.families:
        argv = ["toy", "stacked-mnist", "--family", family, "--minutes", f"{args.minutes:g}"]
        argv += ["--threads", str(args.threads)]
        result = json.loads(gansmith(*argv, "--json"))
        (run,) = result["runs"]
        row = {"family": family, "modes of 1,000": run["modes"], "KL": run["kl"], "pictures seen": f"{run['images']:,}"}
        row |= {"minutes": args.minutes, "threads": args.threads}
        table.add(row | {"details": {"command": f"gansmith {' '.join(argv)}", "result": result}})
        print(row)


if __name__ == "__main__":
    main()
