"""A health check of pictures: what is there, what is broken, what is there twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from gansmith.data.arrays import ArraySource
from gansmith.data.decode import Header
from gansmith.data.files import Source
from gansmith.data.layouts import outside_of_classes
from gansmith.data.parallel import Broken, Progress, in_parallel
from gansmith.data.planning import MAX_BROKEN, checked_size, make_plan, refuse_many_broken
from gansmith.data.specs import open_source
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
    enlarged: int = 0
    usable: bool = True
    verdict: str = field(default="")

    def as_dict(self) -> dict[str, Any]:
        """For JSON; broken files as {"file", "reason"}."""
        return asdict(self) | {"broken": [{"file": file, "reason": reason} for file, reason in self.broken]}


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
    source = open_source(spec)
    found = in_parallel(lambda i: _examine(source, i), len(source), progress)
    good = {i: result for i, result in enumerate(found) if not isinstance(result, Broken)}
    broken = [(source.names[i], str(reason)) for i, reason in enumerate(found) if isinstance(reason, Broken)]
    headers = [header for header, _ in good.values()]
    same: dict[bytes, list[str]] = {}
    for i, (_, digest) in good.items():
        same.setdefault(digest, []).append(source.names[i])
    report = Report(
        name=source.name,
        pictures=len(good),
        sizes=_counted(f"{h.width}x{h.height}" for h in headers),
        modes=_counted(h.mode for h in headers),
        classes=_classes(source, good),
        duplicates=[names for names in same.values() if len(names) > 1],
        broken=broken,
        ignored=list(source.ignored),
        enlarged=0 if resize is None else sum(h.height < resize[0] or h.width < resize[1] for h in headers),
    )
    report.usable, report.verdict = _verdict(source, headers, resize, broken)
    return report


def _examine(source: Source, index: int) -> tuple[Header, bytes]:
    header = source.header(index)
    if isinstance(source, ArraySource):
        return header, header.digest
    image = source.picture(index).convert("RGBA")
    return header, hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()


def _counted(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _classes(source: Source, good: dict[int, Any]) -> dict[str, int]:
    if source.labels is None:
        return {}
    counts = Counter(int(source.labels[i]) for i in good)
    return {name: counts[number] for number, name in enumerate(source.class_names)}


def _verdict(
    source: Source, headers: list[Header], resize: tuple[int, int] | None, broken: list[tuple[str, str]]
) -> tuple[bool, str]:
    try:
        refuse_many_broken(source.name, broken, len(source))
    except DataError:
        return False, f"Training would refuse this: {len(broken)} of {len(source)} are broken, over {MAX_BROKEN:.0%}."
    try:
        spec = make_plan(source, headers, resize, None, skipped=[], total=len(source)).spec
    except DataError as error:
        return len({(h.width, h.height) for h in headers}) > 1, str(error)
    colours = "grey" if spec.channels == 1 else "RGB"
    classes = f", {spec.classes} classes" if spec.classes else ", no labels"
    loose = [] if spec.classes else outside_of_classes(source.names)
    if loose:
        classes += f" ({len(loose)} lie beside the sub-folders, such as {loose[0]}; inside they would give labels)"
    left_out = f" ({len(broken)} broken left out)" if broken else ""
    return (
        True,
        f"Ready to train on: {len(headers):,} pictures{left_out}, {spec.width}x{spec.height}, {colours}{classes}.",
    )
