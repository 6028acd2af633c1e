"""Settings: dataclasses <-> flags <-> yaml, and the only place where they are validated."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import math
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml

from gansmith.bounds import (
    LARGEST,
    MANY,
    Added,
    Bounds,
    Count,
    Decay,
    HalfLife,
    OptionalTerm,
    Pixels,
    Rate,
    Share,
    Units,
    Weight,
    added_of,
    bounds_of,
)
from gansmith.errors import GansmithError
from gansmith.registry import PARSING

C = TypeVar("C")

__all__ = [
    "LARGEST",
    "MANY",
    "Added",
    "Bounds",
    "Count",
    "Decay",
    "HalfLife",
    "OptionalTerm",
    "Pixels",
    "Rate",
    "Share",
    "Tracking",
    "TrainSettings",
    "Units",
    "Weight",
    "bounds_of",
    "check_numbers",
    "flag",
    "helps",
    "make",
    "modern",
    "to_plain",
    "to_yaml",
    "validate",
]


Tracking = Literal["none", "wandb", "trackio"]
"""Experiment trackers; see :mod:`gansmith.training.trackers`."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a run, whatever its family."""

    data: tuple[str, ...] = ("mnist10k",)
    """What to train on: a folder, zip, .npz, IDX file, shards:TARS, hf:NAME, hf-stream:NAME or a standard name; where the family has two sides, two of them or one that holds both."""
    out: Path | None = None
    """The run folder; by default runs/FAMILY-DATA-NUMBER."""
    images: Annotated[int | None, Bounds(1, unit="images", was=0)] = None
    """Stop after this many real pictures seen; without any such goal after 640,000."""
    steps: Annotated[int | None, Bounds(1, unit="batches", was=0)] = None
    """Stop after this many batches."""
    minutes: Annotated[float | None, Bounds(above=0, unit="minutes", was=0)] = None
    """Stop after this many minutes of training."""
    batch: Annotated[int | None, Bounds(1, unit="pictures", memory=MANY, was=0)] = None
    """Pictures per step, over all processes; by default the family's usual number."""
    seed: Annotated[int, Bounds(0)] = 0
    """Everything random follows from this number."""
    resume: bool = False
    """Go on from the last checkpoint of --out."""
    init: str = ""
    """Start from the weights of this model (a run, a model folder or a Hub id) instead of random ones: its discriminator's too,
    where it is beside the model or in the run's checkpoint; else a new one learns alone at first."""
    freeze_d: Annotated[int, Bounds(0, unit="layers", off=True)] = 0
    """With --init: leave the first so many layers of the discriminator as they are, for few pictures (FreezeD, arXiv:2002.10964)."""
    size: Annotated[int | None, Bounds(8, unit="pixels", memory=LARGEST, was=0)] = None
    """Resize and centre-crop to this many pixels; by default pictures keep their own size."""
    flip: bool = False
    """Mirror pictures left to right at random."""
    kinds: Annotated[int | None, Bounds(0, off=True), Added(0)] = None
    """Group pictures that look alike into so many kinds, which are learned in place of labels (k-means on edges and brightness). By
    default one for every 1,000 pictures, at most 50, where r3gan has 5,000 grey pictures up to 32 px or more without labels; 0 does not."""
    device: str = "auto"
    """cuda, cuda:1, mps, cpu, or auto."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "bf16-products"] = "auto"
    """bf16 computes losses in bfloat16 where it is safe, fp16 in scaled float16 on GPUs that have no bf16 (T4, V100), bf16-products
    only matrix products; auto takes what is fastest."""
    deterministic: bool = False
    """On a GPU: take algorithms that give the same bits every time, where there are such; slower. CPUs do so anyway."""
    compile: Literal["off", "auto", "graphs"] = "off"
    """auto tries torch.compile for a few steps before the run and keeps it where it is faster; worth its minutes on long runs. graphs does
    so with CUDA graphs of whole steps, for small networks on a GPU; it was never tried on a real one."""
    accumulate: Count = 1
    """Split every batch into this many parts, to need less memory."""
    clip_grad: OptionalTerm = 0.0
    """Clip every player's gradient to this norm; 0 does not."""
    snapshots: Annotated[int, Bounds(0, off=True)] = 20
    """How many sample grids to keep, evenly over the run. From 10 on, four more show how it begins."""
    save_minutes: Annotated[float, Bounds(0, unit="minutes")] = 2.0
    """Write a checkpoint this often, and at the end."""
    log_images: Annotated[int | None, Bounds(1, unit="images", was=0)] = None
    """Write a line to log.jsonl every so many images; by default about 500 lines per run."""
    eval_every: Annotated[int, Bounds(0, unit="images", off=True)] = 0
    """Measure the samples every so many images and keep the best model too, in model-best/; 0 does not."""
    track: Tracking = "none"
    """Also send the log and the sample grids to an experiment tracker (pip install 'gansmith[track]')."""
    hold_out: Annotated[float, Bounds(0, 0.5, off=True)] = 0.02
    """Share of the pictures (at most 256 of them) kept from training, to see whether D memorises; 0 trains on all."""


