"""Who is still there: every process of a run tells the others every few seconds that it lives.

Gloo notices when a process on the other end of a connection ends. NCCL does not: its sums wait for hours for a GPU whose process
was killed, and for a machine that was cut off both wait. So a thread of every process counts up a number in the store where
the processes met, and reads those of the others. When a number has not moved for long, its process is named and this one ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage]

from gansmith.errors import first_line

EXIT_CODE = 1


def lost_after() -> float:
    """Seconds of silence after which a process counts as lost: GANSMITH_LOST_SECONDS, or 90."""
    return float(os.environ.get("GANSMITH_LOST_SECONDS", "90"))


def end_process(message: str) -> None:
    """Say why and end. The main thread may be waiting inside a sum that never comes, so no exception can reach it."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    os._exit(EXIT_CODE)


class Heartbeat:
    """The thread that counts up this process's number and watches the others'.

    Args:
        store: where the processes met.
        seconds: of silence after which a process is lost.
        lost: called once, with what to tell the person.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        world: int,
        seconds: float | None = None,
        lost: Callable[[str], None] = end_process,
    ) -> None:
        self.store, self.rank, self.world, self.lost = store, rank, world, lost
        self.seconds = lost_after() if seconds is None else seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="gansmith-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell the others that this process leaves on purpose, and stop watching."""
        self._ended.set()
        self._thread.join(timeout=5)
        try:
            self.store.add(f"left/{self.rank}", 1)
        except RuntimeError:
            return  # the process that keeps the store has left already

    def _watch(self) -> None:
        others = [other for other in range(self.world) if other != self.rank]
        heard: dict[int, tuple[int, float]] = dict.fromkeys(others, (0, time.monotonic()))
        while not self._ended.wait(min(5.0, self.seconds / 4)):
            try:
                self.store.add(f"beat/{self.rank}", 1)
                counts = {other: self.store.add(f"beat/{other}", 0) for other in others}
                left = {other for other in others if self.store.add(f"left/{other}", 0)}
            except RuntimeError as error:
                if not self._ended.wait(self.seconds / 4):  # the main thread may be about to leave, or to say it better
                    self.lost(self._words(f"the process that keeps the list of all ended ({first_line(error)})"))
                return
            now = time.monotonic()
            for other, count in counts.items():
                if count != heard[other][0]:
                    heard[other] = count, now
                elif other not in left and now - heard[other][1] > self.seconds:
                    self.lost(self._words(f"process {other} has not been heard of for {self.seconds:.0f} s"))
                    return

    def _words(self, what: str) -> str:
        return (
            f"Process {self.rank} of {self.world} ends, as {what}. See on its machine what happened to it, then go on from the last "
            "checkpoint with --resume."
        )
