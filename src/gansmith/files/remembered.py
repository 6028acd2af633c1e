"""Families of one's own, as the person at this machine has named them: remembered with the person, never with a model.

A model folder says of which family it is. Where that is a module, to import it is to run it, so nothing in a folder that
may have been downloaded can decide that. The person names it once (``--family-module``, ``gansmith train my_pkg.my_gan``,
:func:`gansmith.use_family`); it is then known by its name and by the folder that it was imported from.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from gansmith.files.atomic import write_atomically
from gansmith.files.documents import Unreadable, parse_json, read_json

CONFIG_VARIABLE = "GANSMITH_CONFIG"
"""The folder of what gansmith remembers of a person, instead of the usual one."""
PROCESS_VARIABLE = "GANSMITH_FAMILY_MODULES"
"""What was named in this process, for the processes that it starts; JSON of module -> folder."""
FILE = "families.json"


def config_folder() -> Path:
    """Where the person's own settings lie: ``$GANSMITH_CONFIG``, ``$XDG_CONFIG_HOME/gansmith`` or ``~/.config/gansmith``."""
    if own := os.environ.get(CONFIG_VARIABLE):
        return Path(own)
    if sys.platform == "win32" and (roaming := os.environ.get("APPDATA")):
        return Path(roaming) / "gansmith"
    place = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(place) if os.path.isabs(place) else Path("~/.config").expanduser()) / "gansmith"


def modules() -> dict[str, str]:
    """Module -> the folder on whose contents its name is looked up, of all that were named; damaged files count as empty."""
    try:
        kept = _checked(read_json(config_folder() / FILE))
    except (OSError, RuntimeError, Unreadable):  # no file, or no home
        kept = {}
    try:
        return kept | _checked(parse_json(os.environ.get(PROCESS_VARIABLE, "{}")))
    except Unreadable:
        return kept


def remember(module: str, folder: str) -> bool:
    """Remember a module that the person named, for this process and those that it starts, and for later ones.

    Returns:
        Whether it could be written down for later ones.
    """
    known = modules()
    if known.get(module) == folder:
        return True
    own = {**_of_this_process(), module: folder}
    os.environ[PROCESS_VARIABLE] = json.dumps(own)
    place = config_folder() / FILE
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, json.dumps(known | own, indent=1) + "\n")
    except (OSError, RuntimeError):
        return False
    return True


def _of_this_process() -> dict[str, str]:
    try:
        return _checked(parse_json(os.environ.get(PROCESS_VARIABLE, "{}")))
    except Unreadable:
        return {}


def _checked(content: object) -> dict[str, str]:
    entries = content.items() if isinstance(content, dict) else ()
    return {name: folder for name, folder in entries if isinstance(name, str) and isinstance(folder, str)}
