"""The layout keeps its promises: modules import only from below, families never import each other, imports are lazy."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gansmith
from gansmith import cli, registry

PACKAGE = Path(gansmith.__file__).parent
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
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            # 'from package import module' asks for the module, not for what the package itself gathers
            found |= submodules if len(submodules) == len(node.names) else {node.module} | submodules
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("gansmith")}
    return {name for name in found if name in MODULES or f"{name}.__init__" in MODULES}


def test_there_is_no_import_cycle():
    edges = {
        name: {n if n in MODULES else f"{n}.__init__" for n in imports(path, True)} for name, path in MODULES.items()
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


def test_families_never_import_each_other_or_what_stands_above():
    above = ("gansmith.engine", "gansmith.hooks", "gansmith.run", "gansmith.bundle", "gansmith.training", "gansmith.cli", "gansmith.commands",
             "gansmith.studio", "gansmith.metrics", "gansmith.export", "gansmith.apply", "gansmith.gans")  # fmt: skip
    for name, path in MODULES.items():
        if name.startswith(("gansmith.gans.", "gansmith.nn.")) or name in (
            "gansmith.game",
            "gansmith.generation",
            "gansmith.translation",
        ):
            wrong = [n for n in imports(path, False) if n.startswith(above)]
            assert not wrong, f"{name} imports {wrong}"


def test_the_engine_knows_no_family():
    text = (PACKAGE / "engine.py").read_text(encoding="utf-8") + (PACKAGE / "training.py").read_text(encoding="utf-8")
    for family in registry.families():
        assert f'"{family}"' not in text
        assert f"'{family}'" not in text


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
