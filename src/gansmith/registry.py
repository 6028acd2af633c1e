"""The file name is the registry: every file in ``gans/`` is a family, and so is a user's own ``my_pkg.my_gan``."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import inspect
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gansmith.errors import GansmithError

if TYPE_CHECKING:
    from gansmith.game import Game

GANS = Path(__file__).parent / "gans"
PARSING = threading.RLock()
"""Held by whoever reads Python's text as a tree: where two threads do so at once, some Pythons (3.11) raise SystemError."""


def families() -> dict[str, str]:
    """Every built-in family's name and the first line of its docstring. Imports none of them."""
    found = {}
    for file in sorted(GANS.glob("*.py")):
        if not file.stem.startswith("_"):
            found[file.stem.replace("_", "-")] = _first_line(file, file.stat().st_mtime_ns)
    return found


@functools.lru_cache(maxsize=256)
def _first_line(file: Path, changed: int) -> str:
    """Of a module's docstring; read again once the file has changed."""
    with PARSING:
        doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return doc.split("\n", 1)[0]


def family(name: str) -> type[Game]:
    """The class of a family by its command-line name (``wgan-gp``) or dotted module path (``my_pkg.my_gan``).

    Raises:
        GansmithError: no such family, or its module defines no game.
    """
    if "." in name:
        module_name = name
        try:
            known = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):  # no such parent, or no name of a module at all
            known = False
        if not known:
            raise GansmithError(
                f"No module named '{name}'. A family of your own is given by its import path, such as my_pkg.my_gan, without "
                "slashes and .py; is it on PYTHONPATH?"
            )
    else:
        known = families()
        if name.replace("_", "-") not in known:
            close = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise GansmithError(f"There is no family called '{name}'.{hint} The families are: {', '.join(known)}.")
        module_name = f"gansmith.gans.{name.replace('-', '_')}"
    return _game_in(module_name)


def _game_in(module_name: str) -> type[Game]:
    from gansmith.game import Game

    module = importlib.import_module(module_name)
    games = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Game) and value.__module__ == module.__name__
    ]
    if len(games) != 1:
        raise GansmithError(
            f"'{module_name}' must define exactly one subclass of gansmith.game.Game; it has {len(games)}."
        )
    return games[0]


def name_of(game: type[Game]) -> str:
    """The command-line name of a family's class."""
    module = game.__module__
    if module.startswith("gansmith.gans."):
        return module.removeprefix("gansmith.gans.").replace("_", "-")
    return module
