"""Breaks the long lines of pages: ``python tests/helpers/wrap.py PAGE...``, or without a page for all of them.

Paragraphs and items of lists with a line of more than 150 characters are filled anew at 140. Tables, code, headings and
pictures are left alone, and so are Chinese pages, whose lines end behind punctuation.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

LONG, WIDTH = 150, 140
_ALONE = re.compile(r"\s*$|#|\||\s*!\[|--8<--|\s*<|:::|    ")
_ITEM = re.compile(r"\s*([-*]|\d+\.) ")


def wrapped(text: str) -> str:
    """A page's text with its long lines broken; its words stay the same."""
    done: list[str] = []
    paragraph: list[str] = []
    fenced = False

    def flush() -> None:
        if paragraph:
            done.append(_filled(paragraph))
            paragraph.clear()

    for line in text.rstrip("\n").split("\n"):
        fence = re.match(r"\s*```", line) is not None
        continues = bool(paragraph) and line.startswith("    ") and _ITEM.match(paragraph[0]) is not None
        if fence or fenced or (_ALONE.match(line) and not (continues and line.strip())):
            flush()
            done.append(line)
            fenced ^= fence
            continue
        if _ITEM.match(line):
            flush()
        paragraph.append(line)
    flush()
    return "\n".join(done) + "\n"


def _filled(lines: list[str]) -> str:
    if all(len(line) <= LONG for line in lines):
        return "\n".join(lines)
    begin = re.match(r"(\s*)((?:[-*]|\d+\.) )?", lines[0])
    assert begin is not None
    text = " ".join(line.strip() for line in lines)[len(begin[0].strip()) :].strip()
    hanging = begin[1] + " " * len(begin[2] or "")
    return textwrap.fill(
        text, WIDTH, initial_indent=begin[0], subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def main(names: list[str]) -> None:
    """Break the long lines of these pages."""
    root = Path(__file__).parents[2]
    pages = [Path(name) for name in names] or [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    for page in pages:
        generated = {"families", "tables"} & set(page.parts) or page.name == "commands.md"
        if not generated and ".zh" not in page.name:
            text = page.read_text(encoding="utf-8")
            page.write_text(wrapped(text), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
