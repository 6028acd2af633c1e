"""What a number of the settings may be, said in its field's annotation; and the kinds of numbers that families share."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar


@dataclass(frozen=True)
class Bounds:
    """What a number of the settings may be. It stands in the field's annotation, ``Annotated[int, Bounds(1, unit="px")]``.

    Attributes:
        least, most: the smallest and the largest number.
        above, below: the number is more than the one and less than the other.
        unit: what the number counts, in the plural.
        memory: more than this no machine has memory for; helps do not name it.
        off: whether 0 switches off what the setting is about.
        was: the number that stood for None, the family's usual, in settings that were written before None did. It is
            none that the setting may have.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    unit: str = ""
    memory: float | None = None
    off: bool = False
    was: float | None = None

    def allow(self, value: float) -> bool:
        """Whether a finite number is within."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    @property
    def range(self) -> str:
        """The bounds in words, such as ``0 to under 1``; empty where there are none."""
        low = self.least if self.least is not None else self.above
        first = "" if low is None else f"{low:g}" if self.least is not None else f"more than {low:g}"
        if self.most is not None or self.below is not None:
            last = f"{self.most:g}" if self.most is not None else f"under {self.below:g}"
            return f"{first} to {last}" if first else f"at most {last}"
        return f"{first} or more" if self.least is not None else first

    def __str__(self) -> str:
        return ", ".join(filter(None, (f"in {self.unit}" if self.unit else "", self.range)))


@dataclasses.dataclass(frozen=True)
class Added:
    """A setting that younger versions have. It stands in the field's annotation, ``Annotated[str, Added("plain")]``.

    Attributes:
        before: what settings mean that were written before the field was there.
    """

    before: Any


Note = TypeVar("Note", Bounds, Added)

MANY = 1 << 20

LARGEST = 1 << 15

Count = Annotated[int, Bounds(1)]
"""A whole number of things, 1 or more."""

Units = Annotated[int, Bounds(1, memory=MANY)]
"""Channels of a layer, or numbers in a vector."""

Pixels = Annotated[int, Bounds(1, unit="pixels", memory=LARGEST)]

Rate = Annotated[float, Bounds(0)]
"""A learning rate."""

Weight = Annotated[float, Bounds(0)]
"""What a term of a loss is multiplied by."""

OptionalTerm = Annotated[float, Bounds(0, off=True)]
"""The weight of a term that 0 leaves out."""

Share = Annotated[float, Bounds(0, 1)]

Decay = Annotated[float, Bounds(0, below=1)]
"""Of Adam's averages."""

HalfLife = Annotated[int, Bounds(0, unit="images", off=True)]
"""Of a weight average."""


def bounds_of(config: type) -> dict[str, Bounds]:
    """The bounds of a settings class's fields, by name, of those that have some."""
    return _notes(config, Bounds)


def added_of(config: type) -> dict[str, Added]:
    """What a settings class's fields mean where they are missing, by name, of those that younger versions added."""
    return _notes(config, Added)


def _notes(config: type, kind: type[Note]) -> dict[str, Note]:
    """What annotations of a settings class's fields say of one kind, by name."""
    hints = typing.get_type_hints(config, include_extras=True)
    found = {
        name: [x for x in getattr(hint, "__metadata__", ()) if isinstance(x, kind)] for name, hint in hints.items()
    }
    return {name: notes[0] for name, notes in found.items() if notes}
