"""Named arrays in small ``.npz`` files that may come from anybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gansmith.errors import first_line


def read_npz(path: Path, *names: str) -> list[np.ndarray]:
    """The arrays of these names, which hold numbers. Nothing in the file is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ``.npz``, or lacks an array of these names that holds numbers; says which of these in a few words.
    """
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise ValueError("it is no .npz")
        with content:
            arrays = [np.asarray(content[name]) for name in names]
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy raises whatever its readers stumble over
        raise ValueError(first_line(error)) from None
    if not all(array.dtype.kind in "fiub" for array in arrays):
        raise ValueError("they are not numbers")
    return arrays
