"""Do synthetic pictures help? The same classifier with and without them, on pictures that nothing has seen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gansmith.data import Pictures
from gansmith.data.specs import open_source
from gansmith.data.threads import Broken
from gansmith.errors import DataError, GansmithError
from gansmith.game import ImageSpec
from gansmith.study.comparison import (
    ARMS,
    BOTH,
    CLASSIC,
    GAN,
    ONLY,
    REAL,
    RESAMPLED,
    Arm,
    Study,
    StudySettings,
    compare_all,
    summarise,
)
from gansmith.synthetic import classifier as classifiers
from gansmith.synthetic.classifier import Pool, Recipe
from gansmith.synthetic.dataset import SyntheticDataset
from gansmith.synthetic.sides import open_test, separate_test
from gansmith.synthetic.split import Split, digests, labelled

Say = Callable[[str], None]


def study(
    pictures: Pictures,
    synthetic: str | Path | SyntheticDataset,
    settings: StudySettings,
    *,
    split: Split | None = None,
    test: str = "",
    flip: bool = False,
    seed: int = 0,
    device: torch.device | str = "cpu",
    say: Say,
) -> Study:
    """Train every arm with every seed and compare.

    Args:
        pictures: the labelled set that the split was made from.
        synthetic: a folder that ``gansmith augment`` wrote, or another one with a folder per class.
        split: which real pictures were learned from; by default what is stored in the folder.
        test: test on this data spec instead of what was held out.
        flip: classic augmentation mirrors.
        say: told what is going on, a line at a time.

    Raises:
        GansmithError: there is no side that nothing has seen, the classes differ, or settings cannot be.
    """
    spec = pictures.spec
    check_study(settings, spec)
    x, y = labelled(pictures)
    made, folder, notes_made = opened(synthetic, spec)
    split = split or find_split(folder, pictures, x, test)
    train, test_x, test_y, notes = sides(split, pictures, x, y)
    notes += notes_made
    made, copies = without_copies(made, set(split.test))
    if copies:
        notes.append(f"{copies} synthetic pictures equal test pictures; they were left out.")
    learned = (x[train], y[train], made.images, made.targets)
    arms = run_arms(learned, (test_x, test_y), spec, settings, flip=flip, seed=seed, device=device, say=say)
    if ONLY not in arms:
        notes.append("Some class has no synthetic pictures, so nothing was trained on those alone.")
    counts = [tuple(torch.bincount(labels, minlength=spec.classes).tolist()) for labels in (learned[1], learned[3])]
    return Study(
        pictures.name, spec.class_names, settings, arms, compare_all(arms, test_y.numpy()), counts[0], counts[1],
        test_y.numpy(), tuple(notes),
    )  # fmt: skip


def opened(
    synthetic: str | Path | SyntheticDataset, spec: ImageSpec
) -> tuple[SyntheticDataset, Path | None, list[str]]:
    """The synthetic pictures in the real ones' size, classes and channels; their folder; and notes for the report."""
    if isinstance(synthetic, SyntheticDataset):
        if synthetic.images.shape[1:] != spec.shape:
            raise DataError(
                f"The synthetic pictures have the shape {list(synthetic.images.shape[1:])} and the real ones {list(spec.shape)} "
                "(channels, height, width). Bring both to one size."
            )
        return synthetic, synthetic.folder, []
    folder, size = Path(synthetic), (spec.height, spec.width)
    made = SyntheticDataset.load(folder, classes=spec.class_names, channels=spec.channels, size=size)
    notes = []
    with contextlib.suppress(Broken):  # of a file that cannot be read nothing is known
        first = open_source(str(folder.absolute())).header(0)
        if (first.height, first.width) != size:
            notes.append(
                f"The synthetic pictures ({first.width}x{first.height}) were brought to the size of the real ones, "
                f"{spec.width}x{spec.height}."
            )
    return made, folder, notes


def check_study(settings: StudySettings, spec: ImageSpec) -> None:
    """Raise ``GansmithError`` if these settings cannot be, on such pictures."""
    if (
        settings.seeds < 2
        or not 0 < settings.ratio < 1
        or not 0 <= settings.smoothing < 1
        or (settings.classifier_steps or 0) < 0
    ):
        raise GansmithError(
            "A study needs --seeds 2 or more, a --ratio between 0 and 1, --smoothing from 0 to under 1, and no negative "
            "--classifier-steps."
        )
    if spec.classes:  # otherwise there is more to say than that no classifier fits
        classifiers.make_classifier(settings.classifier, spec)


# ----------------------------------------------------------------------------------------------------------------------
# what is learned from and tested on


def find_split(folder: Path | None, pictures: Pictures, x: Tensor, test: str) -> Split:
    """The split stored with synthetic pictures, or one that tests on ``test``.

    Raises:
        GansmithError: it is not known which real pictures the model has not seen.
    """
    split = None if folder is None else Split.load(folder)
    if split is not None and not set(split.train) & set(digests(x)):
        raise DataError(
            f"The synthetic pictures in '{folder}' were made from '{split.data}' at {split.size[1]}x{split.size[0]}, and none of "
            f"its pictures is in '{pictures.name}' as opened now. Give the --data (and --size) that they were made from."
        )
    if split is None and test:
        spec, found = pictures.spec, tuple(dict.fromkeys(digests(x)))
        split = Split(
            pictures.name, pictures.hash, (spec.height, spec.width), spec.class_names, 0.0, 0, found, (), guarded=False
        )
    if split is not None and test and test != split.test_data:
        split = separate_test(split, test, pictures, keep_train=True)
    if split is None or not split.test:
        raise GansmithError(
            "It is not known which real pictures the model has not seen, so nothing honest can be measured on them. Give other "
            "labelled pictures with --test, or make the synthetic ones with 'gansmith augment', which holds some out first."
        )
    return split


