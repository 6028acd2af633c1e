"""YAML and JSON of run and model folders that came from anybody, and names that would command a terminal."""

from __future__ import annotations

import ast
import contextlib
import json
import random
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import gansmith
from gansmith import cli, config
from gansmith.errors import GansmithError, RunError, shown
from gansmith.files import documents, yaml_documents
from gansmith.files.documents import Unreadable, parse_json
from gansmith.files.run import Run
from gansmith.files.trees import unflatten
from gansmith.files.yaml_documents import parse_yaml
from gansmith.training import checkpoint
from helpers.pictures import pictures, write_folder

PACKAGE = Path(gansmith.__file__).parent


def aliases(levels: int) -> str:
    """Ten times more values at each level, in a text of some lines."""
    lines = ["l0: &l0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


BOMBS: dict[str, str] = {
    "nested lists": "[" * 100_000,
    "nested lists, closed": "[" * 5000 + "]" * 5000,
    "nested tables": "{a: " * 5000,
    "nested by indentation": "\n".join(" " * i + "a:" for i in range(600)),
    "nested by dashes": "- " * 3000 + "a",
    "aliases": aliases(9),
    "aliases of one list": "a: &a [" + "x, " * 3000 + "]\nb: [" + "*a, " * 3000 + "]",
    "an alias of itself": "a: &a [*a]",
    "an alias of nothing": "a: *b",
    "a date": "a: !!timestamp 2001-01-01T00:00:00Z",
    "bytes": "a: !!binary aGVsbG8=",
    "a set": "a: !!set {b, c}",
    "Python": "a: !!python/object/apply:os.system ['true']",
    "Python's name": "a: !!python/name:os.system",
    "a tag of its own": "a: !mine 3",
    "a whole number": "a: " + "9" * 900_000,
    "sixty times sixty": "a: " + "1" + ":59" * 200_000,
    "binary digits": "a: 0b" + "1" * 900_000,
    "no number": "a: !!int abc",
    "no number at all": "a: !!int ''",
    "neither yes nor no": "a: !!bool perhaps",
    "a list as a key": "? [a, b]\n: c",
    "large keys": "\n".join(f"{k * (2**61 - 1)}: a" for k in range(1, 20_000)),
    "two documents": "a: 1\n---\nb: 2",
    "very large": "a: " + "x" * (2**20),
    "no yaml": "a: [1, 2\nb: }",
    "control characters": "a: \x1b[31m",
    "no text": "a: \udcff",
}


@pytest.mark.parametrize("name", BOMBS)
def test_yaml_bombs_are_refused_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(BOMBS[name].encode("utf-8", "surrogateescape"))
    start = time.process_time()
    with pytest.raises(GansmithError) as error:
        yaml_documents.read_settings(path)
    assert time.process_time() - start < 5
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000
    with pytest.raises(RunError, match="damaged"):
        Run.open(tmp_path)


def test_yaml_is_read_as_it_was() -> None:
    text = 'a: [1, -2, 0x10, 1.5, 1e-4, 1.0e+3, .inf, yes, No, ~, null, \'\', "2001-01-01", 3:20, "\\u00fc", on, 1_000]\nb: {c: d, 1: one}\nd: &s [x]\ne: *s'
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("day: 2001-01-01") == {"day": "2001-01-01"}
    assert parse_yaml("a: !!str 3\nb: !!float 3\n? !!int '4'\n: ! 5") == {"a": "3", "b": 3.0, 4: "5"}
    assert parse_yaml("") is None
    merges = "a: &a {x: 1}\nb: &b {<<: [*a, *a, *a]}\nc: {<<: [" + "*b, " * 5000 + "]}"
    assert (
        parse_yaml(merges)["c"]["<<"] == [{"<<": [{"x": 1}] * 3}] * 5000
    )  # a key like any other, and nothing is copied


def test_what_we_write_is_what_we_read() -> None:
    choice = random.Random(0)

    def value(depth: int) -> Any:
        kinds = [lambda: choice.randrange(-(2**40), 2**40), lambda: choice.uniform(-1e9, 1e9), lambda: choice.random() < 0.5, lambda: None,
                 lambda: "".join(choice.choice("abü日 :-#'\"\\\n\t{}[]&*!|>%@`0123456789.~=<yesNO") for _ in range(choice.randrange(20))),
                 lambda: choice.choice(["null", "true", "2001-01-01", "1:30", "0x1F", "1e5", "~", "<<", "=", "", "-", "no", "nan", ".nan"])]  # fmt: skip
        if depth < 4:
            kinds += [lambda: [value(depth + 1) for _ in range(choice.randrange(5))]] * 2
            kinds += [lambda: {f"k{i}": value(depth + 1) for i in range(choice.randrange(5))}] * 2
        return choice.choice(kinds)()

    for _ in range(300):
        tree = {"a": value(0), "b": value(0)}
        assert parse_yaml(config.to_yaml(tree)) == tree
        assert parse_json(json.dumps(tree)) == tree


JSON_BOMBS = {
    "nested lists": "[" * 100_000,
    "nested tables": '{"a":' * 5000,
    "nested in quotes": '["' + "[" * 100_000,
    "a whole number": '{"a": ' + "9" * 1_000_000 + "}",
    "a fraction": '{"a": 0.' + "9" * 1_000_000 + "}",
    "cut": '{"a": [1, 2',
    "empty": "",
    "not JSON": "family: gan",
    "very large": '{"a": "' + "x" * 2**22 + '"}',
}


@pytest.mark.parametrize("name", JSON_BOMBS)
def test_json_bombs_are_refused_at_once(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(JSON_BOMBS[name])
    start = time.process_time()
    with pytest.raises(Unreadable):
        documents.read_json(tmp_path / "config.json")
    with pytest.raises(GansmithError, match=r"config\.json .*Copy or download"):
        gansmith.load(tmp_path)
    assert time.process_time() - start < 5


def test_a_checkpoints_json_is_bounded_too(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "000001", {"a": 1})
    for text in JSON_BOMBS.values():
        (tmp_path / "000001" / "state.json").write_text(text)
        said: list[str] = []
        with pytest.raises(RunError, match="Every checkpoint"):
            checkpoint.load(tmp_path, said.append)
        assert len(said) == 1
        assert len(said[0]) < 1000
    keys = {f"\0int{k * (2**61 - 1)}": 0 for k in range(1, 50_000)}
    with pytest.raises(ValueError, match="too large"):
        unflatten(keys, {})


def test_a_log_ends_where_it_is_damaged(tmp_path: Path) -> None:
    lines = [
        '{"images": 1}',
        '{"images": 2, "x": NaN}',
        "[1]",
        '{"images": "many"}',
        '{"images": true}',
        '{"images": 1e400}',
        '{"images": 3}',
    ]
    path = tmp_path / "log.jsonl"
    found = Run(tmp_path, "gan")
    for bad in ("{", "[" * 100_000, '{"images": ' + "9" * 10_000 + "}", '{"a": "' + "x" * 2**19 + '"}'):
        path.write_text("\n".join([*lines, bad, '{"images": 4}']))
        assert [record["images"] for record in found.records()] == [1, 2, 3]


# --- broken runs ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    np.savez(root / "data.npz", x=pictures(24, 16))
    words = [
        "--data",
        str(root / "data.npz"),
        "--out",
        str(root / "run"),
        "--steps",
        "2",
        "--batch",
        "8",
        "--width",
        "8",
        "--snapshots",
        "0",
    ]
    assert cli.main(["train", "gan", *words]) == 0
    return root / "run"


def broken_runs(root: Path, trained: Path) -> dict[str, str]:
    """A folder of runs: a good one, and one for each way of being broken. Names, and what must be said of each."""
    shutil.copytree(trained, root / "good")
    good = (trained / "config.yaml").read_text()
    texts = {f"bomb-{i}": text for i, text in enumerate(BOMBS.values())}
    texts |= {
        "no-settings": "family: gan", "lists": "family: gan\nsettings: []\ntrain: {}\nfacts: {}", "empty": "",
        "spec": re.sub(r"height: \d+", "height: tall", good), "data": good.replace("hash:", "hush:").replace("data:\n", "data: 3\nother:\n"),
        "huge": re.sub(r"height: \d+", "height: 1e400", good), "class": re.sub(r"class_names: .*", "class_names: {a: b}", good),
    }  # fmt: skip
    for name, text in texts.items():
        (root / name).mkdir()
        (root / name / "config.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    shutil.copytree(trained, root / "log")
    (root / "log" / "log.jsonl").write_text('{"images": 5, "progress": "half", "seconds": []}\n')
    (root / "other-program").mkdir()
    (root / "other-program" / "config.yaml").write_text("learning_rate: 3\n")
    return texts | {"log": ""}


def test_broken_runs_are_named_and_hide_no_other(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = broken_runs(tmp_path, trained)
    assert cli.main(["runs", str(tmp_path), "--json"]) == 0
    rows = {Path(row["run"]).name: row for row in json.loads(capsys.readouterr().out)}
    assert rows["good"]["status"] == "finished"
    assert "other-program" not in rows
    assert {name for name, row in rows.items() if row["status"].startswith("broken: ")} == set(broken)
    assert cli.main(["runs", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "finished" in table
    assert "\x1b" not in table


def test_the_studio_names_broken_runs_too(tmp_path: Path, trained: Path) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    from gansmith.studio.app import create_app

    broken = broken_runs(tmp_path / "runs", trained)
    headers = {"X-Gansmith": "studio"}
    with TestClient(create_app(tmp_path, warm_up=False), base_url="http://127.0.0.1:7860", headers=headers) as client:
        rows = {row["id"].removeprefix("runs/"): row for row in client.get("/api/runs").json()}
        assert rows["good"]["status"] == "finished"
        assert not rows["good"].get("problem")
        assert {name for name, row in rows.items() if row["status"] == "broken"} == set(broken)
        assert all(rows[name]["problem"] for name in broken)
        for name in broken:
            assert client.get("/api/run", params={"id": f"runs/{name}"}).status_code in (200, 422), name
        assert client.get("/api/models").status_code == 200
        # it can be taken away
        assert client.post("/api/run/delete", json={"id": "runs/bomb-0"}).status_code == 200


# --- names ------------------------------------------------------------------------------------------------------------

EVIL = "\x1b]0;owned\x07\x1b[31m\u202eevil\r\b"


def test_shown() -> None:
    assert shown("Straße 日本 ok.png") == "Straße 日本 ok.png"
    assert shown("\x1b[31m\n\u202e\x07\udcff") == "\\x1b[31m\\n\\u202e\\x07\\udcff"
    assert all(shown(chr(code)).isprintable() for code in range(0x3000))


def test_names_never_command_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate((EVIL, "usual")):
        write_folder(tmp_path / "data" / name, 12, size=16, first=12 * number)
    (tmp_path / "data" / "usual" / f"{EVIL}.png").write_bytes(b"broken")
    (tmp_path / "data" / "usual" / f"copy{EVIL}.png").write_bytes(
        (tmp_path / "data" / "usual" / "000.png").read_bytes()
    )
    (tmp_path / "data" / f"{EVIL}.txt").write_text("no picture")
    run = f"run{EVIL}"
    training = ["--steps", "2", "--batch", "8", "--width", "8", "--snapshots", "0", "--conditional", "--out", run]
    photos = write_folder(tmp_path / "photos", 1, size=32)
    (photos / f"{EVIL}.png").write_bytes(b"broken")
    Path(f"{EVIL}.pth").write_bytes(b"broken")
    for words in (
        ["data", "check", "data"], ["train", "gan", "--data", "data", *training], ["runs", "."], ["train", "--resume", "--out", run],
        ["sample", run, "--class", EVIL, "--n", "2", "--out", f"a{EVIL}.png"], ["sample", run, "--class", "none", "--out", "b.png"],
        ["sample", f"no{EVIL}", "--out", "b.png"], ["evaluate", run, "--data", f"no{EVIL}"], ["import", f"{EVIL}.pth", "--out", "m"],
        ["apply", run, str(photos), "--out", "c"], ["train", f"x{EVIL}", "--data", "data"], ["train", "gan", "--config", f"{EVIL}.yaml"],
        ["evaluate", run, "--data", "data", "--metrics", "swd", "--n", "20"], [f"x{EVIL}"], ["walk", run, "--out", f"w{EVIL}.txt"],
        ["export", run, "--to", "program", "--out", f"e{EVIL}.pt2"],
    ):  # fmt: skip
        with contextlib.suppress(SystemExit):
            cli.main(words)
        said = capsys.readouterr()
        assert not set(said.out + said.err) & set("\x1b\x07\b\u202e"), words
        assert "\r" not in (said.out + said.err).replace("\r\n", ""), words
    assert "\\x1b[31m" in _runs(capsys)


def _runs(capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["runs", "."]) == 0
    return capsys.readouterr().out


def test_commands_print_text_by_one_helper() -> None:
    """``say`` and ``show_table`` show names safely; ``print`` is for what has none, and for JSON, which writes them safely itself."""
    allowed = re.compile(
        r"print\((HELP|usage\(\)|json(_module)?\.dumps\(|__version__|'gansmith: interrupted'|\{'bash': |f\"gansmith: \{shown)"
    )
    for path in [PACKAGE / "cli.py", *sorted((PACKAGE / "commands").glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print" and path.name != "_parse.py":
                text = ast.unparse(node)
                constant = isinstance(node.args[0], ast.Constant)
                assert constant or allowed.match(text) or "shown(" in text, f"{path.name}: {text}"
