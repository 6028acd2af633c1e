"""Reports for people: markdown with plots, of synthetic pictures and of the study of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gansmith.augmentation import plots
from gansmith.augmentation.comparison import ARMS, CLASSIC, RESAMPLED, Study
from gansmith.augmentation.filters import NAMES, WHY, Tally
from gansmith.augmentation.statistics import Estimate
from gansmith.trees import write_atomically

if TYPE_CHECKING:
    from gansmith.augmentation.making import AugmentSettings, Made

_USE = """## Use

```python
from torchvision.datasets import ImageFolder
synthetic = ImageFolder("{folder}")  # numbers the classes by the alphabet: see synthetic.class_to_idx

import keras
synthetic = keras.utils.image_dataset_from_directory("{folder}", image_size=({height}, {width}), color_mode="{mode}")

from gansmith.augmentation.dataset import SyntheticDataset
synthetic = SyntheticDataset.load("{folder}")  # numbers the classes as the real pictures do
```
"""


def write_augment_report(made: Made, settings: AugmentSettings, folder: Path, final: Path) -> None:
    """Write ``report.md`` and ``samples.svg`` into ``folder``, which will be called ``final``."""
    plots.samples(made.train_images, made.train_labels, made.dataset, folder / "samples.svg")
    _, channels, height, width = made.dataset.images.shape
    mode = {1: "grayscale", 3: "rgb", 4: "rgba"}[channels]
    total, real = len(made.dataset), sum(made.real.values())
    short = [name for name, n in made.wanted.items() if made.tallies[name].kept < n]
    parts = [
        f"# Synthetic pictures for {made.split.data}\n",
        f"{total:,} pictures of {width}x{height} made by `{made.model_name}`, beside {real:,} real ones that it and the filters learned from.\n",
        _learned_from(made),
        "![real pictures on the left, synthetic ones on the right](samples.svg)\n",
        "## Filters\n",
        _filter_words(made, settings),
        _filter_table(made),
    ]
    if short:
        parts.append(
            f"\n**Fewer than asked for** in {', '.join(short)}: too many failed the filters, even after {settings.tries} times as "
            "many tries. A model that trained longer makes more that pass.\n"
        )
    parts.append("\nEvery picture can be made again from its seed in `manifest.csv`" + _again(settings) + "\n")
    if without := [name for name, t in made.tallies.items() if not t.kept]:
        parts.append(_numbering(without, list(made.dataset.counts()), made.tallies))
    parts.append(_USE.format(folder=final.name, height=height, width=width, mode=mode))
    parts.append("Whether they help is another question: `gansmith study` answers it.\n")
    write_atomically(folder / "report.md", "\n".join(parts))


def _numbering(without: list[str], classes: list[str], tallies: dict[str, Tally]) -> str:
    """What to know where some class has no folder: who numbers folders by the alphabet numbers these otherwise than all."""
    there = sorted(name for name in classes if tallies[name].kept)
    numbers = [sorted(classes).index(name) for name in there]
    return (
        f"\n**{', '.join(without)} got no pictures, so there is no folder for them**, and ImageFolder and Keras number the folders "
        f"that are there from 0. Beside the real pictures that would be wrong labels: give class {', '.join(map(str, range(len(there))))} "
        f"of these the numbers {', '.join(map(str, numbers))}, as in `ImageFolder(..., target_transform={numbers}.__getitem__)` or, in "
        f"Keras, `synthetic.map(lambda x, y: (x, tf.gather({numbers}, y)))`. `SyntheticDataset.load` does so by itself.\n"
    )


def _again(settings: AugmentSettings) -> str:
    truncation = f" --truncation {settings.truncation:g}" if settings.truncation != 1 else ""
    return f": `gansmith sample MODEL --seeds SEED --class CLASS{truncation}`."


def _learned_from(made: Made) -> str:
    split = made.split
    if split.test_data:
        return f"The test pictures are {split.test_data}: {len(split.test):,} of them are in nothing that was learned from (`split.json`).\n"
    if split.test:
        return (
            f"{len(split.test):,} different real pictures ({split.share:.0%} of each class) were kept out before anything was "
            "learned: `split.json` lists them by the hash of their pixels. Equal pictures are on the same side.\n"
        )
    return "Nothing was held out, so a study needs other labelled pictures (`gansmith study --test`).\n"


def _filter_words(made: Made, settings: AugmentSettings) -> str:
    off = [name for name in NAMES if name not in settings.filters]
    lines = [f"- **{name}**: {WHY[name]}" + (" (switched off)" if name in off else "") for name in NAMES]
    if not math.isnan(made.filter_accuracy):
        lines.append(
            f"\nThe filters' classifier is right on {100 * made.filter_accuracy:.1f} % of the real pictures kept from it "
            "(mean over classes): of what it calls another class, some is simply beyond it."
        )
    return "\n".join(lines) + "\n"


def _filter_table(made: Made) -> str:
    rows = [
        [name, made.real[name], made.wanted[name], t.drawn, t.kept, *(t.failed[f] for f in NAMES)]
        for name, t in made.tallies.items()
    ]
    total = ["all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))]
    titles = ["class", "real", "asked for", "drawn", "kept", *(f"failed {name}" for name in NAMES)]
    return (
        table(titles, [[str(cell) for cell in row] for row in [*rows, total]])
        + "\n\nOne picture may fail several filters."
    )


# ----------------------------------------------------------------------------------------------------------------------
# the study


def write_study_report(study: Study, folder: Path) -> None:
    """Write ``report.md``, ``study.json`` and the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    plots.accuracy(study, folder / "accuracy.svg")
    plots.recall(study, folder / "recall.svg")
    plots.reliability(study, folder / "calibration.svg")
    write_atomically(folder / "study.json", json.dumps(study.as_dict(), indent=1) + "\n")
    write_atomically(folder / "report.md", study_report(study))


