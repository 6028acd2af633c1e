"""StyleGAN2 on a thousand pictures, with and without adaptive augmentation: what ADA is for, seen happening.

    python benchmarks/ada_study.py --data FOLDER --minutes 12 --work runs/ada

Takes --count pictures of a folder at random, trains twice for the same time with the same seed, and measures both
against the pictures of the folder that neither saw. Writes results/ada.json beside this file, and to docs/images both
last grids and curves (how sure D is of real pictures, how much surer of those it trains on, the score while training).
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tables import gansmith

HERE = Path(__file__).parent
IMAGES = HERE.parent / "docs" / "images"
ARMS = {"without ADA": "none", "with ADA": "ada"}


def divide(folder: Path, count: int, seed: int, work: Path) -> tuple[Path, Path]:
    """Copies of ``count`` pictures of a folder, flat, and of the others."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"))
    if len(files) < count + 100:
        raise SystemExit(f"{folder} has {len(files)} pictures; {count} to train on and 100 to measure on are needed.")
    order = np.random.default_rng(seed).permutation(len(files))
    sides = work / "trained-on", work / "kept-back"
    for side, numbers in zip(sides, (order[:count], order[count:]), strict=True):
        side.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            source = files[number]
            shutil.copy(source, side / "-".join(source.relative_to(folder).parts))
    return sides


def train(arm: str, data: Path, args: argparse.Namespace) -> Path:
    """One run of StyleGAN2; kept if it is there already."""
    run = args.work / arm.replace(" ", "-")
    if not (run / "model").exists():
        options = ["--size", str(args.size), "--width", str(args.width), "--batch", str(args.batch)]
        options += [] if args.channel_base is None else ["--channel-base", str(args.channel_base)]
        options += ["--r1", str(args.r1), "--path-weight", "0", "--style-mixing", "0"]
        options += ["--augment", ARMS[arm], "--augment-images", str(args.augment_images), "--hold-out", "0.1"]
        options += ["--eval-every", str(args.eval_every), "--minutes", str(args.minutes), "--no-conditional"]
        gansmith("train", "stylegan2", "--data", str(data), "--out", str(run), *options)
    return run


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def plot(runs: dict[str, Path]) -> None:
    """D's overfitting and the score against images seen, a line per arm."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = {
        "sign_real": "mean sign of D on real pictures\n(ADA aims at 0.6)",
        "memorising": "unseen real pictures for D:\n0 as real as training ones, 1 as fake as fakes",
        "augment_p": "ADA's probability p",
        "score/SWD": "sliced Wasserstein distance",
    }
    figure, axes = pyplot.subplots(1, len(shown), figsize=(15, 3.4), constrained_layout=True)
    for arm, run in runs.items():
        rows = records(run)
        for axis, (name, title) in zip(axes, shown.items(), strict=True):
            points = [(row["images"] / 1000, row[name]) for row in rows if name in row]
            x, y = (np.array(values) for values in zip(*points, strict=True)) if points else (np.zeros(0), np.zeros(0))
            if len(y) > 60:  # running mean
                y = np.convolve(np.pad(y, (7, 7), mode="edge"), np.ones(15) / 15, "valid")
            axis.plot(x, y, label=arm)
            axis.set_title(title, fontsize=9)
            axis.set_xlabel("thousand images seen")
    axes[0].legend()
    figure.savefig(IMAGES / "ada-curves.png", dpi=100)


def measure(run: Path, data: Path, n: int) -> dict[str, float]:
    """Scores of the last model against pictures that it never saw."""
    options = ["--data", str(data), "--n", str(n), "--features", "fashion-cnn", "--metrics", "fid,kid,prdc,swd"]
    found = json.loads(gansmith("evaluate", str(run), *options, "--json"))["scores"]
    return {score["name"].replace("[fashion-cnn]", ""): score["value"] for score in found} | {
        f"{score['name']} of real pictures".replace("[fashion-cnn]", ""): score["floor"]
        for score in found
        if score["name"] in ("FD[fashion-cnn]", "SWD")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.0625)
    parser.add_argument("--channel-base", type=int, help="with --width 1, 1024 makes D wide where maps are small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--r1", type=float, default=5.0)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--augment-images", type=int, default=40_000)
    parser.add_argument("--eval-every", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arm", choices=list(ARMS), help="train this one only, and measure nothing yet")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    trained_on, kept_back = divide(args.data, args.count, args.seed, args.work)
    if args.arm:
        train(args.arm, trained_on, args)
        return
    runs = {arm: train(arm, trained_on, args) for arm in ARMS}
    rows = []
    for arm, run in runs.items():
        scores = measure(run, kept_back, len(list(kept_back.iterdir())))
        last = records(run)[-1]
        facts = {"pictures seen": f"{last['images']:,}", "p at the end": round(last.get("augment_p", 0.0), 2)}
        rows.append({"": arm, **facts, **{name: float(f"{value:.4g}") for name, value in scores.items()}})
        grids = sorted((run / "samples").glob("[0-9]*.png"))
        shutil.copy(grids[-1], IMAGES / f"stylegan2-emoji-{ARMS[arm]}.png")
    settings = {k: v for k, v in vars(args).items() if k not in ("data", "work", "arm")}
    content = {"rows": rows, "settings": settings}
    (HERE / "results" / "ada.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    plot(runs)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
