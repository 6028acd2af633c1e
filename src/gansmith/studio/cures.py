"""What can be done about an error or what the coach says, as changes of settings that a button applies.

Messages of the package name flags: ``--size 64``, ``leave --conditional out``, ``take r3gan``. So most cures are read from the very
words that a person reads, and those few that need a look at the numbers are written here.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from typing import Any

from gansmith import registry
from gansmith.config import TrainSettings
from gansmith.errors import GansmithError
from gansmith.studio import forms

_FLAG = re.compile(r"--([a-z][a-z0-9-]*)(?: ((?:\d[\d.e-]*\d|\d)|[a-z][a-z0-9-]*(?=[,.;:)]|$| or\b| \()))?")
_LEFT_OUT = re.compile(r"[Ll]eave (?:out )?--([a-z][a-z0-9-]*)(?: out)?")
_MULTIPLE = re.compile(r"--batch (\d+)[^.]*? must be a multiple of[^(]*?(?:\((\d+) x (\d+)\)|--pack (\d+))")
_FAMILY = re.compile(r"\b(?:take|[Tt]ry|or|family[^.]*?:) ((?:r3gan|wgan-gp)(?: or (?:r3gan|wgan-gp))?)\b")
_OTHERS = re.compile(r"\(for ([a-z0-9-]+),[^)]*\)")
"""What is said for one family only."""
_MEMORY = re.compile(r"not enough memory|out of memory", re.IGNORECASE)
_DISK = re.compile(r"disk is (?:almost )?full|No space left", re.IGNORECASE)
_ASKED_OTHERWISE = frozenset(
    ("out", "resume", "data", "images", "steps", "minutes", "device", "track", "config", "processes")
)


def cures(text: str, family: str, settings: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What a message says can be done.

    Args:
        text: the message, in English.
        family: what was to be trained.
        settings: the values that it was asked for with, the run's and the family's.

    Returns:
        ``{"set": {name: value}}``, ``{"family": name}`` or ``{"page": name}``, at most six, the first ones first.
    """
    fields = _fields(family)
    found: list[dict[str, Any]] = []
    for name in _LEFT_OUT.findall(text):
        _add_setting(found, fields, name, None)
    end = -1
    for match in _FLAG.finditer(_OTHERS.sub(lambda other: other[0] if other[1] == family else " ", text)):
        if match[2] and match.start() == end + 1 and found:  # '--lr 6e-4 --lr-discriminator 2.5e-3' belong together
            more: list[dict[str, Any]] = []
            _add_setting(more, fields, match[1], match[2])
            found[-1]["set"] |= more[0]["set"] if more else {}
        elif match[2]:
            _add_setting(found, fields, match[1], match[2])
        end = match.end()
    found += _special(text, settings or {}, fields)
    for names in _FAMILY.findall(text):
        found += [{"family": name} for name in names.split(" or ") if name != family]
    if _DISK.search(text):
        found.append({"page": "trash"})
    unique = {repr(sorted(cure.items())): cure for cure in found if not _is_so(cure, settings)}
    return list(unique.values())[:6]


def next_step(report: str, family: str) -> dict[str, Any] | None:
    """The command that a report ends its advice with, as a button can do it.

    Returns:
        ``{"goal": "minutes", "amount": 20.0}`` to go on, a change as :func:`cures` has them to begin anew, or None.
    """
    found = re.search(r"^```bash\n(gansmith train .+)\n```", report, re.MULTILINE)
    if found is None:
        return None
    on = re.search(r"--resume .*--(minutes|images|steps) ([\d.]+)$", found[1])
    if on is not None:
        return {"goal": on[1], "amount": float(on[2])}
    words = shlex.split(found[1])
    fields = _fields(words[2])
    changes: list[dict[str, Any]] = []
    for flag, value in zip(words[3:], [*words[4:], "--"], strict=True):
        if not flag.startswith("--"):
            continue
        name = flag.removeprefix("--").replace("-", "_")
        if value.startswith("--") and _can_be_off(fields.get(name)):
            changes.append({"set": {name: True}})
        else:
            _add_setting(changes, fields, name, None if value.startswith("--") else value)
    chosen = {name: value for change in changes for name, value in change["set"].items()}
    return {"set": chosen} | ({} if words[2] == family else {"family": words[2]})


