"""Classes of a set, where nobody has labelled it: kinds of pictures that look alike, by k-means on edges and brightness.

A GAN learns sooner and leaves less out where it knows of what kind a picture is, and the kinds need not be a person's:
groups that a classic description of pictures finds serve as labels (Liu et al. 2020, arXiv:2006.10728, who group by D's features).
The description is a histogram of oriented gradients (Dalal & Triggs 2005) beside the mean brightness, or colour, of each cell.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gansmith import registry
from gansmith.data.sources import MemoryPictures, Pictures
from gansmith.errors import DataError
from gansmith.game import Game

CELLS = 7
"""A picture is described by so many cells along each side."""
DIRECTIONS = 8
"""Directions of edges, over the full circle."""
_COMPONENTS = 60
_FITTED_ON = 20_000
_AT_ONCE = 1_024


def describe(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] -> [N, D] float32: for each cell how much edge there is in each direction, and how bright it is."""
    pixels = images[:, :3].float() / 255
    grey = pixels.mean(1, keepdim=True)
    across = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    down = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
    strength = torch.hypot(across, down)
    place = torch.atan2(down, across) * (DIRECTIONS / (2 * math.pi)) % DIRECTIONS
    below = place.floor() % DIRECTIONS
    part = place - place.floor()
    edges = [strength * ((below == i) * (1 - part) + ((below + 1) % DIRECTIONS == i) * part) for i in range(DIRECTIONS)]
    maps = torch.cat([*edges, 2 * pixels[:, :, 1:-1, 1:-1]], 1)
    return F.adaptive_avg_pool2d(maps, CELLS).flatten(1).sqrt()  # the root keeps one strong edge from deciding all


def find(pictures: Pictures, count: int) -> tuple[np.ndarray, int]:
    """Kind of every picture, int64 [N], the largest kind first, and how many kinds there are: ``count``, or fewer where pictures are alike.

    The same pictures have the same kinds every time. The groups are found on at most 20,000 of them.

    Raises:
        DataError: there are fewer pictures than kinds.
    """
    import cv2
    from scipy.cluster.vq import vq

    if not 2 <= count <= len(pictures):
        raise DataError(
            f"--kinds {count} asks for so many kinds of pictures, and '{pictures.name}' has {len(pictures)} of them. Take from 2 "
            "to as many kinds as there are pictures, or 0 for none."
        )
    some = np.sort(np.random.default_rng(0).permutation(len(pictures))[:_FITTED_ON])
    described = np.concatenate(list(_descriptions(pictures, some)))
    mean = described.mean(0, dtype=np.float64)
    centred = described - mean.astype(np.float32)
    directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)[1][:, : -_COMPONENTS - 1 : -1]
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 30, 0.0)
    points = np.ascontiguousarray(centred @ directions, np.float32)
    centres = cv2.kmeans(points, count, np.empty(0), stop, 3, cv2.KMEANS_PP_CENTERS)[2]  # the best of three
    parts = _descriptions(pictures, np.arange(len(pictures)))
    numbers = np.concatenate([vq((part - mean) @ directions, centres)[0] for part in parts])
    found, sizes = np.unique(numbers, return_counts=True)
    rank = np.zeros(count, np.int64)
    rank[found[np.argsort(-sizes, kind="stable")]] = np.arange(len(found))
    return rank[numbers], len(found)


def _descriptions(pictures: Pictures, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _AT_ONCE):
        yield describe(pictures.fetch(rows[start : start + _AT_ONCE])[0]).numpy()


def group(pictures: Pictures, asked: int | None, family: type[Game], config: Any) -> bool:
    """Make kinds the classes of a set, in place, where they are asked for or are the family's usual; labels that it had are left out.

    Args:
        asked: how many kinds; None leaves it to the family and the data, 0 wants none.
        config: the family's settings.

    Returns:
        Whether there are kinds now.

    Raises:
        DataError: the family learns no classes, there are fewer pictures than kinds, or all of them are alike.
    """
    if asked is None and not pictures.spec.classes and isinstance(pictures, MemoryPictures):
        asked = family.usual_kinds(config, pictures.spec, len(pictures))
    if not asked:
        return False
    if not family.may_learn_classes(config):
        raise DataError(
            f"--kinds groups pictures for networks that learn classes, and here they do not ({registry.name_of(family)}, "
            "--no-conditional). Leave --kinds out, or take another family, for instance r3gan."
        )
    label(pictures, asked)
    return True


def label(pictures: Pictures, count: int) -> None:
    """Make ``count`` kinds the classes of a set, in place; labels that it had are left out.

    Raises:
        DataError: there are fewer pictures than kinds, or all of them are alike.
    """
    numbers, found = find(pictures, count)
    if found < 2:
        raise DataError(
            f"All pictures of '{pictures.name}' look alike, so there are no kinds to learn: leave --kinds out."
        )
    pictures.spec = replace(pictures.spec, classes=found, class_names=tuple(f"kind {i + 1}" for i in range(found)))
    pictures.relabel(numbers)
    pictures.hash = hashlib.blake2b(f"{pictures.hash} kinds {count}".encode(), digest_size=16).hexdigest()


def without_empty_classes(pictures: Pictures) -> tuple[str, ...]:
    """Take classes that have no pictures out of a set, in place; the rest are numbered anew.

    A label that no picture has is never learned, so what is drawn from it means nothing. Where fewer than two classes are
    left, there are no labels any more.

    Returns:
        The names of the classes that were taken out.
    """
    labels = pictures.labels()
    if labels is None:
        return ()
    names = pictures.spec.class_names
    counts = np.bincount(labels, minlength=len(names))
    kept = np.flatnonzero(counts)
    if len(kept) == len(names):
        return ()
    number = np.full(len(names), -1, np.int64)
    number[kept] = np.arange(len(kept))
    classes = len(kept) if len(kept) > 1 else 0
    pictures.relabel(number[labels] if classes else None)
    pictures.spec = replace(
        pictures.spec, classes=classes, class_names=tuple(names[i] for i in kept) if classes else ()
    )
    pictures.hash = hashlib.blake2b(f"{pictures.hash} {kept.tolist()}".encode(), digest_size=16).hexdigest()
    return tuple(names[i] for i in np.flatnonzero(counts == 0))
