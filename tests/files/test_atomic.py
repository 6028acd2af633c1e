"""Names of what is half-written: no two alike, short enough, known to the clearing; and several threads at one file."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from gansmith.files.atomic import clear_leftovers, replacing, temporary_beside, write_atomically

DEAD = 2**22 + 5
"""No process has this number: it is above what systems give."""


def at_once(work, times: int = 4) -> list[BaseException]:
    """Run ``work(number)`` in threads that begin together; their errors."""
    failed: list[BaseException] = []
    together = threading.Barrier(times)

    def run(number: int) -> None:
        together.wait()
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def test_no_two_names_are_alike(tmp_path):
    names: list[Path] = []
    assert at_once(lambda _: names.extend(temporary_beside(tmp_path / "a.png") for _ in range(500))) == []
    assert len(set(names)) == 2000


def test_two_threads_write_the_same_file_at_once(tmp_path):
    """Each of them writes it whole, and while both write a reader sees one of the two versions."""
    path, seen = tmp_path / "kept.txt", set()

    def write(number: int) -> None:
        for _ in range(50):
            write_atomically(path, str(number) * 100_000)
            seen.add(path.read_text())

    assert at_once(write, 2) == []
    assert {(text[0], len(text)) for text in seen} <= {("0", 100_000), ("1", 100_000)}
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_one_writes_while_another_has_the_same_file_open(tmp_path):
    with replacing(tmp_path / "a") as first:
        first.write_text("first")
        with replacing(tmp_path / "a") as second:
            second.write_text("second")
        assert (tmp_path / "a").read_text() == "second"
    assert (tmp_path / "a").read_text() == "first"


@pytest.mark.parametrize("folder", [False, True])
def test_after_an_error_nothing_is_left(tmp_path, folder):
    (tmp_path / "a").write_text("old")
    with contextlib.suppress(RuntimeError), replacing(tmp_path / "a") as temporary:
        temporary.mkdir() if folder else temporary.write_text("new")
        raise RuntimeError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]


@pytest.mark.parametrize("name", ["a.mp4", "x" * 251 + ".mp4", "图" * 83 + ".mp4"])
@pytest.mark.parametrize("ending", [False, True])
def test_a_long_name_has_a_temporary_one(tmp_path, name, ending):
    with replacing(tmp_path / name, ending=ending) as temporary:
        assert not ending or temporary.suffix == ".mp4"
        temporary.write_text("film")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_leftovers_are_known_by_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: DEAD)
    left = [temporary_beside(tmp_path / "a.mp4", ending=ending) for ending in (False, True)]
    old = temporary_beside(tmp_path / "model", "old")
    monkeypatch.undo()
    for path in (*left, old, own := temporary_beside(tmp_path / "a.mp4", ending=True)):
        path.touch()
    clear_leftovers(tmp_path, "a.mp4")
    assert sorted(tmp_path.iterdir()) == sorted([old, own])
    clear_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["model", own.name])
