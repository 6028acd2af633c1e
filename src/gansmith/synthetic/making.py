"""From labelled pictures to a folder of synthetic ones: split, train a conditional GAN, draw, filter, write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.config import check_numbers
from gansmith.data import Pictures
from gansmith.errors import DataError, GansmithError, RunError
from gansmith.files.paths import obstacle
from gansmith.models.bundle import Model
from gansmith.synthetic.dataset import Row, SyntheticDataset
from gansmith.synthetic.drawing import draw, fit_filters, resolve
from gansmith.synthetic.filters import Filters, Tally
from gansmith.synthetic.folder import ImageNames, usual_suffix, write
from gansmith.synthetic.modelling import beside, load_model, model_name, train_model, work_folder
from gansmith.synthetic.settings import AugmentSettings, Made, Say
from gansmith.synthetic.sides import new_split, separate_test, stored_split
from gansmith.synthetic.split import Split, digests, labelled

MOST_SEED = 10**11
"""The seeds of the pictures that follow from it must stay within what ``sample --seeds`` takes."""


def study_folder(out: Path) -> Path:
    """Where the study of the pictures in ``out`` is written."""
    return beside(out, "-study")


def check_free(*folders: Path) -> None:
    """Raise ``RunError`` if one of these exists and is not empty, or could not be written: before the work, not after it."""
    for folder in folders:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} exists already. Choose another --out, or remove it first.")
        if found := obstacle(folder):
            raise RunError(f"{folder} cannot be made in {found[0]}: {found[1]}. Choose another --out.")


def check_work_is_free(out: Path) -> None:
    """Raise ``RunError`` if a model was trained for ``out`` before, and say how to use it."""
    work = work_folder(out)
    if (work / "run" / "model").is_dir():
        raise RunError(
            f"{work} exists already, with a model. Draw from it with --model {work / 'run'}, choose another --out, or remove it first."
        )
    check_free(work)


def make(
    pictures: Pictures,
    out: Path,
    settings: AugmentSettings,
    family: str,
    family_settings: Any,
    *,
    must_test: bool = False,
    say: Say,
    quiet: bool = False,
) -> Made:
    """Split, train or load, draw, filter and write.

    Args:
        family_settings: an instance of the family's ``Config``.
        must_test: a study follows: refuse to begin if nothing is kept to test on.
        say: told what is going on, a line at a time.

    Raises:
        GansmithError: something the caller can put right; ``out`` is only there once it is whole.
    """
    check_settings(settings)
    if not family_settings.conditional:
        raise GansmithError("Pictures of a given class need a conditional model: leave --no-conditional out.")
    check_free(out)
    if settings.model is None:
        check_work_is_free(out)
    x, y = labelled(pictures)
    model = None if settings.model is None else load_model(settings.model, pictures)
    split = choose_split(pictures, x, y, settings, model)
    if must_test:
        check_can_test(split, settings)
    rows, _ = split.rows(digests(x))
    names = pictures.spec.class_names
    train_x, train_y = x[rows], y[rows]
    real = torch.bincount(train_y, minlength=len(names)).tolist()
    wanted = wanted_counts(real, settings)
    if split.test:
        say(f"{len(rows):,} pictures to learn from, {len(split.test):,} kept to test on")
    if model is None:
        model = train_model(train_x, train_y, names, out, split, settings, family, family_settings, quiet)
    filters = fit_filters(train_x, train_y, pictures, settings, say)
    dataset, tallies = _draw_dataset(model, filters, wanted, pictures, out, settings, say)
    result = Made(
        dataset,
        split,
        model_name(model),
        dict(zip(names, real, strict=True)),
        dict(zip(names, wanted, strict=True)),
        tallies,
        filters.accuracy,
        train_x,
        train_y,
    )
    write(result, settings, out)
    return result


def _draw_dataset(
    model: Model,
    filters: Filters,
    wanted: Sequence[int],
    pictures: Pictures,
    out: Path,
    settings: AugmentSettings,
    say: Say,
) -> tuple[SyntheticDataset, dict[str, Tally]]:
    """What :func:`draw` draws, with a file name and a line of the table for each picture."""
    names = pictures.spec.class_names
    model.to(resolve(settings.device))
    images, labels, seeds, scores, tallies = draw(model, filters, wanted, names, settings, say)
    model.to("cpu")
    if without := [name for name in names if not tallies[name].kept]:
        say(f"no pictures of {', '.join(without)}: report.md says how to number the classes beside the real pictures")
    files = ImageNames(names, usual_suffix(pictures.names))
    rows = [
        Row(files.next(int(label)), names[int(label)], seed, model_name(model), float(score))
        for label, seed, score in zip(labels, seeds, scores, strict=True)
    ]
    return SyntheticDataset(images, labels, names, rows=rows, folder=out), tallies


def check_can_test(split: Split, settings: AugmentSettings) -> None:
    """Raise ``GansmithError`` if no pictures are kept to test on."""
    if not split.test:
        raise GansmithError(
            "A study needs pictures that the model has not learned from, and nothing is held out. Give a --holdout above 0, or "
            "other labelled pictures with --test"
            + (": what a finished model has seen is not known." if settings.model else ".")
        )


def choose_split(pictures: Pictures, x: Tensor, y: Tensor, settings: AugmentSettings, model: Model | None) -> Split:
    """The split that the model was trained by, where it is one of ours; otherwise a new one."""
    stored = stored_split(settings.model, pictures)
    if stored is None:
        return new_split(pictures, x, y, share=settings.holdout, test=settings.test, seed=settings.seed, model=model)
    if settings.test and settings.test != stored.test_data:
        return separate_test(stored, settings.test, pictures, keep_train=True)
    return stored


def check_settings(settings: AugmentSettings) -> None:
    """Raise ``GansmithError`` for settings that cannot be."""
    if settings.balance and settings.per_class:
        raise GansmithError("Give one of --per-class and --balance, not both.")
    check_numbers(settings)
    if not 0 <= settings.seed < MOST_SEED:
        raise GansmithError(
            f"--seed is a number from 0 to {MOST_SEED - 1:,}: every picture gets a seed of its own after it."
        )
    if settings.images and settings.steps:
        raise GansmithError("Give one of --images and --steps, not both.")


def wanted_counts(real: Sequence[int], settings: AugmentSettings) -> list[int]:
    """Synthetic pictures to make of each class."""
    most = max(real)
    if settings.balance:
        wanted = [most - n for n in real]
        if not any(wanted):
            raise DataError("All classes have equally many pictures: there is nothing to balance. Use --per-class N.")
        return wanted
    return [settings.per_class or most] * len(real)
