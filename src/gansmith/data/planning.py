"""Before pictures are loaded: read all headers, decide size and channels, refuse what cannot be trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gansmith.data.arrays import ArraySource
from gansmith.data.decode import Header, size_range
from gansmith.data.depth import extremes, joined, likely_range
from gansmith.data.files import Source
from gansmith.data.threads import Broken, Progress, in_parallel
from gansmith.errors import DataError
from gansmith.game import ImageSpec

MIN_SIZE = 8
"""Smallest side of a picture, in pixels."""
MAX_BROKEN = 0.1
"""Largest share of broken pictures that is skipped instead of refused."""
FEWEST = 10
"""Fewest pictures that a family trains on which makes pictures from noise: fewer have never been shown to work, and even ten
only from a trained model on (Ojha et al. 2021, arXiv:2104.06820)."""
FEW = 100
"""With fewer, what comes out are mostly copies: from scratch, 100 is the least that was shown to work (Zhao et al. 2020,
arXiv:2006.10738)."""
WINDOW = 64
"""Side of the windows cut from photographs, in pixels, where --size does not say."""
FEWEST_WINDOWS = 16
"""Fewest windows beside each other that photographs to cut windows from must hold, all together."""
MOST_LOOKED_AT = 4096
"""Pictures whose numbers are read to find the range of a set with more than 8 bits."""
_TRUSTED_AFTER = 16
"""Pictures that are read to see whether the tags of a set's files tell the truth."""


def default_memory_limit() -> int:
    """Half of the memory that is available now, in bytes, at most 8 GiB."""
    import psutil

    available = psutil.virtual_memory().available
    try:  # a container's own limit
        group = Path("/sys/fs/cgroup")
        available = min(
            available, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
        )
    except (OSError, ValueError):
        pass
    return max(0, min(available // 2, 8 << 30))


def checked_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """(height, width) of a size option.

    Raises:
        DataError: under 8 pixels.
    """
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < MIN_SIZE:
        raise DataError(f"Size {min(height, width)} is too small: pictures need at least {MIN_SIZE} pixels a side.")
    return height, width


def survey(source: Source, progress: Progress | None = None) -> tuple[dict[int, Header], list[tuple[str, str]]]:
    """Read all headers: the good ones by index, and (name, reason) of the rest."""
    if isinstance(source, ArraySource):
        return dict.fromkeys(range(len(source)), source.header(0)), []
    found = in_parallel(source.header, len(source), progress)
    good = {i: header for i, header in enumerate(found) if isinstance(header, Header)}
    return good, [(source.names[i], str(reason)) for i, reason in enumerate(found) if isinstance(reason, Broken)]


def refuse_many_broken(name: str, broken: list[tuple[str, str]], total: int) -> None:
    """Raise ``DataError`` if more than 10 % of ``total`` pictures are broken."""
    if len(broken) > MAX_BROKEN * total:
        some = "; ".join(f"{file}: {reason}" for file, reason in broken[:3])
        more = f"; and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise DataError(
            f"{len(broken)} of {total} pictures in '{name}' cannot be used, more than {MAX_BROKEN:.0%} ({some}{more}). "
            "Repair or remove them; 'gansmith data check' lists them all."
        )


def settle_range(source: Source, headers: Sequence[Header]) -> None:
    """Find black and white of a set with 16 bits a channel, unless they are known: ``source.known_range``.

    They are those that all its files' tags name, if the pictures keep to them; else those of the pictures' own numbers
    (:func:`likely_range`), of evenly spaced ones where there are very many.
    """
    deep = [i for i, header in enumerate(headers) if header.bits == 16]
    if source.known_range is not None or not deep:
        return
    tags = [headers[i].tagged for i in deep]
    tagged = joined([tag for tag in tags if tag is not None]) if all(tags) else None
    most = _TRUSTED_AFTER if tagged is not None else MOST_LOOKED_AT
    found = _numbers(source, deep, most)
    if tagged is not None and (found is None or (tagged[0] <= found[0] and found[1] <= tagged[1])):
        source.known_range = likely_range(*tagged, "tags")
        return
    if tagged is not None:
        found = _numbers(source, deep, MOST_LOOKED_AT)
    source.known_range = likely_range(*found) if found is not None else None


def _numbers(source: Source, rows: Sequence[int], most: int) -> tuple[int, int] | None:
    """The least and the largest number in ``most`` evenly spaced pictures of these; None where none can be read."""
    if isinstance(source, ArraySource):
        return extremes(source.x)
    rows = source.at_hand(rows)
    rows = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))]

    def look(index: int) -> tuple[int, int] | None:
        held = source.deep(rows[index])
        return None if held is None or held.dtype == np.float32 else extremes(held)

    found = [pair for pair in in_parallel(look, len(rows)) if isinstance(pair, tuple)]
    return joined(found) if found else None


