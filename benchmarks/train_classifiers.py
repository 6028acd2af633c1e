"""Train the classifiers that ship with gansmith: ``python benchmarks/train_classifiers.py [mnist-cnn|fashion-cnn]``.

``mnist-cnn`` learns on 9,000 of the embedded 10,000 digits, drawn by a fixed seed, and is tested on the other 1,000.
``fashion-cnn`` learns on the 60,000 training pictures of Fashion-MNIST and is tested on its 10,000 test pictures.
Writes NAME.safetensors and NAME.json (accuracy per class, settings) into the package. The ones that ship were trained
with ``--threads 1``: 6 minutes of one core for the digits, 20 for fashion. ``fashion-mnist`` is downloaded, or found
where Debian's package dataset-fashion-mnist puts it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from gansmith.data import open_pictures
from gansmith.metrics.classifier import DigitNet, classify

SEED = 0
WEIGHTS = Path(__file__).parents[1] / "src" / "gansmith" / "metrics" / "weights"
DIGITS = tuple("0123456789")
FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@dataclass(frozen=True)
class Recipe:
    """How one classifier is trained."""

    train: str
    """Data spec to learn from."""
    test: str | int
    """Data spec to test on, or how many pictures to hold out of ``train``."""
    class_names: tuple[str, ...]
    epochs: int
    mirror: bool = False
    """Whether a mirrored picture is still of its class."""
    polish: int = 0
    """Epochs at the end on pictures that are only mirrored."""
    lr: float = 4e-3
    batch: int = 128


RECIPES = {
    "mnist-cnn": Recipe("mnist10k", 1000, DIGITS, epochs=30),
    "fashion-cnn": Recipe("fashion-mnist", "fashion-mnist:test", FASHION, epochs=12, mirror=True, polish=3),
}


def fetch_all(spec: str) -> tuple[Tensor, Tensor]:
    """All pictures of a data spec, uint8 [N, 1, 28, 28], and their labels [N]."""
    pictures = open_pictures(spec)
    images, labels = pictures.fetch(np.arange(len(pictures)))
    if labels is None:
        raise SystemExit(f"{spec} has no labels")
    return images, labels


def augment(images: Tensor, mirror: bool) -> Tensor:
    """Rotate up to 10 degrees, scale by 10 %, shift by 2 pixels, and add a little noise to [N, 1, H, W] in [-1, 1]."""
    n, size = len(images), images.shape[-1]
    angle = (torch.rand(n) * 2 - 1) * math.radians(10)
    scale = 1 + (torch.rand(n) * 2 - 1) * 0.1
    shift = (torch.rand(n, 2) * 2 - 1) * (2 * 2 / size)  # affine_grid measures in half widths
    flip = torch.where(torch.rand(n) < 0.5, -1.0, 1.0) if mirror else torch.ones(n)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    matrix = torch.stack(
        [torch.stack([cos * flip, -sin, shift[:, 0]], 1), torch.stack([sin * flip, cos, shift[:, 1]], 1)], 1
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    # Pictures are black outside, which is -1: sample from [0, 2], where padding with zeros means black.
    moved = F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1
    return moved + torch.randn_like(moved) * torch.rand(n, 1, 1, 1) * 0.1


def mirrored(images: Tensor, mirror: bool) -> Tensor:
    """Every second picture mirrored, at random, and otherwise left alone."""
    if not mirror:
        return images
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)


def shuffled(images: Tensor, labels: Tensor, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of full batches, images as float in [-1, 1]."""
    for indices in torch.randperm(len(images)).split(batch):
        if len(indices) == batch:
            yield images[indices].float() / 127.5 - 1, labels[indices]


def fit(recipe: Recipe, images: Tensor, labels: Tensor) -> DigitNet:
    """Train on moved and noisy pictures, then, where the recipe says so, a little more on them as sharp as they are."""
    torch.manual_seed(SEED)
    network = DigitNet(len(recipe.class_names)).to(memory_format=torch.channels_last)
    stage(network, recipe, images, labels, recipe.epochs, recipe.lr, augment)
    if recipe.polish:
        torch.manual_seed(SEED + 1)
        stage(network, recipe, images, labels, recipe.polish, recipe.lr / 4, mirrored)
    refresh_statistics(network, images)
    return network.eval()


def stage(
    network: DigitNet,
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    epochs: int,
    lr: float,
    change: Callable[[Tensor, bool], Tensor],
) -> None:
    """AdamW with a one-cycle learning rate (Smith and Topin 2018, arXiv:1708.07120)."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.01, fused=True)
    steps = len(images) // recipe.batch * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    network.train()
    for epoch in range(epochs):
        began, total = time.perf_counter(), 0.0
        for x, y in shuffled(images, labels, recipe.batch):
            loss = F.cross_entropy(network(change(x, recipe.mirror)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - began
        print(f"epoch {epoch + 1}/{epochs}: loss {total * epochs / steps:.4f}, {seconds:.0f} s", flush=True)


@torch.no_grad()
def refresh_statistics(network: DigitNet, images: Tensor) -> None:
    """Batch statistics of the finished weights over pictures as they are, without augmentation."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.reset_running_stats()
            module.momentum = None  # a plain average over all batches
    network.train()
    for chunk in images.split(500):
        network(chunk.float() / 127.5 - 1)


def measure(network: DigitNet, images: Tensor, labels: Tensor, names: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy on held-out pictures, over all and per class."""
    right = classify(network, images) == labels.numpy()
    per_class = {name: round(float(right[labels.numpy() == k].mean()), 4) for k, name in enumerate(names)}
    return {"accuracy": round(float(right.mean()), 4), "accuracy_per_class": per_class}


def train(name: str) -> None:
    """Train one classifier and write it into the package."""
    recipe = RECIPES[name]
    images, labels = fetch_all(recipe.train)
    if isinstance(recipe.test, int):
        order = torch.from_numpy(np.random.default_rng(SEED).permutation(len(images)))
        held, kept = order[: recipe.test], order[recipe.test :]
        test, (images, labels) = (images[held], labels[held]), (images[kept], labels[kept])
        tested_on = f"{recipe.test} pictures of {recipe.train} held out by seed {SEED}"
    else:
        test, tested_on = fetch_all(recipe.test), recipe.test
    began = time.perf_counter()
    network = fit(recipe, images, labels)
    card = {
        "name": name,
        "class_names": recipe.class_names,
        "trained_on": f"{len(images)} pictures of {recipe.train}",
        "tested_on": tested_on,
        **measure(network, *test, recipe.class_names),
        "epochs": recipe.epochs + recipe.polish,
        "batch": recipe.batch,
        "lr": recipe.lr,
        "seed": SEED,
        "weights": sum(p.numel() for p in network.parameters()),
    }
    WEIGHTS.mkdir(exist_ok=True)
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, WEIGHTS / f"{name}.safetensors")
    (WEIGHTS / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n")
    print(f"{name}: {card['accuracy']:.2%} on {tested_on}, {time.perf_counter() - began:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=list(RECIPES), metavar="NAME", help=f"{', '.join(RECIPES)} (default: all)"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's own choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for name in arguments.names:
        train(name)


if __name__ == "__main__":
    main()
