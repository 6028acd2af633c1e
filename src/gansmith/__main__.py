"""``python -m gansmith``, the form that launchers of several processes need."""

from gansmith.cli import entry

if __name__ == "__main__":
    entry()
