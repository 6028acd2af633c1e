"""A run's report.md: what happened, in plain language, with plots and grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gansmith.files.atomic import write_atomically
from gansmith.files.run import Run
from gansmith.files.text import clock_text
from gansmith.health.coach import Finding
from gansmith.health.next_step import next_command

PANELS = {
    "losses": ("loss/",),
    "logits": ("real", "fake"),
    "vital signs": ("diversity", "spread", "churn", "memorising"),
    "scores": ("score/",),
    "shares": ("believable", "covered"),
    "augmentation": ("augment_p",),
}


def write_report(run: Run, findings: Sequence[Finding]) -> Path:
    """Write ``report.md`` and its plots into the run folder.

    Args:
        run: its facts say how it ended: ``status``, and ``failure`` where something went wrong.
        findings: everything the coach has said during the run, in order.
    """
    status, failure = str(run.facts.get("status")), str(run.facts.get("failure", ""))
    records = list(run.records())
    plots = [plot(records, title, keys, run.root / "report") for title, keys in PANELS.items()]
    lines = [f"# {run.family} on {run.facts['data']['name']}", "", *_summary(run, records, status), ""]
    lines += ["## What the coach says", "", *_advice(findings, failure), ""]
    if not failure and (command := next_command(run, findings, records)):
        lines += ["The best next step:", "", "```bash", command, "```", ""]
    grids = sorted(run.samples.glob("[0-9]*.png"))
    if grids:
        lines += ["## Samples", "", f"![the last grid](samples/{grids[-1].name})", ""]
        if (run.samples / "film.png").is_file():
            lines += ["From the start to the end:", "", "![film strip](samples/film.png)", ""]
    if any(plots):
        lines += ["## Curves", "", *[f"![{path.stem}](report/{path.name})" for path in plots if path is not None], ""]
    lines += ["## Settings", "", "| setting | value |", "| --- | --- |"]
    lines += [
        f"| {name} | {'the usual' if value is None else value} |" for name, value in (run.train | run.settings).items()
    ]
    path = run.root / "report.md"
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def _summary(run: Run, records: Sequence[dict[str, Any]], status: str) -> list[str]:
    if not records:
        return [f"The run {status} before its first log line."]
    last, facts = records[-1], run.facts
    text = [
        f"The run {status} after {last['images']:,} images in {clock_text(last['seconds'])} on {facts['device']} ({facts['precision']}), "
        f"{last['images'] / max(last['seconds'], 1e-9):.0f} images per second, from {facts['data']['pictures']:,} pictures of "
        f"{facts['spec']['width']}x{facts['spec']['height']} px."
    ]
    if "memory_mb" in last:
        text.append(
            f"At most {max(record.get('memory_mb', 0) for record in records):,.0f} MB of the GPU's memory were taken."
        )
    skipped = sorted({name for record in records for name in record if name.startswith("skipped/")})
    for name in skipped:
        share = sum(record.get(name, 0) for record in records) / len(records)
        if share > 0:
            text.append(
                f"{share:.1%} of the steps of the {name.removeprefix('skipped/')} were skipped, as float16 overflowed."
            )
    scores = {name for record in records for name in record if name.startswith("score/")}
    for name in sorted(scores):
        values = [(record[name], record["images"]) for record in records if name in record]
        best = min(values)
        text.append(
            f"{name.removeprefix('score/')} ended at {values[-1][0]:.4g}; its best was {best[0]:.4g} at {best[1]:,} images."
        )
    judged = [record for record in records if "believable" in record]
    if judged:
        text.append(
            f"At the end {judged[-1]['believable']:.0%} of the samples lie among real pictures in the classifier's eyes, and "
            f"{judged[-1]['covered']:.0%} of the real pictures have such a sample near. Where both are low, the run was too short; "
            "where only the second is, the generator makes few kinds of pictures."
        )
    return text


def _advice(findings: Sequence[Finding], failure: str) -> list[str]:
    lines = [f"- {failure}"] if failure else []
    for finding in findings:
        lines.append(f"- **{finding.headline}** (from {finding.images:,} images on). {finding.advice}")
    return lines or ["Nothing was wrong with this run."]


def plot(records: Sequence[dict[str, Any]], title: str, keys: Sequence[str], folder: Path) -> Path | None:
    """Plot the log's values whose names are, or begin with, one of ``keys``; None where there are none."""
    names = sorted(
        {n for record in records for n in record if any(n == k or (k.endswith("/") and n.startswith(k)) for k in keys)}
    )
    if not names:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), dpi=110)  # pyplot keeps state that is shared by threads, and takes long to import
    axes = figure.subplots()
    figure.subplots_adjust(left=0.12, right=0.98, top=0.9, bottom=0.17)  # to measure all words takes as long as to draw
    for name in names:
        points = [(record["images"], record[name]) for record in records if name in record]
        axes.plot(*zip(*points, strict=True), label=name.removeprefix("loss/").removeprefix("score/"), linewidth=1.2)
    axes.set_title(title)
    axes.set_xlabel("real pictures seen")
    axes.ticklabel_format(axis="y", scilimits=(-3, 5))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{title.replace(' ', '-')}.png"
    figure.savefig(path)
    return path
