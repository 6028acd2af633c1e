"""Do synthetic pictures help when there are 100 labelled ones per class? Fashion-MNIST, on its 10,000 test pictures.

    python benchmarks/study_fashion.py --minutes 60 --work runs/study-fashion

trains a GAN on 1,000 pictures, makes more of each class, chooses how to use them on 2,000 validation pictures (that
neither the GAN nor the study learns from), and only then runs the study on the test set, with 5 seeds. The synthetic
pictures that are in --work already are used again. Writes benchmarks/results/study_fashion.json; the report with its
plots is in WORK/made-study.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gansmith.data import MemoryPictures, open_pictures
from gansmith.study.comparison import BOTH, CLASSIC, Study, StudySettings, compare
from gansmith.study.report import write_study_report
from gansmith.study.study import run_arms, study
from gansmith.synthetic.dataset import SyntheticDataset
from gansmith.synthetic.filters import NAMES
from gansmith.synthetic.making import make, resolve
from gansmith.synthetic.modelling import family_config
from gansmith.synthetic.settings import AugmentSettings
from gansmith.version import __version__

RESULTS = Path(__file__).parent / "results"
VARIANTS: dict[str, dict[str, Any]] = {
    "half": {},
    "quarter": {"ratio": 0.25},
    "three quarters": {"ratio": 0.75},
    "half, fading": {"fade": True},
    "three quarters, fading": {"ratio": 0.75, "fade": True},
    "half, smoothed": {"smoothing": 0.1},
}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def by_class(labels: np.ndarray, counts: list[int], seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Numbers of ``counts[i]`` pictures of every class for each i, without overlap, and those that are left."""
    random, groups, left = np.random.default_rng(seed), [[] for _ in counts], []
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        *parts, rest = np.split(rows, np.cumsum(counts))
        for group, part in zip(groups, parts, strict=True):
            group.append(part)
        left.append(rest)
    return [np.sort(np.concatenate(group)) for group in groups], np.sort(np.concatenate(left))


def everything(spec: str) -> MemoryPictures:
    pictures = open_pictures(spec)
    assert isinstance(pictures, MemoryPictures)
    assert pictures.y is not None
    return pictures


