"""The commands that the documentation prints."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

from gansmith.commands.completion import flags_of

ROOT = Path(__file__).parents[2]


PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(
        p
        for p in sorted((ROOT / "docs").rglob("*.md"))
        if not {"families", "tables"} & set(p.parts) and p.name != "commands.md"
    ),
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^[ ]*```{language}[^\n]*\n(.*?)^[ ]*```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands() -> list[tuple[str, str]]:
    """(page, line) of every gansmith command line in the documentation."""
    found = []
    for page in PAGES:
        for block in [*blocks(page, "bash"), *blocks(page, "console"), *blocks(page, "sh")]:
            for line in block.replace("\\\n", " ").splitlines():
                line = re.sub(r"\s+#.*$", "", line.strip().removeprefix("$ "))
                if re.match(r"^(\w+=\S* )*gansmith( |$)", line):
                    found.append((str(page.relative_to(ROOT)), line))
    return found


@functools.cache
def known_flags(command: str, *more: str) -> frozenset[str]:
    return frozenset(flags_of(command, *more)) | {"--help", "--debug"}


def arguments(line: str) -> list[str]:
    words = shlex.split(re.split(r" (?:>|\||&&|;) ?", line)[0])
    return words[words.index("gansmith") + 1 :]
