"""The file name is the registry: every file in ``gans/`` is a family, and so is a user's own ``my_pkg.my_gan``.

To import a family of one's own runs it. So a name that stands in a file (a model's, a run's) is looked up by
:func:`family`, which knows the built-in ones and those that the person has named; a name that the person gives is looked up
by :func:`named`, which remembers it.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gansmith.errors import GansmithError, shown
from gansmith.files import remembered

if TYPE_CHECKING:
    from gansmith.game import Game

GANS = Path(__file__).parent / "gans"
ENTRY_POINTS = "gansmith.families"
"""The group in which an installed package names its families: ``my-gan = "my_pkg.my_gan"``."""
LOADED = {"fill": "gansmith.gans.foreign.fill", "spandrel": "gansmith.gans.foreign.spandrel"}
"""Families of models that are used as they are, not trained; they are in no list of families to choose from."""
PARSING = threading.RLock()
"""Held while Python source is parsed: some Pythons (3.11) raise SystemError if two threads parse at once."""
_BUILT_IN = "gansmith.gans."
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def families() -> dict[str, str]:
    """Every built-in family's name and the first line of its docstring. Imports none of them."""
    found = {}
    for file in sorted(GANS.glob("*.py")):
        if not file.stem.startswith("_"):
            found[file.stem.replace("_", "-")] = _first_line(file, file.stat().st_mtime_ns)
    return found


def installed_families() -> dict[str, str]:
    """Name -> module of the families that installed packages bring along."""
    from importlib import metadata

    return {entry.name: entry.value.partition(":")[0] for entry in metadata.entry_points(group=ENTRY_POINTS)}


@functools.lru_cache(maxsize=256)
def _first_line(file: Path, changed: int) -> str:
    """Of a module's docstring; read again once the file has changed."""
    with PARSING:
        doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return doc.split("\n", 1)[0]


def family(name: str) -> type[Game]:
    """The class of a family whose name stands in a file: a built-in one, an installed package's, or one that the person has named.

    Args:
        name: the command-line name (``wgan-gp``), or the dotted path of a module (``my_pkg.my_gan``).

    Raises:
        GansmithError: no such family, its module was not named, or defines no game.
    """
    if name.startswith(_BUILT_IN):
        name = name.removeprefix(_BUILT_IN)
    if "." not in name:
        known = families()
        if name.replace("_", "-") in known:
            return _game_in(_BUILT_IN + name.replace("-", "_"))
        if name in LOADED:
            return _game_in(LOADED[name])
        installed = installed_families()
        if name in installed:
            return _game_in(installed[name])
        close = difflib.get_close_matches(name.lower().replace("_", "-"), [*known, *installed], n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        listed = ", ".join([*known, *installed])
        raise GansmithError(f"There is no family called '{shown(name)[:100]}'.{hint} The families are: {listed}.")
    if (imported := sys.modules.get(name)) is not None and _games(imported):
        return _game_in(name)  # this program has imported it already
    if name in installed_families().values():
        return _game_in(name)
    folder = remembered.modules().get(name)
    if folder is None:
        raise GansmithError(
            f"The family '{shown(name)[:100]}' is a module of its own, and to read it would run it. A file cannot ask for that, only you can. "
            f"If you trust that module, add --family-module {shown(name)[:100]} (in Python: gansmith.use_family), once; it is then remembered."
        )
    found = _place(name, folder)
    if found is not None and found != folder:
        raise GansmithError(
            f"The family '{name}' was named when it lay in {shown(folder)}; the module of that name that would be imported now lies in "
            f"{shown(found)}. If that is the one you mean, add --family-module {name} again."
        )
    return _game_in(name, folder)


def named(name: str) -> type[Game]:
    """The class of a family that the person names; a module of their own is remembered, so that its models and runs can be read.

    A module is looked for where Python looks for modules, and last in the current folder.

    Raises:
        GansmithError: no such family, or its module defines no game.
    """
    if "." not in name or name.startswith(_BUILT_IN):
        return family(name)
    folder = _place(name, os.getcwd())
    if folder is None:
        raise GansmithError(
            f"No module named '{shown(name)[:100]}'. A family of your own is given by its import path, such as my_pkg.my_gan, without "
            "slashes and .py; is it on PYTHONPATH?"
        )
    found = _game_in(name, folder)
    remembered.remember(name, folder)
    return found


def use_family(name: str) -> None:
    """Trust a family of one's own, so that its models and runs can be loaded here and by later commands.

    Args:
        name: the dotted path of its module, such as ``my_pkg.my_gan``.

    Raises:
        GansmithError: there is no such module, or it defines no game.
    """
    if "." not in name:
        raise GansmithError(
            f"'{shown(name)[:100]}' is no module of your own: give its dotted path, such as my_pkg.my_gan."
        )
    named(name)


def _place(name: str, last: str) -> str | None:
    """The folder in which the first part of a module's name is found, without importing anything; None where it is nowhere.

    Args:
        last: a folder that is searched behind those where Python looks for modules.
    """
    if not _MODULE.fullmatch(name):
        return None
    first = name.partition(".")[0]
    for folder in [*sys.path, last]:
        place = Path(folder or os.getcwd()).absolute()
        if (place / first).is_dir() or (place / f"{first}.py").is_file():
            spec = importlib.machinery.PathFinder.find_spec(first, [str(place)])
            if spec is not None and (spec.origin is not None or _holds(place, name)):
                return str(place)
    try:  # a package that is found in another way, such as an editable installation
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    locations = [] if spec is None else list(spec.submodule_search_locations or [])
    return str(Path(locations[0]).parent) if locations else None


def _holds(folder: Path, name: str) -> bool:
    """Does a folder hold a module in folders without ``__init__.py``?"""
    place = folder.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def _game_in(module_name: str, folder: str | None = None) -> type[Game]:
    """The only game that a module defines; ``folder`` is searched last."""
    if folder is not None and folder not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise GansmithError(
            f"No module named '{module_name}'. A family of your own is given by its import path, such as my_pkg.my_gan; is it on PYTHONPATH?"
        ) from None
    games = _games(module)
    if len(games) != 1:
        raise GansmithError(
            f"'{module_name}' must define exactly one subclass of gansmith.game.Game; it has {len(games)}."
        )
    return games[0]


def _games(module: object) -> list[type[Game]]:
    from gansmith.game import Game

    name = getattr(module, "__name__", "")
    return [
        value
        for value in list(vars(module).values())
        if inspect.isclass(value) and issubclass(value, Game) and value.__module__ == name
    ]


def name_of(game: type[Game]) -> str:
    """The command-line name of a family's class."""
    module = game.__module__
    loaded = [name for name, place in LOADED.items() if place == module]
    if loaded:
        return loaded[0]
    if module.startswith(_BUILT_IN):
        return module.removeprefix(_BUILT_IN).replace("_", "-")
    return module