def few_pictures(count: int) -> str:
    """What to know of so many pictures where they are few, else ''."""
    if count >= FEW:
        return ""
    return (
        f"Only {count} pictures: with fewer than {FEW}, what is made from noise are mostly copies of them. --augment ada, --flip and "
        "--init with a trained model help."
    )


def windows_in(sizes: Iterable[tuple[int, int]], window: int) -> int:
    """How many square windows fit into pictures of these sizes without overlap."""
    return sum((width // window) * (height // window) for width, height in sizes)


@dataclass(frozen=True)
class Plan:
    """What will be loaded.

    Attributes:
        source: of readable headers.
        spec, hash: as for ``Pictures``.
        skipped: (name, reason) of those left out.
        total: pictures, broken ones too.
        deep: whether any has more than 8 bits a channel.
    """

    source: Source
    spec: ImageSpec
    hash: str
    skipped: list[tuple[str, str]]
    total: int
    deep: bool = False


def make_plan(
    source: Source,
    headers: list[Header],
    resize: tuple[int, int] | None,
    channels: int | None,
    *,
    labels: bool = True,
    skipped: list[tuple[str, str]],
    total: int,
) -> Plan:
    """Decide size and channels from all headers.

    Raises:
        DataError: the sizes differ and none was asked for, they are under 8, or channels other than 1, 3, 4.
    """
    if channels not in (None, 1, 3, 4):
        raise DataError(f"Pictures have 1 (grey), 3 (RGB) or 4 (RGBA) channels, not {channels}.")
    sizes = {(h.height, h.width) for h in headers}
    if resize is None and len(sizes) > 1:
        raise DataError(
            f"The pictures in '{source.name}' have {len(sizes)} different sizes, {size_range(headers)}. "
            "Give a size to bring them to, for instance --size 64: it resizes and cuts out the middle."
        )
    if resize is None and min(next(iter(sizes))) < MIN_SIZE:
        raise DataError(
            f"The pictures in '{source.name}' are {size_range(headers)}, too small: at least {MIN_SIZE} pixels a side. "
            "Give --size to enlarge them."
        )
    height, width = resize or next(iter(sizes))
    if channels is None:
        channels = 3 if any(h.colour for h in headers) else 1
    names = source.class_names if labels and source.labels is not None else ()
    spec = ImageSpec(height, width, channels, len(names), names)
    settle_range(source, headers)
    deep = any(h.bits > 8 for h in headers)
    return Plan(source, spec, content_hash(source, headers, spec), skipped, total, deep)


def content_hash(source: Source, headers: list[Header], spec: ImageSpec) -> str:
    """32 hex digits from the pictures' bytes (for files: see :func:`fingerprint`), labels, size and channels, in order.

    Names and dates do not count, nor whether the set is held in memory.
    """
    digest = hashlib.blake2b(repr(spec.shape).encode(), digest_size=16)
    if isinstance(source, ArraySource):
        digest.update(repr(source.x.shape).encode())
        digest.update(np.ascontiguousarray(source.x).data)
    else:
        for header in headers:
            digest.update(header.digest)
    if spec.classes and source.labels is not None:
        digest.update(source.labels.tobytes())
    if source.known_range is not None:
        digest.update(f"{source.known_range.low} {source.known_range.high}".encode())
    return digest.hexdigest()
