"""What the studio says, by language: the page's own words, and what the package says in English, translated.

``lang/CODE.json`` holds everything of one language:

    page   key -> text, or {"one": text, "other": text}; ``{name}`` stands for a value
    said   what the package says in English -> the same in this language; ``{0}``, ``{1}`` stand for values

English has no ``said``: that is what settings' help, families' first lines, the coach and errors are written in.
"""

from __future__ import annotations

import functools
import json
import re
from contextvars import ContextVar
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "lang"
LANGUAGES = ("en", "zh")
_speaking: ContextVar[str] = ContextVar("language", default="en")
_HOLE = re.compile(r"\{(\d+)\}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z'\"*-])")


def speak(accept: str) -> None:
    """From here on, in this request, the language that an Accept-Language header asks for first."""
    for part in accept.split(","):
        code = part.partition(";")[0].strip().lower().partition("-")[0]
        if code in LANGUAGES:
            _speaking.set(code)
            return
    _speaking.set("en")


@functools.cache
def read(code: str) -> dict[str, Any]:
    """A language's file."""
    return json.loads((FOLDER / f"{code}.json").read_text("utf-8"))


@functools.cache
def page(code: str) -> dict[str, Any]:
    """The page's words, as ``{"runs.title": ...}``."""
    return {f"{group}.{key}": text for group, words in read(code)["page"].items() for key, text in words.items()}


def said(text: str) -> str:
    """A text of the package in the language of this request; as it is where it is English or nobody has translated it."""
    return translated(text, _speaking.get())


@functools.lru_cache(maxsize=4096)
def translated(text: str, code: str) -> str:
    """A text of the package in a language: as a whole, else sentence by sentence; values in it are looked up too."""
    if code == "en" or not text:
        return text
    found = _whole(text.strip(), code)
    if found is not None:
        return found
    parts = _SENTENCE.split(text)
    if len(parts) == 1:
        return text
    made = [_whole(part, code) for part in parts]
    return "".join(new if new is not None else f" {old} " for new, old in zip(made, parts, strict=True)).strip()


def _whole(text: str, code: str) -> str | None:
    exact, patterns = _compiled(code)
    if text in exact:
        return exact[text]
    for pattern, target in patterns:
        match = pattern.fullmatch(text)
        if match:
            return _filled(target, match.groupdict(), code)
    return None


def _filled(target: str, values: dict[str, str | None], code: str) -> str:
    return _HOLE.sub(lambda hole: translated(values.get(f"v{hole[1]}") or "", code), target)


@functools.cache
def _compiled(code: str) -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Texts without values, and patterns for the others, the most telling first."""
    exact, patterns = {}, []
    for source, target in read(code).get("said", {}).items():
        if not _HOLE.search(source):
            exact[source] = target
            continue
        parts = _HOLE.split(source)  # text, number, text, number, ..., text
        made = "".join(re.escape(p) if i % 2 == 0 else f"(?P<v{p}>.*?)" for i, p in enumerate(parts))
        patterns.append((sum(len(p) for p in parts[::2]), re.compile(made, re.DOTALL), target))
    patterns.sort(key=lambda row: -row[0])
    return exact, [(pattern, target) for _, pattern, target in patterns]
