"""What the documentation tells people to type exists, and works."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import gansmith
from gansmith import cli, registry
from helpers import wrap
from helpers.docs import PAGES, ROOT, arguments, blocks, commands, known_flags

pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="the documentation is not part of an installed package"
)


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda value: value[:60])
def test_every_command_line_is_understood(page, line, monkeypatch):
    words = arguments(line)
    if not words or words[0] in ("--help", "--version", "COMMAND"):
        return
    assert words[0] in cli.commands(), f"{page}: no command '{words[0]}'"
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    if words[0] == "train" and len(words) > 1 and not words[1].startswith("-") and words[1] != "FAMILY":
        monkeypatch.syspath_prepend(str(ROOT))
        registry.named(words[1])
        allowed = known_flags("train", words[1])
    elif words[0] == "train":
        allowed = known_flags("train", "gan") | {"--resume"}
    elif words[0] == "toy":
        family = words[words.index("--family") + 1] if "--family" in words else "gan"
        allowed = known_flags("toy", words[1], "--family", family)
    elif words[0] == "data" and len(words) > 1:
        allowed = known_flags("data", words[1])
    else:
        allowed = known_flags(words[0])
    allowed |= {"--family-module", "--debug"}  # of every command
    assert given <= allowed, f"{page}: {words[0]} has no {', '.join(sorted(given - allowed))}"


def test_there_are_commands_to_look_at():
    assert len(commands()) > 30
    assert {"--truncation", "--seeds"} <= known_flags("sample")
    assert "--nonsense" not in known_flags("sample")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_documentation_is_python(page):
    for block in blocks(page, "python"):
        if "--8<--" in block:
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gansmith":
                assert hasattr(gansmith, node.attr), f"{page.name}: gansmith.{node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_in_the_documentation_are_there(page):
    for name in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / name).is_file(), f"{page.name}: {name}"


def test_pictures_of_the_studio_are_small_and_in_both_languages():
    """docs/screenshots.py takes them."""
    found = sorted((ROOT / "docs" / "studio").glob("*.png"))
    names = {file.stem for file in found}
    english = {name for name in names if not name.endswith("-zh")}
    assert names == english | {f"{name}-zh" for name in english}
    shown = set()
    for page in ("studio.md", "studio.zh.md"):
        shown |= set(re.findall(r"\]\(studio/([\w-]+)\.png\)", (ROOT / "docs" / page).read_text("utf-8")))
    assert names == shown
    for file in found:
        assert file.stat().st_size < 120_000, file.name
        with Image.open(file) as image:
            assert image.mode == "P", file.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_pages_are_short(page):
    """Tables and code may be as wide as they must."""
    text = re.sub(r"^[ ]*```.*?^[ ]*```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    long = [line for line in text.splitlines() if len(line) > 160 and not line.lstrip().startswith("|")]
    assert not long, (
        f"{page.name} has a line of more than 160 characters (python tests/helpers/wrap.py breaks them): {long[0]}"
    )


def test_the_classic_tutorial_quotes_the_code(builder):
    """The rows of its table: a line of benchmarks/keras_example.py and one of the package each."""
    script = (ROOT / "benchmarks" / "keras_example.py").read_text(encoding="utf-8")
    modules = builder.modules_of(registry.family("gan"))
    code = "\n".join(inspect.getsource(sys.modules[module]) for module in modules)
    rows = re.findall(
        r"^\| `([^`]+)` \| `([^`]+)` \|", (ROOT / "docs" / "classic-tutorial.md").read_text(encoding="utf-8"), re.M
    )
    assert len(rows) > 10
    for theirs, ours in rows:
        assert theirs in script
        assert ours in code, f"docs/classic-tutorial.md: no code says {ours}"


TRANSLATED = [path for path in (ROOT / "docs").rglob("*.zh.md") if path.parent.name != "families"]
"""Pages in Chinese; those of families are made of docs/texts."""
IN_CHINESE = ("index", "quickstart", "classic-tutorial", "studio", "failures")
FENCED = re.compile(r"^```.*?^```", re.M | re.S)


def _plain(name: str, endings: tuple[tuple[str, str], ...]) -> str:
    for theirs, plain in endings:
        name = name.replace(theirs, plain)
    return name


@pytest.mark.parametrize("page", [ROOT / "README.zh-CN.md", *TRANSLATED], ids=lambda page: page.name)
def test_a_chinese_page_is_in_step(page):
    """The same headings, code, tables, links, pictures and names; only the words between them are translated."""
    original = page.with_name(page.name.replace(".zh-CN", "").replace(".zh", ""))
    texts = [path.read_text(encoding="utf-8") for path in (original, page)]
    assert FENCED.findall(texts[0]) == FENCED.findall(texts[1])
    english, chinese = (FENCED.sub("", text) for text in texts)
    headings = [[len(marks) for marks in re.findall(r"^(#+) ", text, re.M)] for text in (english, chinese)]
    assert headings[0] == headings[1]
    others = {"README.md", "README.zh-CN.md"}
    for what in (r"`([^`]+)`", r"\]\(([^)]+)\)", r"^\| (`[^|]+`) \|", r"^( {4}\S.*)$"):
        found = (re.findall(what, text, re.M) for text in (english, chinese))
        # a picture of the studio may show it in the page's own language
        own = ((".zh.md", ".md"), ("-zh.png", ".png"))
        names = [sorted({_plain(name, own) for name in each} - others) for each in found]
        assert names[0] == names[1]
    slugs = [slug.lower().replace(" ", "-") for slug in re.findall(r"^#+ (.*)$", english, re.M)]
    for anchor in re.findall(r"\{#([\w-]+)\}", chinese):
        assert anchor in slugs


def test_what_is_translated():
    names = {path.name.removesuffix(".zh.md") for path in TRANSLATED if path.parent.name != "lines"}
    families = {path.stem for path in (ROOT / "docs" / "texts").glob("*.md") if "." not in path.stem}
    missing = {*IN_CHINESE, *families} - names - {"stylegan3"}  # which has no text yet
    assert not missing, f"docs/texts needs a page in Chinese, NAME.zh.md, for {', '.join(sorted(missing))}"


def test_wrapping_keeps_words():
    text = (
        "# A\n\n"
        + "word `--flag value` " * 20
        + "\n\n- "
        + "item " * 60
        + "\n\n| "
        + "cell " * 60
        + "|\n\n```\n"
        + "x" * 200
        + "\n```\n"
    )
    made = wrap.wrapped(text)
    assert made.split() == text.split()
    assert max(len(line) for line in made.split("|")[0].splitlines()) <= 140
    assert "\n  item" in made
    assert wrap.wrapped(made) == made


def test_the_quickstart_runs(tmp_path, monkeypatch, capsys):
    """Its own command lines, with fewer steps and smaller networks."""
    monkeypatch.chdir(tmp_path)
    lines = [line for page, line in commands() if page == "docs/quickstart.md"]
    smaller = {
        "--steps 2000": "--steps 3 --batch 8 --width 8 --snapshots 1",
        "--seconds 4": "--seconds 0.5 --tiles 1 --points 2 --fps 4",
        ".mp4": ".gif",
    }
    wanted = ("train gan", "sample", "walk", "train --resume")
    done = 0
    for line in sorted((line for line in lines if "runs/digits" in line), key=lambda line: "--resume" in line):
        for old, new in smaller.items():
            line = line.replace(old, new)
        if line.startswith(tuple(f"gansmith {words}" for words in wanted)):
            assert cli.main(arguments(line)) == 0, line
            done += 1
    assert done == 5
    assert (tmp_path / "digits.png").is_file()
    assert len(list((tmp_path / "digits").rglob("*.png"))) == 10
    assert (tmp_path / "walk.gif").is_file()


def test_the_example_family_trains(npz, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    words = [
        "train",
        "examples.my_gan",
        "--data",
        str(npz),
        "--steps",
        "4",
        "--batch",
        "8",
        "--width",
        "8",
        "--conditional",
        "--snapshots",
        "1",
    ]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == 0
    model = gansmith.load(tmp_path / "run")
    assert model.family == "examples.my_gan"
    one, two = model.sample(4, seed=0, label=0), model.sample(4, seed=0, label=1)
    assert one.shape == (4, 32, 32, 3)
    assert not np.array_equal(one, two)


def test_the_notebook_runs(tmp_path):
    cells = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text())["cells"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "steps=2000" in code
    small = "import matplotlib\nmatplotlib.use('agg')\n" + code.replace(
        "steps=2000", "steps=3, width=8, batch=8, snapshots=1"
    )
    done = subprocess.run([sys.executable, "-c", small], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "digits-model" / "model.safetensors").is_file()


@pytest.fixture(scope="module")
def builder():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", list(registry.families()))
def test_a_page_for_every_family(name, builder):
    page = builder.family_page(name)
    for field in dataclasses.fields(registry.family(name).Config):
        row = next(line for line in page.splitlines() if line.startswith(f"| `--{field.name.replace('_', '-')}` |"))
        assert len(row.split("|")[4].strip()) > 10, row
    assert "## What the code says" in page
    assert "## When to use it" in page
    assert f"families/{name}.md" in (ROOT / "docs" / "index.md").read_text()


@pytest.mark.parametrize("name", list(registry.families()))
def test_notes_on_lines_quote_the_code(name, builder):
    code = [inspect.getsource(sys.modules[module]) for module in builder.modules_of(registry.family(name))]
    notes = (ROOT / "docs" / "lines" / f"{name}.md").read_text(encoding="utf-8").strip()
    before, *items = re.split(r"^- ", notes, flags=re.M)
    assert before == ""
    assert 5 <= len(items) <= 12
    for item in items:
        quoted = re.match(r"`([^`\n]{12,})`:\s+\S", item)
        assert quoted is not None, item
        assert any(quoted[1] in source for source in code), f"docs/lines/{name}.md: no code says {quoted[1]}"
    assert notes in builder.family_page(name)


def test_tables_come_from_files(builder):
    assert builder.result_table([{"family": "gan", "fid": 12.34567}, {"family": "r3gan", "fid": 3}]).splitlines() == [
        "| family | fid |", "| --- | --- |", "| gan | 12.35 |", "| r3gan | 3 |",
    ]  # fmt: skip
    assert "| gan | 1 |" in builder.result_table({"gan": {"x": 1}})
    page = builder.commands_page()
    for name in cli.commands():
        assert f"## gansmith {name}\n" in page
    assert "| `--class` |" in page
    assert "| `MODEL` |" in page


def test_everything_measured_is_on_a_page(builder):
    """Every result file is a table of a page or the source of rows; every row has a command, a page and its picture."""
    folder = ROOT / "docs" / "results"
    pages = "".join(path.read_text(encoding="utf-8") for path in [*folder.glob("*.md"), ROOT / "docs" / "scaling.md"])
    files = {path.name for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    rows = [row for family in builder.measured.runs().values() for row in family]
    sources = {row["source"]["file"] for row in rows if "source" in row}
    assert {name for name in files - sources if f"tables/{name[:-5]}.md" not in pages} == {"scaling.json"}  # a plot
    for family, measured in builder.measured.runs().items():
        assert registry.family(family)
        assert f'"tables/runs/{family}.md"' in (folder / f"{family}.md").read_text(encoding="utf-8")
        for row in measured:
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])
            assert row["command"].startswith(("gansmith ", "python benchmarks/"))
            assert (folder / f"{row.get('page', family)}.md").is_file(), row
            assert "picture" not in row or (ROOT / "docs" / "images" / row["picture"]).is_file(), row
            assert row["score"]
            assert not re.search(r"[{}]", row["score"] + row["time"] + row["seen"]), row


def test_rows_of_results_take_their_numbers_from_result_files(builder):
    row = {
        "source": {"file": "toy.json", "where": {"world": "ring", "family": "r3gan"}},
        "score": "{modes}, {points seen}",
    }
    assert builder.measured.filled(row)["score"] == "8.0 ± 0.0 of 8, 2,560,000"
    with pytest.raises(KeyError, match="0 rows"):
        builder.measured.filled({"source": {"file": "toy.json", "where": {"world": "moon"}}})


def test_environment_variables_are_documented():
    page = (ROOT / "docs" / "environment.md").read_text()
    for path in (ROOT / "src").rglob("*.py"):
        for name in re.findall(r"[\"'](GANSMITH_\w+)[\"']", path.read_text(encoding="utf-8")):
            assert f"`{name}`" in page, f"{path.name}: {name}"


def test_what_the_coach_can_say_is_explained():
    page = (ROOT / "docs" / "failures.md").read_text().lower()
    kinds = re.findall(r'Finding\(\s*"([\w-]+)"', (ROOT / "src" / "gansmith" / "health" / "coach.py").read_text())
    assert len(kinds) >= 6
    for kind in kinds:
        assert any(
            word in page
            for word in (
                kind,
                kind.replace("-", " "),
                {"collapse": "mode collapse", "discriminator-wins": "discriminator wins"}.get(kind, kind),
            )
        ), kind


def test_completion_scripts(capsys):
    for shell, words in (
        ("bash", "complete -o filenames -F _gansmith gansmith"),
        ("zsh", "#compdef gansmith"),
        ("fish", "complete -c gansmith"),
    ):
        assert cli.main(["completion", shell]) == 0
        text = capsys.readouterr().out
        assert words in text
        assert "truncation" in text
        assert "penalty-every" in text
        if shell == "bash":
            probe = text + '\nCOMP_WORDS=(gansmith sam); COMP_CWORD=1; _gansmith; echo "${COMPREPLY[@]}"'
            probe += '\nCOMP_WORDS=(gansmith train r3gan --tap); COMP_CWORD=3; _gansmith; echo "${COMPREPLY[@]}"'
            done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True)
            assert done.stdout.split() == ["sample", "--taper"]


def test_no_command_fetches_gansmith_from_an_index():
    """It is on none yet. An extra of an installed gansmith is found without one."""
    texts = [*PAGES, ROOT / "CONTRIBUTING.md", *(ROOT / "src").rglob("*.py"), *(ROOT / "examples").iterdir()]
    for path in texts:
        found = re.findall(r"pip install (?:-U |--upgrade )?'?gansmith(?![\w\[])", path.read_text(encoding="utf-8"))
        assert not found, path
    assert "pip install ." in (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
