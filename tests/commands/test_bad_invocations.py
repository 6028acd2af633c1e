"""Bad command lines over all commands end in one paragraph and change nothing: the first of those that
``benchmarks/bad_invocations.py`` draws by the thousand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gansmith import cli
from helpers import invocations, zoo

COUNT = 60


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[zoo.Thing]]:
    root = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANSMITH_CONFIG", str(root.parent / "config"))
        return root, zoo.build(root)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("GANSMITH_MODELS", "GANSMITH_CACHE", "GANSMITH_DATA"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name.lower()))


@pytest.mark.parametrize("part", range(4))
def test_bad_command_lines_end_in_words(things: tuple[Path, list[zoo.Thing]], part: int, tmp_path: Path) -> None:
    root, all_things = things
    codes: Counter[int] = Counter()
    for number in range(part, COUNT, 4):
        call = invocations.draw(0, number, all_things)
        found = invocations.outcome(call, root, tmp_path / str(number))
        assert found.faults == [], (number, call.argv, call.about, found.said[-600:])
        codes[found.code] += 1
    assert codes[2] > COUNT // 8, "most of them are refused"


def test_the_same_seed_draws_the_same_lines_over_all_commands(things: tuple[Path, list[zoo.Thing]]) -> None:
    lines = [invocations.draw(5, number, things[1]).argv for number in range(200)]
    assert lines == [invocations.draw(5, number, things[1]).argv for number in range(200)]
    assert set(cli.commands()) <= {words[0] for words in lines if words}
    assert len({tuple(words) for words in lines}) > 190


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("traceback", invocations.judge(invocations.Call(["sample"]), 1, "", "", "Traceback")),
        ("exit code 0", invocations.judge(invocations.Call(["sample"], refused=True), 0, "", "", "")),
        ("exit code 1", invocations.judge(invocations.Call(["sample"]), 1, "", "words", "")),
        ("2 without a paragraph", invocations.judge(invocations.Call(["sample"]), 2, "", "usage: no words\n", "")),
        ("says what a terminal obeys", invocations.judge(invocations.Call(["sample"]), 0, "\x1b[31m", "", "")),
        ("--json without JSON", invocations.judge(invocations.Call(["runs", "--json"]), 0, "none", "", "")),
    ],
)
def test_the_judge_sees(fault: str, said: list[str]) -> None:
    assert fault in said


def test_the_judge_sees_what_was_lost_and_left(tmp_path: Path) -> None:
    call = invocations.Call(["sample", "x"])
    invocations.prepare(call, tmp_path / "here")
    before = invocations.snapshot(tmp_path / "here")
    (tmp_path / "here" / "there" / "mine.txt").unlink()
    (tmp_path / "here" / "there.png").write_bytes(b"theirs")
    (tmp_path / "here" / ".model.1.tmp").mkdir()
    faults = invocations._changes(call, 2, before, invocations.snapshot(tmp_path / "here"))
    assert faults == [
        "lost ['there/mine.txt'], changed ['there.png']",
        "left ['.model.1.tmp']",
        "left half-written ['.model.1.tmp']",
    ]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["sample", "x", "--n", "y"], "--n takes a whole number, not 'y'."),
        (["walk", "x", "--tiles", "9" * 5000], "--tiles takes a whole number, and not one of thousands of digits."),
        (["walk", "x", "--fps", "fast"], "--fps takes a number, not 'fast'."),
        (["walk", "x", "--space", "q"], "--space is one of 'z', 'w', not 'q'."),
        (["sample"], "This is missing: STR (A run folder, a model folder, or a Hub id such as user/name)."),
        (["import", "x"], "This is missing: --out PATH (The model folder to write)."),
        (["sample", "x", "--truncatoin", "1"], "Not understood: --truncatoin, 1. Did you mean --truncation?"),
        (["sample", "x", "--n"], "--n needs a value."),
        (["apply", "x", "y", "--out", "z", "--mask-above", "true"], "--mask-above takes a whole number, not 'true'."),
        (["data", "check", "x", "--size", "big"], "--size takes a whole number, not 'big'."),
        (["data", "chekc", "x"], "COMMAND is one of 'check', 'pack', not 'chekc'."),
        (["data"], "This is missing: COMMAND."),
        (["sample", "x", "-"], "Not understood: -."),
        (["sample", "x", "a\x1b[31m"], "Not understood: a\\x1b[31m."),
        (["train", "gan", "--processes", "²"], "--processes is a number of processes on this machine, 1 to"),
        (["train", "gan", "--processes", "99999999"], "--processes is a number of processes on this machine, 1 to"),
        (["train", "gan", "--batch", "9" * 19], "--batch is far too large"),
        (["train", "gan", "--batch", "1" + "0" * 12], "--batch is at most 1,048,576"),
        (["train", "gan", "--size", "1" + "0" * 12], "--size is at most 32,768"),
        (["bench", "gan", "--size", "9" * 19], "--size is far too large"),
        (["bench", "gan", "--batch", "1" + "0" * 12], "--batch is at most"),
        (["sample", "y/" * 3000], "y/y/y/y/y"),
    ],
)
def test_flags_are_answered_in_one_paragraph(capsys: pytest.CaptureFixture[str], argv: list[str], words: str) -> None:
    assert cli.main(argv) == 2
    said = capsys.readouterr().err
    assert said.startswith("gansmith: ")
    assert said.count("\n") == 1
    assert words in said
    assert len(said) < 1000


def test_a_file_that_is_given_as_a_model_says_what_to_do(
    capsys: pytest.CaptureFixture[str], things: tuple[Path, list[zoo.Thing]]
) -> None:
    root, _ = things
    assert cli.main(["sample", str(root / "weights" / "good.pth")]) == 2
    assert "gansmith import" in capsys.readouterr().err
    assert cli.main(["sample", str(root / "models" / "gan" / "model.safetensors")]) == 2
    assert f"Give the folder that it lies in: {root / 'models' / 'gan'}." in capsys.readouterr().err
