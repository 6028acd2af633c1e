"""How far a run is, and where its batches come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from gansmith.game import Batch, Clock


class BatchSource(Protocol):
    """Where batches come from: the batch that starts at the n-th picture drawn, the same one whenever it is asked for."""

    world_size: int

    def at(self, drawn: int) -> Batch: ...


@dataclass
class State:
    """How far a run is; with the networks and the optimizers, everything a resumed run needs to know."""

    seed: int
    clock: Clock = field(default_factory=Clock)
    drawn: int = 0
    """Pictures taken from the data, by turns with a fresh batch too."""
    seconds: float = 0.0
    """Time spent training, over all resumes."""
    stop: bool = False
    """Set by a hook or a signal: finish this step, then return."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "images": self.clock.images,
            "step": self.clock.step,
            "progress": self.clock.progress,
            "drawn": self.drawn,
            "seconds": self.seconds,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.seed, self.drawn, self.seconds = saved["seed"], saved["drawn"], saved["seconds"]
        self.clock = Clock(saved["images"], saved["step"], saved["progress"])