def validate(settings: TrainSettings, world: int = 1) -> None:
    """Check what types cannot say.

    Raises:
        GansmithError: naming the setting and what it may be.
    """
    goals = [name for name in ("images", "steps", "minutes") if getattr(settings, name) is not None]
    if len(goals) > 1:
        raise GansmithError(
            f"Give one of --images, --steps and --minutes, not {' and '.join('--' + g for g in goals)}."
        )
    check_numbers(settings)
    if settings.batch and settings.batch % (settings.accumulate * world):
        raise GansmithError(
            f"--batch {settings.batch} must be a multiple of --accumulate times the number of processes ({settings.accumulate} x {world})."
        )


@functools.cache
def helps(cls: type) -> dict[str, str]:
    """Field name -> the string literal below it, of this class alone."""
    try:
        with PARSING:
            tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for field, text in itertools.pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as words)):
                found[name] = " ".join(words.split())
    return found


def check_numbers(config: Any) -> None:
    """Refuse numbers that are not finite, and those out of their field's :class:`Bounds`.

    Raises:
        GansmithError: naming the setting and what it may be.
    """
    bounds = bounds_of(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), flag(field.name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if not math.isfinite(value):
            raise GansmithError(f"{name} must be a finite number, not {value}.")
        if isinstance(value, int) and abs(value) >= 1 << 62:
            raise GansmithError(f"{name} is far too large: {value}.")
        own = bounds.get(field.name, Bounds())
        if own.memory is not None and value > own.memory:
            raise GansmithError(f"{name} is at most {own.memory:,}, not {value}.")
        if own.allow(value):
            continue
        if own.was == value:
            raise GansmithError(f"{name} {value:g} stands for no number any more: leave {name} out to take the usual.")
        if value < 0 and own.least == 0:
            raise GansmithError(f"{name} cannot be negative: {value}.")
        raise GansmithError(f"{name} must be {own.range}, not {value:g}.")


def modern(config: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as an earlier version wrote them, in today's words.

    None stands where a number stood for the usual. Settings that lack only fields which were added since get what these
    meant before (:class:`Added`).
    """
    was = {name: bounds.was for name, bounds in bounds_of(config).items() if bounds.was is not None}
    now = {
        name: None if name in was and type(value) in (int, float) and value == was[name] else value
        for name, value in settings.items()
    }
    added = {name: note.before for name, note in added_of(config).items()}
    lacking = {f.name for f in dataclasses.fields(config)} - now.keys()
    return now | {name: added[name] for name in lacking} if lacking <= added.keys() else now


def flag(name: str) -> str:
    """A field's name as it is written on the command line."""
    return "--" + name.replace("_", "-")


def make(config: type[C], settings: Mapping[str, Any], what: str) -> C:
    """Build a config dataclass from plain values (yaml, json, keyword arguments), checking names, types and bounds.

    Values of earlier versions are understood (:func:`modern`).

    Args:
        what: whose settings these are, for the error message.

    Raises:
        GansmithError: an unknown setting, one that is missing, or a value of the wrong type or range.
    """
    if not isinstance(settings, Mapping):
        raise GansmithError(f"{what}: the settings must be names with values, not {settings!r}.")
    hints = typing.get_type_hints(config)
    names = [f.name for f in dataclasses.fields(config)]  # type: ignore[arg-type]
    values = {}
    for name, value in modern(config, settings).items():  # type: ignore[arg-type]
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else f" It has: {', '.join(names)}."
            raise GansmithError(f"{what} has no setting '{name}'.{hint}")
        values[name] = _convert(value, hints[name], f"{what}: '{name}'")
    try:
        made = config(**values)
    except TypeError:  # fields without a default
        needed = [f for f in dataclasses.fields(config) if f.default is f.default_factory]  # type: ignore[arg-type]
        missing = [f.name for f in needed if f.name not in values]
        raise GansmithError(f"{what} must say: {', '.join(missing)}.") from None
    check_numbers(made)
    return made


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is Literal:
        if value in typing.get_args(hint):
            return value
        raise GansmithError(f"{where} is one of {', '.join(map(str, typing.get_args(hint)))}, not {value!r}.")
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if bool in options:  # a switch that may be left open
            return _convert_switch(value, options, where)
        return None if value is None else _convert(value, options[0], where)
    if origin is tuple:
        items = [value] if isinstance(value, (str, Path)) else value
        if not isinstance(items, (list, tuple)):
            raise GansmithError(f"{where} is a list, not {value!r}.")
        return tuple(_convert(item, typing.get_args(hint)[0], where) for item in items)
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if hint is str and isinstance(value, Path):
        return str(value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    if hint is float and isinstance(value, str):  # yaml 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            pass
    raise GansmithError(f"{where} is of type {getattr(hint, '__name__', hint)}, not {value!r}.")


def _convert_switch(value: Any, options: list[Any], where: str) -> Any:
    """A value of a setting that is true, false or one of a few words, as ``bool | Literal["auto"]`` says."""
    words = [word for option in options if typing.get_origin(option) is Literal for word in typing.get_args(option)]
    if isinstance(value, bool) or value in words:
        return value
    raise GansmithError(f"{where} is true, false or {' or '.join(words)}, not {value!r}.")


def to_plain(config: Any) -> dict[str, Any]:
    """A config dataclass as plain yaml- and json-able values."""

    def plain(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    return {f.name: plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def to_yaml(tree: Mapping[str, Any]) -> str:
    """Settings as yaml, in their own order."""
    return yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True)
