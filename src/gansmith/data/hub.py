"""Pictures from Hugging Face ``datasets``: ``hf:NAME[:SPLIT]``."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from gansmith.data.files import FileSource
from gansmith.data.pages import left_out
from gansmith.errors import DataError, MissingExtra, first_line


def open_hub(spec: str) -> FileSource:
    """Open a data set of the hub (or a folder ``datasets`` can read) by name; the split is ``train`` by default.

    The column of pictures and the column of class labels are found by their type.

    Raises:
        MissingExtra: the package ``datasets`` is not installed.
        DataError: it cannot be loaded, or has no column of pictures.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra("datasets", "hub", "Reading pictures from Hugging Face (hf:)") from None
    name, _, split = spec.partition(":")
    try:
        table: Any = datasets.load_dataset(name, split=split or "train")
    except Exception as error:  # the hub's errors share no class: connection, no such set, no such split, bad files
        raise DataError(
            f"'hf:{spec}' could not be loaded ({first_line(error)}). Check the name and the split (hf:NAME:SPLIT) at "
            "https://huggingface.co/datasets, and the connection."
        ) from None
    image = next((c for c, f in table.features.items() if isinstance(f, datasets.Image)), None)
    if image is None:
        columns = ", ".join(table.features)
        raise DataError(f"'hf:{spec}' has no column of pictures; its columns are: {columns}.")
    label = next((c for c, f in table.features.items() if isinstance(f, datasets.ClassLabel)), None)
    labels = class_names = None
    if label is not None:
        labels, class_names = np.asarray(table[label][:], dtype=np.int64), tuple(table.features[label].names)
        if len(labels) and labels.min() < 0:  # a split whose labels are withheld
            labels = class_names = None
    cells = table.select_columns([image]).cast_column(image, datasets.Image(decode=False))

    def opener(key: str) -> BinaryIO:
        cell = cells[int(key.rpartition("#")[2])][image]
        return io.BytesIO(cell["bytes"]) if cell["bytes"] is not None else open(cell["path"], "rb")

    names = [f"{name}#{i}" for i in range(len(table))]
    notes = left_out([_read(opener, name) for name in names[:8]], "tables")
    return FileSource(f"hf:{spec}", names, opener, labels=labels, class_names=class_names or (), notes=notes)


def _read(opener: Callable[[str], BinaryIO], name: str) -> bytes:
    """A file's content, empty where it cannot be read: reading it as a picture will say why."""
    try:
        with opener(name) as file:
            return file.read()
    except OSError:
        return b""
