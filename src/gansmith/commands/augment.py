"""Make labelled synthetic pictures with a class-conditional GAN, and say whether they help."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from gansmith.commands._parse import parse, say, show_table
from gansmith.commands.train import take_option
from gansmith.config import Bounds, check_numbers
from gansmith.synthetic.settings import AugmentSettings

FAMILY = "r3gan"


@dataclass(frozen=True, kw_only=True)
class Options(AugmentSettings):
    """Options of ``gansmith augment``."""

    data: str
    """Labelled pictures: a folder with a sub-folder per class, a zip, an .npz with 'y', or a standard name."""
    out: Path
    """Folder for the pictures, one sub-folder per class. The model goes to OUT-work, the study to OUT-study."""
    family: str = FAMILY
    """Which family to train; its own settings are below."""
    study: bool = False
    """Also train classifiers with and without the pictures, and report whether they help."""
    seeds: int = 5
    """In the study: how often every classifier is trained."""
    ratio: float = 0.5
    """In the study: the largest share of a class's pictures that may be synthetic."""
    classifier: str = "small"
    """In the study, the classifier: 'small', 'tiny', or a network of torchvision such as resnet18."""
    classifier_steps: Annotated[int | None, Bounds(1, unit="batches", was=0)] = None
    """In the study: batches that each classifier learns from; by default as many as suit the number of pictures."""


def main(argv: list[str]) -> int:
    """Run ``gansmith augment``."""
    import tyro

    from gansmith.synthetic.modelling import family_config

    family, _ = take_option(argv, "--family")
    usual = family_config(family or FAMILY, {})
    arguments = dataclasses.make_dataclass("Arguments", [("options", Options), ("settings", type(usual))])
    needed: Any = tyro.MISSING
    default = arguments(Options(data=needed, out=needed), usual)
    parsed: Any = parse(arguments, argv, "augment", __doc__ or "", default)
    run(parsed.options, parsed.settings)
    return 0


def run(options: Options, family_settings: Any) -> None:
    """Make the pictures, and the study where it is asked for."""
    from gansmith.data import open_pictures
    from gansmith.study.comparison import StudySettings
    from gansmith.synthetic import api
    from gansmith.synthetic.making import study_folder

    check_numbers(options)
    check_numbers(family_settings)
    settings = AugmentSettings(**{name: getattr(options, name) for name in AugmentSettings.__dataclass_fields__})
    asked = (
        StudySettings(options.seeds, options.classifier, options.classifier_steps, options.ratio)
        if options.study
        else None
    )
    pictures = open_pictures(options.data, size=options.size)
    made = api.run(pictures, options.out, settings, options.family, family_settings, asked=asked, say=say)
    rows = [
        [name, str(made.real[name]), str(tally.drawn), *(str(n) for n in tally.failed.values()), str(tally.kept)]
        for name, tally in made.tallies.items()
    ]
    show_table(
        "", ["class", "real", "drawn", *(f"failed {n}" for n in next(iter(made.tallies.values())).failed), "kept"], rows
    )
    say(
        f"{len(made.dataset):,} pictures: {options.out}. What was made and dropped: {options.out / 'report.md'}",
        sys.stdout,
    )
    if made.dataset.study is not None:
        say(f"{made.dataset.study.verdict} The report: {study_folder(options.out) / 'report.md'}", sys.stdout)
