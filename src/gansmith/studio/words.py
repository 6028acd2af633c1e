"""What the studio says, by language: the page's own words, and what the package says in English, translated.

``lang/CODE.json`` holds everything of one language:

    page     key -> text, or {"one": text, "other": text}; ``{name}`` stands for a value
    setting  a setting's name -> what its field is called
    choice   one of its choices -> what it is called; others keep their names, which are the field's own
    said     what the package says in English -> the same in this language; ``{0}``, ``{1}`` stand for values

English has no ``said``: that is what settings' help, families' first lines, the coach and errors are written in. Its
``setting`` has only the fields that are not called as the setting is.
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
LABELS = ("setting", "choice")
_COMMAND = r"(?:gansmith [a-z]+|train [a-z0-9-]+(?= --))(?:[^.;:,'\"。；：，]|[.:,](?=\S))*"
_FLAG = re.compile(rf"({_COMMAND})|(?<![\w-])--(no-)?([a-z][a-z0-9-]*[a-z0-9])")
"""A whole command, or a flag outside of one."""
_GAP = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=“)|(?<=”) (?=[\u3000-\u9fff])")
"""Between a Chinese character and a quotation mark."""
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
    """The page's words, as ``{"runs.title": ...}``; settings and choices are groups of their own."""
    found = read(code)
    groups = found["page"] | {name: found.get(name, {}) for name in LABELS}
    return {f"{group}.{key}": text for group, words in groups.items() for key, text in words.items()}


def said(text: str) -> str:
    """A text of the package in the language of this request, with its flags as the page calls these settings.

    It stays English where that is asked for or nobody has translated it.
    """
    code = _speaking.get()
    return without_flags(translated(text, code), code)


def without_flags(text: str, code: str) -> str:
    """``--lr-discriminator 0.001`` as the page's field of that name; flags of a command that stands there stay."""
    if "--" not in text:
        return text
    made = _FLAG.sub(lambda flag: flag[0] if flag[1] else _field(flag[2], flag[3], code) or flag[0], text)
    return _GAP.sub("", made) if code == "zh" else made


def _field(no: str | None, flag: str, code: str) -> str:
    """What the page calls a flag's setting; '' where it has none of that name."""
    name, words_ = flag.replace("-", "_"), page(code)
    if f"setting.{name}" not in page(LANGUAGES[1]):
        return ""
    label = words_.get(f"setting.{name}") or name.replace("_", " ").capitalize()
    between = "：" if code == "zh" else ": "
    return f"“{label}{between}{words_['form.no']}”" if no else f"“{label}”"


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
