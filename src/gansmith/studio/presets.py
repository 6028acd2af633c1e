"""Where to begin, by purpose: a family and settings that were measured to do what they promise, and what a run will need."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from gansmith import config as configs
from gansmith import registry
from gansmith.studio.tasks import Tasks, in_words

PRESETS: tuple[dict[str, Any], ...] = (
    {"key": "digits", "family": "r3gan", "data": "mnist10k", "goal": "minutes", "amount": 3, "set": {}, "seen": 426_112},
    {"key": "few", "family": "r3gan", "goal": "minutes", "amount": 60, "set": {"augment": "ada", "flip": True}, "seen": 500_000},
    {"key": "colour", "family": "projected", "goal": "images", "amount": 20_000, "set": {"size": 64}, "seen": 11_568},
    {"key": "classes", "family": "r3gan", "goal": "minutes", "amount": 20, "set": {"conditional": True, "class_fade": 0.5}, "seen": 0},
    {"key": "repair", "family": "inpaint", "goal": "minutes", "amount": 15, "set": {"pretrain": 0.85, "size": 128}, "seen": 19_024},
    {"key": "enlarge", "family": "upscale", "goal": "minutes", "amount": 10, "set": {"pretrain": 1.0, "scale": 2, "size": 96}, "seen": 0},
    {"key": "translate", "family": "cyclegan", "goal": "minutes", "amount": 40, "set": {"size": 64, "skip": True, "identity": 0.0}, "seen": 13_441},
)  # fmt: skip
"""Each with the family, how long to train, the settings that differ from the family's, and the images that a run of the documented quality
has seen (0 where nobody counted). The page has the words: what it is for, and what quality to expect."""


def listed() -> list[dict[str, Any]]:
    """The presets whose families are here."""
    known = registry.families()
    return [preset for preset in PRESETS if preset["family"] in known]


def key_of(settings: dict[str, Any], stamp: object) -> str:
    """The name under which an estimate is remembered: settings that compute the same have the same."""
    train = {
        name: value for name, value in settings["train"].items() if name not in ("minutes", "images", "steps", "out")
    }
    text = json.dumps([settings["family"], settings["settings"], train, str(stamp)], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def measure(tasks: Tasks, known: dict[str, dict[str, Any]], key: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Ask ``gansmith doctor`` what a run needs: ``{"id": task}``, or ``{"result": ...}`` where it was asked before.

    Args:
        known: what was found before, by key; what is found now joins it.
        settings: family, settings and train, as a settings file has them.
    """
    if key in known:
        return {"result": in_words(known[key])}

    def words(own: Path) -> list[str]:
        (own / "settings.yaml").write_text(configs.to_yaml(settings), encoding="utf-8")
        return ["doctor", "--config", str(own / "settings.yaml"), "--json"]

    def keep(found: dict[str, Any]) -> None:
        kept = {
            name: found[name] for name in ("images_per_second", "step_seconds", "memory", "available", "fits", "batch")
        }
        kept["advice"] = list(found.get("advice", []))
        found.clear()
        found.update(kept)
        while len(known) > 200:
            known.pop(next(iter(known)))
        known[key] = found

    return {"id": tasks.start("estimate", words, {"key": key}, keep, ok=(0, 1))}
