"""Typed flags from dataclasses, the same way for every command."""

from __future__ import annotations

import dataclasses
import os
import sys
import typing
from typing import Any, Literal, TextIO, TypeVar

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

    kwargs: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(
        config,
        args=with_values(argv, open_switches(config)),
        prog=f"gansmith {command}",
        description=description,
        config=(tyro.conf.OmitArgPrefixes,),
        **kwargs,
    )


def open_switches(config: Any) -> set[str]:
    """Names of the settings, nested ones too, that are on, off or one word more (``bool | Literal["auto"]``)."""
    found: set[str] = set()
    for name, hint in typing.get_type_hints(config).items():
        if dataclasses.is_dataclass(hint):
            found |= open_switches(hint)
        elif bool in (options := typing.get_args(hint)) and any(typing.get_origin(o) is Literal for o in options):
            found.add(name)
    return found


def with_values(argv: list[str], names: set[str]) -> list[str]:
    """The words with ``--name`` and ``--no-name`` as ``--name True`` and ``--name False``; a value that stands there stays."""
    words: list[str] = []
    for i, word in enumerate(argv):
        name = word.removeprefix("--").replace("-", "_")
        after = argv[i + 1] if i + 1 < len(argv) else "-"
        if word.startswith("--") and name.removeprefix("no_") in names:
            on = name in names
            valued = on and after in ("True", "False", "auto")
            words += [word] if valued else [f"--{name.removeprefix('no_').replace('_', '-')}", str(on)]
        else:
            words.append(word)
    return words


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
