"""Files that turn out broken while they are streamed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gansmith.data.files import Source
from gansmith.data.planning import refuse_many_broken
from gansmith.data.threads import in_parallel


class Standins:
    """Broken files met after the start: each is listed once, and the next picture that can be read stands in for it.

    Which picture that is depends on the files alone, not on the order of the questions.

    Args:
        source: the set.
        broken: (name, reason) of what was found broken at the start.
        skipped: the public list to add to.
        total: pictures in the set, broken ones too.
    """

    def __init__(
        self, source: Source, broken: list[tuple[str, str]], skipped: list[tuple[str, str]], total: int
    ) -> None:
        self.source, self.skipped, self.total = source, skipped, total
        self.found = list(broken)
        self.broken: set[int] = set()

    def fill(self, indices: np.ndarray, put: Callable[[int, int], None]) -> list[int]:
        """Call ``put(slot, row)`` by threads for every index; returns the rows that were used.

        Raises:
            DataError: more than 10 % of the set turned out broken.
        """
        rows = [self._readable(int(i)) for i in indices]
        todo = list(range(len(rows)))
        while todo:
            todo = self._attempt(todo, rows, put)
            refuse_many_broken(self.source.name, self.found, self.total)
            for slot in todo:
                rows[slot] = self._readable(rows[slot])
        return rows

    def _attempt(self, slots: list[int], rows: list[int], put: Callable[[int, int], None]) -> list[int]:
        """The slots whose rows turned out broken."""
        results = in_parallel(lambda k: put(slots[k], rows[slots[k]]), len(slots), quiet=False)
        failed = [(slot, str(reason)) for slot, reason in zip(slots, results, strict=True) if reason is not None]
        for slot, reason in failed:
            if rows[slot] not in self.broken:
                self.broken.add(rows[slot])
                self.found.append((self.source.names[rows[slot]], reason))
                self.skipped.append(self.found[-1])
        return [slot for slot, _ in failed]

    def _readable(self, index: int) -> int:
        while index in self.broken:
            index = (index + 1) % len(self.source)
        return index
