"""``--conditional auto``: whether a game of noise to pictures learns the classes of its data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from gansmith.errors import GansmithError
from gansmith.game import ImageSpec

PER_CLASS = 500
"""Half of the classes have at least so many pictures where classes are worth learning apart. With fewer, a discriminator that
knows the class knows the pictures by heart, and every class collapses to a few of them (arXiv:2201.06578)."""


def check(conditional: Any, config: Any, spec: ImageSpec) -> None:
    """Raise a GansmithError where labels are asked for that are not there, or that another setting excludes."""
    if conditional and spec.classes < 2:
        raise GansmithError(
            "--conditional needs labelled pictures, and this data has no labels. Give a folder with one sub-folder "
            "per class (a picture beside those folders keeps all from having labels: 'gansmith data check' names it), an "
            ".npz with 'y', or leave --conditional out."
        )
    if conditional and config.pack > 1:
        raise GansmithError("--pack judges pictures of any class together, so it cannot go with --conditional.")


def decide(
    config: Any,
    spec: ImageSpec,
    counts: Sequence[int] = (),
    fits: Callable[[], bool] = lambda: True,
    per_class: float = PER_CLASS,
) -> tuple[bool, str]:
    """What ``auto`` means for these pictures.

    Args:
        config: a family's settings.
        counts: how many pictures each class has; empty where nobody has counted them.
        fits: whether the family's networks take labels; asked only where all else speaks for them.
        per_class: half of the classes must have so many pictures; infinite for a family whose classes may collapse.

    Returns:
        Whether the networks learn classes, and one line that says so; the line is empty where there are no labels.

    Raises:
        GansmithError: classes are to fade in, and there are none.
    """
    if spec.classes < 2:
        if config.class_fade:
            raise GansmithError("--class-fade lets classes fade in, and this data has no labels. Leave it out.")
        return False, ""
    found = f"labels: {spec.classes:,} classes"
    if config.pack > 1:
        return False, f"{found}; the networks learn without them, since --pack judges pictures of any class together"
    if math.isinf(per_class):
        return (
            False,
            f"{found}; the networks learn without them, since classes of this family may collapse; r3gan learns them (and --conditional, in any family)",
        )
    if not config.class_fade and counts and statistics.median(counts) < per_class:
        few = f"half of them have {statistics.median(counts):g} pictures or fewer, and with less than {per_class} a class collapses to few pictures"
        return (
            False,
            f"{found}; the networks learn without them: {few} (--conditional --class-fade 0.6 learns them all the same)",
        )
    if not fits():
        return False, f"{found}; the networks learn without them, since this family's take none"
    return True, f"{found}; the networks learn them (--no-conditional leaves them out)"
