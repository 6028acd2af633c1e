"""Show a picture in the desktop's viewer, where there is a desktop; used by ``make demo``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def show(path: str) -> bool:
    """Open a file with the system's viewer; False where there is none."""
    if sys.platform == "win32":
        os.startfile(path)  # type: ignore[attr-defined]
        return True
    viewer = "open" if sys.platform == "darwin" else "xdg-open"
    desktop = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not desktop or shutil.which(viewer) is None:
        return False
    subprocess.Popen([viewer, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return True


if __name__ == "__main__":
    show(sys.argv[1])
