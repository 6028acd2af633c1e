"""Standard sets of pictures by name: one embedded, the rest through torchvision, downloaded once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gansmith.data.arrays import ArraySource, idx_files, open_idx, open_npz
from gansmith.data.files import FileSource, Source
from gansmith.errors import DataError, first_line

_EMBEDDED = Path(__file__).parent / "mnist10k.npz"
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_SYSTEM = (Path("/usr/share/datasets"), Path("/usr/local/share/datasets"))  # Debian: dataset-fashion-mnist


@dataclass(frozen=True)
class _Standard:
    about: str
    splits: tuple[str, ...]
    megabytes: int
    """What the default split downloads; 0 for what needs no download."""
    open: Callable[[str, Path, str], Source]
    """(name, cache folder, split) -> source; the first split is the default."""


def home_cache() -> Path:
    """``~/.cache/gansmith``, or a temporary folder for a user without a home."""
    try:
        return Path.home() / ".cache" / "gansmith"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "gansmith-cache"


def cache_folder() -> Path:
    """Where downloads are kept: ``$GANSMITH_DATA``, or ``~/.cache/gansmith``."""
    named = os.environ.get("GANSMITH_DATA")
    return Path(named).expanduser() if named else home_cache()


def open_standard(name: str, split: str = "") -> Source:
    """Open a standard set, downloading it first if it is not there yet.

    Raises:
        DataError: no such split, or the download failed.
    """
    known = _SETS[name]
    if split and split not in known.splits:
        raise DataError(f"'{name}' has no split '{split}'. Its splits are: {', '.join(known.splits)}.")
    source = known.open(name, cache_folder() / name, split or known.splits[0])
    source.name = f"{name}:{split}" if split else name
    if isinstance(source, ArraySource):
        source.names = [f"{source.name}#{i}" for i in range(len(source))]
    return source


@dataclass(frozen=True)
class About:
    """A standard set, for lists.

    Attributes:
        about: what it is.
        splits: its parts, the default first.
        megabytes: what it downloads when it is first used; 0 for one that comes with gansmith.
        ready: its default part is there, whole.
    """

    about: str
    splits: tuple[str, ...]
    megabytes: int
    ready: bool


def about_all() -> dict[str, About]:
    """Every standard name with what a list shows of it; downloads and opens nothing."""
    return {name: About(known.about, known.splits, known.megabytes, is_ready(name)) for name, known in _SETS.items()}


def is_ready(name: str) -> bool:
    """Is a standard set's default part there, whole? What a download that failed has left behind does not count."""
    known = _SETS[name]
    if not known.megabytes:
        return True
    if known.open is _fashion and any(_system_files(name, "train")):
        return True
    return (cache_folder() / name / _whole({"split": known.splits[0]})).is_file()


def _embedded(name: str, folder: Path, split: str) -> Source:
    return open_npz(_EMBEDDED)


def _fashion(name: str, folder: Path, split: str) -> Source:
    for file in _system_files(name, "train" if split == "train" else "t10k"):
        return open_idx(file, class_names=_CLOTHES)
    return _idx_like("FashionMNIST")(name, folder, split)


def _system_files(name: str, prefix: str) -> Iterator[Path]:
    """IDX files of a set that the operating system's own packages brought."""
    for place in _SYSTEM:
        if (place / name).is_dir():
            yield from (file for file in idx_files(place / name) if file.name.startswith(prefix))


def _idx_like(kind: str, **options: Any) -> Callable[[str, Path, str], Source]:
    """torchvision's MNIST and its relatives."""

    def open_(name: str, folder: Path, split: str) -> Source:
        made = _download(name, folder, kind, train=split == "train", **options)
        x, y = made.data.numpy(), made.targets.numpy()
        classes = tuple(str(c) for c in made.classes)
        if kind == "EMNIST":
            x = np.ascontiguousarray(x.transpose(0, 2, 1))  # stored lying on their side
            if classes[0] == "N/A":  # letters count from 1
                y, classes = y - 1, classes[1:]
        return ArraySource(x, y, name=name, class_names=classes)

    return open_


def _cifar(kind: str) -> Callable[[str, Path, str], Source]:
    def open_(name: str, folder: Path, split: str) -> Source:
        made = _download(name, folder, kind, train=split == "train")
        return ArraySource(made.data, np.asarray(made.targets), name=name, class_names=tuple(made.classes))

    return open_


def _channels_first(kind: str) -> Callable[[str, Path, str], Source]:
    """torchvision's SVHN and STL10, which hold [N, C, H, W]."""

    def open_(name: str, folder: Path, split: str) -> Source:
        made = _download(name, folder, kind, split=split)
        y = None if split == "unlabeled" else made.labels
        names = tuple(getattr(made, "classes", ())) if y is not None else ()
        return ArraySource(made.data.transpose(0, 2, 3, 1), y, name=name, class_names=names)

    return open_


def _celeba(name: str, folder: Path, split: str) -> Source:
    _download(name, folder, "CelebA", split="all")
    rows = (line.split() for line in (folder / "celeba" / "list_eval_partition.txt").read_text().splitlines())
    part = {"train": "0", "valid": "1", "test": "2"}.get(split)
    files = [row[0] for row in rows if part in (None, row[1])]
    return _listed(name, folder / "celeba" / "img_align_celeba", files, None)


