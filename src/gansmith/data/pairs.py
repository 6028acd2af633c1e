"""Two sides to translate between: folders of any size and number, or pairs of the same subject."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from gansmith.data.decode import Header
from gansmith.data.derived import Half, Scaled
from gansmith.data.files import Source
from gansmith.data.planning import Plan, checked_size, default_memory_limit, make_plan, refuse_many_broken, survey
from gansmith.data.sides import HALVES, check_halves, find_sides, no_sides, of_part, stem_of
from gansmith.data.sources import MemoryPictures, Pictures, StreamedPictures, load, load_plan
from gansmith.data.specs import open_source
from gansmith.data.threads import Progress
from gansmith.errors import DataError
from gansmith.game import ImageSpec

MOST_APART = 2.0
"""How far the shapes (width to height) of a pair may differ by a factor: more is a picture that was turned, or another view."""


class TwoSided:
    """Two sets of pictures of one size; labels are left out.

    Attributes:
        a, b: the sides.
        aligned: picture i of A and picture i of B show the same thing.
        spec: the size, A's channels, and B's as ``other_channels``.
        hash, name, skipped, unread, notes: as for :class:`Pictures`, of both sides; the layout is the first note.
        known_range: of B, which is what a model makes, else of A.
    """

    def __init__(
        self, a: Pictures, b: Pictures, *, aligned: bool, skipped: Sequence[tuple[str, str]] = (), words: str = ""
    ) -> None:
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
        self.unread: list[tuple[str, str]] = list(dict.fromkeys([*a.unread, *b.unread]))
        self.notes: list[str] = list(dict.fromkeys([*([words] if words else []), *a.notes, *b.notes]))
        self.known_range = b.known_range or a.known_range

    def __len__(self) -> int:
        """Pictures of side A."""
        return len(self.a)

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
    b: str | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
    part: str = "train",
) -> TwoSided:
    """Two sets that need not match in number, names or content; specs and options as for :func:`open_pictures`.

    Args:
        b: None where ``a`` holds both sides, in one of the layouts of :func:`find_sides`.
        part: see :func:`find_sides`.

    Raises:
        DataError: what either side raises, sides of different sizes where no ``size`` is given, or no two sides in one set.
    """
    limit = (default_memory_limit() if memory_limit is None else memory_limit) // 2
    first, words = open_source(a), ""
    if b is None:
        found = find_sides(first, part)
        if found is None:
            raise DataError(no_sides(first, "Two sides are wanted"))
        sources, words = (found.a, found.b), found.words
    else:
        sources = first, open_source(b)
    sides = [
        load(source, size=size, channels=channels, labels=False, memory_limit=limit, progress=progress)
        for source in sources
    ]
    return TwoSided(*sides, aligned=False, words=words)


def open_paired(
    spec_a: str,
    spec_b: str | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
    part: str = "train",
) -> TwoSided:
    """Pairs: two sets with the same file names (endings may differ), or one that holds both sides.

    One set holds them in one of the layouts of :func:`find_sides`, or as pictures of two halves, A left and B right; before a
    set of which that cannot be told, ``halves:`` says so. Files without a partner, and pairs with a broken side, are left out
    and listed. Of a pair whose sides have two sizes, B is brought to A's. ``size`` is that of one side.

    Args:
        part: see :func:`find_sides`.

    Raises:
        DataError: nothing pairs up, single pictures where pairs are wanted, or what :func:`open_pictures` raises.
    """
    resize = checked_size(size)
    a, b, alone, words = _two_sources(spec_a, spec_b, part)
    plan_a, plan_b, scaled = _plans(a, b, resize, channels, progress)
    limit = (default_memory_limit() if memory_limit is None else memory_limit) // 2
    left, right = load_plan(plan_a, limit, progress), load_plan(plan_b, limit, progress)
    if isinstance(left, MemoryPictures) and isinstance(right, MemoryPictures):
        left, right = _common(left, right, plan_a.source.names, plan_b.source.names)
    else:  # both streamed then, so that they can share what is broken
        left, right = StreamedPictures(plan_a), StreamedPictures(plan_b)
        right.standins.broken = left.standins.broken
    return TwoSided(left, right, aligned=True, skipped=alone, words="; ".join(filter(None, (words, scaled))))


def _two_sources(spec_a: str, spec_b: str | None, part: str) -> tuple[Source, Source, list[tuple[str, str]], str]:
    """The sides in the order of their pairs, (name, reason) of files without a partner, and words on the layout."""
    forced = spec_a.startswith(HALVES) and spec_b is None
    whole = open_source(spec_a.removeprefix(HALVES) if forced else spec_a)
    if spec_b is not None:
        other = open_source(spec_b)
        return *_matched(whole, other, list(map(stem_of, whole.names)), list(map(stem_of, other.names))), ""
    found = None if forced else find_sides(whole, part)
    if found is not None:
        return *_matched(found.a, found.b, found.keys_a, found.keys_b), found.words
    whole, left_out = of_part(whole, part)
    a, b = Half(whole, 0), Half(whole, 1)
    if not forced:
        rows = np.unique(np.linspace(0, len(a) - 1, min(512, len(a))).round().astype(int))
        headers, _ = survey(a.select(rows))
        sizes = [(2 * header.width, header.height) for header in headers.values()]
        if len({name.partition("/")[0] for name in whole.names if "/" in name}) == 2 and not sizes:
            raise DataError(no_sides(whole, "Pairs are wanted"))
        if sizes and 10 * len(sizes) >= 9 * len(rows):  # fewer are refused with their reasons
            check_halves(whole, sizes)
    return a, b, [], f"pairs side by side, A left and B right{left_out}"


def _matched(
    a: Source, b: Source, keys_a: Sequence[str], keys_b: Sequence[str]
) -> tuple[Source, Source, list[tuple[str, str]]]:
    """Both sources in the order of their common keys, and the names that have no partner."""
    (rows_a, twice_a), (rows_b, twice_b) = _by_key(a, keys_a), _by_key(b, keys_b)
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


def _by_key(source: Source, keys: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    rows: dict[str, int] = {}
    twice = []
    for i, key in enumerate(keys):
        if key in rows:
            twice.append(source.names[i])
        else:
            rows[key] = i
    return rows, twice


def _plans(
    a: Source, b: Source, resize: tuple[int, int] | None, channels: int | None, progress: Progress | None
) -> tuple[Plan, Plan, str]:
    """Plans for both sides, and words on pairs of two sizes."""
    total = len(a)
    (good_a, broken_a), (good_b, broken_b) = survey(a, progress), survey(b, progress)
    for i in sorted(good_a.keys() & good_b.keys()):
        if (reason := _apart(good_a[i], good_b[i])) is not None:
            broken_b.append((b.names[i], reason))
            del good_b[i]
    keep = sorted(good_a.keys() & good_b.keys())
    if total - len(keep) > 0.1 * total:
        refuse_many_broken(a.name, list(dict.fromkeys(broken_a + broken_b)), total)
    if len(keep) < total:
        a, b = a.select(np.array(keep)), b.select(np.array(keep))
    headers_a, headers_b = [good_a[i] for i in keep], [good_b[i] for i in keep]
    sizes = [(header.width, header.height) for header in headers_a]
    differ = sum(size != (h.width, h.height) for size, h in zip(sizes, headers_b, strict=True))
    words = ""
    if differ:
        b = Scaled(b, sizes)
        headers_b = [replace(h, width=w, height=high) for h, (w, high) in zip(headers_b, sizes, strict=True)]
        words = (
            f"the sides of {differ:,} pairs have two sizes: B is brought to the size of A, so that both stay aligned"
        )
    plans = [
        make_plan(source, headers, resize, channels, labels=False, skipped=broken, total=total)
        for source, headers, broken in ((a, headers_a, broken_a), (b, headers_b, broken_b))
    ]
    return plans[0], plans[1], words


def _apart(a: Header, b: Header) -> str | None:
    """Why two pictures cannot be of one view, by their shapes."""
    shapes = a.width / a.height, b.width / b.height
    if max(shapes) > MOST_APART * min(shapes):
        return f"{b.width}x{b.height}, and its partner {a.width}x{a.height}: they cannot show the same view"
    return None


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
