"""A health check of pictures: what is there, what is broken, what is there twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gansmith.data.arrays import ArraySource
from gansmith.data.decode import Header
from gansmith.data.files import Source
from gansmith.data.formats import why_unread
from gansmith.data.layouts import outside_of_classes
from gansmith.data.planning import (
    FEW,
    FEWEST,
    FEWEST_WINDOWS,
    MAX_BROKEN,
    WINDOW,
    checked_size,
    few_pictures,
    make_plan,
    refuse_many_broken,
    settle_range,
    windows_in,
)
from gansmith.data.sides import HALVES, find_sides
from gansmith.data.specs import open_source
from gansmith.data.threads import Broken, Progress, in_parallel
from gansmith.errors import DataError


@dataclass
class Report:
    """What :func:`check` found.

    Attributes:
        name: the set.
        pictures: how many can be used.
        sizes: 'WIDTHxHEIGHT' -> how many, most frequent first.
        modes: Pillow's mode (L, RGB, RGBA, P, I;16, CMYK, ...) -> how many.
        classes: class name -> how many; empty where there are no labels.
        duplicates: groups of names whose decoded pictures are equal.
        broken: (name, reason) of every file that cannot be used.
        ignored: files that are no pictures.
        unread: (name, reason) of pictures of kinds that cannot be read here.
        notes: what a person should know of how the set was read.
        range: black and white of pictures with more than 8 bits a channel, and where they come from; empty without such.
        empty: classes without pictures that can be used.
        enlarged: how many are smaller than the size asked about.
        usable: whether training would accept the set, given a size.
        verdict: one sentence for a person.
    """

    name: str
    pictures: int
    sizes: dict[str, int]
    modes: dict[str, int]
    classes: dict[str, int]
    duplicates: list[list[str]]
    broken: list[tuple[str, str]]
    ignored: list[str]
    unread: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    range: str = ""
    empty: list[str] = field(default_factory=list)
    enlarged: int = 0
    usable: bool = True
    verdict: str = field(default="")

    def as_dict(self) -> dict[str, Any]:
        """For JSON; broken and unread files as {"file", "reason"}."""
        listed = {name: [{"file": f, "reason": r} for f, r in getattr(self, name)] for name in ("broken", "unread")}
        return asdict(self) | listed


def check(spec: str, *, size: int | tuple[int, int] | None = None, progress: Progress | None = None) -> Report:
    """Decode every picture and report.

    Args:
        spec: what :func:`gansmith.data.open_pictures` takes.
        size: also say what training at this size would see.
        progress: called with (done, total).

    Raises:
        DataError: nothing there at all.
    """
    resize = checked_size(size)
    source = open_source(spec.removeprefix(HALVES))
    found = in_parallel(lambda i: _examine(source, i), len(source), progress)
    good = {i: result for i, result in enumerate(found) if not isinstance(result, Broken)}
    broken = [(source.names[i], str(reason)) for i, reason in enumerate(found) if isinstance(reason, Broken)]
    headers = [header for header, _ in good.values()]
    same: dict[bytes, list[str]] = {}
    for i, (_, digest) in good.items():
        same.setdefault(digest, []).append(source.names[i])
    chosen = source.select(np.array(list(good), np.int64)) if broken else source
    settle_range(chosen, headers)
    classes = _classes(source, good)
    report = Report(
        name=source.name,
        pictures=len(good),
        sizes=_counted(f"{h.width}x{h.height}" for h in headers),
        modes=_counted(f"{h.mode};16" if h.bits == 16 and "I" not in h.mode else h.mode for h in headers),
        classes=classes,
        duplicates=[names for names in same.values() if len(names) > 1],
        broken=broken,
        ignored=list(source.ignored),
        unread=list(source.unread),
        notes=[*source.notes, *_layout(source)],
        range="" if chosen.known_range is None else f"{chosen.known_range} (by {chosen.known_range.origin})",
        empty=[name for name, count in classes.items() if not count],
        enlarged=0 if resize is None else sum(h.height < resize[0] or h.width < resize[1] for h in headers),
    )
    report.notes += filter(None, [few_pictures(len(good)) if len(good) >= FEWEST else ""])
    report.usable, report.verdict = _verdict(chosen, headers, resize, report)
    total = len(good) + len(broken) + len(report.unread)
    if report.unread:
        report.verdict = (
            f"{len(good):,} of {total:,} pictures can be read ({why_unread(report.unread)}). {report.verdict}"
        )
    return report


def _layout(source: Source) -> list[str]:
    """Whether the set could be two sides, in words."""
    if isinstance(source, ArraySource):
        return []
    try:
        found = find_sides(source)
    except DataError as error:
        return [str(error)]
    return [] if found is None else [f"{found.words}, for 'cyclegan' and 'pix2pix'"]


def _examine(source: Source, index: int) -> tuple[Header, bytes]:
    header = source.header(index)
    if isinstance(source, ArraySource):
        return header, header.digest
    held = source.deep(index) if header.bits > 8 else None
    if held is not None:
        return header, hashlib.blake2b(
            repr((held.shape, held.dtype.str)).encode() + held.tobytes(), digest_size=16
        ).digest()
    image = source.picture(index).convert("RGBA")
    return header, hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()


def _counted(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _classes(source: Source, good: dict[int, Any]) -> dict[str, int]:
    if source.labels is None:
        return {}
    counts = Counter(int(source.labels[i]) for i in good)
    return {name: counts[number] for number, name in enumerate(source.class_names)}


def _verdict(source: Source, headers: list[Header], resize: tuple[int, int] | None, report: Report) -> tuple[bool, str]:
    """Whether training would take the set, in a sentence; ``source`` holds only what can be used."""
    broken, total = report.broken, len(headers) + len(report.broken)
    try:
        refuse_many_broken(source.name, broken, total)
    except DataError:
        return False, f"Training would refuse this: {len(broken)} of {total} are broken, over {MAX_BROKEN:.0%}."
    try:
        spec = make_plan(source, headers, resize, None, skipped=[], total=total).spec
    except DataError as error:
        return len({(h.width, h.height) for h in headers}) > 1, str(error)
    colours = "grey" if spec.channels == 1 else "RGB"
    classes = f", {spec.classes} classes" if spec.classes else ", no labels"
    if report.empty and spec.classes:
        some = ", ".join(report.empty[:6]) + (", ..." if len(report.empty) > 6 else "")
        classes = (
            f", {spec.classes - len(report.empty)} classes (without pictures, so training leaves them out: {some})"
        )
    loose = [] if spec.classes else outside_of_classes(source.names)
    if loose:
        classes += f" ({len(loose)} lie beside the sub-folders, such as {loose[0]}; inside they would give labels)"
    left_out = f" ({len(broken)} broken left out)" if broken else ""
    found = f"{len(headers):,} pictures{left_out}, {spec.width}x{spec.height}, {colours}{classes}"
    return _enough(headers, resize, found)


def _enough(headers: list[Header], resize: tuple[int, int] | None, found: str) -> tuple[bool, str]:
    """The verdict by the number of pictures."""
    if len(headers) >= FEWEST:
        return True, f"Ready to train on: {found}."
    window = resize[0] if resize is not None else WINDOW
    enough = windows_in(((h.width, h.height) for h in headers), window) >= FEWEST_WINDOWS
    others = (
        f"Families that learn from windows of photographs (inpaint, upscale, ...) take it at --size {window}."
        if enough
        else ""
    )
    return enough, (
        f"Too few to make pictures from noise, and training would refuse them: {found}; at least {FEWEST} are needed, and {FEW} "
        f"are few. {others}"
    ).rstrip()
