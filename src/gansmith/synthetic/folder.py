"""The folder of synthetic pictures: a sub-folder per class, ``manifest.csv``, ``split.json``, ``report.md``."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from gansmith.errors import RunError
from gansmith.files.alpha import on_white
from gansmith.files.atomic import clear_leftovers, write_atomically
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
    from PIL import Image

    out = named(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    clear_leftovers(out.parent, out.name)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for image, row in zip(made.dataset.images, made.dataset.rows, strict=True):
            path = temporary / row.file
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy())
            jpeg = path.suffix in (".jpg", ".jpeg")
            picture = (
                on_white(picture) if picture.mode == "RGBA" and path.suffix in (".jpg", ".jpeg", ".bmp") else picture
            )
            options: dict[str, Any] = {"quality": 95, "subsampling": 0} if jpeg else {}
            picture.save(path, **options)
        write_atomically(temporary / MANIFEST, manifest_text(made.dataset.rows))
        made.split.save(temporary)
        write_augment_report(made, settings, temporary, out)
        if out.exists():
            out.rmdir()  # empty: checked at the start
        temporary.replace(out)
    except OSError as error:
        raise RunError(f"The pictures could not be written to {out}: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
