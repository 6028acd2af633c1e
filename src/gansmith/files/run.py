"""The run folder: the interface between the engine, the command line and the studio.

config.yaml   everything needed to start the same run again
log.jsonl     one json object per line: losses, speed, scores; ``images`` is the clock
samples/      a grid of fixed latents as training goes on, and a film strip and a video of them
tb/           the same for TensorBoard
checkpoint/   everything, to go on bit for bit
model/        what people load, share and export
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gansmith import config as configs
from gansmith.errors import GansmithError, RunError, first_line, shown
from gansmith.files.atomic import write_atomically
from gansmith.files.documents import Unreadable, json_lines
from gansmith.files.paths import check_is_text
from gansmith.files.yaml_documents import read_yaml
from gansmith.game import ImageSpec

RESTORE = "Restore it, or start a new run."


@dataclass
class Run:
    """A run folder on disk.

    Attributes:
        root: the folder.
        family: the family's name.
        settings: the family's settings, plain values.
        train: the run's settings, plain values.
        facts: data name, hash and spec; resolved device and precision; versions.
    """

    root: Path
    family: str
    settings: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path) -> Run:
        """Read an existing run.

        Raises:
            RunError: the folder is missing or is no run.
        """
        if not (root / "config.yaml").is_file():
            what = "is not a run folder (it has no config.yaml)" if root.exists() else "does not exist"
            raise RunError(f"{root} {what}. 'gansmith runs' lists the runs.")
        path = root / "config.yaml"
        try:
            content = read_yaml(path)
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror or error}.") from None
        except Unreadable as error:
            raise RunError(f"{path} is damaged: it {error}. {RESTORE}") from None
        if not isinstance(content, dict):
            raise RunError(f"{path} is damaged: it holds no 'name: value' lines. {RESTORE}")
        missing = [name for name in ("family", "settings", "train", "facts") if name not in content]
        if missing:
            raise RunError(f"{path} is damaged: it has no '{missing[0]}'. {RESTORE}")
        found = cls(root, content["family"], content["settings"], content["train"], content["facts"])
        parts = (found.settings, found.train, found.facts)
        if not isinstance(found.family, str) or not all(isinstance(part, dict) for part in parts):
            raise RunError(
                f"{path} is damaged: family is a name, and settings, train and facts are lists of 'name: value'. {RESTORE}"
            )
        return found

    @staticmethod
    def problem(root: Path) -> str:
        """Why the run in a folder cannot be read; empty where it can, or where the config.yaml there is another program's."""
        path = root / "config.yaml"
        try:
            _ = Run.open(root).spec
            return ""
        except RunError as error:
            what = str(error).replace(str(path), "config.yaml").removesuffix(f" {RESTORE}")
        except (GansmithError, KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"config.yaml is damaged: what it says of the pictures is not whole ({shown(first_line(error))})."
        try:
            content = read_yaml(path)
        except (OSError, Unreadable):
            return what
        return what if not isinstance(content, dict) or "family" in content else ""

    def write_skipped(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Write skipped.tsv, (name, reason) of every picture left out, where there are any."""
        if skipped:
            lines = "".join(f"{path}\t{reason}\n" for path, reason in skipped)
            (self.root / "skipped.tsv").write_text(lines, encoding="utf-8", errors="backslashreplace")

    def write_config(self) -> None:
        """Write config.yaml."""
        self.root.mkdir(parents=True, exist_ok=True)
        tree = {"family": self.family, "settings": self.settings, "train": self.train, "facts": self.facts}
        write_atomically(self.root / "config.yaml", configs.to_yaml(tree))

    @property
    def spec(self) -> ImageSpec:
        """The pictures' facts, as the run started."""
        return spec_from_plain(self.facts["spec"])

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoint"

    @property
    def samples(self) -> Path:
        return self.root / "samples"

    @property
    def log_file(self) -> Path:
        return self.root / "log.jsonl"

    def log(self, record: dict[str, Any]) -> None:
        """Add a line to log.jsonl."""
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def records(self) -> Iterator[dict[str, Any]]:
        """The lines of log.jsonl; a last line cut short by a crash is left out."""
        if self.log_file.is_file():
            yield from (record for record in json_lines(self.log_file) if _counts(record.get("images")))

    def rewind(self, images: int) -> None:
        """Forget log lines and samples from after a checkpoint: resuming makes them again."""
        kept = [json.dumps(record) + "\n" for record in self.records() if record["images"] <= images]
        if self.log_file.is_file():
            write_atomically(self.log_file, "".join(kept))
        for grid in self.samples.glob("[0-9]*.png"):
            if int(re.sub(r"\D", "", grid.stem)) > images:
                grid.unlink()


def _counts(images: Any) -> bool:
    """Is it a number of pictures, as every line of a log has one?"""
    return isinstance(images, (int, float)) and not isinstance(images, bool) and 0 <= images < 2**53


def spec_to_plain(spec: ImageSpec) -> dict[str, Any]:
    """A spec as yaml- and json-able values."""
    return configs.to_plain(spec)


def spec_from_plain(plain: dict[str, Any]) -> ImageSpec:
    """The inverse of :func:`spec_to_plain`."""
    return configs.make(ImageSpec, plain, "spec")


def new_folder(family: str, data_name: str, parent: Path = Path("runs")) -> Path:
    """The first free ``runs/FAMILY-DATA-NUMBER``."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", f"{family}-{data_name}").strip("-").lower()[:60]
    number = 1
    while (parent / f"{stem}-{number:03d}").exists():
        number += 1
    return parent / f"{stem}-{number:03d}"


def check_free(root: Path) -> None:
    """Raise a RunError where there is something at the place of a new run already, or its name is no text."""
    check_is_text(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise RunError(f"{root} exists already. Go on with it by adding --resume, or choose another folder with --out.")


def claim(root: Path) -> None:
    """Make sure a new run may use this folder.

    Raises:
        RunError: it exists and is not empty, or cannot be made.
    """
    check_free(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"The run folder {root} cannot be made: {error.strerror}. Choose another with --out.") from None
