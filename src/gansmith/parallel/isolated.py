"""New processes of Python that import nothing from the folder they run in.

``python -m`` and ``python -c`` look for modules in the current folder first. A folder that holds a ``random.py`` would then
run it, in every process that is started there. Since Python 3.11 the option ``-P`` forbids that; before, the folder is taken
off the search path before anything is imported.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Sequence
from pathlib import Path

_BEFORE_311 = (
    "import sys; sys.path[:] = [place for place in sys.path if place]; import runpy; "
    "sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
"""With ``-c`` the current folder stands on the search path as ''; nothing but sys, which is part of Python itself, is imported before."""


def command(module: str, words: Sequence[str]) -> list[str]:
    """The command that runs a module (``gansmith``, ``gansmith.studio.worker``) with these words, apart from the current folder."""
    if sys.version_info >= (3, 11):
        return [sys.executable, "-P", "-m", module, *words]
    return [sys.executable, "-c", _BEFORE_311, module, *words]


def environment() -> dict[str, str]:
    """The environment for :func:`command`: what such a process starts in its turn is apart too, and finds this very package.

    Folders of PYTHONPATH are written out, so that they mean the same wherever the process runs.
    """
    package = str(Path(__file__).resolve().parents[2])
    given = [os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    installed = {os.path.realpath(place) for place in [*site.getsitepackages(), site.getusersitepackages()]}
    search = given if os.path.realpath(package) in installed else [package, *given]
    made = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(search))}
    return {name: value for name, value in (os.environ | made).items() if value or name != "PYTHONPATH"}
