"""Writes what the documentation takes from the code and from benchmark files; ``make docs`` and mkdocs run it.

- ``docs/families/NAME.md``: a page per family, from its docstring, ``docs/texts/NAME.md``, its code, what
  ``docs/lines/NAME.md`` says of single lines, and its settings; ``NAME.zh.md`` is the same in Chinese, where
  ``docs/texts`` has it, with the studio's translations of docstring and settings;
- ``docs/commands.md``: every command and its options, as ``--help`` tells them;
- ``docs/tables/NAME.md``: a table per ``benchmarks/results/NAME.json``, for pages to include, and the tables of
  ``docs/measured.py``: everything that was measured, and a table per family.

None of these is kept in git.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))  # mkdocs loads this file by its path

import measured  # noqa: E402

SHOWN = ("turns", "after_critic", "pair", "restore", "chroma", "judged")
"""Methods that a family's page shows beside its losses."""


WORDS = {
    "en": {
        "code": "## What the code says",
        "inherited": "It plays the game of `{parent}` and has networks of its own only.",
        "notes": "Line by line{elsewhere}:",
        "elsewhere": "; what is not above is in {homes}",
        "and": " and ",
        "settings": "## Settings",
        "flags": "These are the flags of `gansmith train {name}`. [Commands](../commands.md) has those of every run.",
        "head": ("flag", "default"),
    },
    "zh": {
        "code": "## 代码怎么说",
        "inherited": "它进行 `{parent}` 的博弈，只有网络是自己的。",
        "notes": "逐行说明{elsewhere}：",
        "elsewhere": "（上面没有的在 {homes} 里）",
        "and": " 和 ",
        "settings": "## 设置",
        "flags": "这些是 `gansmith train {name}` 的选项；每次训练都有的选项见[命令](../commands.md)一页。",
        "head": ("选项", "默认值"),
    },
}
"""What a family's page says besides its texts, by language."""


def family_page(name: str, language: str = "en") -> str:
    """The page of one family."""
    from gansmith import registry
    from gansmith.studio import words

    kind, say = registry.family(name), WORDS[language]
    doc = inspect.getdoc(sys.modules[kind.__module__]) or ""
    title, _, body = doc.partition("\n")
    text = DOCS / "texts" / named(name, language)
    body = as_markdown(body) if language == "en" else equations(body)
    parts = [f"# {name}\n\n{words.translated(title, language)}", body]
    if text.exists():
        parts.append(text.read_text(encoding="utf-8").strip())
    source = source_of(kind, language)
    parts += [f"{say['code']}\n\n{source}", notes_on(name, kind, source, language)]
    table = settings_table(kind.Config, language)
    parts.append(f"{say['settings']}\n\n{say['flags'].format(name=name)}\n\n{table}")
    return "\n\n".join(part for part in parts if part) + "\n"


def named(page: str, language: str) -> str:
    """The file of a page: ``page.md``, or ``page.zh.md`` in Chinese."""
    return f"{page}.md" if language == "en" else f"{page}.{language}.md"


def equations(body: str) -> str:
    """The equations of a docstring: what is indented in it."""
    return "\n".join(line for line in body.splitlines() if line.startswith("    "))


def as_markdown(body: str) -> str:
    """A docstring's paragraphs; what is indented is an equation."""
    lines = [line.replace("``", "`") for line in body.strip("\n").splitlines()]
    return "\n".join(lines).strip("\n")


def source_of(kind: type, language: str = "en") -> str:
    """The schedule and the losses of a family, as they stand in its file."""
    shown = []
    for name, value in vars(kind).items():
        value = getattr(value, "__func__", value)  # a static method's function
        if inspect.isfunction(value) and (name in SHOWN or name.endswith(("_loss", "_penalty"))):
            shown.append(inspect.getsource(value).rstrip())
    if not shown:
        parent = kind.__mro__[1]
        return WORDS[language]["inherited"].format(parent=f"{parent.__module__}.{parent.__name__}")
    return "```python\n" + "\n\n".join(map(textwrap.dedent, shown)) + "\n```"


