"""What a request asks for, read with types and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gansmith.studio.errors import Refused


class Arguments:
    """The query or the JSON body of a request.

    Every method raises ``Refused`` where the value is missing, of another type or out of range.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def text(self, name: str, default: str | None = None, most: int = 1000) -> str:
        """A string that any file can hold."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise Refused(f"'{name}' must be a text of at most {most} characters.")
        try:
            value.encode()
        except UnicodeEncodeError:  # half a character, or a file name that is not Unicode
            raise Refused(f"'{name}' holds something that is not text. Rename that file or folder first.") from None
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """A finite number in [low, high]."""
        value = self.values.get(name, default)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high  # false for NaN, and exact for whole numbers that no float can hold
        ):
            raise Refused(f"'{name}' must be a number from {low:g} to {high:g}.")
        return float(value)

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number in [low, high]."""
        value = self.number(name, low, high, default)
        if value != int(value):
            raise Refused(f"'{name}' must be a whole number.")
        return int(value)

    def choice(self, name: str, options: tuple[str, ...], default: str | None = None) -> str:
        """One of some words."""
        value = self.text(name, default)
        if value not in options:
            raise Refused(f"'{name}' is one of {', '.join(options)}.")
        return value

    def listed(self, name: str, most: int) -> list[Any]:
        """A list of at most ``most`` items."""
        value = self.values.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise Refused(f"'{name}' must be a list of at most {most} items.")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """An object with string keys; empty where it is left out."""
        value = self.values.get(name, {})
        if not isinstance(value, dict):
            raise Refused(f"'{name}' must be an object.")
        return value
