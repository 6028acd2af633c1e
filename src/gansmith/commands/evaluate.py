"""Measure a model, or a folder of pictures, against real pictures: FID, KID, precision and recall, memorisation."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from gansmith.commands._equivariance import measure_equivariance
from gansmith.commands._parse import parse, say, show_table
from gansmith.commands._progress import Progress
from gansmith.config import LARGEST, Bounds, check_numbers
from gansmith.errors import GansmithError
from gansmith.files.paths import check_free, check_writable

if TYPE_CHECKING:
    from torch import Tensor

    from gansmith.data import Pictures
    from gansmith.metrics.evaluate import Report
    from gansmith.metrics.measures import Score
    from gansmith.metrics.memorisation import Memorisation
    from gansmith.models.bundle import Model


_PICTURES = 1000
"""A translating or repairing model is measured on at most so many pictures."""
_WINDOWS, _EACH = 100, 8
"""At most so many windows, in all and of each photograph. Some classical methods are slow, and one window says little."""


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith evaluate``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder or a Hub id; or pictures somebody else's model made: a folder, zip or .npz."""
    data: str = ""
    """The real pictures: a folder, zip, .npz, IDX file, hf:NAME or a standard name; A,B for models of pairs. eq needs none."""
    metrics: str = "fid,kid,prdc"
    """Which scores, separated by commas: fid, kid, prdc, is, swd. Or eq alone: EQ-T and EQ-R of a stylegan3 model, on at most 256
    pictures that are moved and turned inside the generator."""
    features: str = "auto"
    """What to measure on: mnist-cnn, fashion-cnn, effnet-lite0 (these offline), inception, dinov2, or auto, which takes the one that fits."""
    weights: Path | None = None
    """A file of weights for inception or dinov2, instead of a download."""
    n: int = 10_000
    """How many samples, against as many real pictures (models that repair windows of photographs: at most 100)."""
    seed: int = 0
    """Chooses samples and real pictures."""
    size: Annotated[int | None, Bounds(1, unit="pixels", memory=LARGEST, was=0)] = None
    """Bring all pictures to this size; by default the model's, or the data's own."""
    memorisation: Path | None = None
    """Also write this picture: the samples most like a training picture, each beside the nearest ones; and give the share of such samples."""
    overwrite: bool = False
    """Replace the picture of --memorisation if it is there."""
    json: bool = False
    """Print plain JSON instead of a table."""
    device: str = "auto"
    """cuda, cuda:1, mps, cpu, or auto."""


