"""``gansmith evaluate MODEL --metrics eq``: how well pictures follow when they are moved or turned inside the generator."""

from __future__ import annotations

import json

from gansmith.commands._parse import show_table
from gansmith.errors import GansmithError

MOST = 256
"""Pictures that are moved and turned, at most: each is drawn four times."""


def measure_equivariance(model: str, *, n: int, seed: int, device: str, as_json: bool) -> int:
    """Print EQ-T, EQ-T_frac and EQ-R of a model.

    Raises:
        GansmithError: it is no model, or one that is not placed by a transform.
    """
    from gansmith.metrics.equivariance import equivariance
    from gansmith.models.bundle import load

    if n < 1 or seed < 0:
        raise GansmithError(f"eq takes at least one picture (--n) and a --seed of 0 or more, not {n} and {seed}.")
    count = min(n, MOST)
    scores = equivariance(load(model, device).game, n=count, seed=seed)
    if as_json:
        print(json.dumps({"model": model, "n": count, "scores": scores}, indent=2))
        return 0
    what = {"EQ-T": "moved by whole pixels", "EQ-T_frac": "moved by any distance", "EQ-R": "turned by any angle"}
    rows = [[kind, f"{value:.1f} dB", what[kind]] for kind, value in scores.items()]
    show_table(f"{model}, {count:,} pictures, higher is better", ["score", "value", "the picture"], rows)
    return 0
