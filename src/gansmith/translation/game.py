"""What all games of pictures to pictures share: schedules, rows of pictures to show, the second side of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gansmith.abilities import Translates
from gansmith.errors import GansmithError
from gansmith.game import Batch, Clock, Optimizer
from gansmith.nn.overview import enlarge, shrink
from gansmith.translation.settings import TranslationConfigT


class Translation(Translates[TranslationConfigT]):
    """Pictures to pictures: the schedules that their families share.

    Attributes:
        default_batch: pictures per step, unless a setting says otherwise.
    """

    default_batch: ClassVar[int] = 1

    @classmethod
    def load_scale(cls, config: TranslationConfigT) -> float:
        return config.load_scale

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        config = self.config
        left = (1 - clock.progress) / (1 - config.decay_from) if config.decay_from < 1 else 1.0
        return Optimizer(self.lr * min(1.0, max(0.0, left)), (config.beta1, config.beta2))

    @property
    def lr(self) -> float:
        """The learning rate that was asked for, or the family's usual one."""
        return self.usual_lr if self.config.lr is None else self.config.lr

    @property
    def usual_lr(self) -> float:
        return 2e-4

    def ema_beta(self, clock: Clock, batch: int) -> float:
        # never average over more than a twentieth of what has been seen (Karras et al. 2020)
        half_life = min(self.config.ema_images, 0.05 * clock.images)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    def by_overview(self, images: Tensor) -> Tensor:
        """Decide on the whole picture made small, finish at its own size: what ``translate`` is for such models, at any size."""
        return self.finish(images, enlarge(self.overview(shrink(images, self.overview_size)), images))


def rows_of(columns: Sequence[Tensor], most: int = 8) -> Tensor:
    """Pictures of several stages as rows, one row per picture: [N * len(columns), C, H, W], all one size and colour."""
    channels = max(c.shape[1] for c in columns)
    height, width = max(c.shape[2] for c in columns), max(c.shape[3] for c in columns)
    shown: list[Tensor] = []
    for column in columns:
        column = column[:most].float()
        if column.shape[2:] != (height, width):  # nearest, so that a small input is seen as it is
            column = interpolate(column, size=(height, width), mode="nearest")
        if column.shape[1] == 1 < channels:
            column = column.expand(-1, 3, -1, -1)
        if column.shape[1] == 3 < channels:
            column = torch.cat([column, torch.ones_like(column[:, :1])], 1)
        shown.append(column)
    return torch.stack(shown, 1).flatten(0, 1)


def other_side(batch: Batch) -> Tensor:
    """Side B of a batch.

    Raises:
        GansmithError: the data has one side only.
    """
    if batch.other is None:
        raise GansmithError("This family trains on two sets of pictures: give two folders, --data A_DIR B_DIR.")
    return batch.other