def main(argv: list[str]) -> int:
    """Run ``gansmith evaluate``."""
    options = parse(Options, argv, "evaluate", __doc__ or "")
    check_numbers(options)
    from gansmith.abilities import Sampled
    from gansmith.devices import resolve
    from gansmith.files.pictures import PICTURE_SUFFIXES
    from gansmith.metrics.evaluate import MINIMUM, check_counts, check_metrics, evaluate, extractor_for
    from gansmith.metrics.real import cache_folder
    from gansmith.models.bundle import load

    metrics = list(dict.fromkeys(part.strip() for part in options.metrics.split(",") if part.strip()))
    device = resolve(options.device, "fp32").torch_device
    if metrics == ["eq"]:
        return measure_equivariance(
            options.model, n=options.n, seed=options.seed, device=str(device), as_json=options.json
        )
    if "eq" in metrics:
        raise GansmithError("eq compares no pictures with real ones: measure it alone, with --metrics eq.")
    check_metrics(metrics)
    if not options.data:
        raise GansmithError(
            "--data names the real pictures to measure against: a folder, a zip, or a name such as mnist10k."
        )
    if options.n < (least := max(MINIMUM[metric] for metric in metrics)):
        raise GansmithError(f"--n {options.n} is too few: {options.metrics} needs at least {least} samples.")
    if options.seed < 0:
        raise GansmithError(f"--seed is 0 or more, not {options.seed}.")
    if options.memorisation is not None and options.memorisation.suffix.lower() not in PICTURE_SUFFIXES:
        raise GansmithError(
            f"--memorisation writes a picture ({', '.join(PICTURE_SUFFIXES)}), not {options.memorisation}."
        )
    if options.memorisation is not None:
        check_writable(options.memorisation, "--memorisation")
        check_free(options.memorisation, options.overwrite, "--memorisation")
    model = None if _holds_pictures(Path(options.model)) else load(options.model, str(device))
    if model is not None and not isinstance(model.game, Sampled):
        return _measure_translation(model, options)
    with Progress() as progress:
        real = _open_real(options, model)
        # what can be refused is refused before samples are drawn, which may take long
        check_counts(metrics, options.n, min(options.n, len(real) // 2))
        by_features = any(metric != "swd" for metric in metrics)
        features = extractor_for(options.features, real, options.weights, device) if by_features else options.features
        samples, drawn_as = (
            (_read_samples(options, progress), "") if model is None else _sample(model, real, options, progress)
        )
        report = evaluate(
            samples,
            real,
            metrics=metrics,
            features=features,
            n=options.n,
            seed=options.seed,
            cache=cache_folder(),
            progress=progress,
            device=device,
        )
        found = (
            _memorised(options.memorisation, samples, real, options.seed, progress) if options.memorisation else None
        )
    if drawn_as:
        report = dataclasses.replace(report, notes=(*report.notes, drawn_as))
    if options.json:
        extra = (
            {}
            if found is None
            else {"memorisation": {"share": found.share, "threshold": found.threshold, "n": len(found.samples)}}
        )
        print(json.dumps({"model": options.model, "data": real.name, **report.as_dict(), **extra}, indent=2))
    else:
        _show(report, found, options)
    return 0


def _measure_translation(model: Model, options: Options) -> int:
    """Models that repair pictures: how near they come to the truth, beside what classical methods reach."""
    from gansmith.metrics.repair import evaluate_repair, evaluate_translation
    from gansmith.translation import Paired, Translation

    game = model.game
    if isinstance(game, Paired):
        images, other, parts_of = _true_pictures(model, options)
        found = evaluate_repair(game, images, other, options.seed, parts_of=parts_of)
    elif isinstance(game, Translation) and ("," in options.data or _has_two_sides(options.data)):
        images, other, _ = _true_pictures(model, options)
        assert other is not None
        found = evaluate_translation(game, images, other)
    else:
        raise GansmithError(
            f"A {model.family} model changes pictures without a truth to compare with. Where there is one, give both sides, with the same "
            "file names: --data A_DIR,B_DIR. Otherwise let it translate some with gansmith apply, and measure those: gansmith evaluate "
            f"FOLDER --data {options.data}"
        )
    if options.json:
        print(json.dumps({"model": options.model, "data": options.data, "n": len(images), "scores": found}, indent=2))
        return 0
    names = list(next(iter(found.values())))
    rows = [[method, *(f"{values[name]:.4g}" for name in names)] for method, values in found.items()]
    show_table(f"{options.model} on {len(images):,} pictures", ["method", *names], rows)
    return 0


def _has_two_sides(spec: str) -> bool:
    """Whether one set holds both sides, by its names."""
    from gansmith.data.sides import find_sides
    from gansmith.data.specs import open_source

    return find_sides(open_source(spec), "test") is not None


def _true_pictures(model: Model, options: Options) -> tuple[Tensor, Tensor | None, list[int]]:
    """Undamaged pictures as the model's family wants them, in [-1, 1], their second sides, and whose windows they are."""
    import numpy as np

    from gansmith.data import open_paired, open_photographs, open_pictures
    from gansmith.files.pictures import to_float

    kind, spec = model.game.data, model.spec
    size = spec.height, spec.width
    if kind == "crops":
        photographs = open_photographs(options.data, channels=spec.channels, min_size=spec.height)
        rows = np.arange(min(options.n, _WINDOWS, _EACH * len(photographs))) % len(photographs)
        corners = np.random.default_rng(options.seed).random((len(rows), 2))
        return to_float(photographs.crops(rows, spec.height, corners)), None, rows.tolist()

    def some(total: int) -> np.ndarray:  # folders are read class by class: take from all of it
        return np.sort(np.random.default_rng(options.seed).permutation(total)[: min(options.n, _PICTURES)])

    if kind in ("paired", "unpaired"):
        first, _, second = options.data.partition(",")
        sides = open_paired(first, second or None, size=size, part="test")
        rows = some(len(sides.a))
        return to_float(sides.a.fetch(rows)[0]), to_float(sides.b.fetch(rows)[0]), []
    pictures = open_pictures(options.data, size=size, channels=spec.channels, labels=False)
    return to_float(pictures.fetch(some(len(pictures)))[0]), None, []


def _open_real(options: Options, model: Model | None) -> Pictures:
    """The real pictures, as the model makes them."""
    from gansmith.data import open_pictures

    if model is None:
        return open_pictures(options.data, size=options.size)
    spec = model.spec
    if options.size and (options.size, options.size) != (spec.height, spec.width):
        raise GansmithError(
            f"The model makes pictures of {spec.width}x{spec.height}; leave --size out, the data is brought to that size."
        )
    return open_pictures(options.data, size=(spec.height, spec.width), channels=spec.channels)


def _read_samples(options: Options, progress: Callable[[str, int, int], None]) -> Tensor:
    """Samples that are pictures already, uint8 [N, C, H, W]."""
    import numpy as np
    import torch

    from gansmith.data import open_pictures
    from gansmith.metrics.real import counter, fetched

    made = open_pictures(options.model, size=options.size, labels=False)
    count = min(options.n, len(made))
    step = counter(progress, "reading samples", count) or (lambda _: None)
    parts = []
    # Folders are read in the order of their names, often class by class: draw from all of it.
    for part in fetched(made, np.random.default_rng(options.seed).permutation(len(made))[:count]):
        parts.append(part)
        step(len(part))
    return torch.cat(parts)


def _sample(
    model: Model, real: Pictures, options: Options, progress: Callable[[str, int, int], None]
) -> tuple[Tensor, str]:
    """What ``model.sample(n, seed)`` gives, uint8 [N, C, H, W], made part by part, with the classes as the data has them.

    Also a note that says how the classes were drawn; empty for models without classes.
    """
    import torch

    from gansmith.files.pictures import to_uint8
    from gansmith.metrics.shares import classes_like

    n = options.n
    latents = model.latents(n, options.seed)
    labels, note = classes_like(model, real, n, options.seed)
    parts = []
    for start in range(0, n, 256):
        rows = slice(start, start + 256)
        parts.append(to_uint8(model.decode(latents[rows], None if labels is None else labels[rows])))
        progress("sampling", min(start + 256, n), n)
    return torch.cat(parts), note


def _holds_pictures(path: Path) -> bool:
    """Whether MODEL names pictures rather than a model: a file, or a folder without what model and run folders have."""
    return path.is_file() or (
        path.is_dir() and not any((path / name).exists() for name in ("model", "config.json", "config.yaml"))
    )


def _memorised(
    path: Path, samples: Tensor, real: Pictures, seed: int, progress: Callable[[str, int, int], None]
) -> Memorisation:
    from gansmith.metrics.evaluate import match
    from gansmith.metrics.memorisation import memorisation, save_sheet

    found = memorisation(match(samples, real.spec, []), real, seed=seed, progress=progress)
    save_sheet(found, real, path)
    return found


def _show(report: Report, found: Memorisation | None, options: Options) -> None:
    columns = ["score", "value", "n", "real vs real", "n"]
    show_table(f"{options.model} against {options.data}", columns, [list(_row(score)) for score in report.scores])
    print("↓ lower is better, ↑ higher is better; n: how many pictures on each side")
    if found is not None:
        say(
            f"memorisation: {found.share:.1%} of {len(found.samples):,} samples are closer to a training picture than 95 % of "
            f"training pictures are to each other (about 5 % where nothing is memorised). See {options.memorisation}",
            sys.stdout,
        )
    for note in report.notes:
        say(f"note: {note}", sys.stdout)


def _row(score: Score) -> tuple[str, ...]:
    value = f"{score.value:.4g}" + ("" if not score.spread else f" ± {score.spread:.2g}")
    arrow = "↓" if score.better == "lower" else "↑"
    return f"{score.name} {arrow}", value, f"{score.n:,}", f"{score.floor:.4g}", f"{score.floor_n:,}"
