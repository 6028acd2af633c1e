"""How good the digits of ``make demo`` are: ``python benchmarks/demo.py [--threads 2] [--cpu]``.

Trains as the demo does (``r3gan`` on the embedded digits, which learns their labels), and ``dcgan`` without labels for
as long. Each draws 5,000 digits. FD[mnist-cnn] compares them with 5,000 real ones. ``labels`` is the share of digits
that the embedded classifier reads as the class that was asked for; of real digits it reads 99 %. ``--cpu`` counts
processor time, shared by the threads, instead of time on the wall. Rows lie in results/demo.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch

import gansmith as package
from gansmith.files.run import Run
from gansmith.metrics.classifier import classify, load_classifier
from tables import Table, count_processor_time, gansmith

HERE = Path(__file__).parent
ROWS = {"r3gan, as make demo": ["r3gan"], "dcgan, no labels": ["dcgan", "--no-conditional"]}


def right(run: Path, n: int) -> float | None:
    """The share of digits that carry their label; None for a model that has none."""
    model = package.load(run)
    if not model.classes:
        return None
    made = torch.from_numpy(model.sample(n, seed=0)).permute(0, 3, 1, 2)
    asked = model.labels(n)
    assert asked is not None
    return float((classify(load_classifier("mnist-cnn"), made) == asked.numpy()).mean())


def one(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train and measure one row."""
    run = args.work / name.partition(",")[0]
    words = ["train", *ROWS[name], "--data", "mnist10k", "--minutes", f"{args.minutes:g}"]
    gansmith(*words, "--out", str(run))
    measured = ["--data", "mnist10k", "--n", str(args.n), "--metrics", "fid,prdc", "--json"]
    scores = {s["name"]: s["value"] for s in json.loads(gansmith("evaluate", str(run), *measured))["scores"]}
    found = {"family": name, "pictures seen": Run.open(run).facts["images"], "labels": right(run, args.n), **scores}
    if found["labels"] is not None:
        gansmith("sample", str(run), "--n", "100", "--out", str(run / "digits.png"))
        shutil.copy(run / "digits.png", HERE.parent / "docs" / "images" / "demo.png")
    clock = "processor" if args.cpu else "wall"
    return found | {"command": f"gansmith {' '.join(words)}", "clock": clock, "threads": torch.get_num_threads()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--work", type=Path, default=Path("runs/demo-measured"))
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's own choice")
    parser.add_argument("--cpu", action="store_true", help="count processor time")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.cpu:
        count_processor_time()
    table = Table("demo", ["family"], [(name,) for name in ROWS])
    for name in args.rows:
        table.add(one(name, args))
    print(json.dumps(list(table.rows().values()), indent=2))


if __name__ == "__main__":
    main()
