"""The models of the catalogue that are on this machine, each a model folder of its name."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gansmith import registry
from gansmith.config import make
from gansmith.errors import GansmithError, MissingExtra, ModelError, first_line
from gansmith.game import Game, ImageSpec
from gansmith.models.catalogue.download import Progress, fetch, sha256
from gansmith.models.catalogue.entries import Entry, entries, require
from gansmith.models.catalogue.kept import compared, models_folder, pin
from gansmith.models.networks import built, fill
from gansmith.models.writing import write


def is_here(entry: Entry) -> bool:
    """Whether the model is on this machine and ready."""
    folder = models_folder() / entry.name
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


def packaged(entry: Entry) -> Path | None:
    """The file of an installed package that carries the model, or None. Nothing of the package is run."""
    for place in entry.package:
        package, _, rest = place.partition("/")
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or []) if found is not None else []:
            if (Path(folder) / rest).is_file():
                return Path(folder) / rest
    return None


def folder_of(entry: Entry) -> Path:
    """The model folder of an entry: the one that is here, or one made now of what an installed package carries.

    Raises:
        ModelError: it has not been fetched; says how.
    """
    if entry.built_in and not is_here(entry):
        return _make(entry)
    if not is_here(entry):
        file = packaged(entry)
        if file is None:
            raise ModelError(_absent(entry))
        _take_in(entry, [file], {})
    return models_folder() / entry.name


def _absent(entry: Entry) -> str:
    size = f", {entry.bytes / 1e6:.0f} MB" if entry.bytes else ""
    ways = [f"Fetch it with: gansmith get {entry.name} ({entry.licence.title}{size})."]
    if entry.package:
        ways.append("Or install it as a package: pip install 'gansmith[realesrgan]'.")
    return f"The model '{entry.name}' is in the catalogue and not on this machine yet. {' '.join(ways)}"


def get(
    entry: Entry,
    *,
    offline: bool = False,
    file: Path | None = None,
    progress: Progress = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Bring a model here: from an installed package, from a file, or by download; returns its folder.

    Args:
        offline: never ask the network.
        file: the entry's first file, where somebody has it already.
        say: told what is being done, in sentences.

    Raises:
        ModelError: it cannot be had; nothing is left half-written, but for what a later download goes on with.
    """
    if is_here(entry):
        say(f"{entry.name} is here already: {models_folder() / entry.name}")
        return models_folder() / entry.name
    _check_extra(entry)
    if entry.built_in:
        say(f"{entry.name} is part of gansmith; nothing is downloaded.")
        return _make(entry)
    if file is not None:
        say(f"{entry.name} is read from {file}.")
        digests = _checked(entry, file)
        with unpacked(entry, [file]) as files:
            folder = _take_in(entry, files, digests)
        pin(digests)
        return folder
    carried = packaged(entry)
    if carried is not None:
        say(f"{entry.name} is carried by an installed package; nothing is downloaded.")
        return _take_in(entry, [carried], {})
    if offline:
        raise ModelError(
            f"{entry.name} is not on this machine, and --offline asks no network. Copy {entry.files[0].name} from a machine that has it "
            f"({entry.files[0].url}) and run: gansmith get {entry.name} --file {entry.files[0].name}"
        )
    place = models_folder() / ".downloads" / entry.name
    digests = {}
    for one in entry.files:
        target = place / one.name
        if not target.is_file():
            say(f"{one.name} from {one.url}")
            fetch(one, target, progress)
        digests[one.url] = compared(one, target)
    say(f"SHA-256 of {entry.files[0].name}: {digests[entry.files[0].url]}")
    try:
        with unpacked(entry, [place / one.name for one in entry.files]) as files:
            folder = _take_in(entry, files, digests)
    except ModelError:
        if not entry.files[0].sha256:  # what was downloaded may be anything: a later try begins anew
            shutil.rmtree(place, ignore_errors=True)
        raise
    pin(digests)
    shutil.rmtree(place, ignore_errors=True)
    return folder


def _make(entry: Entry) -> Path:
    """The model folder of an entry that needs no weights."""
    kind = registry.family(entry.family)
    game = built(kind, kind.Config(), ImageSpec(128, 128, 3), {}, entry.name)
    return _written(entry, entry.family, game, {}, None)


