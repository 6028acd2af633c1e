"""Label maps for models that draw pictures of them: numbers of labels as files hold them, and the borders of instances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from gansmith.apply.finding import Item
from gansmith.data.decode import open_file, read_unconverted
from gansmith.data.formats import EXTENSIONS
from gansmith.data.threads import Broken
from gansmith.errors import GansmithError

_LOSSY = ("JPEG", "WEBP", "MPO", "AVIF", "HEIF")
"""Formats, by Pillow's names, that change numbers of labels."""


def label_array(image: Image.Image, labels: int) -> np.ndarray:
    """A label map's numbers, uint8 [H, W]: grey values, or what a palette numbers.

    Raises:
        GansmithError: it is a coloured picture, or has a label that the model does not know.
    """
    if image.format in _LOSSY:
        raise GansmithError(
            f"it is a {image.format} file, which changes the numbers of a label map; give the map as a PNG"
        )
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise GansmithError(
            f"this model draws pictures of label maps, and this is a picture of mode {image.mode}. A label map is a grey picture or one with a "
            f"palette, whose pixels are the numbers of labels, from 0 to {labels - 1}"
        )
    numbers = np.asarray(image).astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= labels:
        raise GansmithError(
            f"it has the label {numbers.max() if numbers.min() >= 0 else numbers.min()}, and the model knows 0 to {labels - 1}"
        )
    return numbers.astype(np.uint8)


def borders(instances: np.ndarray) -> np.ndarray:
    """Pixels whose neighbour (left, right, above, below) belongs to another instance: [H, W] or [H, W, C] -> bool [H, W]."""
    flat = instances if instances.ndim == 3 else instances[..., None]
    across, down = (flat[:, 1:] != flat[:, :-1]).any(2), (flat[1:] != flat[:-1]).any(2)
    found = np.zeros(flat.shape[:2], bool)
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


def borders_for(place: Path, item: Item, size: tuple[int, int]) -> np.ndarray:
    """The borders of instances in a label map of this (width, height), bool [H, W].

    Args:
        place: the map of instances, or a folder with one for each label map: of the same name, or with ``instanceIds`` for
            ``labelIds`` in it, in the same sub-folder or right in the folder.

    Raises:
        GansmithError: there is none, or it has another size.
    """
    file = place if place.is_file() else _beside(place, item)
    try:
        with open_file(lambda: open(file, "rb")) as opened:
            image = read_unconverted(opened)
    except Broken as reason:
        raise GansmithError(f"the map of instances {file} cannot be used: {reason}") from None
    if image.size != size:
        raise GansmithError(
            f"the map of instances is {image.width}x{image.height} and the label map {size[0]}x{size[1]}; they must be the same size"
        )
    return borders(np.asarray(image))


def _beside(folder: Path, item: Item) -> Path:
    """The map of instances of a label map in a folder."""
    stem = item.relative.stem
    stems = {stem, stem.replace("labelIds", "instanceIds"), stem.replace("_label", "_inst")}
    for place in dict.fromkeys((folder / item.relative.parent, folder)):
        files = sorted(place.iterdir()) if place.is_dir() else []
        found = [file for file in files if file.stem in stems and file.suffix.lower() in EXTENSIONS]
        found = [file for file in found if item.path is None or not file.samefile(item.path)]
        if found:
            return found[0]
    raise GansmithError(
        f"the folder {folder} has no map of instances named {stem}.png, nor one with instanceIds for labelIds in its name"
    )
