"""Families of one's own: named by the person, remembered with the person, and never imported because a file says so."""

from __future__ import annotations

import ast
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gansmith
from gansmith import cli, registry
from gansmith.errors import GansmithError
from gansmith.files import remembered
from gansmith.files.run import Run
from gansmith.parallel import isolated
from helpers.pictures import pictures, write_folder

PACKAGE = Path(gansmith.__file__).parent
SOURCE = '''"""A family that says when it is imported."""

import os
from pathlib import Path

from gansmith.gans.gan import Config, GAN

Path(os.environ["MARKER"]).touch()


class Mine(GAN):
    Config = Config
'''
NUMBERS = itertools.count()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the person's own settings, and a marker that the family's import leaves behind."""
    monkeypatch.setenv("GANSMITH_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MARKER", str(tmp_path / "imported"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "config"


@pytest.fixture
def module(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package on Python's path, of a new name each time."""
    name = f"own_families_{next(NUMBERS)}"
    (tmp_path / "code" / name).mkdir(parents=True)
    (tmp_path / "code" / name / "__init__.py").write_text("")
    (tmp_path / "code" / name / "mine.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return f"{name}.mine"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "imported"


@pytest.fixture
def data(home: Path, tmp_path: Path) -> Path:
    np.savez(tmp_path / "data.npz", x=pictures(24, 16), y=np.arange(24) % 3)
    return tmp_path / "data.npz"


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    """A finished run of a built-in family."""
    words = ["--steps", "4", "--batch", "8", "--snapshots", "0", "--width", "8"]
    assert cli.main(["train", "gan", "--data", str(data), "--out", str(tmp_path / "run"), *words]) == 0
    return tmp_path / "run"


def rename_family(run: Path, family: str) -> None:
    """Let a run's files say that it is of another family."""
    found = Run.open(run)
    found.family = family
    found.write_config()
    path = run / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "family": family}))


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert cli.main(list(words)) == 2, words
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_no_command_imports_what_a_file_names(
    run: Path, data: Path, module: str, marker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rename_family(run, module)
    (tmp_path / "settings.yaml").write_text(f"family: {module}\nsteps: 4\n")
    photos = write_folder(tmp_path / "photos", 2)
    for words in (
        ["sample", "run"], ["sample", "run/model"], ["walk", "run"], ["mix", "run", "--rows", "0", "--columns", "1"], ["edit", "run"],
        ["invert", "run", str(photos / "000.png")], ["apply", "run", str(photos)], ["evaluate", "run", "--data", str(data)],
        ["export", "run", "--to", "onnx", "--out", "x.onnx"], ["augment", "--model", "run", "--data", str(data)],
        ["train", "--resume", "--out", "run", "--steps", "8"], ["train", "gan", "--data", str(data), "--init", "run", "--steps", "2"],
        ["train", "--config", "settings.yaml", "--data", str(data)], ["doctor", "--config", "settings.yaml", "--data", str(data)],
        ["train", "--config", "run/config.yaml", "--data", str(data)],
    ):  # fmt: skip
        more = ["--out", "made"] if words[0] in ("sample", "invert", "apply", "augment") else []
        more += (
            ["--out", "walk.gif"]
            if words[0] == "walk"
            else ["--out", "grid.png"]
            if words[0] in ("mix", "edit")
            else []
        )
        assert f"--family-module {module}" in refused(capsys, *words, *more), words
        assert not marker.exists(), words
    assert cli.main(["runs", "."]) == 0
    assert module in capsys.readouterr().out.replace("\n", "")
    with pytest.raises(GansmithError, match="use_family"):
        gansmith.load(run)
    assert not marker.exists()
    assert module not in sys.modules


def test_the_studio_lists_such_runs_and_imports_nothing(run: Path, module: str, marker: Path, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    from gansmith.studio.app import create_app

    rename_family(run, module)
    (tmp_path / "model").mkdir()
    for file in (run / "model").iterdir():
        (tmp_path / "model" / file.name).write_bytes(file.read_bytes())
    with TestClient(
        create_app(tmp_path, warm_up=False), base_url="http://127.0.0.1:7860", headers={"X-Gansmith": "studio"}
    ) as client:
        assert [row["family"] for row in client.get("/api/runs").json()] == [module]
        assert {row["id"] for row in client.get("/api/models").json()} == {"run", "model"}
        answer = client.get("/api/model", params={"model": "run"})
        assert answer.status_code == 400
        assert "--family-module" in answer.json()["error"]
    assert not marker.exists()


def test_what_the_person_names_is_remembered_outside_of_the_model(
    run: Path, module: str, home: Path, marker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rename_family(run, module)
    refused(capsys, "sample", "run", "--out", "no.png")
    assert cli.main(["sample", "run", "--family-module", module, "--n", "4", "--out", "one.png"]) == 0
    assert marker.exists()
    assert json.loads((home / "families.json").read_text()) == {module: str(tmp_path / "code")}
    marker.unlink()
    words = [sys.executable, "-m", "gansmith", "sample", "run", "--n", "4", "--out", "two.png"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "GANSMITH_FAMILY_MODULES": "{}"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert marker.exists()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_to_train_a_family_is_to_name_it(
    module: str, data: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(data), "--steps", "2", "--batch", "8", "--snapshots", "0", "--width", "8", "--out", "own"]
    assert cli.main(["train", module, *words]) == 0
    assert module in json.loads((home / "families.json").read_text())
    sys.modules.pop(module)
    assert gansmith.load("own").family == module
    assert cli.main(["train", "--resume", "--out", "own", "--steps", "4"]) == 0


def test_a_module_of_the_current_folder_is_found_last(module: str, marker: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path / "code")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(tmp_path / "code"))])
    game = registry.named(module)
    assert game.__module__ == module
    assert sys.path[-1] == str(tmp_path / "code")


def test_another_module_of_the_same_name_is_not_the_one_that_was_named(
    run: Path, module: str, marker: Path, tmp_path: Path, monkeypatch
) -> None:
    rename_family(run, module)
    gansmith.use_family(module)
    for name in (module, module.partition(".")[0]):
        sys.modules.pop(name)
    marker.unlink()
    other = tmp_path / "downloads" / module.partition(".")[0]
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("import os, pathlib; pathlib.Path(os.environ['MARKER']).touch()")
    (other / "mine.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path / "downloads"))
    with pytest.raises(GansmithError, match=r"was named when it lay in .*code"):
        gansmith.load(run)
    assert not marker.exists()


def test_families_of_installed_packages_need_not_be_named(run: Path, module: str, tmp_path: Path, capsys) -> None:
    info = tmp_path / "code" / "own_families-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-families\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[gansmith.families]\nmy-own = {module}\n")
    assert registry.installed_families() == {"my-own": module}
    assert registry.family("my-own").__module__ == module
    sys.modules.pop(module)
    rename_family(run, module)
    assert gansmith.load(run).family == module
    assert "my-own" in refused(capsys, "train", "nothing-like-it")


@pytest.mark.parametrize(
    "name", ["os", "my_gan", "a/b.py", "../x.y", "", ".x", "x.", "x..y", "json.decoder", "x\x1b[31m.y"]
)
def test_what_is_no_family_is_refused_in_words(name: str, home: Path) -> None:
    with pytest.raises(GansmithError) as error:
        gansmith.use_family(name)
    assert str(error.value).isprintable()
    assert not (home / "families.json").exists()


def test_damaged_memories_and_folders_that_cannot_be_written(
    module: str, home: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    for content in (b"", b"{", b"[1]", b'{"a": 1}', b"[" * 10_000, b"\xff"):
        (home / "families.json").write_bytes(content)
        assert remembered.modules() == {}
    (home / "families.json").unlink()
    home.rmdir()
    home.write_text("a file in the way")
    gansmith.use_family(module)  # known to this process and those that it starts
    assert module in remembered.modules()
    assert module in json.loads(os.environ["GANSMITH_FAMILY_MODULES"])
    monkeypatch.delenv("GANSMITH_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    monkeypatch.delenv("APPDATA", raising=False)
    assert remembered.config_folder() == Path("/somewhere/gansmith")
    monkeypatch.setenv("XDG_CONFIG_HOME", "not/absolute")  # to be ignored, says the XDG Base Directory Specification
    assert remembered.config_folder() == Path("~/.config/gansmith").expanduser()


# --- processes that are started ---------------------------------------------------------------------------------------

FOUND_FIRST = ("random", "json", "typing", "dataclasses", "threading", "torch", "numpy", "gansmith", "runpy", "site")


@pytest.fixture
def trap(home: Path, marker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with modules of Python's own names."""
    folder = tmp_path / "trap"
    folder.mkdir()
    for name in FOUND_FIRST:
        (folder / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close(); raise SystemExit(9)")
    monkeypatch.chdir(folder)
    return folder


def test_processes_that_we_start_import_nothing_from_the_current_folder(
    trap: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE.parent))
    before_311 = [sys.executable, "-c", isolated._BEFORE_311, "gansmith", "--version"]
    for command in (isolated.command("gansmith", ["--version"]), before_311):
        done = subprocess.run(command, env=isolated.environment(), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, gansmith.__version__), done.stderr
        assert not marker.exists()
    # without the variable, too: it is only for what those processes start in their turn
    plain = {name: value for name, value in isolated.environment().items() if name != "PYTHONSAFEPATH"}
    for command in (isolated.command("gansmith", ["--version"]), before_311):
        assert subprocess.run(command, env=plain, capture_output=True, check=False).returncode == 0
    assert not marker.exists()


def test_python_m_gansmith_runs_no_random_of_the_current_folder(trap: Path, marker: Path) -> None:
    for name in ("runpy", "site", "typing", "gansmith"):  # what is looked for before our first line is run
        (trap / f"{name}.py").unlink()
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "gansmith", "sample", "nothing", "--out", "x.png"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert not marker.exists()


def test_folders_of_pythonpath_mean_the_same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "code", str(tmp_path / "code"), "/x"]))
    found = isolated.environment()["PYTHONPATH"].split(os.pathsep)
    assert [place for place in found if place != str(PACKAGE.parent)] == [str(tmp_path / "code"), "/x"]
    assert isolated.environment()["PYTHONSAFEPATH"] == "1"


def test_every_python_that_we_start_is_apart() -> None:
    """No module of the package builds a command line of Python's own."""
    for path in PACKAGE.rglob("*.py"):
        if path.name == "isolated.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable"), path