def save_npz(pictures: MemoryPictures, rows: np.ndarray, path: Path) -> str:
    """Some of the pictures as a data spec of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert pictures.y is not None
    x = pictures.x[rows].permute(0, 2, 3, 1).numpy()
    arrays: dict[str, Any] = {"x": x, "y": pictures.y[rows].numpy(), "class_names": np.array(pictures.spec.class_names)}
    np.savez_compressed(path, **arrays)
    return str(path)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="folder for data, model, pictures and report")
    parser.add_argument("--family", default="r3gan")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the family")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training of the GAN")
    parser.add_argument(
        "--batch", type=int, default=0, help="pictures per step of the GAN; 0 takes the family's number"
    )
    parser.add_argument("--steps", type=int, default=0, help="batches of training of the GAN, instead of minutes")
    parser.add_argument("--flip", action="store_true", help="mirror, in the GAN's training and in classic augmentation")
    parser.add_argument("--off", nargs="*", default=[], choices=NAMES, help="filters to switch off")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classifier", default="small")
    parser.add_argument("--classifier-steps", type=int, default=0)
    parser.add_argument("--device", default="auto")


def family_settings(words: list[str]) -> dict[str, Any]:
    """NAME=VALUE words as settings; values are read as JSON where they are."""
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def pictures_of(args: argparse.Namespace, data: str, **settings: Any) -> tuple[SyntheticDataset, dict[str, Any]]:
    """The synthetic pictures in WORK/made, made first if need be, and how they came to be."""
    out, facts = args.work / "made", args.work / "made.json"
    source = everything(data)
    if not facts.exists():
        start = time.monotonic()
        usual = AugmentSettings(
            minutes=args.minutes, steps=args.steps, batch=args.batch, seed=args.seed, flip=args.flip,
            device=args.device, **{name: name not in args.off for name in NAMES}, **settings,
        )  # fmt: skip
        run = args.work / "made-work" / "run"
        if (run / "model").is_dir() and not out.exists():  # the training was done, the drawing was not
            usual = dataclasses.replace(usual, model=str(run))
        config = family_config(args.family, family_settings(args.set))
        made = make(source, out, usual, args.family, config, must_test=True, say=say)
        content = {
            "family": args.family,
            "family_settings": family_settings(args.set),
            "augment": {k: v for k, v in dataclasses.asdict(usual).items() if k not in ("test", "model", "device")},
            "filter_accuracy": made.filter_accuracy,
            "tallies": {name: dataclasses.asdict(t) for name, t in made.tallies.items()},
            "minutes_in_all": round((time.monotonic() - start) / 60, 1),
        }
        facts.write_text(json.dumps(content, indent=1) + "\n")
    spec = source.spec
    loaded = SyntheticDataset.load(out, classes=spec.class_names, channels=spec.channels)
    return loaded, json.loads(facts.read_text())


def record(name: str, found: Study, facts: dict[str, Any], args: argparse.Namespace, **more: Any) -> None:
    """Write the report and benchmarks/results/NAME.json."""
    report = args.work / "made-study"
    write_study_report(found, report)
    RESULTS.mkdir(exist_ok=True)
    plain = {**found.as_dict(), "synthetic_pictures": facts, **more}
    plain["rows"] = table_rows(plain)
    plain |= {"gansmith": __version__, "torch": str(torch.__version__), "device": str(resolve(args.device))}
    path = args.result or RESULTS / f"{name}.json"
    path.write_text(json.dumps(plain, indent=1) + "\n")
    print(f"{found.verdict} {path}; the report: {report / 'report.md'}")


def table_rows(study: dict[str, Any]) -> list[dict[str, str]]:
    """The study as the table that the documentation shows: a row per way of training, in per cent."""

    def percent(value: dict[str, float]) -> str:
        return f"{100 * value['mean']:.1f} ({100 * value['low']:.1f} to {100 * value['high']:.1f})"

    rows = []
    for name, arm in study["arms"].items():
        row = {"trained on": name, "accuracy %": percent(arm["accuracy"])}
        if "digit" in study:
            digit = str(study["digit"])
            row[f"recall of {digit} %"] = percent(arm["recall"][digit])
        seeds = " ".join(f"{100 * value:.1f}" for value in arm["by_seed"])
        rows.append(row | {"calibration error %": percent(arm["calibration_error"]), "accuracy of each seed %": seeds})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--real", type=int, default=100, help="labelled pictures of each class")
    parser.add_argument("--per-class", type=int, default=1000, help="synthetic pictures of each class")
    parser.add_argument("--validation", type=int, default=200, help="pictures of each class to choose the variant on")
    parser.add_argument("--test", type=int, default=0, help="test pictures of each class; 0 takes all")
    parser.add_argument("--variant", choices=VARIANTS, help="how to use the pictures, instead of choosing")
    parser.add_argument("--variant-seeds", type=int, default=2)
    parser.add_argument("--result", type=Path, help="another file for the result")
    args = parser.parse_args()
    clothes, tested = everything("fashion-mnist"), everything("fashion-mnist:test")
    assert clothes.y is not None
    assert tested.y is not None
    (real, validation), _ = by_class(clothes.y.numpy(), [args.real, args.validation], args.seed)
    data = save_npz(clothes, real, args.work / "data.npz")
    rows = by_class(tested.y.numpy(), [args.test], args.seed)[0][0] if args.test else np.arange(len(tested))
    test = save_npz(tested, rows, args.work / "test.npz")
    made, facts = pictures_of(args, data, test=test, per_class=args.per_class)
    source, chosen_on = everything(data), clothes.take(validation)
    settings = StudySettings(seeds=args.seeds, classifier=args.classifier, classifier_steps=args.classifier_steps)
    tried = {} if args.variant else choose(args, source, made, chosen_on, settings)
    best = args.variant or max(tried, key=lambda name: tried[name]["gain"])
    say(f"variant: {best}")
    settings = dataclasses.replace(settings, **VARIANTS[best])
    found = study(source, made, settings, flip=args.flip, seed=args.seed, device=resolve(args.device), say=say)
    record("study_fashion", found, facts, args, variant=best, variants_on_validation=tried)


def choose(
    args: argparse.Namespace,
    real: MemoryPictures,
    made: SyntheticDataset,
    validation: MemoryPictures,
    settings: StudySettings,
) -> dict[str, dict[str, float]]:
    """Every variant's gain over classic augmentation on the validation pictures, with other seeds than the study's."""
    assert real.y is not None
    assert validation.y is not None
    learned, test = (real.x, real.y, made.images, made.targets), (validation.x, validation.y)
    options: dict[str, Any] = {"flip": args.flip, "seed": args.seed + 1, "device": resolve(args.device)}
    settings = dataclasses.replace(settings, seeds=args.variant_seeds)
    base = run_arms(learned, test, real.spec, settings, only=(CLASSIC,), say=say, **options)[CLASSIC]
    tried = {}
    for name, changes in VARIANTS.items():
        say(f"validation: {name}")
        changed = dataclasses.replace(settings, **changes)
        arm = run_arms(learned, test, real.spec, changed, only=(BOTH,), say=say, **options)[BOTH]
        gain = compare(arm, base, validation.y.numpy()).accuracy
        tried[name] = {"gain": round(gain.mean, 6), "half": round(gain.half, 6)}
    return tried


if __name__ == "__main__":
    main()
