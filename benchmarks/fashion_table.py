"""Fashion-MNIST in ten minutes per family: ``python benchmarks/fashion_table.py [--rows gan dcgan ...]``.

Trains each family on the 60,000 training pictures (28 px) for --minutes, then measures it with ``gansmith evaluate`` on
the embedded classifier's features: 10,000 samples against 10,000 training pictures. Rows that are in
results/fashion.json beside this file are kept unless --again. The runs stay in --work; the last grid of each is copied
to docs/images. ``--row NAME FAMILY OPTION...`` measures a row of your own, and keeps it out of the results. ``--threads
1`` and one process per row (--rows) share a machine out fairly.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from tables import Table, gansmith

HERE = Path(__file__).parent
ROWS: dict[str, list[str]] = {
    "gan": ["gan", "--no-conditional"],
    "dcgan": ["dcgan"],
    "wgan-gp": ["wgan-gp", "--no-conditional", "--critic-steps", "5", "--batch", "64"],
    "r3gan": ["r3gan", "--kinds", "50"],
    "r3gan, labels": ["r3gan"],
}
"""Name of a row -> family and options."""
SHOWN = ("KID", "precision", "recall", "density", "coverage")
"""Scores of the table beside the Frechet distance."""


def folder(name: str) -> str:
    """A row's name as that of its run folder and its picture."""
    return name.replace(", ", "-").replace(" ", "-")


def one(name: str, options: list[str], minutes: float, data: str, work: Path, n: int) -> dict[str, Any]:
    """Train and measure one row."""
    run = work / folder(name)
    if not (run / "model").exists():
        gansmith("train", options[0], "--data", data, "--minutes", str(minutes), "--out", str(run), *options[1:])
    scores = json.loads(gansmith("evaluate", str(run), "--data", data, "--n", str(n), "--json"))["scores"]
    values = {score["name"].removesuffix("[fashion-cnn]"): score["value"] for score in scores}
    named = {"FD[fashion-cnn]": values["FD"], **{k: values[k] for k in SHOWN}}
    info = json.loads((run / "model" / "config.json").read_text())
    seconds = json.loads((run / "log.jsonl").read_text().splitlines()[-1])["seconds"]
    return {
        "family": name,
        "threads": torch.get_num_threads(),
        "pictures seen": f"{info['images']:,}",
        **named,
        "details": {
            "command": f"gansmith train {' '.join(options)} --data {data} --minutes {minutes:g}",
            "seconds": seconds,
            "scores": scores,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--row", nargs=argparse.REMAINDER, help="NAME FAMILY OPTION...: measure this instead")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--work", type=Path, default=Path("runs/fashion"))
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's own choice")
    parser.add_argument("--again", action="store_true", help="measure rows that are in the results already")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.row:
        print(json.dumps(one(args.row[0], args.row[1:], args.minutes, args.data, args.work, args.n), indent=2))
        return
    table = Table("fashion", ["family"], [(name,) for name in ROWS])
    for name in args.rows:
        if (name,) in table.rows() and not args.again:
            continue
        table.add(one(name, ROWS[name], args.minutes, args.data, args.work, args.n))
        grids = sorted((args.work / folder(name) / "samples").glob("[0-9]*.png"))
        shutil.copy(grids[-1], HERE.parent / "docs" / "images" / f"{folder(name)}-fashion.png")
    print(json.dumps(list(table.rows().values()), indent=2))


if __name__ == "__main__":
    main()
