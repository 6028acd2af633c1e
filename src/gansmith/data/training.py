"""Opens what a family trains on, by the kind of data it declares, and makes its batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gansmith.config import TrainSettings
from gansmith.data import kinds
from gansmith.data.batches import Batches, CropBatches, Damage, Rows, Source
from gansmith.data.formats import why_unread
from gansmith.data.pairs import TwoSided
from gansmith.data.photographs import Photographs
from gansmith.data.planning import FEW, FEWEST, FEWEST_WINDOWS, WINDOW, few_pictures, windows_in
from gansmith.data.sources import Pictures
from gansmith.errors import DataError
from gansmith.game import Batch, Game, ImageSpec
from gansmith.parallel import seeding, seeds
from gansmith.parallel.seeds import Process

MEASURABLE = 100
"""Fewest pictures that a Frechet distance makes sense for (``gansmith.metrics.evaluate.MINIMUM``)."""
SCORABLE = 40
"""Fewest real pictures on which ``gansmith evaluate`` measures anything: two halves for prdc or swd."""
_FEWEST_OF_A_SIDE = 2
_FEW_OF_A_SIDE = 10


@dataclass
class TrainingData:
    """Opened data.

    Attributes:
        source: pictures, two sides of them, or photographs to be cut into random windows.
        spec: the facts that flow into the networks.
        crop: (height, width) cut at random from pictures that were loaded larger, or None.
        flip: mirror at random.
        unseen: pictures that are kept from training, or None.
        kinds: whether the classes are kinds of pictures that look alike, found by :mod:`gansmith.data.kinds`.
    """

    source: Pictures | TwoSided | Photographs
    spec: ImageSpec
    flip: bool
    crop: tuple[int, int] | None = None
    unseen: Rows | None = None
    kinds: bool = False
    _trained_on: Rows | None = None

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def hash(self) -> str:
        return self.source.hash

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(name, reason) of every picture that is not trained on, those of kinds that cannot be read here too."""
        return [*self.source.skipped, *self.source.unread]

    @property
    def notes(self) -> list[str]:
        """What a person should know of how the set was read: the layout that was found, labels, pages."""
        found = f"kinds: pictures that look alike are learned as {self.spec.classes} kinds in place of labels (--kinds 0 learns without)"
        return [*self.source.notes, *([found] if self.kinds else [])]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def whole(self) -> bool:
        """Whether batches hold whole pictures of one set, neither windows nor pairs."""
        return isinstance(self.source, Pictures)

    def class_counts(self) -> tuple[int, ...]:
        """How many pictures each class has; empty where they have no labels, or none that are known before they are read."""
        labels = self.source.labels() if self.spec.classes and isinstance(self.source, Pictures) else None
        return () if labels is None else tuple(np.bincount(labels, minlength=self.spec.classes).tolist())

    def class_shares(self) -> tuple[float, ...]:
        """How often each class is among the pictures; empty where their number is not known."""
        counts = self.class_counts()
        return tuple(count / max(sum(counts), 1) for count in counts)

    def facts(self) -> dict[str, Any]:
        """Name, hash and count, for config.yaml and the model; black and white of pictures with more than 8 bits; shares of kinds."""
        known = self.source.known_range
        deep = {} if known is None else {"range": [known.low, known.high]}
        shares = {"kinds": [round(share, 6) for share in self.class_shares()]} if self.kinds else {}
        return {"name": self.name, "hash": self.hash, "pictures": len(self)} | deep | shares

    def describe(self) -> str:
        """One line for a person."""
        spec, source, known = self.spec, self.source, self.source.known_range
        colour = {1: "grey", 3: "RGB", 4: "RGBA"}.get(spec.channels, f"{spec.channels} channels")
        classes = f", {spec.classes} classes" if spec.classes else ""
        count = f"{len(source.a):,} + {len(source.b):,}" if isinstance(source, TwoSided) else f"{len(self):,}"
        deep = "" if known is None else f", black and white at {known}, by {known.origin}"
        return f"{self.name}: {count} pictures, {spec.width}x{spec.height}, {colour}{classes}{deep}"

    def check_enough(self) -> str:
        """Refuse too few pictures; what to know where they are few, else ''.

        Raises:
            DataError: so few that nothing but copies can come out.
        """
        source, count = self.source, len(self)
        if isinstance(source, TwoSided):
            sides = min(len(source.a), len(source.b))
            if sides < _FEWEST_OF_A_SIDE:
                raise DataError(
                    f"'{self.name}' has {len(source.a)} and {len(source.b)} pictures. With one picture a side the discriminator knows it "
                    "by heart at once, and nothing is learned: give at least two of each."
                )
            few = f"Only {sides} pictures a side: what comes out will follow them closely."
            return few if sides < _FEW_OF_A_SIDE else ""
        if isinstance(source, Photographs):
            window = self.spec.height
            windows = windows_in(source.sizes, window)
            if windows < FEWEST_WINDOWS:
                raise DataError(
                    f"'{self.name}' holds {windows} windows of {window}x{window} pixels; at least {FEWEST_WINDOWS} are needed to learn "
                    "what pictures have in common. Give more or larger pictures, or a smaller --size."
                )
            return ""
        if count < FEWEST:
            raise DataError(
                f"'{self.name}' has {count} picture(s). At least {FEWEST} are needed to make pictures from noise, even with --init from "
                f"a trained model, and about {FEW} from scratch: from fewer, nothing but copies comes out."
            )
        return few_pictures(count)

    def batches(
        self,
        batch: int,
        seed: int,
        device: torch.device,
        channels_last: bool,
        damage: Damage | None = None,
        process: Process | None = None,
    ) -> Batches:
        """Shuffled, endless batches, of which this process gets its rows; see :class:`Batches`."""
        options: dict[str, Any] = {
            "device": device, "flip": self.flip, "channels_last": channels_last, "damage": damage, "process": process,
        }  # fmt: skip
        if isinstance(self.source, Photographs):
            return CropBatches(self.source, batch, seed, self.spec.height, **options)
        return Batches(self._trained_on or self.source, batch, seed, crop=self.crop, **options)

    def keep_some_from_training(self, share: float) -> None:
        """Hold out a share of the pictures, the same ones for every seed: at most 256, and none where it makes fewer than 16."""
        count = min(256, int(share * len(self)))
        source = self.source
        if not isinstance(source, Pictures) or source.sharded or count < 16:
            return  # pictures drawn here and there would need every tar
        shuffled = np.random.default_rng(0).permutation(len(self))
        self.unseen = Rows(source, shuffled[:count])
        self._trained_on = Rows(source, np.sort(shuffled[count:]))

    @property
    def trained_on(self) -> Source:
        """The pictures that are drawn for training: all but those that are kept from it."""
        return self._trained_on or self.source

    def unseen_batch(self, device: torch.device) -> Batch | None:
        """The pictures that are kept from training, as one batch."""
        if self.unseen is None:
            return None
        return Batches(self.unseen, len(self.unseen), 0, device=device, crop=self.crop, process=seeds.ALONE).one(0)

    def preview_batch(self, count: int, device: torch.device) -> Batch:
        """Real pictures of the training set that stay the same over the run. At most as many as there are."""
        count = max(1, min(count, len(self.trained_on)))
        batches = self.batches(count, seeding.derive(0, "preview"), device, False, process=seeds.ALONE)
        batches.flip = False
        return batches.one(0)


