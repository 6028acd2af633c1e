"""Typed flags from dataclasses, the same way for every command."""

from __future__ import annotations

import dataclasses
import os
import sys
import typing
from typing import Annotated, Any, TextIO, TypeVar

from gansmith import config as configs
from gansmith.errors import shown

T = TypeVar("T")


def parse(config: type[T], argv: list[str], command: str, description: str, default: T | None = None) -> T:
    """Parse flags into a dataclass; its field docstrings are the help texts. Exits with code 2 on a wrong flag.

    Args:
        config: the dataclass; nested dataclasses add their flags without a prefix.
        command: what stands after ``gansmith`` on the command line.
        default: values of flags that are not given.
    """
    import tyro

    twin = _with_bounds(config)
    kwargs: dict[str, Any] = {} if default is None else {"default": _as(twin, default)}
    made = tyro.cli(
        twin,
        args=argv,
        prog=f"gansmith {command}",
        description=description,
        config=(tyro.conf.OmitArgPrefixes,),
        **kwargs,
    )
    return _as(config, made)


def _with_bounds(config: type) -> type:
    """The same dataclass for tyro: the help of every number with bounds ends with what the number may be."""
    import tyro

    bounds, hints = configs.bounds_of(config), typing.get_type_hints(config, include_extras=True)
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            changed[field.name] = _with_bounds(hint)
        elif field.name in bounds:
            owner = next(base for base in config.__mro__ if field.name in vars(base).get("__annotations__", {}))
            text = configs.helps(owner).get(field.name, "")
            changed[field.name] = Annotated[hint, tyro.conf.arg(help=f"{text} ({bounds[field.name]})".strip())]
    namespace = {"__annotations__": changed, "__doc__": config.__doc__, "__module__": config.__module__}
    return type(config.__name__, (config,), namespace) if changed else config


def _as(config: type[T], made: Any) -> T:
    """The same settings as an instance of another class with the same fields."""
    values = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    hints = typing.get_type_hints(config)
    for name, value in values.items():
        if dataclasses.is_dataclass(value) and isinstance(hints[name], type):
            values[name] = _as(hints[name], value)
    return config(**values)


def say(text: str, to: TextIO | None = None) -> None:
    """Print text for a person, to standard error unless told otherwise; names in it cannot command the terminal."""
    print("\n".join(map(shown, text.split("\n"))), file=to or sys.stderr, flush=True)


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table to standard output: names may hold brackets that look like styles, and what a terminal would obey."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left")
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    # a file or a pipe has no width of its own, and must not lose words to one
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    Console(file=sys.stdout, width=width).print(table)
