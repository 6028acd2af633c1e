"""Signs in the records of log.jsonl: how long they have lasted, whether they rise, their largest and their latest value."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

Record = dict[str, Any]

LAST = 0.06
"""A sign must have lasted for this share of the run (and for three checks) before it is named."""


def lasting(records: Sequence[Record], key: str, least: int = 3) -> list[Record]:
    """The latest records that have ``key`` and span the time a sign must last; empty while that is not yet reached.

    Where signs are fewer, as those of slow networks are, they are the last ``least``, which span more.
    """
    having = [record for record in records if key in record]
    if not having:
        return []
    newest = having[-1]["progress"]
    recent = [record for record in having if record["progress"] > newest - LAST]
    if len(recent) < least:
        recent = having[-least:]
    early = newest < 2 * LAST  # the first moments of every run look ill
    return [] if early or len(recent) < least else recent


def every(records: Sequence[Record], key: str, test: Callable[[float], bool]) -> bool:
    """Whether there are records, and all pass a test of ``key``."""
    return bool(records) and all(test(record[key]) for record in records)


def best(records: Sequence[Record], key: str) -> float:
    """The largest value so far, 0 where there is none."""
    return max((record[key] for record in records if key in record), default=0.0)


def rising(records: Sequence[Record], key: str) -> bool:
    """Has a sign grown by a third since the clock stood at half of what it shows now, or at each of the latest checks?

    The second is how a critic's generator begins, which moves at every fifth step only: long flat, then steadily up.
    """
    having = [record for record in records if key in record]
    if not having:
        return False
    then = min(having, key=lambda record: abs(record["images"] - having[-1]["images"] / 2))
    newest = [record[key] for record in having[-4:]]
    return having[-1][key] > 1.33 * then[key] or all(a < b for a, b in itertools.pairwise(newest))


def latest(records: Sequence[Record], key: str) -> float:
    """The latest value, 1 where there is none."""
    return next((record[key] for record in reversed(records) if key in record), 1.0)
