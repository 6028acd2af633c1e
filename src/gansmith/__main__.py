"""``python -m gansmith``, the form that launchers of several processes need."""

import os
import sys

# Python has put the current folder first on its search path: a random.py in there would be run in the place of Python's own
if sys.path and sys.path[0] in ("", os.getcwd()) and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

from gansmith.cli import entry

if __name__ == "__main__":
    entry()
