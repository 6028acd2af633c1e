"""Small YAML files that may come from anybody, ``config.yaml`` above all: bounded like JSON, and plain values only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gansmith.errors import GansmithError, first_line, shown
from gansmith.files.documents import MAX_DEPTH, MAX_NUMBER, Unreadable, read_text

MAX_YAML = 2**20
"""Bytes of a YAML file; one with the names of 20,000 classes has 400 KB."""
MAX_VALUES = 200_000
"""Values in a YAML file, those that aliases repeat counted each time."""
_KINDS = {"null", "bool", "int", "float", "str", "seq", "map"}
_TAG = "tag:yaml.org,2002:"

_BYTES = re.compile(r"\\u[dD][c-fC-F]")


def read_yaml(path: Path) -> Any:
    """The value in a YAML file.

    Raises:
        Unreadable: see :func:`parse_yaml`; or it has more than ``MAX_YAML`` bytes.
        OSError: it cannot be opened.
    """
    return parse_yaml(read_text(path, MAX_YAML))


def read_settings(path: Path) -> dict[str, Any]:
    """The names and values in a YAML file of settings.

    Raises:
        GansmithError: it is missing, cannot be read, or holds something else.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise GansmithError(f"There is no file '{path}'.") from None
    except OSError as error:
        raise GansmithError(f"{path} cannot be read: {error.strerror or error}.") from None
    except Unreadable as error:
        raise GansmithError(f"{path} {error}. Correct it, or restore it.") from None
    if not isinstance(content, dict):
        raise GansmithError(f"{path} must hold settings as 'name: value' lines.")
    return content


def parse_yaml(text: str) -> Any:
    """The value that a YAML text stands for: tables, lists, words, numbers, yes and no, and nothing.

    Dates are words, and ``<<`` is a key like any other.

    Raises:
        Unreadable: it is not YAML, or asks for another kind of value (``!!timestamp``, ``!!binary``, ``!!python/...``); it is
            nested more than ``MAX_DEPTH`` deep, or has more than ``MAX_VALUES`` values, each counted as often as aliases
            repeat it; a number has more than ``MAX_NUMBER`` letters.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one is in most installations, but not in all
    if _BYTES.search(text):  # a path that is no UTF-8, which the fast one refuses
        loader = yaml.SafeLoader
    try:
        return _Builder(yaml.parse(text, Loader=loader)).document()
    except yaml.YAMLError as error:
        said = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise Unreadable(f"is not YAML ({shown(said)[:300]})") from None
    except (ValueError, LookupError, RecursionError) as error:
        raise Unreadable(f"is not YAML ({shown(first_line(error))})") from None


class _Builder:
    """Builds a document's value from the parser's events, and counts what it builds."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self.events = events
        self.left = MAX_VALUES
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.plain = yaml.resolver.Resolver()
        self.make = yaml.constructor.SafeConstructor()

    def document(self) -> Any:
        value: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Unreadable("holds more than one document")
                value = self.value(next(self.events), 0)
        return value

    def value(self, event: yaml.Event, depth: int) -> Any:
        """The value that begins with an event."""
        before = self.left
        self.left -= 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise Unreadable("repeats something that it has not named before, or within itself")
            value, size = self.anchors[event.anchor]
            self.left -= size
        elif depth > MAX_DEPTH:
            raise Unreadable(f"is nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self.check_tag(event.tag, "seq")
            value = []
            while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
                value.append(self.value(inner, depth + 1))
        else:
            value = self.table(event, depth)
        if self.left < 0:
            raise Unreadable(f"holds more than {MAX_VALUES:,} values")
        if not isinstance(event, yaml.AliasEvent) and event.anchor is not None:  # type: ignore[attr-defined]
            self.anchors[event.anchor] = (value, before - self.left)  # type: ignore[attr-defined]
        return value

    def table(self, event: yaml.Event, depth: int) -> dict[Any, Any]:
        self.check_tag(event.tag, "map")  # type: ignore[attr-defined]
        found: dict[Any, Any] = {}
        while not isinstance(inner := next(self.events), yaml.MappingEndEvent):
            key = self.value(inner, depth + 1)
            if isinstance(key, (list, dict)) or (isinstance(key, int) and abs(key) >= 2**60):
                raise Unreadable("has a key that is neither a word nor a small number")
            found[key] = self.value(next(self.events), depth + 1)
        return found

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            implicit = event.implicit if tag is None else (False, True)
            tag = self.plain.resolve(yaml.ScalarNode, event.value, implicit)
            if tag.removeprefix(_TAG) not in _KINDS:  # what looks like a date, a merge or a default value
                tag = f"{_TAG}str"
        kind = tag.removeprefix(_TAG)
        self.check_tag(tag, *_KINDS)
        if kind in ("seq", "map", "str"):
            return event.value
        if len(event.value) > MAX_NUMBER:
            raise Unreadable(f"has a number of {len(event.value)} letters")
        node = yaml.ScalarNode(tag, event.value)
        return getattr(self.make, f"construct_yaml_{kind}")(node)

    @staticmethod
    def check_tag(tag: str | None, *kinds: str) -> None:
        if tag not in (None, "!") and str(tag).removeprefix(_TAG) not in kinds:
            raise Unreadable(
                f"holds a value of the kind '{shown(str(tag))[:60]}'; only words, numbers, lists and tables are read"
            )
