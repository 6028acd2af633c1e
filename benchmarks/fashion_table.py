"""Fashion-MNIST in ten minutes per family: ``python benchmarks/fashion_table.py [--rows gan dcgan ...]``.

Trains each family on the 60,000 training pictures (28 px) for --minutes, then measures it with ``gansmith evaluate`` on
the embedded classifier's features: 10,000 samples against 10,000 training pictures. Rows that are in
results/fashion.json beside this file are kept unless --again. The runs stay in --work; the last grid of each is copied
to docs/images. ``--row NAME FAMILY OPTION...`` measures a row of your own, and keeps it out of the results.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from gansmith import cli

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "fashion.json"
ROWS: dict[str, list[str]] = {"gan": ["gan"], "dcgan": ["dcgan"], "wgan-gp": ["wgan-gp"], "r3gan": ["r3gan"]}
"""Name of a row -> family and options."""


def gansmith(*argv: str) -> str:
    """What a command prints to stdout."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = cli.main(list(argv))
    if code:
        raise SystemExit(f"gansmith {' '.join(argv)} ended with code {code}.")
    return printed.getvalue()


def one(name: str, options: list[str], minutes: float, data: str, work: Path, n: int) -> dict[str, Any]:
    """Train and measure one row."""
    run = work / name.replace(" ", "-")
    if not (run / "model").exists():
        gansmith("train", options[0], "--data", data, "--minutes", str(minutes), "--out", str(run), *options[1:])
    scores = json.loads(gansmith("evaluate", str(run), "--data", data, "--n", str(n), "--json"))
    info = json.loads((run / "model" / "config.json").read_text())
    command = f"gansmith train {' '.join(options)} --data {data} --minutes {minutes:g}"
    return {"command": command, "images": info["images"], "threads": torch.get_num_threads(), "scores": scores}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--row", nargs=argparse.REMAINDER, help="NAME FAMILY OPTION...: measure this instead")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--work", type=Path, default=Path("runs/fashion"))
    parser.add_argument("--again", action="store_true", help="measure rows that are in the results already")
    args = parser.parse_args()
    if args.row:
        print(json.dumps(one(args.row[0], args.row[1:], args.minutes, args.data, args.work, args.n), indent=2))
        return
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in args.rows:
        if name in results and not args.again:
            continue
        results[name] = one(name, ROWS[name], args.minutes, args.data, args.work, args.n)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        grids = sorted((args.work / name / "samples").glob("[0-9]*.png"))
        shutil.copy(grids[-1], HERE.parent / "docs" / "images" / f"{name}-fashion.png")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
