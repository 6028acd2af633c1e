"""Small JSON files that may come from anybody: bounded in size, depth and numbers.

A run folder or a model folder can be downloaded. So every place that reads ``config.json``, ``log.jsonl`` or another such file
reads it here (and ``config.yaml`` in :mod:`gansmith.files.yaml_documents`), and a file that was made to fill the memory, or
that is merely damaged, ends in an :class:`Unreadable`, whose message is the rest of a sentence that begins with the file's
name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gansmith.errors import GansmithError, first_line, shown

MAX_JSON = 2**22
"""Bytes of a JSON file, unless its reader expects more."""
MAX_LINE = 2**18
"""Bytes of a line of a log."""
MAX_DEPTH = 50
"""Lists within lists, tables within tables."""
MAX_NUMBER = 64
"""Letters of a number."""
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


class Unreadable(GansmithError):
    """A YAML or JSON file is damaged, or larger, deeper or stranger than any that gansmith writes."""


def read_text(path: Path, most: int) -> str:
    """A text file's content.

    Raises:
        Unreadable: it has more than ``most`` bytes, or is no UTF-8.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise Unreadable(f"has more than {most >> 10} KB, which such a file never has")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is no text in UTF-8 ({error.reason} at byte {error.start})") from None


# --- JSON -------------------------------------------------------------------------------------------------------------


def parse_json(text: str) -> Any:
    """The value that a JSON text stands for.

    Raises:
        Unreadable: it is not JSON, nested more than ``MAX_DEPTH`` deep, or has a number of more than ``MAX_NUMBER`` letters.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH:  # otherwise it cannot be deep
        depth = 0
        for bracket in _BRACKETS.finditer(_STRINGS.sub("", text)):
            depth += 1 if bracket[0] in "[{" else -1
            if depth > MAX_DEPTH:
                raise Unreadable(f"is nested more than {MAX_DEPTH} deep")
    try:
        return json.loads(
            text, parse_int=lambda digits: int(_number(digits)), parse_float=lambda digits: float(_number(digits))
        )
    except RecursionError:  # brackets in quotes that never close
        raise Unreadable(f"is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise Unreadable(f"is not JSON ({shown(first_line(error))})") from None


def read_json(path: Path, most: int = MAX_JSON) -> Any:
    """The value in a JSON file.

    Raises:
        Unreadable: see :func:`parse_json`; or it has more than ``most`` bytes.
        OSError: it cannot be opened.
    """
    return parse_json(read_text(path, most))


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The tables in a file of one JSON value per line, until the first line that is damaged or not whole.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                return
            try:
                record = parse_json(line.decode("utf-8", "replace"))
            except Unreadable:
                return
            if isinstance(record, dict):
                yield record


def _number(digits: str) -> str:
    if len(digits) > MAX_NUMBER:
        raise Unreadable(f"has a number of {len(digits)} digits")
    return digits
