"""Ctrl-C and polite kills while a run is played."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gansmith.training import steps


@contextmanager
def stop_on_signals(state: steps.State) -> Iterator[None]:
    """Ctrl-C and a polite kill finish the step and save; a second Ctrl-C ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        if state.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        state.stop = True

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