def fields_named(text: str, family: str) -> list[str]:
    """The settings that a message names, as flags or in quotes, so that the page can mark them."""
    fields = _fields(family)
    names = [name.replace("-", "_") for name in re.findall(r"--([a-z][a-z0-9-]*)", text)]
    names += re.findall(r"'([a-z][a-z0-9_]*)'", text)
    return [name for name in dict.fromkeys(names) if name in fields or name in ("data", "minutes", "images", "steps")]


def _fields(family: str) -> dict[str, dict[str, Any]]:
    rows = forms.fields(TrainSettings)
    with contextlib.suppress(GansmithError):  # a family that is not here
        rows = rows + forms.fields(registry.family(family).Config)
    return {row["name"]: row for row in rows if row["name"] not in _ASKED_OTHERWISE}


def _can_be_off(field: dict[str, Any] | None) -> bool:
    return field is not None and (field["kind"] == "switch" or False in field["choices"])


def _add_setting(found: list[dict[str, Any]], fields: dict[str, Any], flag: str, text: str | None) -> None:
    name = flag.replace("-", "_")
    field = fields.get(name)
    if field is None and name.startswith("no_") and _can_be_off(fields.get(name[3:])):
        found.append({"set": {name[3:]: False}})
    if field is None:
        return
    value: Any = field["default"]
    if text is not None:
        try:
            value = {"integer": int, "number": float, "choice": str}[field["kind"]](text)
        except (KeyError, ValueError):
            return
        if field["kind"] == "choice" and value not in field["choices"]:
            return
    elif _can_be_off(field):
        value = False
    found.append({"set": {name: value}})


def _special(text: str, settings: dict[str, Any], fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Cures that follow from the numbers in a message rather than from its flags."""
    found: list[dict[str, Any]] = []
    multiple = _MULTIPLE.search(text)
    if multiple:
        batch = int(multiple[1])
        unit = int(multiple[4]) if multiple[4] else int(multiple[2]) * int(multiple[3])
        found.append({"set": {"batch": max(unit, -(-batch // unit) * unit)}})
    if re.search(r"(?:Choose a size with|Give|a smaller) --size", text) and not re.search(r"--size \d", text):
        largest = re.search(r"of 16 to (\d+) px", text)
        small = re.search(r"at least (\d+)x\d+|smaller than (\d+)", text)
        size = min(64, int(largest[1])) if largest else 64
        if "smaller --size" in text:
            asked = next((int(n) for n in (small.groups() if small else ()) if n), settings.get("size") or 64)
            size = max(16, asked // 2)
        found.append({"set": {"size": size}})
    if _MEMORY.search(text):
        accumulate = int(settings.get("accumulate") or 1)
        found.append({"set": {"accumulate": accumulate * 2}})
        if (settings.get("size") or 0) > 32:
            found.append({"set": {"size": settings["size"] // 2}})
    if "gradient penalty" in text and "r1" in fields and not settings.get("r1"):
        found.append({"set": {"r1": 1.0}})
    if "--flip" in text and not settings.get("flip"):
        found.append({"set": {"flip": True}})
    if "--pack" in text and "cannot go with --conditional" in text:
        found += [{"set": {"pack": 1}}, {"set": {"conditional": False}}]
    if "--conditional" in text and "no labels" in text and "conditional" in fields:
        found.append({"set": {"conditional": False}})
    return found


def _is_so(cure: dict[str, Any], settings: dict[str, Any] | None) -> bool:
    """Is a cure what was asked for already?"""
    if settings is None or "set" not in cure:
        return False
    return all(name in settings and settings[name] == value for name, value in cure["set"].items())
