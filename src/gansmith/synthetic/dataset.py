"""Synthetic pictures as a torch dataset, a sampler that mixes them with real ones, and other people's datasets as pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from gansmith.data import MemoryPictures, Pictures, open_pictures
from gansmith.errors import DataError, GansmithError

MANIFEST = "manifest.csv"

Kind = Literal["float", "uint8", "pil"]
"""What a dataset's pictures are: float tensors in [0, 1], uint8 tensors, or Pillow's pictures."""


@dataclass(frozen=True)
class Row:
    """One line of ``manifest.csv``."""

    file: str
    """Path inside the folder, with '/'."""
    label: str
    """Name of its class; the column is called ``class``."""
    seed: int
    """``model.sample(1, seed=seed, label=...)`` makes the same picture."""
    model: str
    """Family and hash of the weights that made it."""
    score: float
    """How sure a classifier of the real pictures is of its class, 0 to 1; NaN where none was asked."""


class SyntheticDataset(Dataset[tuple[Any, int]]):
    """Labelled synthetic pictures; item i is (picture, class number). Goes into ``ConcatDataset`` beside the real ones.

    Args:
        images: uint8 [N, C, H, W].
        targets: class numbers, int64 [N].
        classes: names of the classes, in the order of their numbers.
        rows: where each picture comes from.
        folder: where the pictures lie, if they do.
        kind: what items are before ``transform``: float tensors [C, H, W] in [0, 1], uint8 tensors or Pillow's pictures.
        transform: applied to every picture, as in torchvision's datasets.

    Attributes:
        study: what the study found, where one was asked for.
    """

    def __init__(
        self,
        images: Tensor,
        targets: Tensor,
        classes: Sequence[str],
        *,
        rows: Sequence[Row] = (),
        folder: Path | None = None,
        kind: Kind = "float",
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if len(images) != len(targets) or (rows and len(rows) != len(images)):
            raise GansmithError(
                f"{len(images)} pictures need as many labels and rows, not {len(targets)} and {len(rows)}."
            )
        self.images, self.targets, self.classes = images, targets, tuple(classes)
        self.rows, self.folder, self.kind, self.transform = tuple(rows), folder, kind, transform
        self.study: Any = None

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        classes: Sequence[str] | None = None,
        channels: int | None = None,
        size: tuple[int, int] | None = None,
        kind: Kind = "float",
        transform: Callable[[Any], Any] | None = None,
    ) -> SyntheticDataset:
        """Read what ``gansmith augment`` wrote, or any folder with a sub-folder per class.

        Args:
            folder: the folder. Pictures that were deleted from it are left out.
            classes: the classes' names in the order that numbers them; by default the order stored in the folder.
            channels: 1, 3 or 4; by default the files' own.
            size: (height, width) to bring the pictures to.

        Raises:
            DataError: nothing there, no labels, or a class that ``classes`` does not have.
        """
        from gansmith.synthetic.split import Split, match_classes

        folder = Path(folder)
        # absolute: a folder may be called as a standard set is
        pictures = open_pictures(str(folder.absolute()), channels=channels, size=size)
        listed = {row.file: row for row in read_manifest(folder)}
        if listed:
            known = [i for i, name in enumerate(pictures.names) if name in listed]
            if not known:
                raise DataError(f"None of the pictures that {folder / MANIFEST} lists is in '{folder}' any more.")
            rows = [listed[pictures.names[i]] for i in known]
            split = Split.load(folder)
            classes = classes or (split.class_names if split else tuple(sorted({row.label for row in rows})))
            names = list(dict.fromkeys(row.label for row in rows))
            numbers = dict(zip(names, match_classes(names, classes, f"'{folder}'", "the data"), strict=True))
            images, _ = pictures.fetch(np.array(known, dtype=np.int64))
            targets = torch.tensor([int(numbers[row.label]) for row in rows], dtype=torch.int64)
            return cls(images, targets, classes, rows=rows, folder=folder, kind=kind, transform=transform)
        if pictures.spec.classes == 0:
            raise DataError(
                f"The pictures in '{folder}' have no labels: it has neither {MANIFEST} nor a sub-folder per class."
            )
        classes = classes or pictures.spec.class_names
        numbers = torch.from_numpy(match_classes(pictures.spec.class_names, classes, f"'{folder}'", "the data"))
        images, labels = pictures.fetch(np.arange(len(pictures)))
        assert labels is not None
        return cls(images, numbers[labels], classes, folder=folder, kind=kind, transform=transform)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image: Any = self.images[index]
        if self.kind == "float":
            image = image.float() / 255
        elif self.kind == "pil":
            from PIL import Image

            image = Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy())
        return image if self.transform is None else self.transform(image), int(self.targets[index])

    def counts(self) -> dict[str, int]:
        """Pictures of each class."""
        found = torch.bincount(self.targets, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, found, strict=True))


# ----------------------------------------------------------------------------------------------------------------------
# manifest.csv


def manifest_text(rows: Sequence[Row]) -> str:
    """The content of ``manifest.csv``: file, class, seed, model, score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("class" if f.name == "label" else f.name for f in fields(Row))
    for row in rows:
        score = "" if np.isnan(row.score) else f"{row.score:.4f}"
        writer.writerow((asdict(row) | {"score": score}).values())
    return text.getvalue()