def notes_on(name: str, kind: type, source: str, language: str = "en") -> str:
    """The notes on a family's lines, and the modules of those lines that its page does not show."""
    file, say = DOCS / "lines" / named(name, language), WORDS[language]
    if not file.exists():
        return ""
    notes = file.read_text(encoding="utf-8").strip()
    hidden = [line for line in re.findall(r"^- `([^`]+)`[:：]", notes, re.M) if line not in source]
    homes = [m for m in modules_of(kind) if any(line in inspect.getsource(sys.modules[m]) for line in hidden)]
    elsewhere = say["elsewhere"].format(homes=say["and"].join(f"`{home}`" for home in homes)) if homes else ""
    return f"{say['notes'].format(elsewhere=elsewhere)}\n\n{notes}"


def modules_of(kind: type) -> list[str]:
    """The modules a family is written in: its own, its bases', and those whose layers it takes."""
    parts = [*kind.__mro__, *vars(sys.modules[kind.__module__]).values()]
    names = (getattr(part, "__module__", None) or "" for part in parts)
    return list(dict.fromkeys(name for name in names if name.startswith("gansmith.")))


def settings_table(config: type, language: str = "en") -> str:
    """The settings of a dataclass: flag, default, help text."""
    from gansmith.config import bounds_of
    from gansmith.studio import words

    def said(text: str) -> str:
        return words.translated(" ".join(text.split()), language)

    helps, bounds = {name: said(text) for name, text in help_texts(config).items()}, bounds_of(config)
    flag, default = WORDS[language]["head"]
    rows = [f"| {flag} | {default} | | |", "| --- | --- | --- | --- |"]
    for field in dataclasses.fields(config):
        flag = field.name.replace("_", "-")
        own = bounds.get(field.name)
        limits = ", ".join(filter(None, map(said, () if own is None else (own.unit and f"in {own.unit}", own.range))))
        default = "" if field.default is None else f"`{shown(field.default)}`"
        rows.append(f"| `--{flag}` | {default} | {limits} | {cell(helps.get(field.name, ''))} |")
    return "\n".join(rows)


def help_texts(config: type) -> dict[str, str]:
    """The docstrings below a dataclass's fields, its bases' among them."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        body = ast.parse(inspect.cleandoc(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[field.target.id] = str(text.value.value)
    return found


def shown(value: Any) -> str:
    """A default as it is typed on the command line."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def cell(text: str) -> str:
    """Text inside a table."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def commands_page() -> str:
    """Every command and its options."""
    from gansmith import cli
    from gansmith.config import TrainSettings

    parts = ["# Commands", "`gansmith COMMAND --help` tells the same. `--debug` shows the traceback of an error."]
    for name, doc in cli.commands().items():
        parts.append(f"## gansmith {name}\n\n{doc}")
        if name == "train":
            parts.append("Settings of every run; each [family](index.md#families) adds its own.")
            parts.append(settings_table(TrainSettings))
            continue
        options = options_of(name)
        if options is not None:
            parts.append(options_table(options))
    return "\n\n".join(parts) + "\n"


def options_of(command: str) -> type | None:
    """The dataclass of a command's options, where it has one."""
    import importlib

    module = importlib.import_module(f"gansmith.commands.{command.replace('-', '_')}")
    classes = [
        value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    return next(filter(dataclasses.is_dataclass, classes), None)


def options_table(options: type) -> str:
    """The options of a command; those without ``--`` are given by position."""
    helps, hints = help_texts(options), options.__annotations__
    rows = ["| option | default | |", "| --- | --- | --- |"]
    for field in dataclasses.fields(options):
        hint = str(hints.get(field.name, ""))
        renamed = re.search(r"""name=["'](\w+)["']""", hint)
        name = (
            field.name.upper()
            if "Positional" in hint
            else f"--{(renamed.group(1) if renamed else field.name).replace('_', '-')}"
        )
        unset = field.default is dataclasses.MISSING or field.default is None
        default = "" if unset else f"`{shown(field.default)}`"
        rows.append(f"| `{name}` | {default} | {cell(helps.get(field.name, ''))} |")
    return "\n".join(rows)


def result_table(content: Any) -> str:
    """A benchmark's json as a table: a list of rows, or rows by name; anything else is shown as it is."""
    if isinstance(content, dict) and isinstance(content.get("rows"), list):
        content = content["rows"]
    if isinstance(content, dict) and content and all(isinstance(row, dict) for row in content.values()):
        content = [{"": name, **row} for name, row in content.items()]
    if not (isinstance(content, list) and content and all(isinstance(row, dict) for row in content)):
        return f"```json\n{json.dumps(content, indent=2)}\n```\n"
    columns = list(dict.fromkeys(key for row in content for key in row if not isinstance(row[key], (dict, list))))
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(number(row.get(column, "")) for column in columns) + " |" for row in content]
    return "\n".join(lines) + "\n"


