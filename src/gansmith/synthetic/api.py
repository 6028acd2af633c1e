"""``gansmith.augment``: synthetic pictures for a dataset, and the study of them, in one call."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gansmith import config
from gansmith.data import Pictures
from gansmith.errors import shown
from gansmith.study.comparison import StudySettings
from gansmith.study.report import write_study_report
from gansmith.study.study import check_study, study
from gansmith.synthetic.dataset import Kind, SyntheticDataset, as_pictures
from gansmith.synthetic.making import check_free, make, resolve, study_folder
from gansmith.synthetic.modelling import family_config, work_folder
from gansmith.synthetic.settings import AugmentSettings, Made, Say


def run(
    pictures: Pictures,
    out: Path,
    settings: AugmentSettings,
    family: str,
    family_settings: Any,
    *,
    asked: StudySettings | None = None,
    say: Say,
    quiet: bool = False,
) -> Made:
    """Make the pictures; then the study, where ``asked`` for, into ``study_folder(out)``.

    Raises:
        GansmithError: something the caller can put right; found before any training where it can be.
    """
    if asked is not None:
        check_study(asked, pictures.spec)
        check_free(study_folder(out))
    made = make(pictures, out, settings, family, family_settings, must_test=asked is not None, say=say, quiet=quiet)
    if asked is not None:
        found = study(
            pictures, made.dataset, asked, split=made.split, flip=settings.flip, seed=settings.seed,
            device=resolve(settings.device), say=say,
        )  # fmt: skip
        made.dataset.study = found
        write_study_report(found, study_folder(out))
    return made


def augment(
    data: Any,
    *,
    out: str | Path | None = None,
    family: str = "r3gan",
    study: bool | StudySettings = False,
    transform: Callable[[Any], Any] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> SyntheticDataset:
    """Labelled synthetic pictures for a dataset, from a class-conditional GAN trained on it.

    Args:
        data: a data spec (folder, zip, .npz, standard name), a pair of arrays (uint8 [N, H, W(, C)], labels [N]), or a torch
            dataset of (picture, label) whose pictures are Pillow's, uint8 tensors or float tensors in [0, 1].
        out: keep the pictures, manifest, split and report here; by default nothing is kept but what is returned.
        family: which family to train.
        study: also train classifiers with and without the pictures; the answer is the result's ``.study``.
        transform: applied to every picture when it is asked for.
        quiet: show no progress.
        settings: those of ``gansmith augment`` (``per_class=``, ``balance=``, ``minutes=``, ``model=``, ``holdout=``, ...) and
            the family's own.

    Returns:
        A torch dataset of (picture, class number), the pictures of the same kind as the dataset's.

    Raises:
        GansmithError: no labels, a class with fewer than 5 pictures, a folder that exists, a model of other classes, ...
    """
    names = {f.name for f in dataclasses.fields(AugmentSettings)}
    ours = config.make(AugmentSettings, {k: v for k, v in settings.items() if k in names}, "augment")
    theirs = family_config(family, {k: v for k, v in settings.items() if k not in names})
    pictures, kind = as_pictures(data, size=ours.size)
    asked = study if isinstance(study, StudySettings) else StudySettings() if study else None
    say: Say = _silent if quiet else _say
    if out is not None:
        made = run(pictures, Path(out), ours, family, theirs, asked=asked, say=say, quiet=quiet)
        return _as_asked(made.dataset, kind, transform)
    # removed once all is well: an error may speak of the model in it, and how to go on from there
    folder = Path(tempfile.mkdtemp(prefix="gansmith-"))
    place = folder / "pictures"
    try:
        made = run(pictures, place, ours, family, theirs, asked=asked, say=say, quiet=quiet)
    except BaseException:
        if not (work_folder(place) / "run" / "model").is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    made.dataset.folder = None
    return _as_asked(made.dataset, kind, transform)


def _as_asked(dataset: SyntheticDataset, kind: Kind, transform: Callable[[Any], Any] | None) -> SyntheticDataset:
    dataset.kind, dataset.transform = kind, transform
    return dataset


def _say(message: str) -> None:
    import sys

    print(shown(message), file=sys.stderr, flush=True)


def _silent(message: str) -> None:
    pass