def open_training_data(
    family: type[Game], settings: TrainSettings, config: Any, warn: Callable[[str], None]
) -> TrainingData:
    """Open ``settings.data`` as the family needs it.

    Raises:
        DataError: missing, broken or of another kind than the family trains on.
    """
    from gansmith import data

    specs, size = settings.data, settings.size or None
    if settings.kinds and family.data != "images":
        raise DataError(
            "--kinds groups pictures for families that turn noise into pictures. Leave it out for this one."
        )
    expected = {"images": (1,), "crops": (1,), "unpaired": (1, 2), "paired": (1, 2)}[family.data]
    if len(specs) not in expected:
        need = {
            "unpaired": "two folders, or one that holds both sides as trainA and trainB",
            "paired": "two folders with the same file names, or one of side-by-side pictures or with both sides",
        }.get(family.data, "one data set")
        raise DataError(f"This family trains on {need}; --data names {len(specs)}.")
    scale = family.load_scale(config)
    if scale < 1:
        raise DataError(
            f"--load-scale says how much larger pictures are loaded than the window cut out: 1 or more, not {scale}."
        )
    load_size = size and round(size * scale)
    if family.data == "crops":
        window = size or WINDOW
        photos = data.open_photographs(specs[0], min_size=window)
        opened = TrainingData(photos, photos.spec_for(window), settings.flip)
    elif family.data == "images":
        source = data.open_pictures(specs[0], size=load_size)
        if empty := kinds.without_empty_classes(source):
            warn(f"Classes without pictures are left out: {', '.join(empty[:12])}{', ...' if len(empty) > 12 else ''}.")
        grouped = kinds.group(source, settings.kinds, family, config)
        opened = TrainingData(source, source.spec, settings.flip, kinds=grouped)
    elif family.data == "unpaired":
        source = data.open_unpaired(specs[0], specs[1] if len(specs) > 1 else None, size=load_size)
        opened = TrainingData(source, source.spec, settings.flip)
    else:
        source = data.open_paired(specs[0], specs[1] if len(specs) > 1 else None, size=load_size)
        opened = TrainingData(source, source.spec, settings.flip)
    if size and load_size != size:
        opened.crop = (size, size)
        opened.spec = _resized(opened.spec, size)
    if settings.eval_every:
        _check_measurable(opened)
    opened.keep_some_from_training(settings.hold_out)
    _tell_left_out(opened, warn)
    return opened


