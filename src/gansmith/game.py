"""THE CONTRACT: a GAN is a game played in turns, as data.

A family (one file in ``gans/``) declares its players, its networks and a schedule of turns. The engine plays the turns
and knows nothing else: it computes the loss of a turn, moves the weights of that turn's player only, and goes on. What turns
and batches are stands in :mod:`gansmith.turns`, and can be imported from here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from gansmith.turns import Batch, Clock, ImageSpec, Logs, Loss, Optimizer, Turn

__all__ = ["Batch", "Clock", "DataKind", "Game", "Grid", "ImageSpec", "Logs", "Loss", "Optimizer", "Turn"]

ConfigT = TypeVar("ConfigT")
"""The type of a family's settings."""

DataKind = Literal["images", "unpaired", "paired", "crops"]
"""What a family trains on: single pictures; two unaligned folders; pairs with the same file name; crops of photographs."""


@dataclass(frozen=True)
class Grid:
    """Pictures to show: [N, C, H, W] in [-1, 1], laid out in rows of ``columns``; ``caption`` says what is what."""

    images: Tensor
    columns: int
    caption: str = ""


class Game(nn.Module, Generic[ConfigT]):
    """Base class of every family: networks, players, turns.

    Subclasses set the class attributes, build their networks and write their losses; see ``gans/wgan_gp.py``. What a game
    can do besides being trained is in :mod:`gansmith.abilities`.

    Args:
        config: the family's settings, an instance of ``Config``.
        spec: facts about the pictures.
        networks: networks to use instead of the family's own (toy worlds and tests play the same turns with tiny ones).

    Raises:
        GansmithError: the settings do not fit the pictures (too small a size, labels asked for where none are, ...).
    """

    Config: ClassVar[type[Any]]
    """The dataclass of settings; every field has a docstring, shown as help by the command line and the studio."""
    players: ClassVar[Mapping[str, tuple[str, ...]]]
    """Player -> names of the networks whose weights it moves. One optimizer per player."""
    exports: ClassVar[tuple[str, ...]]
    """Names of the networks that make the model people load: averaged (EMA), saved, exported."""
    data: ClassVar[DataKind] = "images"
    """What it trains on."""
    default_batch: ClassVar[int] = 64
    """Pictures per step, unless a setting says otherwise; see also :meth:`usual_batch`."""
    resumable: ClassVar[tuple[str, ...]] = ()
    """The family's settings that may change between one part of a run and the next."""
    class_shares: Sequence[float] = ()
    """How often each class is in the data: set when a run begins, empty if it is unknown."""
    tiny: ClassVar[Mapping[str, Any]] = {}
    """Settings that make its networks small enough to try every function in seconds, on 32 px pictures."""

    def __init__(self, config: ConfigT, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        for name, network in (self.networks() if networks is None else networks).items():
            self.add_module(name, network)

    @classmethod
    def usual_batch(cls, spec: ImageSpec) -> int:
        """Pictures per step for pictures like these, unless a setting says otherwise."""
        return cls.default_batch

    @classmethod
    def may_learn_classes(cls, config: ConfigT) -> bool:
        """Whether networks with these settings learn classes, where the data has them."""
        return False

    @classmethod
    def usual_kinds(cls, config: ConfigT, spec: ImageSpec, count: int) -> int:
        """Into how many kinds ``count`` pictures without labels are grouped, where ``--kinds`` is left open; 0 for none."""
        return 0

    @classmethod
    def judged_together(cls, config: ConfigT) -> int:
        """How many pictures a discriminator judges at once: a batch is a multiple of it."""
        return 1

    @classmethod
    def load_scale(cls, config: ConfigT) -> float:
        """How much larger pictures are loaded than the windows that are cut out of them, 1 or more."""
        return 1.0

    @classmethod
    def settled(cls, config: ConfigT, spec: ImageSpec, counts: Sequence[int]) -> tuple[ConfigT, list[str]]:
        """The settings that ``config`` leaves to the data (``auto``), settled; and a line for the person on each.

        Args:
            counts: how many pictures each class has; empty where there are none, or where nobody has counted them.
        """
        return config, []

    def networks(self) -> Mapping[str, nn.Module]:
        """Build the networks, by name, from ``self.config`` and ``self.spec``."""
        raise NotImplementedError

    @classmethod
    def restored(
        cls, config: ConfigT, spec: ImageSpec, tensors: Mapping[str, Tensor]
    ) -> Mapping[str, nn.Module] | None:
        """The networks of a saved model, where its tensors say what to build; None where the settings do."""
        return None

    def turns(self) -> Sequence[Turn]:
        """The schedule: which player plays which loss, and how often. Asked once per run."""
        raise NotImplementedError

    def phase(self, clock: Clock) -> Hashable:
        """What the losses of a step take from the clock and from Python numbers that change, for steps recorded as CUDA graphs.

        Steps of one phase with the same turns are the same computation on other pictures and other random numbers. None says that
        steps must not be recorded.
        """
        return None

    def prepare(self) -> None:
        """Called once before a run begins: get hold of what training needs and a model does not, such as a classifier.

        Raises:
            GansmithError: it is not on this machine. Nothing of the run is on disk by then.
        """

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        """The settings of a player's optimizer at this moment."""
        raise NotImplementedError

    def ema_beta(self, clock: Clock, batch: int) -> float:
        """Decay of the weight average for one step of ``batch`` pictures; 0 copies the weights."""
        return 0.0

    def preview(self, real: Batch, seed: int) -> Grid:
        """What the run folder's ``samples/`` shows; called on the averaged networks in eval mode."""
        raise NotImplementedError

    def metrics_images(self, real: Batch, seed: int) -> Tensor:
        """Pictures to measure, as many as ``real`` has: [N, C, H, W] in [-1, 1], on the averaged networks."""
        raise NotImplementedError

    def damage_on_cpu(self) -> Callable[[Tensor], Tensor] | None:
        """What classical code makes of real pictures as the batch's other side, if anything.

        For a GPU it is called with pictures [N, C, H, W] in [-1, 1] on the CPU before they are uploaded, while the step before is
        played. Losses find the result in ``Batch.other``. Where that is None (on a CPU) they make it themselves.
        """
        return None

    def calibrate(self, batch: int, seed: int) -> None:
        """Refresh statistics that depend on averaged weights (batch norm); called on the averaged networks."""

    def has(self, network: str) -> bool:
        """Whether a network is there: a model to use has only those that it exports."""
        return network in dict(self.named_children())

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """The weights one player moves: those of its networks that are not frozen (``requires_grad``) when a run begins."""
        return [p for name in self.players[player] for p in self.get_submodule(name).parameters() if p.requires_grad]

    @property
    def convolutional(self) -> bool:
        """Whether any network has a convolution's weights; then they and the pictures are laid out channels-last."""
        return any(p.dim() == 4 for p in self.parameters())

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device
