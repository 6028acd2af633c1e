"""Two sides to translate between: folders of any size and number, or pairs of the same subject."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image
from torch import Tensor

from gansmith.data.decode import Header
from gansmith.data.files import Source
from gansmith.data.parallel import Broken, Progress
from gansmith.data.planning import Plan, checked_size, default_memory_limit, make_plan, refuse_many_broken, survey
from gansmith.data.sources import MemoryPictures, Pictures, StreamedPictures, load_plan, open_pictures
from gansmith.data.specs import open_source
from gansmith.errors import DataError
from gansmith.game import ImageSpec


class TwoSided:
    """Two sets of pictures of one size; labels are left out.

    Attributes:
        a, b: the sides.
        aligned: picture i of A and picture i of B show the same thing.
        spec: the size, A's channels, and B's as ``other_channels``.
        hash, name, skipped: as for :class:`Pictures`, of both sides.
    """

    def __init__(self, a: Pictures, b: Pictures, *, aligned: bool, skipped: Sequence[tuple[str, str]] = ()) -> None:
        if (a.spec.height, a.spec.width) != (b.spec.height, b.spec.width):
            raise DataError(
                f"'{a.name}' holds pictures of {a.spec.width}x{a.spec.height}, '{b.name}' of "
                f"{b.spec.width}x{b.spec.height}. Give a size for both, for instance --size {a.spec.height}."
            )
        self.a, self.b, self.aligned = a, b, aligned
        self.spec: ImageSpec = replace(a.spec, classes=0, class_names=(), other_channels=b.spec.channels)
        self.name = a.name if a.name == b.name else f"{a.name} + {b.name}"
        both = f"{a.hash} {b.hash} {aligned}".encode()
        self.hash = hashlib.blake2b(both, digest_size=16).hexdigest()
        self._skipped = list(skipped)

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(name, reason) of every file left out on either side."""
        return list(dict.fromkeys(self._skipped + self.a.skipped + self.b.skipped))

    def fetch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Aligned pairs, uint8 [n, C, H, W] and [n, C', H, W].

        A pair with a broken side is replaced as a pair, which fetching from ``a`` and ``b`` in turn could not do.
        """
        assert self.aligned
        while True:
            known = len(_broken(self.a))
            images, others = self.a.fetch(indices)[0], self.b.fetch(indices)[0]
            if len(_broken(self.a)) == known:
                return images, others


def open_unpaired(
    a: str,
    b: str,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> TwoSided:
    """Two sets that need not match in number, names or content; specs and options as for :func:`open_pictures`.

    Raises:
        DataError: what either side raises, or sides of different sizes where no ``size`` is given.
    """
    limit = (default_memory_limit() if memory_limit is None else memory_limit) // 2
    sides = [
        open_pictures(spec, size=size, channels=channels, labels=False, memory_limit=limit, progress=progress)
        for spec in (a, b)
    ]
    return TwoSided(*sides, aligned=False)


def open_paired(
    spec_a: str,
    spec_b: str | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> TwoSided:
    """Pairs: two sets with the same file names (endings may differ), or one of side-by-side pictures, A left, B right.

    Files without a partner, and pairs with a broken side, are left out and listed. ``size`` is that of one side.

    Raises:
        DataError: nothing pairs up, side-by-side pictures of odd width, or what :func:`open_pictures` raises.
    """
    resize = checked_size(size)
    whole = open_source(spec_a)
    if spec_b is None:
        a, b, alone = _Half(whole, 0), _Half(whole, 1), []
    else:
        a, b, alone = _matched(whole, open_source(spec_b))
    plan_a, plan_b = _plans(a, b, resize, channels, progress)
    limit = (default_memory_limit() if memory_limit is None else memory_limit) // 2
    left, right = load_plan(plan_a, limit, progress), load_plan(plan_b, limit, progress)
    if isinstance(left, MemoryPictures) and isinstance(right, MemoryPictures):
        left, right = _common(left, right, plan_a.source.names, plan_b.source.names)
    else:  # both streamed then, so that they can share what is broken
        left, right = StreamedPictures(plan_a), StreamedPictures(plan_b)
        right.standins.broken = left.standins.broken
    return TwoSided(left, right, aligned=True, skipped=alone)


class _Half(Source):
    """The left (0) or right (1) half of every picture of another source."""

    def __init__(self, whole: Source, side: int) -> None:
        self.whole, self.side = whole, side
        self.name, self.names, self.ignored = whole.name, whole.names, whole.ignored

    def header(self, index: int) -> Header:
        header = self.whole.header(index)
        if header.width % 2:
            raise Broken(f"{header.width} pixels wide: two pictures side by side have an even width")
        if header.width <= header.height:
            raise Broken(
                f"{header.width}x{header.height}: two pictures side by side are wider than high; single ones go into two folders"
            )
        return replace(header, width=header.width // 2, digest=header.digest + bytes([self.side]))

    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        image = self.whole.picture(index, at_least and 2 * at_least)
        half = image.width // 2
        return image.crop((self.side * half, 0, (self.side + 1) * half, image.height))

    def select(self, rows: np.ndarray) -> _Half:
        return _Half(self.whole.select(rows), self.side)


def _matched(a: Source, b: Source) -> tuple[Source, Source, list[tuple[str, str]]]:
    """Both sources in the order of their common names, and the names that have no partner."""
    (rows_a, twice_a), (rows_b, twice_b) = _by_stem(a), _by_stem(b)
    common = sorted(rows_a.keys() & rows_b.keys())
    if not common:
        raise DataError(
            f"No picture in '{a.name}' has a partner of the same name in '{b.name}' (for instance "
            f"'{a.names[0]}' and '{b.names[0]}'). Pairs have the same path in both folders; only the ending may differ. "
            "Pictures that do not pair up train 'cyclegan'."
        )
    alone = [(a.names[rows_a[s]], f"no partner in '{b.name}'") for s in sorted(rows_a.keys() - rows_b.keys())]
    alone += [(b.names[rows_b[s]], f"no partner in '{a.name}'") for s in sorted(rows_b.keys() - rows_a.keys())]
    alone += [(name, "another file has the same name with another ending") for name in twice_a + twice_b]
    pick = [np.array([rows[stem] for stem in common]) for rows in (rows_a, rows_b)]
    return a.select(pick[0]), b.select(pick[1]), alone


def _by_stem(source: Source) -> tuple[dict[str, int], list[str]]:
    rows: dict[str, int] = {}
    twice = []
    for i, name in enumerate(source.names):
        row = name.rpartition("#")[2]  # rows of arrays and tables are called set#row
        stem = row if row != name and row.isdecimal() else str(PurePosixPath(name).with_suffix(""))
        if stem in rows:
            twice.append(name)
        else:
            rows[stem] = i
    return rows, twice


def _plans(
    a: Source, b: Source, resize: tuple[int, int] | None, channels: int | None, progress: Progress | None
) -> tuple[Plan, Plan]:
    total = len(a)
    (good_a, broken_a), (good_b, broken_b) = survey(a, progress), survey(b, progress)
    keep = sorted(good_a.keys() & good_b.keys())
    if total - len(keep) > 0.1 * total:
        refuse_many_broken(a.name, list(dict.fromkeys(broken_a + broken_b)), total)
    plans = []
    for source, good, broken in ((a, good_a, broken_a), (b, good_b, broken_b)):
        headers = [good[i] for i in keep]
        chosen = source if len(keep) == total else source.select(np.array(keep))
        plans.append(make_plan(chosen, headers, resize, channels, labels=False, skipped=broken, total=total))
    return plans[0], plans[1]


def _common(
    a: MemoryPictures, b: MemoryPictures, names_a: list[str], names_b: list[str]
) -> tuple[MemoryPictures, MemoryPictures]:
    """Drop the pairs that lost a side while decoding."""
    if len(a) == len(names_a) and len(b) == len(names_b):
        return a, b
    row_a, row_b = ({name: i for i, name in enumerate(side.names)} for side in (a, b))
    both = [(row_a[x], row_b[y]) for x, y in zip(names_a, names_b, strict=True) if x in row_a and y in row_b]
    return a.take(np.array([i for i, _ in both])), b.take(np.array([j for _, j in both]))


def _broken(side: Pictures) -> set[int]:
    return side.standins.broken if isinstance(side, StreamedPictures) else set()
