"""The report of a study: markdown with plots."""

from __future__ import annotations

import json
import math
from pathlib import Path

from gansmith.files.atomic import write_atomically
from gansmith.files.text import table
from gansmith.study import plots
from gansmith.study.comparison import ARMS, CLASSIC, RESAMPLED, Study
from gansmith.study.statistics import Estimate


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
