"""What a model brings to a hundred pictures: ``python benchmarks/fine_tuning.py [--minutes 10]``.

A model learns nine kinds of clothes, Fashion-MNIST without ankle boots. Then runs of the same length learn from a
hundred ankle boots: from scratch, from that model (``--init``), and from it with the first layers of its discriminator
left as they are (``--freeze-d``, FreezeD, arXiv:2002.10964). Scores are taken on the 5,900 other boots. Rows go to
results/fine_tuning.json, a row of samples for each to docs/images/fine-tuning.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import gansmith as package
from gansmith.data import open_pictures
from tables import Table, count_processor_time, gansmith

HERE = Path(__file__).parent
BOOTS = 9
"""Fashion-MNIST's number for ankle boots."""
ROWS: dict[str, list[str]] = {
    "from scratch": [],
    "--init": ["--init", "{base}"],
    "--init --freeze-d 1": ["--init", "{base}", "--freeze-d", "1"],
    "--init --freeze-d 2": ["--init", "{base}", "--freeze-d", "2"],
}
SHOWN = 12
"""Samples in a row of the picture."""


def write_data(work: Path) -> tuple[Path, Path, Path]:
    """Clothes without boots, a hundred boots, and the others, as .npz files without labels."""
    clothes = open_pictures("fashion-mnist")
    pictures, labels = clothes.fetch(np.arange(len(clothes)))
    assert labels is not None
    x, y = pictures[:, 0].numpy(), labels.numpy()
    boots = x[y == BOOTS]
    paths = work / "nine-kinds.npz", work / "boots-100.npz", work / "boots-others.npz"
    for path, part in zip(paths, (x[y != BOOTS], boots[:100], boots[100:]), strict=True):
        np.savez(path, x=part)
    return paths


def train(data: Path, out: Path, minutes: float, options: list[str]) -> list[str]:
    """One run of r3gan, without labels or kinds; its command."""
    command = ["train", "r3gan", "--data", str(data), "--kinds", "0", "--minutes", f"{minutes:g}", *options]
    if not (out / "model").exists():
        gansmith(*command, "--out", str(out))
    return command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of every run, the model's too")
    parser.add_argument("--work", type=Path, default=Path("runs/fine-tuning"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--cpu", action="store_true", help="count processor time in place of time: fair on a busy machine"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.cpu:
        count_processor_time()
    args.work.mkdir(parents=True, exist_ok=True)
    nine, few, others = write_data(args.work)
    base = args.work / "base"
    train(nine, base, args.minutes, [])
    table = Table("fine_tuning", ["way"], [(way,) for way in ROWS])
    strips = [np.load(few)["x"][:SHOWN]]
    for way, options in ROWS.items():
        out = args.work / way.replace("--", "").replace(" ", "-")
        command = train(few, out, args.minutes, [option.format(base=base) for option in options] + ["--augment", "ada"])
        measured = gansmith(
            "evaluate",
            str(out),
            "--data",
            str(others),
            "--n",
            "5000",
            "--features",
            "fashion-cnn",
            "--metrics",
            "fid,prdc",
            "--json",
        )
        scores = {score["name"]: score["value"] for score in json.loads(measured)["scores"]}
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        row = {
            "way": way,
            "minutes": args.minutes,
            "threads": args.threads,
            "pictures seen": log[-1]["images"],
            **scores,
        }
        table.add(row | {"command": "gansmith " + " ".join(command)})
        strips.append(package.load(out).sample(SHOWN, seed=0)[..., 0])
    picture = np.concatenate([np.concatenate(list(strip), axis=1) for strip in strips])
    large = Image.fromarray(picture).resize((2 * picture.shape[1], 2 * picture.shape[0]), Image.Resampling.NEAREST)
    large.save(HERE.parent / "docs" / "images" / "fine-tuning.png")


if __name__ == "__main__":
    main()
