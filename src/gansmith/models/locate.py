"""Where a model's folder is, on this disk or on the Hugging Face Hub, and what its config.json describes."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from gansmith import config as configs
from gansmith import registry
from gansmith.errors import GansmithError, ModelError, first_line
from gansmith.files.documents import Unreadable, read_json
from gansmith.files.run import spec_from_plain
from gansmith.game import Game, ImageSpec
from gansmith.models.catalogue import entries, store
from gansmith.models.writing import FORMAT


def locate(path: str | Path) -> Path:
    """The model folder that a path, a name of the catalogue or a Hub id means; fetched where it is on the Hub.

    Raises:
        ModelError: there is none.
    """
    folder = Path(path)
    try:
        is_folder = folder.is_dir()
    except OSError as error:  # a name that no system has
        raise ModelError(f"There is no model at '{path}': {error.strerror or error}.") from None
    if is_folder:
        return folder / "model" if (folder / "model").is_dir() else folder
    entry = entries.find(str(path))
    if entry is not None:
        return store.folder_of(entry)
    if folder.is_file():
        if (folder.parent / "config.json").is_file() and folder.suffix in (".json", ".safetensors", ".md"):
            raise ModelError(f"'{path}' is a file of a model. Give the folder that it lies in: {folder.parent}.")
        raise ModelError(
            f"'{path}' is a file, and a model is a folder. If it holds another program's weights, import them first: gansmith import {path} "
            "--out FOLDER."
        )
    parts = str(path).split("/")
    if folder.exists() or len(parts) != 2 or not all(parts) or str(path).startswith((".", "~")):
        close = difflib.get_close_matches(str(path).lower(), entries.entries(), n=1)
        hint = f" Did you mean '{close[0]}' of the catalogue (gansmith models)?" if close else ""
        raise ModelError(
            f"There is no model at '{path}'. Give a run folder, a model folder, a name of the catalogue (gansmith models), or a Hub id such "
            f"as user/name.{hint}"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(path), allow_patterns=["*.safetensors", "*.json", "*.md"]))
    except Exception as error:  # the hub's client raises many kinds; all mean that there is no model
        beside = [str(place) for place in folder.parent.glob("*/")] if folder.parent.is_dir() else []
        close = difflib.get_close_matches(str(folder), beside, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ModelError(
            f"There is no folder '{path}', and it could not be fetched from the Hugging Face Hub: {first_line(error)}{hint}"
        ) from None


def read_document(folder: Path) -> dict[str, Any]:
    """The content of a model's config.json.

    Raises:
        ModelError: missing, damaged or of a newer version.
    """
    try:
        document = read_json(folder / "config.json")
    except FileNotFoundError:
        raise ModelError(
            f"{folder} has no config.json: it is not a model folder. A finished run has one in model/."
        ) from None
    except Unreadable as error:
        raise ModelError(f"{folder / 'config.json'} {error}. Copy or download the model again.") from None
    except OSError as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read ({error.strerror or error}).") from None
    if not isinstance(document, dict) or not isinstance(document.get("format", 0), int):
        raise ModelError(f"{folder / 'config.json'} is not one of gansmith's. Copy or download the model again.")
    if document.get("format", 0) > FORMAT:
        raise ModelError(
            f"{folder} was written by a newer gansmith. Upgrade gansmith: pip install . in the folder with its newer sources."
        )
    return document


def described(document: dict[str, Any], path: Path) -> tuple[type[Game], Any, ImageSpec]:
    """Family, settings and spec of a config.json.

    Args:
        path: the file, for the error message.

    Raises:
        ModelError: an entry is missing or makes no sense.
    """
    entries = {"family": str, "settings": dict, "spec": dict}
    for name, kind in entries.items():
        if not isinstance(document.get(name), kind):
            what = f"has no entry '{name}'" if name not in document else f"has an entry '{name}' of a wrong kind"
            raise ModelError(f"{path} {what}. It is not a model written by gansmith.")
    family = registry.family(document["family"])
    config = configs.make(family.Config, document["settings"], f"{path}: {document['family']}")
    try:
        spec = spec_from_plain(document["spec"])
    except GansmithError as error:
        raise ModelError(f"{path} is damaged ({error}). Copy or download the model again.") from None
    if min(spec.height, spec.width, spec.channels) < 1:
        raise ModelError(f"{path} describes pictures of {spec.width}x{spec.height}x{spec.channels}: it is damaged.")
    return family, config, spec
