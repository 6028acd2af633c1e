"""The folder a studio works in: every path that comes from the page is confined to it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gansmith.studio.errors import Refused

PICKLES = frozenset((".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".npy"))
"""Endings that are never opened: reading them could run code."""
_NAME = re.compile(r"[\w](?:[\w .+-]{0,62}[\w+-])?", re.ASCII)
_SLICE = re.compile(r"\[-?\d*%?:-?\d*%?(?::\d*)?\]$", re.ASCII)
_HUB = re.compile(r"hf(?:-stream)?:(?P<name>\w[\w.-]*(?:/\w[\w.-]*){0,2})(?::[\w.+%\[\]:-]*)?(?:\[.*\])?", re.ASCII)


class Workspace:
    """A folder and what the studio keeps in it.

    Attributes:
        root: the folder itself.
        runs: where new runs go.
        data: where uploaded sets go.
        state: the studio's own files (queue, results), hidden from lists.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.runs = self.root / "runs"
        self.data = self.root / "data"
        self.state = self.root / ".gansmith" / "studio"

    def inside(self, text: str) -> Path:
        """A path given by the page, made absolute.

        Raises:
            Refused: it is absolute, leads out of the workspace (symbolic links included), or is hidden.
        """
        if not text or "\0" in text or len(text) > 1000 or text.startswith("~"):
            raise Refused("That is not a path within the workspace.")
        pure = Path(text)
        if pure.is_absolute() or "\\" in text or any(part.startswith(".") for part in pure.parts):
            raise Refused(
                f"'{text}' is not a path within the workspace. Move or link nothing: copy the files into {self.root}."
            )
        try:
            if any(len(os.fsencode(part)) > 255 for part in pure.parts):
                raise Refused(f"'{text[:80]}...' is longer than a name can be.")
            found = (self.root / pure).resolve()
        except (OSError, RuntimeError, ValueError):  # a circle of links, a name too long
            raise Refused(f"'{text[:200]}' cannot be followed.") from None
        if not found.is_relative_to(self.root):
            raise Refused(f"'{text}' leads out of the workspace {self.root}.")
        return found

    def relative(self, path: Path) -> str:
        """A path as the page names it."""
        return path.relative_to(self.root).as_posix()

    def as_inside(self, text: str) -> str:
        """An absolute path below the workspace, as a run started in a terminal may have it, as one within; others as they are."""
        path = Path(text)
        return self.relative(path) if path.is_absolute() and path.is_relative_to(self.root) else text

    def data_spec(self, text: str) -> str:
        """Check what ``--data`` takes: a standard set, a Hub set, or a path within the workspace.

        Returns:
            The spec, its path relative to the workspace.

        Raises:
            Refused: a path outside, one that is not there, or a pickle.
        """
        from gansmith.data.sides import HALVES
        from gansmith.data.standard import NAMES

        text = text.strip()
        if text.startswith(("hf:", "hf-stream:")):
            return self._hub_spec(text)
        if text.partition(":")[0].partition("[")[0] in NAMES:
            return text
        if text.startswith(HALVES):
            return HALVES + self.data_spec(text.removeprefix(HALVES))
        part = _SLICE.search(text)
        bare = text[: part.start()] if part else text
        path = self.inside(bare)
        if path.suffix.lower() in PICKLES:
            raise Refused(
                "Pickles are not opened: reading one could run code. Save the pictures as a folder, a zip or an .npz."
            )
        if not path.exists():
            raise Refused(f"There is nothing at '{bare}' in the workspace. Choose a set on the Data page.", 404)
        return self.set_name(path) + (part[0] if part else "")

    def set_name(self, path: Path) -> str:
        """A set's path relative to the workspace, told apart from a standard set of the same name."""
        from gansmith.data.standard import NAMES

        relative = self.relative(path)
        return f"./{relative}" if relative in NAMES else relative

    def _hub_spec(self, text: str) -> str:
        """Check the name of a Hub set: the library that loads it would also take a folder of this machine."""
        found = _HUB.fullmatch(text)
        if found is None or Path(found["name"]).exists() or (self.root / found["name"]).exists():
            raise Refused(
                f"'{text}' does not name a set of the Hugging Face Hub: that is hf:OWNER/NAME or hf:OWNER/NAME:SPLIT. A folder "
                "of the workspace is chosen by its path alone."
            )
        return text

    def absolute_spec(self, spec: str) -> str:
        """A checked spec as the data module opens it from any current directory."""
        from gansmith.data.sides import HALVES
        from gansmith.data.standard import NAMES, STANDARD

        if spec.startswith(HALVES):
            return HALVES + self.absolute_spec(spec.removeprefix(HALVES))
        part = _SLICE.search(spec)
        bare = spec[: part.start()] if part else spec
        if bare.partition(":")[0] in NAMES:
            return f"{STANDARD}{spec}"
        path = self.root / bare
        return f"{path}{part[0] if part else ''}" if path.exists() else spec

    def run(self, text: str) -> Path:
        """The folder of an existing run."""
        path = self.inside(text)
        if path == self.root or not (path / "config.yaml").is_file():
            raise Refused(f"There is no run '{text}' any more.", 404)
        return path

    def model(self, text: str) -> Path:
        """The folder of an existing run, or of a model by itself, as ``gansmith import`` makes."""
        path = self.inside(text)
        if path != self.root and (path / "config.json").is_file() and (path / "model.safetensors").is_file():
            return path
        return self.run(text)

    def lone_models(self) -> list[Path]:
        """Model folders that belong to no run, in the workspace itself and in its ``models/``."""
        places = [*self.root.glob("*/model.safetensors"), *(self.root / "models").glob("*/model.safetensors")]
        folders = [place.parent for place in sorted(places) if (place.parent / "config.json").is_file()]
        return [
            f for f in folders if not f.is_symlink() and not f.name.startswith(".") and not (f / "config.yaml").exists()
        ]

    def all_runs(self, depth: int = 3) -> list[Path]:
        """Every run folder: in ``runs/`` and its sub-folders, and directly in the workspace; newest first."""
        found: list[tuple[float, Path]] = []

        def look(folder: Path, levels: int) -> None:
            try:
                entries = [
                    e for e in os.scandir(folder) if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")
                ]
            except OSError:
                return
            for entry in entries:
                config = Path(entry.path) / "config.yaml"
                try:
                    found.append((config.stat().st_ctime, Path(entry.path)))
                except OSError:
                    if levels:
                        look(Path(entry.path), levels - 1)

        look(self.root, 0)
        look(self.runs, depth)
        unique = {path: when for when, path in found}
        return sorted(unique, key=lambda path: unique[path], reverse=True)

    def free_run_name(self, stem: str, taken: set[str]) -> str:
        """``STEM-001`` or the first number after it that no run and no queued job has."""
        stem = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-").lower()[:60] or "run"
        number = 1
        while f"runs/{stem}-{number:03d}" in taken or (self.runs / f"{stem}-{number:03d}").exists():
            number += 1
        return f"runs/{stem}-{number:03d}"


def plain_name(text: str, what: str) -> str:
    """A name that is safe as a file name on every system.

    Raises:
        Refused: it has other characters, or is too long.
    """
    text = text.strip()
    if not _NAME.fullmatch(text) or text.upper().split(".")[0] in ("CON", "PRN", "AUX", "NUL"):
        raise Refused(
            f"{what} has 1 to 64 letters, digits, spaces, dots, dashes and underscores, and begins with a letter or digit."
        )
    return text
