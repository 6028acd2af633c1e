"""The settings of a run and of its family: told apart, checked, and compared with those that a resumed run began with."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gansmith import config, registry
from gansmith.config import TrainSettings
from gansmith.errors import GansmithError, RunError
from gansmith.files.run import Run
from gansmith.game import Game, ImageSpec
from gansmith.training import engine

DEFAULT_IMAGES = 640_000
RESUMABLE = (
    "images",
    "steps",
    "minutes",
    "resume",
    "out",
    "device",
    "snapshots",
    "save_minutes",
    "log_images",
    "eval_every",
    "track",
)
"""Settings that may change between one part of a run and the next."""


def check_same(found: Run, family: str, data_hash: str, settings: Mapping[str, Any]) -> None:
    """Raise a RunError unless a resumed run is the same run: same family, data and settings.

    Args:
        settings: the run's and the family's settings as plain values, the resolved precision among them.
    """
    if found.family != family:
        raise RunError(f"{found.root} is a run of '{found.family}', not of '{family}'.")
    check_facts(found)
    kept = {k: v for k, v in config.modern(TrainSettings, found.train).items() if k not in RESUMABLE and k != "data"}
    kind = registry.family(family)
    theirs = config.modern(kind.Config, found.settings)
    old = {k: v for k, v in theirs.items() if k not in kind.resumable} | kept | {"precision": found.facts["precision"]}
    changed = [key for key, value in old.items() if key in settings and settings[key] != value]
    if changed:
        now, before = ("not given" if value is None else value for value in (settings[changed[0]], old[changed[0]]))
        raise RunError(
            f"A resumed run keeps its settings, but {config.flag(changed[0])} is {now} and was {before}. "
            "Leave it out, or start a new run with another --out."
        )
    saved = str(
        found.facts["data"]["hash"]
    )  # after the settings: another --size makes other pictures of the same files
    if saved != data_hash:
        raise RunError(
            f"The data has changed since {found.root} was started (it was {found.facts['data']['name']}, hash {saved[:12]}; now "
            f"{data_hash[:12]}). Restore the pictures, or start a new run with another --out."
        )


def as_begun(family_config: Any, found: Run) -> Any:
    """A family's settings; those that are left to the data (``auto``) have the values that the run began with."""
    names = [f.name for f in dataclasses.fields(family_config) if getattr(family_config, f.name) == "auto"]
    begun = {name: found.settings[name] for name in names if name in found.settings}
    return config.make(type(family_config), config.to_plain(family_config) | begun, found.family)


def found_again(spec: str, folder: str) -> str:
    """Data that was given by a path relative to the folder where a run was started, as it is reached from here.

    What is here by that name is taken, as everywhere; else what is there.
    """
    kind, colon, rest = spec.partition(":") if spec.startswith(("shards:", "parquet:")) else ("", "", spec)
    place = _SLICE.sub("", rest)
    if spec.startswith(("hf:", "hf-stream:")) or Path(place).expanduser().is_absolute() or _matches(Path(), place):
        return spec
    return f"{kind}{colon}{Path(folder) / rest}" if folder and _matches(Path(folder), place) else spec


_SLICE = re.compile(r"\[[-\d:%]*\]$")


def _matches(folder: Path, place: str) -> bool:
    """Whether there is a file or folder of this name, or any that matches the pattern. A split may stand behind a colon."""
    try:
        named = [folder / place, folder / place.rpartition(":")[0]] if ":" in place else [folder / place]
        return any(path.exists() for path in named) or (bool(place) and any(folder.glob(place)))
    except (OSError, ValueError, NotImplementedError):
        return False


def check_facts(found: Run) -> None:
    """Raise a RunError unless a run's config.yaml says all that is needed to go on with it."""
    data = found.facts.get("data")
    if not {"spec", "precision"} <= found.facts.keys() or not (
        isinstance(data, dict) and {"hash", "name"} <= data.keys()
    ):
        raise RunError(
            f"{found.root / 'config.yaml'} is damaged: its facts lack the data's name and hash, the spec or the precision. "
            "Restore it, or start a new run with another --out."
        )


def check_checkpoint(found: Run) -> None:
    """Raise a RunError where a trained run has lost its checkpoints: to start over would overwrite what it has learned.

    Where a file lies in the place of one of its folders, it would be lost.
    """
    for place in (found.model, found.checkpoints, found.samples):
        if os.path.lexists(place) and not place.is_dir():
            raise RunError(
                f"{place} is a file, and the run needs a folder of that name. Move the file away, then resume."
            )
    if any(found.checkpoints.glob("[0-9]*")):
        return
    model = (found.model / "model.safetensors").is_file()
    if model or any(found.samples.glob("[0-9]*.png")) or any(True for _ in found.records()):
        start = f"start a new run from its weights: gansmith train {found.family} --init {found.root} --out ANOTHER ..."
        raise RunError(
            f"{found.root} was trained, but it has no checkpoint in {found.checkpoints}, so it cannot go on, and to start over would "
            f"overwrite what is there. Bring checkpoint/ back, or {start if model else 'start a new run with another --out'}."
        )


def batch_of(kind: type[Game], settings: TrainSettings, spec: ImageSpec) -> int:
    """Pictures per step: as asked for, or as a resumed run had it, or the family's usual number for such pictures."""
    if settings.batch:
        return settings.batch
    begun = Run.open(settings.out).facts.get("batch") if settings.resume and settings.out is not None else None
    return begun if isinstance(begun, int) and begun > 0 else kind.usual_batch(spec)


def check_divides(batch: int, accumulate: int, processes: int, pack: int = 1) -> None:
    """Raise a GansmithError unless a batch splits evenly over processes, the parts of each, and packs of pictures."""
    if batch % (accumulate * processes):
        raise GansmithError(
            f"--batch {batch} must be a multiple of the number of processes times --accumulate ({processes} x {accumulate})."
        )
    if batch // (accumulate * processes) % pack:
        parts = f", split into {accumulate * processes}," if accumulate * processes > 1 else ""
        raise GansmithError(
            f"--batch {batch}{parts} must be a multiple of --pack {pack}, or no pack would be all real or all fake."
        )


def goal_of(settings: TrainSettings, batch: int) -> engine.Goal:
    """When a run with these settings is over."""
    if settings.minutes:
        return engine.Goal(minutes=settings.minutes)
    return engine.Goal(settings.images or (settings.steps or 0) * batch or DEFAULT_IMAGES)


def settings_from(family: type[Game], out: Path | None = None, **given: Any) -> tuple[TrainSettings, Any]:
    """Sort keyword arguments into the run's and the family's own settings.

    Raises:
        GansmithError: a name that neither has.
    """
    names = {f.name for f in dataclasses.fields(TrainSettings)}
    mine = {key: value for key, value in given.items() if key in names and value is not None}
    theirs = {key: value for key, value in given.items() if key not in names}
    settings = config.make(TrainSettings, {**mine, "out": out}, "train")
    return settings, config.make(family.Config, theirs, registry.name_of(family))


def saved_settings(root: Path) -> tuple[str, TrainSettings, Any]:
    """Family, run settings and family settings of an existing run, to go on with it.

    Raises:
        GansmithError: there is no run, or its settings no longer exist.
    """
    found = Run.open(root)
    check_facts(found)
    family = registry.family(found.family)
    settings = config.make(TrainSettings, found.train, f"{root}: train")
    settings = dataclasses.replace(settings, out=root, resume=True, precision=found.facts["precision"])
    return found.family, settings, config.make(family.Config, found.settings, f"{root}: {found.family}")
