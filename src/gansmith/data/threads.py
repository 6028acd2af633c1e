"""Many pictures at once: work by threads, where what is broken is listed instead of ending it all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from time import perf_counter
from typing import TypeVar

from PIL import Image

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with (done, total) from the calling thread."""


class Broken(Exception):
    """This one picture cannot be used; the message is the reason, for a list."""


def threads() -> int:
    """Decoding threads: Pillow releases the interpreter's lock while it decodes."""
    return max(2, min(8, os.cpu_count() or 2))


def in_parallel(
    function: Callable[[int], T], count: int, progress: Progress | None = None, *, quiet: bool = True
) -> list[T | Broken]:
    """``[function(0), ..., function(count - 1)]`` by threads; a ``Broken`` raised by one stands in its place.

    Where the first few take under a millisecond, all are done by this thread: others would only wait for the
    interpreter's lock. ``quiet`` silences Pillow's warnings, which changes a setting of the whole process meanwhile.
    """

    def guarded(index: int) -> T | Broken:
        try:
            return function(index)
        except Broken as reason:
            return reason

    def collect(part: Iterable[T | Broken]) -> None:
        for result in part:
            results.append(result)
            if progress is not None and (len(results) % 16 == 0 or len(results) == count):
                progress(len(results), count)

    results: list[T | Broken] = []
    with _quiet_pillow() if quiet else nullcontext():
        start, first = perf_counter(), min(4, count)
        collect(map(guarded, range(first)))
        if perf_counter() - start < 1e-3 * first:
            collect(map(guarded, range(first, count)))
            return results
        pool = ThreadPoolExecutor(threads())
        try:
            for begin in range(first, count, 1024):  # in blocks, so that a million futures never exist at once
                collect(pool.map(guarded, range(begin, min(begin + 1024, count))))
        finally:
            pool.shutdown(cancel_futures=True)
    return results


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keep Pillow from printing what we report ourselves, with the file's name (too large, odd metadata)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
