"""Forms from typed configs: every field with its type, default, choices and the docstring below it as help."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal

from gansmith import config as configs
from gansmith.errors import GansmithError


def fields(cls: type, leave_out: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """A dataclass as a form.

    Args:
        cls: the dataclass; every field has a default.
        leave_out: fields that the page asks for in another way.

    Returns:
        One dict per field: name, kind (integer, number, switch, choice, list, text), default, choices, help, own:
        whether this class declares it itself (the family's own settings come first on the page), unit and range: what a number
        counts and what it may be, in words, and stands_for: what the default means, ``automatic`` or ``off``, where it is no
        number to be shown.
    """
    hints = typing.get_type_hints(cls)
    default, bounds = configs.to_plain(cls()), configs.bounds_of(cls)
    rows = []
    for field in dataclasses.fields(cls):
        if field.name in leave_out:
            continue
        owner = next(base for base in cls.__mro__ if field.name in vars(base).get("__annotations__", {}))
        kind, choices = _kind(hints[field.name])
        text, own = configs.helps(owner).get(field.name, ""), bounds.get(field.name, configs.Bounds())
        rows.append(
            {
                "name": field.name,
                "kind": kind,
                "choices": choices,
                "default": default[field.name],
                "help": text,
                "own": owner is cls,
                "unit": own.unit and f"in {own.unit}",
                "range": own.range,
                "stands_for": stands_for(default[field.name], kind, own),
            }
        )
    return sorted(rows, key=lambda row: not row["own"])


def stands_for(default: Any, kind: str, bounds: configs.Bounds) -> str:
    """What a number's default means: ``automatic`` where it is none, ``off`` where 0 switches off, '' where it is a number."""
    if kind not in ("integer", "number"):
        return ""
    if default is None:
        return "automatic"
    return "off" if default == 0 and bounds.off else ""


def _kind(hint: Any) -> tuple[str, list[Any]]:
    origin = typing.get_origin(hint)
    if origin is Literal:
        return "choice", list(typing.get_args(hint))
    if origin in (typing.Union, types.UnionType) and bool in typing.get_args(hint):  # a switch that may be left open
        words = [w for o in typing.get_args(hint) if typing.get_origin(o) is Literal for w in typing.get_args(o)]
        return "choice", [*words, True, False]
    if origin in (typing.Union, types.UnionType):
        return _kind(next(option for option in typing.get_args(hint) if option is not type(None)))
    if origin is tuple:
        return "list", []
    return {bool: "switch", int: "integer", float: "number"}.get(hint, "text"), []


def changed(cls: type, given: dict[str, Any], what: str) -> dict[str, Any]:
    """The settings that differ from the defaults, checked.

    Raises:
        GansmithError: an unknown setting or a value of the wrong type.
    """
    for name, value in given.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (int, float)) and not abs(item) < 1e18:  # NaN and infinity too
                raise GansmithError(f"{what}: '{name}' is not an ordinary number.")
            if isinstance(item, str) and not item.isprintable():  # half a character, a line's end
                raise GansmithError(f"{what}: '{name}' holds something that is not text.")
    made = configs.to_plain(configs.make(cls, given, what))
    default = configs.to_plain(cls())
    return {name: value for name, value in made.items() if value != default[name]}