def _tell_left_out(opened: TrainingData, warn: Callable[[str], None]) -> None:
    """Say how many pictures are not trained on, and why."""
    source = opened.source
    skipped, unread = source.skipped, source.unread
    if not skipped and not unread:
        return
    used = len(opened) + (len(source.b) if isinstance(source, TwoSided) and not source.aligned else 0)
    reasons = [why_unread(unread)] if unread else []
    if skipped:
        path, reason = skipped[0]
        reasons.append(f"{len(skipped):,} picture(s) left out, for example {path}: {reason}")
    warn(
        f"{used:,} of {used + len(skipped) + len(unread):,} pictures can be used. {'; '.join(reasons)}. The run folder lists them in "
        "skipped.tsv."
    )


def _check_measurable(opened: TrainingData) -> None:
    """Raise DataError where ``--eval-every`` could not measure: said before a run begins."""
    real = opened.source.b if isinstance(opened.source, TwoSided) else opened.source
    cut = isinstance(opened.source, Photographs) or opened.crop is not None
    if cut or len(real) < MEASURABLE:
        why = "this run learns from windows cut out of larger ones" if cut else f"there are {len(real)}"
        instead = "Leave --eval-every out; gansmith evaluate measures a finished model."
        if not cut and len(real) < SCORABLE:
            instead = f"Leave --eval-every out: on fewer than {SCORABLE} pictures no score means anything, so look at the samples."
        elif not cut:
            instead = (
                "Leave --eval-every out; gansmith evaluate RUN --metrics prdc,swd measures a finished model on so few."
            )
        raise DataError(
            f"--eval-every compares samples with at least {MEASURABLE} whole pictures, and {why}. {instead}"
        )


def _resized(spec: ImageSpec, size: int) -> ImageSpec:

    return replace(spec, height=size, width=size)
