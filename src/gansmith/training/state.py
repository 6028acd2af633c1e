"""What a step is given: where batches come from, how far the run is, and how steps are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch.amp.grad_scaler import GradScaler

from gansmith.devices import Device
from gansmith.game import Batch, Clock
from gansmith.training.graphs import Graphs


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


@dataclass(frozen=True)
class Plan:
    """How steps are computed: where, in which precision, in how many parts."""

    device: Device
    accumulate: int = 1
    """Split every batch into this many parts and add up their gradients."""
    clip_grad: float = 0.0
    """Clip each player's gradient to this norm; 0 does not clip."""
    waiting: Mapping[str, int] = field(default_factory=dict[str, int])
    """Players who wait for so many images, while the others catch up with them, but for no more than half of the run."""
    scalers: Mapping[str, GradScaler] = field(default_factory=dict[str, GradScaler])
    """Loss scales by player, in float16; empty in other precisions."""
    graphs: Graphs | None = None
    """Recordings of steps, on a CUDA GPU where they are asked for."""
