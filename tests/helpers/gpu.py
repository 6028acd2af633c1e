"""A GPU for tests: the real one where there is one, else one that is not there. On both the host's waits are noted."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from helpers.phantom import Wait, Watch, phantom_cuda, place

REAL = torch.cuda.is_available()
"""Whether there is one."""


class RealWatch:
    """What the host waited for on a real GPU, as torch's own check of synchronisation tells.

    Attributes:
        waits: in their order, of the kind "wait".
    """

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self.doubles: list[str] = []

    def clear(self) -> None:
        """Forget what was noted."""
        self.waits.clear()

    def note(self, message: Warning | str, *_: Any, **__: Any) -> None:
        """Stands in for ``warnings.showwarning``."""
        if "synchroniz" in str(message):
            self.waits.append(Wait("wait", place()))


@contextlib.contextmanager
def real_cuda() -> Iterator[RealWatch]:
    """Inside, every wait for the GPU is noted."""
    watch, before = RealWatch(), torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = watch.note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield watch
        finally:
            torch.cuda.set_sync_debug_mode(before)


@contextlib.contextmanager
def cuda() -> Iterator[Watch | RealWatch]:
    """Inside, there is a GPU, ``cuda:0``."""
    with real_cuda() if REAL else phantom_cuda() as watch:
        yield watch


@contextlib.contextmanager
def waits() -> Iterator[list[Wait]]:
    """Inside ``cuda()``: once this ends, the list has what the host waited for meanwhile."""
    found: list[Wait] = []
    if REAL:
        with real_cuda() as watch:
            yield found
        found.extend(watch.waits)
        return
    assert Watch.now is not None
    before = len(Watch.now.waits)
    yield found
    found.extend(Watch.now.waits[before:])