def gpu_tables(file: Path) -> str:
    """What ``make gpu`` found, part by part; "Not run yet" where it was not run on a real GPU."""
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"rehearsed": True}
    if found["rehearsed"]:
        return "*Not run yet.*\n"
    texts = []
    for part in found["parts"]:
        texts.append(
            f"**{part['part']}**, {part['seconds']:g} s" + (f": {part['why not']}" if "why not" in part else "")
        )
        texts += [result_table(part["rows"])] if part["rows"] else []
    return "\n\n".join(texts) + "\n"


def number(value: Any) -> str:
    """A value of a results table."""
    return f"{value:.4g}" if isinstance(value, float) else cell(str(value))


def build() -> list[str]:
    """Write every generated page that changed; returns the families' names."""
    from gansmith import registry

    names = list(registry.families())
    for name in names:
        write(DOCS / "families" / f"{name}.md", family_page(name))
        if (DOCS / "texts" / f"{name}.zh.md").exists():
            write(DOCS / "families" / f"{name}.zh.md", family_page(name, "zh"))
    write(DOCS / "commands.md", commands_page())
    for file in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        write(DOCS / "tables" / f"{file.stem}.md", result_table(json.loads(file.read_text(encoding="utf-8"))))
    write(DOCS / "tables" / "gpu.md", gpu_tables(ROOT / "benchmarks" / "results" / "gpu.json"))
    for name, table in measured.tables().items():
        write(DOCS / "tables" / f"{name}.md", table)
    return names


def results_pages() -> list[Any]:
    """The pages of results in the order of the navigation: the table, comparisons, a page per family, the log."""
    families = {f"results/{name}.md" for name in measured.runs()}
    first, last = "results/index.md", "results/log.md"
    found = {f"results/{path.name}" for path in (DOCS / "results").glob("*.md")}
    comparisons = sorted(found - families - {first, last})
    return [{"Everything measured": first}, *comparisons, "scaling.md", "gpu.md", {"By family": sorted(families)}, last]


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by mkdocs: lines of Chinese prose are joined, as browsers show a line's end as a space."""
    if not page.file.src_uri.endswith(".zh.md"):
        return markdown
    blocks = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    joined = re.compile(r"(?<=[\u2018-\u201f\u3000-\u9fff\uff00-\uffef])\n *(?=[^\s|#>!*-])(?!\d+\. )")
    return "".join(block if block.startswith("```") else joined.sub("", block) for block in blocks)


def write(path: Path, text: str) -> None:
    """Write a page, unless it says so already (a watching server would build forever)."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def on_config(config: Any) -> Any:
    """Called by mkdocs: build the pages and lay out the navigation."""
    names = build()
    applications = sorted(f"applications/{path.name}" for path in (DOCS / "applications").glob("*.md"))
    pages: list[Any] = ["index.md", "quickstart.md", "classic-tutorial.md", "data.md", "studio.md"]
    pages += [{"Families": [f"families/{name}.md" for name in names]}, {"Applications": applications}]
    pages += ["failures.md", "own-family.md"]
    pages += [{"Results": results_pages()}]
    config.nav = [*pages, "commands.md", "environment.md", "python.md"]
    return config


if __name__ == "__main__":
    build()
