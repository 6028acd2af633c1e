"""The wheel that people install: built, put into a new environment, and a model trained by it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("py.typed", "data/mnist10k.npz", "metrics/weights", "studio/static", "export/web_page")


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment with the wheel in it; what it depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # a copy: building writes into the tree, and other workers build too
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run(*pip, "wheel", "--no-deps", "-w", folder, tree, cwd=folder)
    (wheel,) = folder.glob("gansmith-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", wheel, cwd=folder)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")  # adds the path, not its editable installs
    return python.parent


def test_the_wheel_holds_everything(installed: Path, tmp_path: Path):
    where = Path(run(installed / "python", "-c", "import gansmith; print(gansmith.__path__[0])", cwd=tmp_path).strip())
    assert installed.parent in where.parents
    assert [part for part in PARTS if not (where / part).exists()] == []
    assert {p.name for p in where.rglob("*.py")} == {p.name for p in (ROOT / "src" / "gansmith").rglob("*.py")}


def test_it_trains_and_samples(installed: Path, tmp_path: Path):
    run(installed / "gansmith", "train", "gan", "--data", "mnist10k", "--steps", 3, "--out", "run", cwd=tmp_path)
    run(installed / "gansmith", "sample", "run", "--n", 4, "--out", "grid.png", cwd=tmp_path)
    assert (tmp_path / "grid.png").stat().st_size > 500
