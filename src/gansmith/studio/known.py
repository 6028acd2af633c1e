"""The families, for requests that come from many threads at once."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from gansmith import registry

if TYPE_CHECKING:  # it brings torch, which need not be there before the page is
    from gansmith.game import Game

PARSING = threading.RLock()
"""Held by whoever reads Python's text as a tree: where two threads do so at once, some Pythons (3.11) raise SystemError."""


@functools.cache
def families() -> dict[str, str]:
    """Names and first lines, without importing any."""
    with PARSING:
        return registry.families()


@functools.cache
def family(name: str) -> type[Game]:
    """The class of a family by its name."""
    with PARSING:
        return registry.family(name)
