"""Typed flags from dataclasses, the same way for every command."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import re
import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NoReturn, TextIO, TypeVar

from gansmith import config as configs
from gansmith.errors import GansmithError, shown

T = TypeVar("T")


def parse(config: type[T], argv: list[str], command: str, description: str, default: T | None = None) -> T:
    """Parse flags into a dataclass; its field docstrings are the help texts.

    Args:
        config: the dataclass; nested dataclasses add their flags without a prefix.
        command: what stands after ``gansmith`` on the command line.
        default: values of flags that are not given.

    Raises:
        GansmithError: a flag is unknown, has a value of another kind, or lacks one.
        SystemExit: help was asked for, and shown.
    """
    import tyro

    twin = _with_bounds(config)
    kwargs: dict[str, Any] = {} if default is None else {"default": _as(twin, default)}
    words = with_values(argv, open_switches(config))

    def read() -> T:
        made = tyro.cli(
            twin,
            args=words,
            prog=f"gansmith {command}",
            description=description,
            config=(tyro.conf.OmitArgPrefixes,),
            **kwargs,
        )
        return _as(config, made)

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return read()
    except SystemExit as stop:
        if stop.code != 2:
            raise
    raise GansmithError(_complaint(read, command))


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


_FRAME = re.compile(r"^[│| ] ?|\s*[│|]?\s*$")
_RULE = re.compile(r"[│|╰╯ ─-]*[─-]{8}[│|╰╯ ─-]*")
_SECTIONS = (
    (re.compile(r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.*)"), r"\1 takes a whole number, not \2."),
    (re.compile(r"Error parsing (\S+): no type matching .*?\|INT .* from \['(.*)'\]"), r"\1 takes a whole number, not '\2'."),
    (re.compile(r"Error parsing (\S+): no type matching .* from \['(.*)'\]"), r"\1 takes another kind of value than '\2'."),
    (re.compile(r"Got errors:.*"), ""),
    (re.compile(r"Error parsing (\S+): could not convert string to float: (.*)"), r"\1 takes a number, not \2."),
    (re.compile(r"Error parsing (\S+): Exceeds the limit .*"), r"\1 takes a whole number, and not one of thousands of digits."),
    (re.compile(r"invalid choice (.*) for argument '(.*?)'\. Expected one of \((.*?),?\)\.?"), r"\2 is one of \3, not \1."),
    (re.compile(r"Missing value for argument '(.*?)'\. Expected 1 values\.?"), r"\1 needs a value."),
    (re.compile(r"Missing from .*?: (.*)"), r"This is missing: \1."),
    (re.compile(r"Unrecognized options: *(.*)"), r"Not understood: \1."),
    (re.compile(r"Perhaps you meant: (--[\w-]+).*"), r"Did you mean \1?"),
    (re.compile(r"(Argument helptext|For full helptext).*"), ""),
)  # fmt: skip
"""Parts of what the flag parser says, and what we say instead."""


def _complaint(read: Callable[[], object], command: str) -> str:
    """The flag parser's complaint about the words, as one paragraph. The parser itself would draw a frame as wide as the terminal."""
    said, width = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "20000"  # no word is broken in two
    try:
        with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
            read()
    finally:
        os.environ.pop("COLUMNS") if width is None else os.environ.update(COLUMNS=width)
    sections: list[list[str]] = [[]]
    for framed in said.getvalue().split("\n")[1:]:  # the first is the frame with a title
        line = "" if _RULE.fullmatch(framed) else _FRAME.sub("", framed)
        if not line:
            sections.append([])
        if line:
            about = re.sub(r" *\((required|default: .*)\)$", "", line.strip()).rstrip(".")
            sections[-1].append(f"({about})," if line.startswith(" " * 8) else about)
    return explained(" ".join(filter(None, map(_reworded, sections))), command)


def _reworded(section: list[str]) -> str:
    words = " ".join(section).rstrip(",")
    for pattern, ours in _SECTIONS:
        if match := pattern.fullmatch(words):
            return match.expand(ours)
    return f"{words[:1].upper()}{words[1:]}{'.' if words else ''}"


def explained(words: str, command: str) -> str:
    """Words against a command line, with what to read next."""
    words = words.rstrip()
    return f"{words}{'' if words.endswith(('.', '?')) else '.'} 'gansmith {command} --help' explains every option."


class Parser(argparse.ArgumentParser):
    """argparse's parser. It complains as the other commands do: by a :class:`GansmithError` of one paragraph."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises:
            GansmithError: always.
        """
        message = re.sub(r"^argument (.*?): invalid int value: (.*)$", r"\1 takes a whole number, not \2", message)
        message = re.sub(
            r"^argument (.*?): invalid choice: (.*?) \(choose from (.*)\)$", r"\1 is one of \3, not \2", message
        )
        message = re.sub(r"^the following arguments are required: ", "This is missing: ", message)
        message = re.sub(r"^unrecognized arguments: ", "Not understood: ", message)
        raise GansmithError(explained(message[:1].upper() + message[1:], self.prog.removeprefix("gansmith ")))


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