def read_manifest(folder: Path) -> list[Row]:
    """The rows of a folder's ``manifest.csv``; none where there is no such file.

    Raises:
        DataError: it is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                Row(line["file"], line["class"], int(line["seed"]), line["model"], float(line["score"] or "nan"))
                for line in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}). Restore it, or remove it to go by the folders."
        ) from None


# ----------------------------------------------------------------------------------------------------------------------
# what people have


def as_pictures(data: Any, *, size: int | None = None, name: str = "dataset") -> tuple[Pictures, Kind]:
    """Labelled pictures from whatever holds them.

    Args:
        data: a data spec, opened pictures, a pair of arrays (pictures uint8 [N, H, W(, C)], labels [N]), or a torch
            dataset of (picture, label) whose pictures are Pillow's, uint8 tensors, or float tensors in [0, 1].
        size: bring pictures that are given by a spec to this size.

    Raises:
        DataError: pictures of another kind, or of different sizes.
    """
    if isinstance(data, (str, Path)):
        return open_pictures(str(data), size=size or None), "float"
    if isinstance(data, Pictures):
        return data, "float"
    if isinstance(data, tuple) and len(data) == 2:
        x, y = (part.numpy() if isinstance(part, Tensor) else np.asarray(part) for part in data)
        return MemoryPictures.from_arrays(x, y, name=name), "float"
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise DataError(
            f"Pictures cannot be read from a {type(data).__name__}. Give a data spec or a dataset with a length."
        )
    arrays, labels, kind = [], [], "float"
    for i in range(len(data)):
        item = data[i]
        if not (isinstance(item, (tuple, list)) and len(item) >= 2):
            raise DataError("The dataset has no labels: its items must be (picture, label).")
        array, kind = _as_array(item[0])
        arrays.append(array)
        labels.append(_as_label(item[1]))
    if len({a.shape for a in arrays}) != 1:
        raise DataError("The dataset's pictures have different sizes, or there are none. Bring them to one size first.")
    x = np.stack(arrays)
    return MemoryPictures.from_arrays(x, np.array(labels), name=name, class_names=_class_names(data)), kind


def _class_names(data: Any) -> tuple[str, ...]:
    while not hasattr(data, "classes") and hasattr(data, "dataset"):  # torch's Subset
        data = data.dataset
    return tuple(str(name) for name in getattr(data, "classes", None) or ())


def _as_label(label: Any) -> int:
    try:
        number = int(label)
    except (TypeError, ValueError, RuntimeError):  # names, None, one-hot vectors
        number = -1
    if number < 0:
        raise DataError(f"The dataset's labels must be whole numbers from 0; one is {label!r}.")
    return number


def _as_array(image: Any) -> tuple[np.ndarray, Kind]:
    """One picture as uint8 [H, W, C]."""
    if isinstance(image, Tensor):
        if image.ndim not in (2, 3):
            raise DataError(f"A picture is a tensor [C, H, W], not of the shape {list(image.shape)}.")
        image, kind = image if image.ndim == 3 else image[None], "uint8"
        if image.is_floating_point():
            if image.min() < 0 or image.max() > 1:
                raise DataError(
                    f"The dataset's float pictures must lie in [0, 1]; one goes from {float(image.min()):.2f} to "
                    f"{float(image.max()):.2f}. Give the dataset without its Normalize, and normalise afterwards."
                )
            image, kind = (image * 255).round().to(torch.uint8), "float"
        if image.dtype != torch.uint8:
            raise DataError(f"Pictures are uint8 tensors, or float tensors in [0, 1], not {image.dtype}.")
        return image.permute(1, 2, 0).cpu().numpy(), kind
    if hasattr(image, "convert"):
        image = image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")
        array, kind = np.asarray(image), "pil"
    else:
        array, kind = np.asarray(image), "uint8"
    return array if array.ndim == 3 else array[..., None], kind
