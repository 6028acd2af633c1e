"""Measure whether synthetic pictures help a classifier: with and without them, on pictures that nothing has seen."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gansmith.commands._parse import parse, say
from gansmith.config import LARGEST, Bounds, check_numbers
from gansmith.study.comparison import StudySettings


@dataclass(frozen=True, kw_only=True)
class Options(StudySettings):
    """Options of ``gansmith study``."""

    data: str
    """The real, labelled pictures that the synthetic ones were made from: a folder, zip, .npz or a standard name."""
    synthetic: Path
    """The synthetic pictures: what 'gansmith augment' wrote, or another folder with a sub-folder per class."""
    out: Path | None = None
    """Where to write the report; by default SYNTHETIC-study."""
    test: str = ""
    """Test on these real pictures instead of those that were held out before the model trained."""
    size: Annotated[int | None, Bounds(8, unit="pixels", memory=LARGEST, was=0)] = None
    """Resize and centre-crop to this size, as for 'gansmith augment'."""
    flip: bool = False
    """Classic augmentation also mirrors."""
    seed: Annotated[int, Bounds(0)] = 0
    """Everything random follows from this number."""
    device: str = "auto"
    """cuda, cuda:1, mps, cpu, or auto."""


def main(argv: list[str]) -> int:
    """Run ``gansmith study``."""
    options = parse(Options, argv, "study", __doc__ or "")
    check_numbers(options)
    from gansmith.data import open_pictures
    from gansmith.study.report import write_study_report
    from gansmith.study.study import study
    from gansmith.synthetic.making import check_free, resolve, study_folder

    out = options.out or study_folder(options.synthetic)
    check_free(out)
    settings = StudySettings(**{name: getattr(options, name) for name in StudySettings.__dataclass_fields__})
    pictures = open_pictures(options.data, size=options.size)
    found = study(
        pictures, options.synthetic, settings, test=options.test, flip=options.flip, seed=options.seed,
        device=resolve(options.device), say=say,
    )  # fmt: skip
    write_study_report(found, out)
    say(found.verdict, sys.stdout)
    say(f"The report: {out / 'report.md'}", sys.stdout)
    return 0
