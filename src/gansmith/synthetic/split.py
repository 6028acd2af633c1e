"""Which pictures may be learned from and which are kept for the test: decided by content, before any GAN trains.

A picture's side follows from a hash of its pixels and the seed. So equal pictures land on the same side whatever their
files are called, and the same pictures split the same way in any order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from torch import Tensor

from gansmith.data import Pictures
from gansmith.errors import DataError
from gansmith.files.atomic import write_atomically
from gansmith.files.documents import Unreadable, read_json

FILE = "split.json"
MAX_SPLIT = 2**28
"""Bytes of that file: 40 for each picture."""
MINIMUM = 5
"""Different pictures that every class needs."""

_FORMAT = 1


@dataclass(frozen=True)
class Split:
    """The two sides, as it is stored with everything that was made from them.

    Attributes:
        data, data_hash: the labelled set.
        size: (height, width) at which its pictures were hashed.
        class_names: its classes.
        share: how much of each class was held out; 0 where nothing was.
        seed: chooses which pictures.
        train, test: digests of the pictures on each side.
        test_data: the data spec of a separate test set, or "".
        guarded: True if the model is known to have seen nothing but the train side.
        model_data_hash: hash of the pictures the model was trained on, where it is known.
    """

    data: str
    data_hash: str
    size: tuple[int, int]
    class_names: tuple[str, ...]
    share: float
    seed: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    test_data: str = ""
    guarded: bool = True
    model_data_hash: str = ""

    def rows(self, found: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the pictures with these digests that are on the train side, and on the test side."""
        sides = [set(self.train), set(self.test)]
        train, test = (np.array([i for i, d in enumerate(found) if d in side], dtype=np.int64) for side in sides)
        return train, test

    def save(self, folder: Path) -> Path:
        """Write ``split.json`` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / FILE, json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n")
        return folder / FILE

    @classmethod
    def load(cls, folder: Path) -> Split | None:
        """The split stored in a folder, or None where there is none.

        Raises:
            DataError: the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            content = read_json(path, MAX_SPLIT)
            values = {f.name: content[f.name] for f in fields(cls)}
        except (Unreadable, OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}). Restore it, or make the pictures again.") from None
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})


def digests(x: Tensor) -> list[str]:
    """A hash of each picture's pixels; uint8 [N, C, H, W]."""
    return [hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest() for pixels in x.contiguous().numpy()]


def labelled(pictures: Pictures) -> tuple[Tensor, Tensor]:
    """All pictures, uint8 [N, C, H, W], and their labels, int64 [N].

    Raises:
        DataError: there are no labels, only one class, or a class with too few different pictures.
    """
    if pictures.spec.classes < 2:
        raise DataError(
            f"'{pictures.name}' has no labels. Give labelled pictures of two or more classes: a folder with one "
            "sub-folder per class, an .npz with 'y', or a standard name such as mnist10k."
        )
    x, y = pictures.fetch(np.arange(len(pictures)))
    assert y is not None
    check_classes(y.numpy(), digests(x), pictures.spec.class_names, pictures.name)
    return x, y


def check_classes(labels: np.ndarray, found: Sequence[str], class_names: Sequence[str], name: str) -> None:
    """Raise ``DataError`` if a class has fewer than five different pictures."""
    different: dict[int, set[str]] = {c: set() for c in range(len(class_names))}
    for label, digest in zip(labels.tolist(), found, strict=True):
        different[label].add(digest)
    few = [f"'{class_names[c]}' has {len(those)}" for c, those in different.items() if len(those) < MINIMUM]
    if few:
        more = f", and {len(few) - 3} more classes have too few" if len(few) > 3 else ""
        raise DataError(
            f"Every class needs at least {MINIMUM} different pictures; in '{name}' class {', '.join(few[:3])}{more}. "
            "Add pictures to it, or leave it out."
        )


def hold_out(labels: np.ndarray, found: Sequence[str], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split pictures into a train and a test side, each class in proportion.

    Args:
        labels: class numbers [N].
        found: the pictures' digests; those with equal ones stay together, even when their labels differ.
        share: how much of each class to hold out, 0 to under 1.
        seed: another seed holds out others.

    Returns:
        The numbers of the pictures on each side, in rising order.

    Raises:
        DataError: the share is out of range.
    """
    if not 0 <= share < 1:
        raise DataError(f"--holdout is a share from 0 to under 1, such as 0.2, not {share}.")
    groups: dict[str, list[int]] = {}
    for i, digest in enumerate(found):
        groups.setdefault(digest, []).append(i)
    ordered = sorted(groups.values(), key=lambda g: hashlib.blake2b(f"{seed}/{found[g[0]]}".encode()).digest())
    test: list[int] = []
    for label in np.unique(labels) if share else ():
        mine = [group for group in ordered if labels[group[0]] == label]
        wanted = max(1, round(share * sum(map(len, mine))))
        taken = 0
        for group in mine[:-1]:  # never the last: something is left to learn from
            if taken and taken + len(group) > wanted:
                continue
            test += group
            taken += len(group)
    held = np.array(sorted(test), dtype=np.int64)
    return np.setdiff1d(np.arange(len(labels)), held), held


def match_classes(theirs: Sequence[str], ours: Sequence[str], what: str, data: str) -> np.ndarray:
    """Their class numbers -> ours, by name.

    Raises:
        DataError: they have a class that we do not.
    """
    missing = [name for name in theirs if name not in ours]
    if missing:
        raise DataError(
            f"The classes of {what} differ from those of '{data}': it has {_listed(missing)}, which '{data}' does not. "
            f"The classes of '{data}' are {_listed(ours)}."
        )
    return np.array([list(ours).index(name) for name in theirs], dtype=np.int64)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