def study_report(study: Study) -> str:
    """The study as markdown."""
    real, made = sum(study.real), sum(study.synthetic)
    parts = [
        f"# Do the synthetic pictures help? {study.data}\n",
        f"**{study.verdict}**\n",
        f"That is the accuracy of a classifier with synthetic pictures and classic augmentation minus that with classic "
        f"augmentation alone, ± its 95 % confidence interval. {_other_answers(study)}\n",
        f"{real:,} real and {made:,} synthetic pictures of {len(study.class_names)} classes to learn from; "
        f"{len(study.labels):,} real pictures to test on, which neither the classifier nor the GAN has learned from; "
        f"{study.settings.seeds} seeds; classifier `{study.settings.classifier}`.\n",
        *(f"> {note}\n" for note in study.notes),
        "## Accuracy\n",
        _accuracy_table(study),
        "\n![accuracy of every way of training](accuracy.svg)\n",
        "## Differences\n",
        _comparison_table(study),
        "\n## Recall of each class\n",
        _recall_table(study),
        "\n![change of recall](recall.svg)\n",
        "## Calibration\n",
        "How sure the classifier is, against how often it is right; the calibration error is in the first table (15 bins).\n",
        "![reliability](calibration.svg)\n",
        "## How it was measured\n",
        _method(study),
    ]
    return "\n".join(parts)


def _other_answers(study: Study) -> str:
    sentences = []
    if RESAMPLED in study.arms:
        balanced = study.headline.balanced
        sentences.append(f"Mean recall of the classes changes by {points(balanced)} points.")
        fair = study.comparisons[study.headline.name, RESAMPLED]
        sentences.append(
            f"The synthetic pictures also change how often each class is shown; against real pictures repeated to the same effect, "
            f"accuracy changes by {points(fair.accuracy)} and mean recall by {points(fair.balanced)} points."
        )
    rows = list(zip(study.class_names, study.headline.recalls, strict=True))
    for word, changed in (
        ("better", [name for name, e in rows if e.p < 0.05 and e.mean > 0]),
        ("worse", [name for name, e in rows if e.p < 0.05 and e.mean < 0]),
    ):
        if changed:
            sentences.append(f"Recognised significantly {word}: {', '.join(changed)}.")
    return " ".join(sentences)


def _accuracy_table(study: Study) -> str:
    rows = []
    for name in ARMS:
        if name in study.arms:
            arm = study.arms[name]
            cells = [percent(arm.accuracy), percent(arm.balanced), percent(arm.calibration)]
            rows.append([name, *cells, " ".join(f"{100 * value:.1f}" for value in arm.by_seed)])
    return table(["trained on", "accuracy %", "mean recall %", "calibration error %", "accuracy of each seed %"], rows)


def _comparison_table(study: Study) -> str:
    rows = [
        [
            f"{c.name} − {c.base}",
            points(c.accuracy),
            p_text(c.accuracy.p),
            p_text(c.p_seeds),
            points(c.balanced),
            p_text(c.balanced.p),
        ]
        for c in study.comparisons.values()
    ]
    return table(["", "accuracy, points", "p", "p, paired t-test over seeds", "mean recall, points", "p"], rows)


def _recall_table(study: Study) -> str:
    names = [name for name in ARMS if name in study.arms]
    rows = []
    for c, label in enumerate(study.class_names):
        recalls = [percent(study.arms[name].recalls[c]) for name in names]
        change = study.headline.recalls[c]
        rows.append([label, str(study.real[c]), str(study.synthetic[c]), *recalls, points(change), p_text(change.p)])
    return table(["class", "real", "synthetic", *(f"{n} %" for n in names), "change, points", "p (Holm)"], rows)


def _method(study: Study) -> str:
    settings = study.settings
    fade = ", falling to 0 by the end of the training" if settings.fade else ""
    smooth = f" Labels of synthetic pictures are smoothed by {settings.smoothing:g}." if settings.smoothing else ""
    resampled = (
        f" '{RESAMPLED}' repeats real pictures so that every class is shown as often as with the synthetic ones."
        if RESAMPLED in study.arms
        else ""
    )
    return (
        "- Every classifier takes the same number of steps; with one seed all start from the same weights.\n"
        f"- Of what is shown of a class at most {settings.ratio:.0%} is synthetic{fade}.{smooth}\n"
        f"- Classic augmentation turns, scales, shifts and changes the light.{resampled}\n"
        "- Intervals and p-values take both seeds and test pictures as samples from many (crossed random effects, "
        "Satterthwaite's degrees of freedom). They speak of this model and these training pictures: others may differ.\n"
        f"- '± ' is a 95 % interval. Change of recall is against '{CLASSIC}'.\n"
    )


# ----------------------------------------------------------------------------------------------------------------------
# numbers as text


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; the first column is text, the others numbers."""
    clean = [[cell.replace("|", "\\|") for cell in row] for row in (titles, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in clean]
    return "\n".join([lines[0], "|" + " --- |" + " ---: |" * (len(titles) - 1), *lines[1:]])


def percent(e: Estimate) -> str:
    """'83.1 ± 0.4', in percent."""
    if math.isnan(e.mean):
        return "–"
    return f"{100 * e.mean:.1f}" + ("" if math.isnan(e.half) else f" ± {100 * e.half:.1f}")


def points(e: Estimate) -> str:
    """'+1.20 ± 0.40', in percentage points."""
    return "–" if math.isnan(e.mean) else f"{100 * e.mean:+.2f} ± {100 * e.half:.2f}"


def p_text(p: float) -> str:
    """'0.012', '<0.001'."""
    if math.isnan(p):
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
