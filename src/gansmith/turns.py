"""What a game is made of, as data: facts about pictures, the clock, batches, turns, optimizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from torch import Tensor

T = TypeVar("T")
Logs = dict[str, Tensor]
"""What a loss wants to have plotted: scalars, detached, still on the device (read only when displayed)."""

Loss = Callable[["Batch"], tuple[Tensor, Logs]]
"""A loss looks at a batch and returns a scalar to minimise, and what to log."""


@dataclass(frozen=True)
class ImageSpec:
    """Facts about the pictures. They come from the data and flow into the networks; no setting holds them.

    Attributes:
        height, width: size in pixels.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        classes: number of classes, 0 where the pictures have no labels.
        class_names: a name for each class.
        other_channels: channels of the second side of two-sided data, 0 for one-sided data.
    """

    height: int
    width: int
    channels: int
    classes: int = 0
    class_names: tuple[str, ...] = ()
    other_channels: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W]"""
        return self.channels, self.height, self.width

    @property
    def small_and_grey(self) -> bool:
        """Grey and at most 32 px a side, where some families have usual settings of their own."""
        return self.channels == 1 and max(self.height, self.width) <= 32


@dataclass
class Clock:
    """How far a run is. Images seen is what every schedule reads, so a run means the same at any batch size."""

    images: int = 0
    """Real pictures seen, over all processes."""
    step: int = 0
    """Batches played, starting at 1 for the first."""
    progress: float = 0.0
    """Share of the whole run that is done, 0 to 1."""


@dataclass
class Batch:
    """Real pictures for one step.

    Attributes:
        images: [N, C, H, W] in [-1, 1] (or points [N, D] in the toy worlds).
        labels: [N] int64 class numbers, or None.
        other: [N, C', H, W] in [-1, 1], the second side of two-sided data, or None.
        clock: when this batch is played.
        world_size: how many pictures all processes see together at this step.
    """

    images: Tensor
    labels: Tensor | None = None
    other: Tensor | None = None
    clock: Clock = field(default_factory=Clock)
    world_size: int = 0
    _kept: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def __post_init__(self) -> None:
        self.world_size = self.world_size or len(self.images)

    def keep(self, name: str, make: Callable[[], T]) -> T:
        """Make something once per step and share it between turns (a generator's pass used by both players)."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]


@dataclass(frozen=True)
class Turn:
    """One player's turn.

    Attributes:
        player: whose weights move.
        loss: what that player minimises.
        every: played at every k-th step (lazy regularisation, several critic steps per generator step).
        begins: not played before this share of the run; above 1, never.
        fresh: True draws a batch of real pictures for this turn alone instead of using the step's.
        after: called with (batch, logs) once the weights have moved: clip them, adapt the augmentation, ...
    """

    player: str
    loss: Loss
    every: int = 1
    begins: float = 0.0
    fresh: bool = False
    after: Callable[[Batch, Logs], None] | None = None


@dataclass(frozen=True)
class Optimizer:
    """Which optimizer a player uses, and its settings at one moment of the run.

    A game returns one of these for every step, so learning-rate schedules are plain functions of the clock. ``kind``
    must not change during a run. ``betas`` are Adam's; for RMSprop they are its momentum and alpha.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    kind: Literal["adam", "rmsprop", "sgd"] = "adam"
