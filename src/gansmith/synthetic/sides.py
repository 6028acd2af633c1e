"""What a model and the filters learn from, and what is kept from them: made once, stored, and found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gansmith.data import Pictures, open_pictures
from gansmith.errors import DataError
from gansmith.models.bundle import Model
from gansmith.synthetic.split import Split, digests, hold_out, match_classes


def new_split(
    pictures: Pictures, x: Tensor, y: Tensor, *, share: float, test: str, seed: int, model: Model | None
) -> Split:
    """Decide what is learned from.

    With a model that is trained already nothing is held out, as it may have seen everything; and of a separate test set
    only those pictures count that are not among the data. Otherwise they are kept out of what is learned from.

    Raises:
        DataError: the test pictures cannot be used with this data, or nothing would be left of a side or a class.
    """
    found = digests(x)
    spec = pictures.spec
    seen = str(model.info.get("data", {}).get("hash", "")) if model else ""
    split = Split(
        pictures.name, pictures.hash, (spec.height, spec.width), spec.class_names, 0.0, seed, tuple(dict.fromkeys(found)), (),
        guarded=model is None, model_data_hash=seen,
    )  # fmt: skip
    if test:
        split = separate_test(split, test, pictures, keep_train=model is not None)
        kept = set(split.train)
        left = torch.bincount(y[torch.tensor([d in kept for d in found])], minlength=spec.classes)
        if left.min() == 0:
            empty = spec.class_names[int(left.argmin())]
            raise DataError(
                f"Every picture of class '{empty}' is also in '{test}'. Test on others, or leave --test out."
            )
        return replace(split, guarded=model is None or seen == pictures.hash)
    if model is not None:
        return split
    train_rows, test_rows = hold_out(y.numpy(), found, share, seed)
    train, held = (tuple(dict.fromkeys(found[i] for i in rows)) for rows in (train_rows, test_rows))
    return replace(split, share=share, train=train, test=held)


def separate_test(split: Split, test: str, pictures: Pictures, *, keep_train: bool) -> Split:
    """The same split, tested on other pictures.

    Args:
        keep_train: pictures on both sides leave the test side; otherwise they leave the train side.

    Raises:
        DataError: nothing would be left of a side, or the test pictures do not fit.
    """
    theirs = dict.fromkeys(digests(open_test(test, pictures)[0]))
    ours = dict.fromkeys(split.train)
    train = split.train if keep_train else tuple(d for d in ours if d not in theirs)
    held = tuple(d for d in theirs if d not in ours) if keep_train else tuple(theirs)
    if not train or not held:
        raise DataError(f"'{test}' holds the same pictures as '{pictures.name}'. Test on others, or leave --test out.")
    return replace(split, train=train, test=held, test_data=test, share=0.0)


def open_test(spec: str, pictures: Pictures) -> tuple[Tensor, Tensor]:
    """The pictures of a separate test set at the size of the data, and their labels in its numbers.

    Raises:
        DataError: no labels, or other classes.
    """
    opened = open_pictures(spec, size=(pictures.spec.height, pictures.spec.width), channels=pictures.spec.channels)
    if not opened.spec.classes:
        raise DataError(f"The test pictures '{spec}' have no labels.")
    numbers = match_classes(
        opened.spec.class_names, pictures.spec.class_names, f"the test pictures '{spec}'", pictures.name
    )
    x, y = opened.fetch(np.arange(len(opened)))
    assert y is not None
    return x, torch.from_numpy(numbers)[y]


def stored_split(model: str | None, pictures: Pictures) -> Split | None:
    """The split that a model of ours was trained by, if it was of the same pictures."""
    if model is None:
        return None
    folder = Path(model)
    for place in (folder, folder.parent, folder.parent.parent):
        split = Split.load(place)
        if split is not None and split.data_hash == pictures.hash and split.guarded:
            return split
    return None
