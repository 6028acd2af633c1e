"""What ``gansmith augment`` is asked for, and what it made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from torch import Tensor

from gansmith.config import LARGEST, MANY, Bounds, Count
from gansmith.synthetic.dataset import SyntheticDataset
from gansmith.synthetic.filters import NAMES, Tally
from gansmith.synthetic.split import Split

Say = Callable[[str], None]


@dataclass(frozen=True)
class AugmentSettings:
    """Settings of ``gansmith augment``."""

    model: str | None = None
    """A conditional model to draw from (run folder, model folder or Hub id) instead of training one."""
    per_class: Annotated[int | None, Bounds(1, unit="pictures", was=0)] = None
    """Synthetic pictures per class; by default as many as the largest class has real ones."""
    balance: bool = False
    """Fill every class up to the size of the largest instead."""
    agreement: bool = True
    """Drop pictures that a classifier of the real ones takes for another class."""
    duplicates: bool = True
    """Drop pictures that are nearly training pictures."""
    outliers: bool = True
    """Drop pictures whose features are far from those of the real ones of their class."""
    tries: Count = 10
    """Give up on a class after drawing this many times the pictures it needs."""
    truncation: Annotated[float, Bounds(0)] = 1.0
    """Below 1: closer to the average picture, less variety."""
    holdout: Annotated[float, Bounds(0, below=1, off=True)] = 0.2
    """Share of each class that neither the model nor anything else learns from, kept to test on; 0 learns from all."""
    test: str = ""
    """Other real pictures to test on, of the same classes; then nothing is held out, and copies of them are not learned from."""
    minutes: Annotated[float, Bounds(above=0, unit="minutes")] = 10.0
    """Train the model for this long."""
    images: Annotated[int | None, Bounds(1, unit="images", was=0)] = None
    """Train it for this many pictures seen instead."""
    steps: Annotated[int | None, Bounds(1, unit="batches", was=0)] = None
    """Train it for this many batches instead."""
    batch: Annotated[int | None, Bounds(1, unit="pictures", memory=MANY, was=0)] = None
    """Pictures per training step; by default the family's usual number."""
    size: Annotated[int | None, Bounds(8, unit="pixels", memory=LARGEST, was=0)] = None
    """Resize and centre-crop to this many pixels; by default pictures keep their own size."""
    flip: bool = False
    """A mirrored picture is still one of its class: mirror at random, in the model's training and in classic augmentation."""
    seed: Annotated[int, Bounds(0)] = 0
    """Everything random follows from this number."""
    device: str = "auto"
    """cuda, cuda:1, mps, cpu, or auto."""

    @property
    def filters(self) -> tuple[str, ...]:
        """The filters that are on."""
        return tuple(name for name in NAMES if getattr(self, name))


@dataclass
class Made:
    """What :func:`make` did.

    Attributes:
        dataset: the synthetic pictures.
        split: which real pictures were learned from.
        model_name: family and hash of the weights.
        real: real pictures of each class that were learned from.
        wanted: how many were asked for.
        tallies: class name -> what the filters did.
        filter_accuracy: mean recall of the filters' classifier on real pictures kept from it, NaN without one.
    """

    dataset: SyntheticDataset
    split: Split
    model_name: str
    real: dict[str, int]
    wanted: dict[str, int]
    tallies: dict[str, Tally]
    filter_accuracy: float
    train_images: Tensor = field(repr=False)
    train_labels: Tensor = field(repr=False)
