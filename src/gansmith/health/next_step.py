"""The command that helps a run most, from what the coach found: not a warning, but what to type next."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from gansmith import config, registry
from gansmith.config import TrainSettings
from gansmith.errors import GansmithError
from gansmith.files.run import Run
from gansmith.generation import Generation
from gansmith.health.coach import Finding, Record

_OWN = ("out", "resume", "device", "init", "freeze_d")
"""Settings of a run that another run does not take over."""
_OF_PICTURES = ("conditional", "augment")
"""Settings of a family that say something of the pictures, so that another family takes them over."""


def next_command(run: Run, findings: Sequence[Finding], records: Sequence[Record]) -> str:
    """What to type after this run; '' where nothing better is known than what was done.

    The gravest finding decides. A healthy run goes on; one that cannot be saved by more time begins anew with what would have helped.
    """
    kinds = [finding.kind for finding in findings]
    changes = next((found for kind in kinds if (found := _changes(kind, run)) is not None), None)
    if changes is None:
        rising = (
            not records
            or "undertrained" not in kinds
            or "no longer rises" not in findings[kinds.index("undertrained")].advice
        )
        return _go_on(run) if rising else _anew(run, "r3gan", {}) if run.family != "r3gan" else ""
    family, settings = changes
    return _anew(run, family, settings)


def quoted(word: str) -> str:
    """A word as a shell takes it, in printable characters only: others stand as the escapes of bash's and zsh's ``$'...'``."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = (
        c if c.isprintable() and c not in "'\\" else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c)) for c in word
    )
    return f"$'{''.join(escaped)}'"


def _changes(kind: str, run: Run) -> tuple[str, dict[str, Any]] | None:
    """(family, settings) of a run that would not have this trouble; None where it is no reason to begin anew."""
    has = _defaults(run.family)
    augment = run.settings.get("augment", "none")
    if kind in ("memorising", "few-pictures") and augment == "none" and "augment" in has:
        return run.family, {"augment": "ada"}
    if kind == "copies":
        return run.family, {"flip": True} if not run.train.get("flip") else {"augment": "ada"}
    if kind == "leaking":
        return run.family, {"augment_target": 0.5}
    if kind == "missing-classes" and run.settings.get("conditional") is False and _labelled(run):
        return run.family, {"conditional": True}
    if kind in ("collapse", "discriminator-wins", "missing-classes", "oscillation"):
        if run.family != "r3gan":
            return "r3gan", {}
        return "r3gan", {"pack": 2, "conditional": False} if run.settings.get("pack", 1) == 1 else {"batch": 8}
    return None


def _labelled(run: Run) -> bool:
    spec = run.facts.get("spec")
    return isinstance(spec, dict) and int(spec.get("classes") or 0) > 1


def _learns(family: str, run: Run) -> bool:
    """Whether ``--conditional auto`` learns labels in a family, where a run's data has enough pictures of each class."""
    try:
        kind = registry.family(family)
    except GansmithError:
        return False
    return _labelled(run) and issubclass(kind, Generation) and kind.per_class < math.inf


def _go_on(run: Run) -> str:
    """The same run with twice its goal."""
    train = run.train
    goal = next((name for name in ("minutes", "steps", "images") if train.get(name)), "images")
    seen = train.get(goal) or run.facts.get("images") or 0
    twice = f"{2 * seen:g}" if goal == "minutes" else f"{2 * int(seen)}"
    return f"gansmith train --resume --out {quoted(str(run.root))} --{goal} {twice}"


def _anew(run: Run, family: str, settings: Mapping[str, Any]) -> str:
    """A new run on the same data with what this one was asked for, and some changes; another family keeps only what is of the pictures."""
    usual = config.to_plain(TrainSettings())
    asked = config.modern(TrainSettings, run.train)
    train = {k: v for k, v in asked.items() if k in usual and v not in (None, usual[k]) and k not in (*_OWN, "data")}
    mine = {k: v for k, v in _settings(run).items() if family == run.family or k in _OF_PICTURES}
    known = _defaults(family)
    own = {k: v for k, v in mine.items() if k in known and v not in (None, known[k])}
    if own.get("conditional") in (_learns(run.family, run), _learns(family, run)):
        own.pop("conditional", None)  # the one who trained did not ask for it, or need not ask
    chosen = {k: v for k, v in {**train, **own, **settings}.items() if k in known or k in usual}
    data = run.train.get("data", ())
    words = ["gansmith", "train", family, "--data", *([data] if isinstance(data, str) else map(str, data))]
    for name, value in chosen.items():
        words.append(config.flag(f"no_{name}" if value is False else name))
        if not isinstance(value, bool):
            words.append(f"{value}")
    return " ".join(map(quoted, words))


def _settings(run: Run) -> Mapping[str, Any]:
    """The run's settings of its family, in today's words where the family is here."""
    try:
        return config.modern(registry.family(run.family).Config, run.settings)
    except GansmithError:
        return run.settings


def _defaults(family: str) -> dict[str, Any]:
    """The family's default settings; none for a family that is not here."""
    try:
        return {f.name: f.default for f in dataclasses.fields(registry.family(family).Config)}
    except GansmithError:
        return {}
