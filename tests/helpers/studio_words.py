"""Everything that the package says in English and the studio shows: what the languages' files must hold under ``said``.

python tests/helpers/studio_words.py            what is missing, by language
python tests/helpers/studio_words.py --unused   and what nobody says any more
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import gansmith
from gansmith import registry
from gansmith.config import TrainSettings
from gansmith.data import standard
from gansmith.models.catalogue import entries
from gansmith.studio import forms, words

PACKAGE = Path(gansmith.__file__).parent
SHOWN = ("studio", "data", "apply", "models", "training", "files", "gans", "generation", "translation", "health", "nn")
"""Rooms whose errors can reach a page of the studio."""
SHOWN_MODULES = (
    "config.py",
    "devices.py",
    "registry.py",
    "damage.py",
    "game.py",
    "conditioning.py",
)
NOT_SHOWN = (
    "data/pack.py",
    "data/shards.py",
    "data/tars.py",
    "data/cache.py",
    "data/parquet.py",
    "apply/styles.py",
    "models/sharing.py",
)
"""Modules of these rooms that only commands use, on what the studio does not take."""
RAISED = ("Error", "Refused", "Broken", "Diverged", "TooMuch", "Unreadable", "MissingExtra")
OWN = (
    "ValueError",
    "TypeError",
    "RuntimeError",
    "AttributeError",
    "KeyError",
    "AssertionError",
    "OSError",
    "EOFError",
    "NotImplementedError",
)
"""Python's own errors are not shown in words."""
SAYING = ("failure", "Finding", "few_pictures", "_told", "_broken")
LINES = {
    "health/report.py": ("_summary", "_advice", "write_report"),
    "data/check.py": ("_verdict", "_enough", "check", "_layout"),
    "data/planning.py": ("few_pictures",),
    "data/formats.py": ("why_unread",),
    "health/coach.py": ("_copies", "_moving_collapse"),
    "studio/guard.py": ("__call__", "_refusal", "_login", "_serve"),
    "studio/jobs.py": ("reason",),
    "bench/doctor.py": ("advise",),
    "studio/checks.py": ("run",),
    "studio/playground.py": ("step", "frame", "advance"),
    "cli.py": ("in_words",),
    "errors.py": ("apple_gpu_lacks",),
    "config.py": ("make",),
    "nn/conditioning.py": ("decide",),
}
"""Functions whose every text is a line of its own that the page shows."""


def modules() -> list[Path]:
    """The files that are looked through."""
    files = [f for room in SHOWN for f in sorted((PACKAGE / room).rglob("*.py"))]
    files += [PACKAGE / name for name in SHOWN_MODULES if (PACKAGE / name).is_file()]
    return [f for f in files if f.relative_to(PACKAGE).as_posix() not in NOT_SHOWN]


def templates(node: ast.expr) -> list[str]:
    """A text's pattern, {0}, {1}, ... for its values; both of a choice; none where it is no text of its own."""
    if isinstance(node, ast.IfExp):
        return templates(node.body) + templates(node.orelse)
    number = 0

    def go(part: ast.AST) -> str:
        nonlocal number
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            return part.value
        if isinstance(part, ast.JoinedStr):
            return "".join(go(value) for value in part.values)
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
            return go(part.left) + go(part.right)
        number += 1
        return f"{{{number - 1}}}"

    text = " ".join(go(node).split())
    return (
        [text] if any(c.isalpha() for c in text.replace("{", "")) and len(text.replace("{0}", "").strip()) > 3 else []
    )


def raised(file: Path) -> Iterator[str]:
    """What a module raises, and what it hands to those who say it."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        yield from noted(node)
        call = node.exc if isinstance(node, ast.Raise) else node
        if not isinstance(call, ast.Call) or not call.args:
            continue
        name = ast.unparse(call.func).rpartition(".")[2]
        if isinstance(node, ast.Raise) and (not name.endswith(RAISED) or name in OWN or name == "MissingExtra"):
            continue
        if (
            not isinstance(node, ast.Raise)
            and name not in SAYING
            and not (name.endswith(("Refused", "Broken")) and name != "_broken")
        ):
            continue
        for argument in call.args[2:] if name == "Finding" else call.args[:1]:
            yield from templates(argument)


def noted(node: ast.AST) -> Iterator[str]:
    """Notes for a person: appended to a list of that name, or given as such."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("notes.append", "notes.insert")):
        yield from templates(node.args[-1])
    given = [k.value for k in node.keywords if k.arg == "notes"] if isinstance(node, ast.Call) else []
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("notes", "note"):
        given.append(node.value)
    for value in given:
        for part in value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]:
            if isinstance(part, (ast.JoinedStr, ast.Constant)):
                yield from templates(part)


def lines(file: Path, functions: tuple[str, ...]) -> Iterator[str]:
    """Every text of some functions."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name in functions:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            inner = {
                id(part)
                for statement in body
                for joined in ast.walk(statement)
                if isinstance(joined, ast.JoinedStr)
                for part in ast.walk(joined)
                if part is not joined
            }
            for statement in body:
                for part in ast.walk(statement):
                    text = isinstance(part, ast.JoinedStr) or (
                        isinstance(part, ast.Constant) and isinstance(part.value, str)
                    )
                    if text and id(part) not in inner:
                        found = templates(part)  # type: ignore[arg-type]
                        yield from (
                            f
                            for f in found
                            if " " in f and not f.startswith(("![", "| ---")) and not re.search(r"\w\|\w", f)
                        )


def helps() -> Iterator[str]:
    """Settings' help, families' first lines, standard sets and ready models."""
    for cls in (TrainSettings, *(registry.family(name).Config for name in registry.families())):
        yield from (row[words] for row in forms.fields(cls) for words in ("help", "unit", "range"))
    yield from registry.families().values()
    yield from (known.about for known in standard.about_all().values())
    for entry in entries.built_in().values():
        yield from (entry.about, entry.licence.title, entry.licence.allows)


def required() -> list[str]:
    """Everything that must be translated, each once, in the order of the files."""
    found = list(helps())
    for file in modules():
        found += raised(file)
    for name, functions in LINES.items():
        found += lines(PACKAGE / name, functions)
    return list(dict.fromkeys(text for text in found if text))


def missing(code: str) -> list[str]:
    """What a language does not have."""
    known = words.read(code).get("said", {})
    return [text for text in required() if text not in known]


def unused(code: str) -> list[str]:
    """What a language has and nobody was seen to say; some of it is said all the same, as a value within another text."""
    wanted = set(required())
    return [text for text in words.read(code).get("said", {}) if text not in wanted]


if __name__ == "__main__":
    for language in words.LANGUAGES[1:]:
        print(json.dumps(dict.fromkeys(missing(language), ""), indent=1, ensure_ascii=False))
        if "--unused" in sys.argv:
            print(json.dumps(unused(language), indent=1, ensure_ascii=False))
