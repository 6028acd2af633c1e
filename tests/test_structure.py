"""The layout keeps its promises: modules import only from below, families never import each other, imports are lazy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gansmith
from gansmith import cli, registry

PACKAGE = Path(gansmith.__file__).parent
ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(("gansmith", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in PACKAGE.rglob("*.py")
}


def imports(path: Path, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    if top_level_only:
        nodes = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)) and n.col_offset == 0]
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gansmith"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name in names if name in MODULES or f"{name}.__init__" in MODULES}
            # 'from package import module' asks for the module, not for what the package itself gathers
            found |= submodules if len(submodules) == len(node.names) else {node.module} | submodules
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("gansmith")}
    return {name for name in found if name in MODULES or f"{name}.__init__" in MODULES}


def test_there_is_no_import_cycle():
    """Imports inside functions count: a cycle that is only imported late is still a circle."""
    edges = {
        name: {n if n in MODULES else f"{n}.__init__" for n in imports(path, False)} for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in edges.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def drawn_rows() -> dict[str, int]:
    """Module or folder -> its row in DESIGN.md's drawing of the layers, counted from the top."""
    text = (ROOT / "DESIGN.md").read_text(encoding="utf-8").split("## Layers", 1)[1]
    drawing = text.split("```", 2)[1].strip("\n").splitlines()
    return {name: row for row, line in enumerate(drawing) for name in line.split("  ", 1)[0].split()}


def row_of(module: str, rows: dict[str, int]) -> int:
    """The row of the longest name that a module's dotted name begins with."""
    parts = module.removeprefix("gansmith.").split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in rows:
            return rows[".".join(parts[:length])]
    raise AssertionError(f"{module} stands in no row of DESIGN.md's drawing of the layers.")


def test_every_import_follows_the_rows_that_design_draws():
    rows = drawn_rows()
    assert len(rows) > 20
    names = {name.removeprefix("gansmith.") for name in MODULES}
    for drawn in rows:
        assert drawn in names or any(name.startswith(f"{drawn}.") for name in names), f"{drawn} is drawn and not there"
    for name, path in MODULES.items():
        mine = row_of(name, rows)
        for target in imports(path, False):
            module = target if target in MODULES else f"{target}.__init__"
            assert row_of(module, rows) <= mine, f"{name} imports {target}, which stands in a row below its own"


def test_families_never_import_each_other():
    for name, path in MODULES.items():
        if name.startswith(("gansmith.gans.", "gansmith.nn.", "gansmith.game", "gansmith.generation")):
            wrong = [n for n in imports(path, False) if n.startswith("gansmith.gans")]
            assert not wrong, f"{name} imports {wrong}"


def test_readme_prints_the_tree():
    """Both READMEs name every folder and every root module, each once, and nothing that is not there."""
    there = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" and not path.name.startswith("__")}
    there |= {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    for readme in ("README.md", "README.zh-CN.md"):
        text = (ROOT / readme).read_text(encoding="utf-8")
        tree = text[text.index("src/gansmith/\n") : text.index("tests/  benchmarks/")].splitlines()[1:]
        named = re.findall(r"(?:^  |  )(\w+(?:\.py|/))(?=  )", "\n".join(tree), re.MULTILINE)
        assert sorted(named) == sorted(there), readme


def test_root_holds_few_modules():
    assert len(list(PACKAGE.glob("*.py"))) <= 14


def test_the_engine_knows_no_family():
    text = "".join(
        (PACKAGE / "training" / name).read_text(encoding="utf-8") for name in ("engine.py", "steps.py", "session.py")
    )
    for family in registry.families():
        assert f'"{family}"' not in text
        assert f"'{family}'" not in text


def test_nobody_asks_a_game_by_the_name_of_an_attribute():
    """What a game can do is said by its class (:mod:`gansmith.abilities`)."""

    def is_game(node: ast.expr) -> bool:
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        return name in ("game", "kind", "family", "again", "averaged", "twin")

    for name, path in MODULES.items():
        rooms = ("gansmith.gans.", "gansmith.generation.", "gansmith.translation.")
        inside_a_game = name.startswith(rooms) or name in ("gansmith.game", "gansmith.abilities")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("hasattr", "getattr")
            ):
                asked = node.args[0]
                own = isinstance(asked, ast.Name) and asked.id in ("self", "cls")
                of_config = (
                    isinstance(asked, ast.Attribute) and asked.attr == "config"
                )  # settings are read by their names
                assert not is_game(asked), f"{name}:{node.lineno}"
                assert not inside_a_game or (of_config and not own), f"{name}:{node.lineno}"


def test_nothing_reads_a_pickle_that_runs_code():
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert called not in ("pickle.load", "pickle.loads", "eval", "exec", "joblib.load"), f"{name}: {called}"
                if called == "torch.load":
                    assert keywords.get("weights_only") == "True", name
                if called == "np.load":
                    assert keywords.get("allow_pickle", "False") == "False", name


def test_every_module_and_command_says_what_it_is():
    for name, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name
    for text in (*cli.commands().values(), *registry.families().values()):
        assert text.endswith("."), text


def test_importing_does_no_work():
    code = "import sys, gansmith; print([m for m in ('torch', 'numpy', 'PIL', 'tyro') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_help_is_fast():
    times = []
    for _ in range(3):
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "gansmith", "--help"], capture_output=True, text=True, check=True)
        times.append(time.monotonic() - start)
    assert min(times) < 1.0
    for name in (*cli.commands(), *registry.families()):
        assert name in done.stdout


def test_public_names_resolve():
    for name in gansmith.__all__:
        assert getattr(gansmith, name) is not None
    with pytest.raises(AttributeError):
        _ = gansmith.nonsense  # type: ignore[attr-defined]


def test_tests_mirror_the_package():
    """A test lies where the package has what it tests; what several tests use lies in ``helpers``."""
    tests = ROOT / "tests"
    for path in sorted(tests.rglob("*.py")):
        folder = path.relative_to(tests).parent
        if path.name.startswith("test_"):
            assert (PACKAGE / folder).is_dir() or folder.name == "phantom_gpu", path
        else:
            assert folder.parts[:1] == ("helpers",) or path.name == "conftest.py", path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith(("test_", "conftest")), (path, node.module)
