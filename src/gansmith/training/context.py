"""What a run consists of while it is played: the parts that its outputs read. What it says as it begins and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from gansmith.abilities import Translates
from gansmith.config import TrainSettings
from gansmith.data.training import TrainingData
from gansmith.devices import Device
from gansmith.files.run import Run
from gansmith.game import Game
from gansmith.health.coach import Finding
from gansmith.health.next_step import next_command, quoted
from gansmith.health.signs import Record
from gansmith.training.display import Display
from gansmith.training.hooks import Average
from gansmith.training.scaling import GradScaler, scaler_states
from gansmith.training.state import State


@dataclass
class RunContext:
    """The parts of a run.

    Attributes:
        name: the family's name.
        main: True in the first process, which alone writes files and shows progress.
        settings: the run's settings.
        device: where the run computes, and in which precision.
        data: the pictures.
        run: the run folder.
        state: how far the run is.
        game: the networks and turns.
        average: the averaged networks.
        optimizers: one for each player.
        batch: pictures per step, over all processes.
        display: what the person sees.
        scalers: loss scales by player, in float16.
    """

    name: str
    main: bool
    settings: TrainSettings
    device: Device
    data: TrainingData
    run: Run
    state: State
    game: Game
    average: Average
    optimizers: Mapping[str, Optimizer]
    batch: int
    display: Display
    scalers: dict[str, GradScaler]

    def tree(self) -> dict[str, Any]:
        """Everything that a checkpoint holds."""
        return {
            "game": self.game.state_dict(),
            "average": self.average.game.state_dict(),
            "optimizers": {player: optimizer.state_dict() for player, optimizer in self.optimizers.items()},
            "state": self.state.state_dict(),
            **({"scalers": scaler_states(self.scalers)} if self.scalers else {}),
        }

    def info(self) -> dict[str, Any]:
        """What a model says of where it comes from."""
        return {"images": self.state.clock.images, "data": self.data.facts(), "seed": self.settings.seed}


def go_on_command(root: Path, processes: int) -> str:
    """The command that goes on with a run."""
    beside = f" --processes {processes}" if processes > 1 else ""
    return f"gansmith train --resume --out {quoted(str(root))}{beside}"


def farewell(context: RunContext, findings: Sequence[Finding], records: Sequence[Record]) -> list[str]:
    """Lines that a person reads when a run has reached its goal: what the coach found, and what to type next."""
    root = context.run.root
    use = (
        f"apply {root} PICTURES --out DIR" if isinstance(context.game, Translates) else f"sample {root} --out grid.png"
    )
    lines = [f"The coach: {finding.headline}. report.md says what to change." for finding in findings]
    if findings and (command := next_command(context.run, findings, records)):
        lines.append(f"Next: {command}")
    return [*lines, f"Done: {root}. Read report.md, look at samples/; make more with: gansmith {use}"]


def introduction(context: RunContext, processes: int, notes: Sequence[str]) -> list[str]:
    """Lines that a person reads when a run begins: what learns from what, where, and what was left to the data."""
    game, clock = context.game, context.state.clock
    weights = {player: sum(p.numel() for p in game.player_parameters(player)) for player in game.players}
    counts = ", ".join(f"{player} {count:,}" for player, count in weights.items())
    start = f"from {clock.images:,} images" if clock.images else "from scratch"
    beside = f", {processes} processes" if processes > 1 else ""
    return [
        f"{context.name} on {context.data.describe()}",
        *(f"  {note}" for note in [*context.data.notes, *notes]),
        f"weights: {counts}; {context.device}{beside}; {start}; run: {context.run.root}",
    ]
