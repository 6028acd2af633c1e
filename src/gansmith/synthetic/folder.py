"""The folder of synthetic pictures: a sub-folder per class, ``manifest.csv``, ``split.json``, ``report.md``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from gansmith.errors import RunError
from gansmith.files.alpha import on_white
from gansmith.files.atomic import clear_leftovers, replacing, write_atomically
from gansmith.files.paths import folder_names, named
from gansmith.files.pictures import PICTURE_SUFFIXES
from gansmith.synthetic.dataset import MANIFEST, manifest_text
from gansmith.synthetic.report import write_augment_report
from gansmith.synthetic.settings import AugmentSettings, Made


class ImageNames:
    """Names for the files: a folder per class, and a number.

    Args:
        class_names: what cannot stand in a file's name is replaced by '-'.
        suffix: file format, such as ``.png``.
    """

    def __init__(self, class_names: Sequence[str], suffix: str) -> None:
        self.suffix, self.folders = suffix, folder_names(class_names)
        self._counts: Counter[int] = Counter()

    def next(self, label: int) -> str:
        """The next free name in a class's folder."""
        self._counts[label] += 1
        return f"{self.folders[label]}/{self._counts[label] - 1:06d}{self.suffix}"


def usual_suffix(names: Sequence[str]) -> str:
    """The most frequent file format of the real pictures; ``.png`` where they are no files."""
    found = Counter(PurePosixPath(name).suffix.lower() for name in names).most_common(1)
    return found[0][0] if found and found[0][0] in PICTURE_SUFFIXES else ".png"


def write(made: Made, settings: AugmentSettings, out: Path) -> None:
    """Write the pictures, ``manifest.csv``, ``split.json`` and ``report.md``; the folder appears once it is whole."""
    out = named(out)
    clear_leftovers(out.parent, out.name)
    try:
        with replacing(out) as temporary:
            _write_pictures(made, temporary)
            write_atomically(temporary / MANIFEST, manifest_text(made.dataset.rows))
            made.split.save(temporary)
            write_augment_report(made, settings, temporary, out)
            if out.exists():
                out.rmdir()  # empty: checked at the start
    except OSError as error:
        raise RunError(f"The pictures could not be written to {out}: {error.strerror or error}.") from None


def _write_pictures(made: Made, folder: Path) -> None:
    from PIL import Image

    for image, row in zip(made.dataset.images, made.dataset.rows, strict=True):
        path = folder / row.file
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy())
        jpeg = path.suffix in (".jpg", ".jpeg")
        if picture.mode == "RGBA" and (jpeg or path.suffix == ".bmp"):
            picture = on_white(picture)
        options: dict[str, Any] = {"quality": 95, "subsampling": 0} if jpeg else {}
        picture.save(path, **options)
