"""Typed flags from dataclasses, the same way for every command."""

from __future__ import annotations

import os
import sys
from typing import Any, TypeVar

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


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table to standard output, its text as it is: names may hold brackets that look like styles."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left")
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*map(Text, row))
    # a file or a pipe has no width of its own, and must not lose words to one
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    Console(file=sys.stdout, width=width).print(table)
