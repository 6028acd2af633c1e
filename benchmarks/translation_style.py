"""Is a translation recognisably of the other style? A classifier that tells the two styles apart says.

    python benchmarks/translation_style.py runs/cyclegan --train google twitter --held held_out/google held_out/twitter

Trains a small network on the training folders to tell A from B, --seeds times, and shows it held-out pictures of A and
of B as they are, and translated. Pictures that are taken for the other style in as many cases as its own are have
become it. Writes results/translation_style.json beside this file, a row per model; rows of other names are kept.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

import torch
from torch import Tensor

import gansmith
from gansmith.data import open_pictures
from gansmith.data.sources import MemoryPictures
from gansmith.files.pictures import to_float, to_uint8
from gansmith.synthetic.classifier import Pool, Recipe, predict, train
from gansmith.translation import Translation
from tables import Table


def read(folder: str, size: int) -> MemoryPictures:
    pictures = open_pictures(folder, size=size)
    assert isinstance(pictures, MemoryPictures)
    return pictures


@torch.inference_mode()
def translated(game: Translation, images: Tensor, direction: str) -> Tensor:
    """uint8 [N, C, H, W] -> uint8 [N, C, H, W]."""
    parts = [to_uint8(game.translate(to_float(part), direction=direction)) for part in images.split(32)]
    return torch.cat(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--train", nargs=2, required=True, metavar=("A", "B"))
    parser.add_argument("--held", nargs=2, required=True, metavar=("A", "B"))
    parser.add_argument("--name", default="cyclegan", help="of the row")
    parser.add_argument("--steps", type=int, default=400, help="batches of 64 that the classifier learns from")
    parser.add_argument("--seeds", type=int, default=3, help="classifiers")
    args = parser.parse_args()
    model = gansmith.load(args.model)
    assert isinstance(model.game, Translation)
    size = model.game.spec.height
    sides = [read(folder, size) for folder in args.train]
    images = torch.cat([side.x for side in sides])
    labels = torch.arange(2).repeat_interleave(torch.tensor([len(side.x) for side in sides]))
    spec = replace(sides[0].spec, classes=2)
    pool = Pool(images, labels, torch.zeros(len(images), dtype=torch.bool), lambda progress: torch.ones(len(images)))
    a, b = (read(folder, size).x for folder in args.held)
    shown = {
        "A as it is": a,
        "A to B": translated(model.game, a, "ab"),
        "B as it is": b,
        "B to A": translated(model.game, b, "ba"),
    }
    shares: dict[str, list[float]] = {name: [] for name in shown}
    for seed in range(args.seeds):
        network = train(pool, spec, Recipe(steps=args.steps), augment=True, seed=seed)
        for name, pictures in shown.items():
            shares[name].append(100 * predict(network, pictures).argmax(1).float().mean().item())
    row = {"model": args.name, "pictures": f"{len(a)} and {len(b)}"}
    for name, values in shares.items():
        row[f"{name}, taken for B"] = f"{statistics.mean(values):.0f} % ({min(values):.0f} to {max(values):.0f})"
    print(row)
    table = Table("translation_style", ["model"], [])
    table.order = [*table.rows(), *([] if (args.name,) in table.rows() else [(args.name,)])]
    table.add(row)


if __name__ == "__main__":
    main()