def _flowers(name: str, folder: Path, split: str) -> Source:
    from scipy.io import loadmat

    _download(name, folder, "Flowers102", split="train")
    root = folder / "flowers-102"
    key = {"train": "trnid", "valid": "valid", "test": "tstid"}.get(split)
    labels = loadmat(root / "imagelabels.mat")["labels"].reshape(-1).astype(np.int64) - 1
    numbers = np.arange(1, len(labels) + 1) if key is None else np.sort(loadmat(root / "setid.mat")[key].reshape(-1))
    return _listed(name, root / "jpg", [f"image_{n:05d}.jpg" for n in numbers], labels[numbers - 1])


def _pets(name: str, folder: Path, split: str) -> Source:
    _download(name, folder, "OxfordIIITPet", split="trainval")
    root = folder / "oxford-iiit-pet"
    lists = ("trainval", "test") if split == "all" else (split,)
    rows = [
        line.split()
        for part in lists
        for line in (root / "annotations" / f"{part}.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    breeds = {int(number) - 1: file.rpartition("_")[0] for file, number, *_ in rows}
    labels = np.array([int(row[1]) - 1 for row in rows], dtype=np.int64)
    names = tuple(breeds.get(i, str(i)) for i in range(max(breeds) + 1))
    return _listed(name, root / "images", [f"{row[0]}.jpg" for row in rows], labels, names)


def _listed(
    name: str, folder: Path, files: list[str], labels: np.ndarray | None, class_names: tuple[str, ...] = ()
) -> FileSource:
    if labels is not None and not class_names:
        class_names = tuple(str(i) for i in range(int(labels.max()) + 1))
    return FileSource(name, files, lambda file: open(folder / file, "rb"), labels=labels, class_names=class_names)


def _download(name: str, folder: Path, kind: str, **options: Any) -> Any:
    """A torchvision data set, downloaded and checked by torchvision if need be, by one process at a time."""
    from torchvision import datasets

    with _saying_what_to_do(name, folder), _locked(folder):
        made = getattr(datasets, kind)(str(folder), download=True, **options)
        with suppress(OSError):  # a cache that may be read only
            (folder / _whole(options)).touch()
        return made


def _whole(options: dict[str, Any]) -> str:
    """The empty file that says a download has ended well. Only SVHN downloads its splits one by one, and names them here."""
    split = options.get("split", "")
    return f".whole-{split}" if split in ("test", "extra") else ".whole"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


@contextmanager
def _saying_what_to_do(name: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # connections, archives cut short, checksums: their errors share no class
        raise DataError(
            f"'{name}' could not be downloaded to '{folder}' ({first_line(error)}). Check the connection and the space on the disk, "
            "or copy that folder from a machine that has it (the environment variable GANSMITH_DATA names its parent). "
            "'mnist10k' is part of gansmith and needs no download."
        ) from None


_TWO = ("train", "test")
_SETS = {
    "mnist10k": _Standard("10,000 handwritten digits, 28x28 grey; part of gansmith", ("all",), 0, _embedded),
    "mnist": _Standard("70,000 handwritten digits, 28x28 grey", _TWO, 12, _idx_like("MNIST")),
    "fashion-mnist": _Standard("70,000 pieces of clothing, 28x28 grey", _TWO, 31, _fashion),
    "kmnist": _Standard("70,000 cursive Japanese characters, 28x28 grey", _TWO, 21, _idx_like("KMNIST")),
    "emnist": _Standard("131,600 letters and digits, 28x28 grey", _TWO, 562, _idx_like("EMNIST", split="balanced")),
    "emnist-letters": _Standard("145,600 letters, 28x28 grey", _TWO, 562, _idx_like("EMNIST", split="letters")),
    "emnist-digits": _Standard("280,000 digits, 28x28 grey", _TWO, 562, _idx_like("EMNIST", split="digits")),
    "cifar10": _Standard("60,000 things in 10 classes, 32x32", _TWO, 170, _cifar("CIFAR10")),
    "cifar100": _Standard("60,000 things in 100 classes, 32x32", _TWO, 169, _cifar("CIFAR100")),
    "svhn": _Standard("99,289 house numbers, 32x32", (*_TWO, "extra"), 182, _channels_first("SVHN")),
    "stl10": _Standard("things in 10 classes, 96x96", (*_TWO, "unlabeled"), 2640, _channels_first("STL10")),
    "celeba": _Standard("202,599 faces, 178x218", ("all", "train", "valid", "test"), 1440, _celeba),
    "flowers102": _Standard(
        "8,189 flowers in 102 classes, many sizes", ("all", "train", "valid", "test"), 345, _flowers
    ),
    "pets": _Standard("7,349 cats and dogs in 37 breeds, many sizes", ("all", "trainval", "test"), 811, _pets),
}
NAMES = tuple(_SETS)
"""Every standard name."""
STANDARD = "standard:"
"""Before a name: the standard set, whatever lies in the working directory."""