def sides(split: Split, pictures: Pictures, x: Tensor, y: Tensor) -> tuple[np.ndarray, Tensor, Tensor, list[str]]:
    """Numbers of the train pictures; the test pictures and their labels; and notes for the report."""
    notes = []
    found = digests(x)
    train, test = split.rows(found)
    if split.test_data:
        test_x, test_y = open_test(split.test_data, pictures)
        _, kept = split.rows(digests(test_x))
        test_x, test_y = test_x[kept], test_y[kept]
    else:
        test_x, test_y = x[test], y[test]
    if len(test_y) == 0:
        raise DataError(
            "None of the pictures that were held out is in the data any more. Give the data as it was, or --test."
        )
    known = set(split.train) | set(split.test)
    unknown = sum(d not in known for d in found)
    if unknown:
        notes.append(f"{unknown} pictures of the data came after the split was made; they were left out.")
    if not split.guarded:
        notes.append("It is not known whether the model that made the synthetic pictures has seen the test pictures.")
    return train, test_x, test_y, notes


def without_copies(made: SyntheticDataset, test: set[str]) -> tuple[SyntheticDataset, int]:
    """The synthetic pictures that are not exact copies of test pictures, and how many are.

    They come in an order of their own, so that nothing depends on how their files are called.
    """
    found = digests(made.images)
    keep = sorted(
        (i for i, digest in enumerate(found) if digest not in test), key=lambda i: (int(made.targets[i]), found[i])
    )
    if not keep:
        raise DataError("Every synthetic picture equals a test picture: these are no synthetic pictures.")
    return SyntheticDataset(made.images[keep], made.targets[keep], made.classes, folder=made.folder), len(made) - len(
        keep
    )


# ----------------------------------------------------------------------------------------------------------------------
# training


def run_arms(
    learned: tuple[Tensor, Tensor, Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    spec: ImageSpec,
    settings: StudySettings,
    *,
    flip: bool,
    seed: int,
    device: torch.device | str,
    say: Say,
    only: Sequence[str] = ARMS,
) -> dict[str, Arm]:
    """Train everything, or the arms of ``only`` these names.

    Args:
        learned: real pictures and labels, synthetic pictures and labels.
        test: pictures and labels.
    """
    steps = settings.classifier_steps or classifiers.usual_steps(len(learned[1]))
    recipe = Recipe(settings.classifier, steps, smoothing=settings.smoothing, flip=flip)
    pools = {name: pool for name, pool in make_pools(learned, spec.classes, settings).items() if name in only}
    predictions: dict[str, list[np.ndarray]] = {name: [] for name in pools}
    total = settings.seeds * len(pools)
    for number in range(settings.seeds):
        for name, (pool, augment) in pools.items():
            network = classifiers.train(
                pool, spec, recipe, augment=augment, seed=classifier_seed(seed, number), device=device
            )
            probabilities = classifiers.predict(network, test[0]).numpy()
            predictions[name].append(probabilities)
            done = sum(map(len, predictions.values()))
            right = float((probabilities.argmax(1) == test[1].numpy()).mean())
            say(f"[{done}/{total}] seed {number + 1}, {name}: {100 * right:.2f} % of the test pictures right")
    return {name: summarise(name, np.stack(p), test[1].numpy()) for name, p in predictions.items()}


def classifier_seed(seed: int, number: int) -> int:
    """The seed of the number-th training of each arm."""
    return seed * 1000 + number


def make_pools(
    learned: tuple[Tensor, Tensor, Tensor, Tensor], classes: int, settings: StudySettings
) -> dict[str, tuple[Pool, bool]]:
    """Arm name -> what it learns from, and whether with classic augmentation.

    With synthetic pictures a class is shown as often as its real and synthetic pictures together are frequent, and
    within it at most ``settings.ratio`` of what is shown is synthetic.
    """
    real_x, real_y, made_x, made_y = learned
    n_real, n_made = (torch.bincount(labels, minlength=classes).double() for labels in (real_y, made_y))
    both = Pool(
        torch.cat([real_x, made_x]), torch.cat([real_y, made_y]), torch.arange(len(real_y) + len(made_y)) >= len(real_y),
        lambda progress: mixed_weights(real_y, made_y, classes, settings.ratio * (1 - progress if settings.fade else 1)),
    )  # fmt: skip
    real = Pool(real_x, real_y, torch.zeros(len(real_y), dtype=torch.bool), lambda progress: torch.ones(len(real_y)))
    pools = {REAL: (real, False), CLASSIC: (real, True)}
    share = (n_real + n_made) / (n_real + n_made).sum()
    if (share / (n_real / n_real.sum()) - 1).abs().max() > 0.1:
        again = (share / n_real)[real_y]
        pools[RESAMPLED] = replace(real, weights=lambda progress: again), True
    pools |= {GAN: (both, False), BOTH: (both, True)}
    if n_made.min() > 0:
        only = Pool(made_x, made_y, torch.ones(len(made_y), dtype=torch.bool), lambda progress: torch.ones(len(made_y)))
        pools[ONLY] = only, False
    return pools


def mixed_weights(real_y: Tensor, made_y: Tensor, classes: int, ratio: float) -> Tensor:
    """How often to show each picture, real ones first; see :func:`make_pools`."""
    n_real, n_made = (torch.bincount(labels, minlength=classes).double() for labels in (real_y, made_y))
    total = n_real + n_made
    made_share = torch.minimum(torch.full_like(total, ratio), n_made / total)
    real = (total * (1 - made_share) / n_real)[real_y]
    return torch.cat([real, (total * made_share / n_made.clamp(min=1))[made_y]])