def _check_extra(entry: Entry) -> None:
    if entry.extra == "upscalers" and importlib.util.find_spec("spandrel") is None:
        raise MissingExtra("spandrel", "upscalers", f"The model {entry.name}")


def _checked(entry: Entry, file: Path) -> dict[str, str]:
    if not file.is_file():
        raise ModelError(f"There is no file {file}. Give the file of weights that {entry.name} was downloaded as.")
    wanted = entry.files[0]
    if wanted.sha256 and sha256(file) != wanted.sha256:
        raise ModelError(
            f"{file} is not {wanted.name} of {entry.name}: its SHA-256 is {sha256(file)} and must be {wanted.sha256}. To use it all the "
            f"same, import it under a name of its own: gansmith import {file} --out FOLDER"
        )
    return {wanted.url: compared(wanted, file, own=True)}


@contextlib.contextmanager
def unpacked(entry: Entry, files: list[Path]) -> Iterator[list[Path]]:
    """The files of an entry as they are read: those that are members of a tar lie in a folder of their own meanwhile.

    Raises:
        ModelError: a tar is damaged, or has no such member.
    """
    with tempfile.TemporaryDirectory(prefix="gansmith-") as folder:
        found = []
        for file, told in zip(files, entry.files, strict=False):
            inside = bool(told.member) and tarfile.is_tarfile(file)
            found.append(_member(file, told.member, Path(folder)) if inside else file)
        yield found


def _member(archive: Path, path: str, folder: Path) -> Path:
    """Take the file whose path ends in ``path`` out of a tar, under its own name."""
    target = folder / path.rsplit("/", 1)[-1]
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                content = (
                    tar.extractfile(member) if f"/{member.name}".endswith(f"/{path}") and member.isfile() else None
                )
                if content is not None:
                    with content, target.open("wb") as out:
                        shutil.copyfileobj(content, out, 1 << 20)
                    return target
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ModelError(f"{archive.name} is damaged ({first_line(error)}). Download it again.") from None
    raise ModelError(f"{archive.name} has no file {path}: the project has changed it since the catalogue was written.")


def _take_in(entry: Entry, files: list[Path], digests: dict[str, str]) -> Path:
    """Make the model folder of an entry's files."""
    from gansmith.importers import import_file

    found = import_file(files[0])
    if found.family != entry.family:
        raise ModelError(
            f"{files[0].name} holds a model of '{found.family}', and the catalogue says '{entry.family}' of {entry.name}: it is another file."
        )
    kind = registry.family(found.family)
    game = built(kind, make(kind.Config, found.config, found.family), found.spec, found.tensors, files[0].name)
    fill(game, found.tensors, files[0].name)
    noted = {"imported": files[0].name, "notes": found.notes}
    return _written(entry, found.family, game, noted, found.discriminator, digests)


def _written(
    entry: Entry,
    family: str,
    game: Game,
    info: dict[str, Any],
    discriminator: Mapping[str, Tensor] | None,
    digests: Mapping[str, str] | None = None,
) -> Path:
    """Write the model folder of an entry."""
    licence = entry.licence
    info["catalogue"] = {
        "name": entry.name,
        "about": entry.about,
        "source": entry.source,
        "licence": licence.key,
        "licence_title": licence.title,
        "allows": licence.allows,
        "commercial": licence.commercial,
        "sha256": dict(digests or {}),
    }
    target = models_folder() / entry.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GansmithError(
            f"{target.parent} cannot be made ({error.strerror}); name another with GANSMITH_MODELS."
        ) from None
    return write(target, family, game.eval().requires_grad_(False), info, discriminator)


def remove(name: str) -> Path:
    """Delete a model from this machine; its checksum stays noted.

    Raises:
        GansmithError: it is not here.
    """
    entry = require(name)
    folder = models_folder() / entry.name
    if not folder.is_dir():
        raise GansmithError(f"{name} is not on this machine.")
    shutil.rmtree(folder)
    return folder


def here() -> dict[str, Path]:
    """The entries that can be used at once, and their folders (which exist once used, where a package carries them)."""
    found = {}
    for name, entry in entries().items():
        if is_here(entry) or entry.built_in or packaged(entry) is not None:
            found[name] = models_folder() / name
    return found
