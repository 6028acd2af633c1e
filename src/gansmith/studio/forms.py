"""Forms from typed configs: every field with its type, default, choices and the docstring below it as help."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import textwrap
import types
import typing
from typing import Any, Literal

from gansmith import config as configs
from gansmith.errors import GansmithError
from gansmith.registry import PARSING

_STANDS_FOR = {
    "automatic": "takes|keeps|is|has|goes|adapts",
    "off": "does not|switches it off|trains on all|leaves it out",
}


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


def fields(cls: type, leave_out: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """A dataclass as a form.

    Args:
        cls: the dataclass; every field has a default.
        leave_out: fields that the page asks for in another way.

    Returns:
        One dict per field: name, kind (integer, number, switch, choice, list, text), default, choices, help, own:
        whether this class declares it itself (the family's own settings come first on the page), and stands_for: what a default of
        0 or -1 means, ``automatic`` or ``off``, where it is no number to be shown.
    """
    hints = typing.get_type_hints(cls)
    default = configs.to_plain(cls())
    rows = []
    for field in dataclasses.fields(cls):
        if field.name in leave_out:
            continue
        owner = next(base for base in cls.__mro__ if field.name in vars(base).get("__annotations__", {}))
        kind, choices = _kind(hints[field.name])
        text = helps(owner).get(field.name, "")
        rows.append(
            {
                "name": field.name,
                "kind": kind,
                "choices": choices,
                "default": default[field.name],
                "help": text,
                "own": owner is cls,
                "stands_for": stands_for(default[field.name], text),
            }
        )
    return sorted(rows, key=lambda row: not row["own"])


def stands_for(default: Any, text: str) -> str:
    """What a default of 0 or -1 means by its help: ``automatic``, ``off``, or '' where it is an ordinary number."""
    if isinstance(default, bool) or default not in (0, -1):
        return ""
    for word, pattern in _STANDS_FOR.items():
        if re.search(rf"(?<![\w.-]){default:g} (?:{pattern})\b", text):
            return word
    return ""


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
