"""Typed flags from dataclasses, the same way for every command."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO, TypeVar

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
        args=argv,
        prog=f"gansmith {command}",
        description=description,
        config=(tyro.conf.OmitArgPrefixes,),
        **kwargs,
    )


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
