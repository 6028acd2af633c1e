"""Bad command lines, drawn from a seed over all commands, and what must be true of whatever becomes of one."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import random
import re
import shutil
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gansmith import cli
from gansmith.commands.completion import flags_of
from helpers.zoo import Thing

HOLES = re.compile(r"\{(\w+)\}")

COMMANDS: dict[str, tuple[str, str]] = {
    "sample": ("sample {generator} --n 3 --out {picture_out}", ""),
    "walk": ("walk {generator} --out {film_out} --seconds 0.5 --fps 4 --tiles 1 --points 2", ""),
    "film": ("film {run} --out {film_out} --seconds 0.5 --fps 4", ""),
    "mix": ("mix {stylegan2} --rows 0-1 --columns 2 --out {picture_out}", ""),
    "edit": ("edit {stylegan2} --directions 1 --steps 3 --out {picture_out}", ""),
    "invert": ("invert {stylegan2} {picture} --out {folder_out} --steps 2 --distance pixels", ""),
    "evaluate": ("evaluate {generator} --data {data} --metrics swd --n 40", ""),
    "export": ("export {model} --to web --out {page_out}", ""),
    "import": ("import {weights} --out {folder_out}", ""),
    "get": ("get {name} --offline", ""),
    "models": ("models {name} --json", ""),
    "runs": ("runs {runs} --json", ""),
    "studio": ("studio {runs} --port {port}", "always"),
    "study": ("study --data {classes} --synthetic {classes} --out {folder_out} --seeds 2 --classifier tiny --classifier-steps 2", ""),
    "augment": ("augment --data {classes} --out {folder_out} --family gan --steps 2 --per-class 2 --width 8", ""),
    "bench": ("bench {family} --tiny --rounds 1 --size 16 --batch 2 --precision fp32", ""),
    "apply": ("apply {translator} {picture} --out {folder_out}", ""),
    "apply mask": ("apply {filler} {picture} --mask {mask} --out {folder_out}", ""),
    "apply box": ("apply {filler} {picture} --box 3,3,5,5 --out {folder_out}", ""),
    "toy": ("toy ring --family {family} --images 32 --seeds 1 --batch 8 --out {folder_out}", ""),
    "train": ("train {family} --data {data} --out {folder_out} --steps 2 --batch 4 --snapshots 1", ""),
    "train config": ("train --config {config} --out {folder_out}", ""),
    "train resume": ("train --resume --out {own_run} --steps 6", ""),
    "train init": ("train gan --data {data} --init {generator} --out {folder_out} --steps 2 --batch 4 --snapshots 1", ""),
    "doctor": ("doctor {family} --data {data} --batch 4", ""),
    "data check": ("data check {data} --json", ""),
    "data pack": ("data pack {data} --out {folder_out}", ""),
    "completion": ("completion {shell}", ""),
}  # fmt: skip
"""A good line of every command, with holes for what can be wrong; ``always`` marks the ones that are drawn only where they must be refused."""

PARTLY = {"apply", "data", "doctor", "get", "export", "study"}
"""Commands that end with 1 where they did a part, or found what they were asked to look for."""

WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "family": ("gan", ("", "dcgam", "GAN", "os", "os.path", "no.such.module", "./gan", "a\nb", "\x1b[1m", "猫", "-1", "gan,dcgan", "../gan", "json")),
    "name": ("realesrgan-x4plus", ("", "nowhere", "../..", "/etc/passwd", "realesrgan", "a\nb", "\x1b[1m", "猫" * 100, "user/name", ".")),
    "port": ("70000", ("-1", "70000", "x", "99999999999999", "3.5", "", "0x50", "nan")),
    "shell": ("bash", ("tcsh", "", "BASH", "bash zsh", "猫", "\x1b[1m")),
    "picture_out": ("new.png", ("", ".", "/", "new", "new.docx", "new.png/", "there.png", "there", "there/mine.txt/new.png", "x" * 300 + ".png", "/proc/nowhere/new.png", "a\nb.png",
                                "\x1b[1m.png", "\udcff.png", "/dev/full/new.png", "../../../proc/new.png", "new.npz", "NEW.PNG", "猫.jpg", "new.webp", "-", "link/new.png")),
    "film_out": ("new.gif", ("", ".", "new", "new.png", "there.gif", "there", "there.gif/new.gif", "/proc/nowhere/new.gif", "x" * 300 + ".gif", "a\nb.gif", "\udcff.gif", "new.avi")),
    "page_out": ("new.html", ("", ".", "new", "new.png", "there.html", "there", "there.html/new.html", "/proc/nowhere/new.html", "x" * 300 + ".html", "a\nb.html", "\udcff.html")),
    "folder_out": ("new", ("", "there", "there.png", "there.png/new", "/proc/nowhere", "/dev/null", "x" * 300, "a\nb", "\x1b[1m", "\udcff", ".", "/", "link", "..")),
}  # fmt: skip
"""For holes that are words: a good one and bad ones. Some bad ones are good for some commands."""

VALUES = ("", " ", "x", "-1", "0", "nan", "inf", "-inf", "1e309", "-0.0", "1e-400", "9" * 30, "9" * 5000, "0x10", "٣", "²", "3.5", "1_000", "true", "None", "\x1b[31m", "a\nb",
          "\udcff", "猫", "1,2", "1 2", "../x", "/", "--", "-", "[]", "{}", "5-1", "0-99999999999", "1,,2", "%s", "cuda", "cuda:99", "mps", "meta", "a,b,c,d", "1,1,0,0", "-5,-5,3,3")  # fmt: skip
"""For any flag."""

NUMBERS = (
    "-1",
    "0",
    "1",
    "2",
    "3",
    "7",
    "100",
    "-0.5",
    "0.5",
    "2.5",
    "1e-30",
    "1e30",
    "nan",
    "inf",
    "1000000000",
    "9" * 19,
    "9" * 30,
)
"""For flags that may take numbers."""

LONG = {
    "--steps",
    "--images",
    "--minutes",
    "--seeds",
    "--rounds",
    "--classifier-steps",
    "--per-class",
    "--n",
    "--seconds",
    "--threads",
}
"""Flags whose large numbers are an honest wish that takes long; they get no large numbers."""

EXTRA = (
    "--nonsense", "--nonsense=3", "--out", "--overwrite=3", "extra", "--debugg", "-x", "--n", "--steps 3 --minutes 1", "--images 9 --steps 1", "--class 0", "--class nowhere",
    "--mask nowhere.png", "--box 1,1,1", "--box 0,0,99999,99999", "--direction ba", "--draw-edges", "--scale 9", "--tile -3", "--resume", "--init nowhere", "--freeze-d 3",
    "--family-module", "--family-module no.such", "--key a b c", "--weights nowhere", "--features nowhere", "--metrics nowhere", "--metrics ,", "--device nowhere",
    "--processes 0", "--processes x", "--processes ²", "--processes 99999999", "--config", "--remove", "--file nowhere", "--test nowhere", "--styles nowhere",
    "--memorisation nowhere/x.png", "--layers 99", "--layers fine,x", "--space w", "--noise input", "--dtype float16", "--to onnx", "--size 3", "--seeds 3,x", "--precision fp64",
    "--track nowhere", "--compile on", "--accumulate 3", "--accumulate 0", "--hold-out 2", "--pack 3", "--conditional", "--eval-every 1", "--batch 0", "--host 1.2.3.4",
)  # fmt: skip
"""Words to add: unknown ones, ones that contradict others, ones that need what is not there."""


@dataclass
class Call:
    """One command line.

    Attributes:
        argv: its words.
        refused: it must end with 2 (or 1, where a command does a part of what it was asked).
        wants: where its result must lie if it ends with 0.
        own: words of things that are copied into the current folder first, by their name there.
        about: what was made wrong.
    """

    argv: list[str]
    refused: bool = False
    wants: str = ""
    own: dict[str, str] = field(default_factory=dict)
    about: list[str] = field(default_factory=list)


@functools.cache
def _flags(command: str) -> list[str]:
    words = {"train": ["train", "gan"], "toy": ["toy", "ring", "--family", "gan"], "doctor": ["train", "gan"], "data": ["data", "check"]}.get(command, [command])  # fmt: skip
    return flags_of(*words)


def draw(seed: int, number: int, things: Sequence[Thing]) -> Call:
    """Call ``number`` of a seed; the same every time."""
    choice = random.Random(f"{seed}-{number}")
    title = list(COMMANDS)[number % len(COMMANDS)]
    template, always = COMMANDS[title]
    holes = HOLES.findall(template)
    spoiled = set(choice.sample(range(len(holes)), min(len(holes), choice.choice([0, 1, 1, 1, 2]))))
    call = Call([])
    if always:
        call.refused = True
    places = iter(range(len(holes)))
    for word in template.split():
        if not HOLES.fullmatch(word):
            call.argv.append(word)
            continue
        place = next(places)
        _fill(call, holes[place], place in spoiled and not (always and holes[place] == "port"), things, choice, always)
    more = choice.choice([0, 0, 0, 1]) if spoiled else choice.choice([1, 1, 2])
    for _ in range(0 if always else more):
        _spoil(call, title.split()[0], choice)
    return call


def _fill(call: Call, hole: str, wrong: bool, things: Sequence[Thing], choice: random.Random, always: str) -> None:
    if hole in WORDS:
        good, bad = WORDS[hole]
        word = choice.choice(bad) if wrong or always else good
        if hole.endswith("_out"):
            call.wants = word
        if wrong:
            call.about.append(f"{hole}: {word[:40]!r}")
            call.refused |= hole in ("family", "shell", "port") and word not in ("gan,dcgan",)
        call.argv.append(word)
        return
    kind = "run" if hole == "own_run" else hole
    fitting = [thing for thing in things if kind in thing.kinds]
    others = [thing for thing in things if kind not in thing.kinds]
    if not wrong:
        thing = choice.choice(fitting) if fitting else Thing(".", frozenset(), True)
    else:
        thing = choice.choice(others)
        call.about.append(f"{hole}: {thing.word[-40:]!r}")
        call.refused |= not thing.odd and not _also(kind, thing)
    if hole == "own_run":
        name = "own" if os.path.isdir(thing.word) else thing.word
        if os.path.isdir(thing.word):
            call.own[name] = thing.word
        call.argv.append(name)
        call.wants = name
    else:
        call.argv.append(thing.word)


def _also(kind: str, thing: Thing) -> bool:
    """Things that a command takes for other reasons: pictures are data, any folder has runs, any picture is a mask."""
    takes = {
        "data": {"pictures", "picture", "classes", "model", "run", "runs"},
        "classes": {"data", "pictures", "picture"},
        "picture": {"pictures", "data", "classes"},
        "mask": {"picture", "pictures", "data"},
        "generator": {"pictures", "data", "classes", "run", "translator", "filler"},
        "model": {"run"},
        "runs": {"model", "data", "pictures", "classes", "run"},
        "stylegan2": set(),
        "translator": {"filler"},
    }
    if kind == "runs":
        return os.path.isdir(thing.word) or thing.word in ("", " ", ".")
    return bool(takes.get(kind, set()) & thing.kinds)


def _spoil(call: Call, command: str, choice: random.Random) -> None:
    """One more thing that is wrong about the words."""
    way = choice.choice(["value"] * 8 + ["extra"] * 5 + ["drop", "swap", "twice", "command"])
    words = call.argv
    flags = [flag for flag in _flags(command) if not flag.startswith(("--help", "--no-"))]
    if way == "value":
        flag = choice.choice(flags or ["--out"])
        values = choice.choice([NUMBERS, NUMBERS, VALUES])
        value = choice.choice(
            [value for value in values if flag not in LONG or not re.match(r"9{9}|1e3|1{1}0{8}|inf|100", value)]
        )
        if flag == "--minutes" and re.fullmatch(r"[1-9][\d_]*", value):
            value = "-1"  # minutes are an honest wish, and longer than a call may take
        words += choice.choice([[flag, value], [f"{flag}={value}"]])
        call.about.append(f"{flag} {value[:40]!r}")
    elif way == "extra":
        known = [extra for extra in EXTRA if extra.split()[0] in flags]
        more = choice.choice(known if known and choice.random() < 0.8 else EXTRA).split()
        words += more
        call.about.append(" ".join(more))
        call.refused |= more[0].startswith(("--nonsense", "--debugg", "-x"))
    elif way == "drop" and len(words) > 1:
        gone = words.pop(choice.randrange(1, len(words)))
        call.about.append(f"without {gone[-40:]!r}")
    elif way == "swap" and len(words) > 2:
        a, b = choice.sample(range(1, len(words)), 2)
        words[a], words[b] = words[b], words[a]
        call.about.append(f"{words[a][-20:]!r} and {words[b][-20:]!r} swapped")
    elif way == "twice":
        place = choice.randrange(len(words))
        words.insert(place, words[place])
        call.about.append(f"{words[place][-40:]!r} twice")
    elif way == "command":
        words[0] = choice.choice(
            [words[0].upper(), words[0][:-1], "", "../" + words[0], words[0] + "\n", "_parse", words[0] + ".py"]
        )
        call.refused = True
        call.about.append(f"command {words[0]!r}")
    if way in ("drop", "swap", "twice"):
        call.wants = ""
        if "studio" in words:
            words += ["--port", "70000"]


# --- what becomes of one ------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a call ended with, and what is wrong about it (empty where all is well)."""

    code: int
    seconds: float
    said: str
    faults: list[str]


def prepare(call: Call, folder: Path) -> None:
    """The folder that a call runs in, with things of the person's that must stay as they are."""
    folder.mkdir(parents=True)
    (folder / "there").mkdir()
    (folder / "there" / "mine.txt").write_text("mine")
    (folder / "elsewhere").mkdir()
    (folder / "link").symlink_to("elsewhere")
    for name in ("there.png", "there.gif", "there.html", "there.npz", "grid.png", "film.mp4"):
        (folder / name).write_bytes(b"mine")
    for name, source in call.own.items():
        shutil.copytree(source, folder / name, symlinks=True)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its size and the time of its last change; a folder's own numbers are left out."""
    found: dict[str, tuple[int, int]] = {}
    for place, folders, files in os.walk(folder):
        for name in files:
            facts = os.lstat(os.path.join(place, name))
            found[os.path.relpath(os.path.join(place, name), folder)] = (facts.st_size, facts.st_mtime_ns)
        found |= {os.path.relpath(os.path.join(place, name), folder): (-1, 0) for name in folders}
    return found


def run(argv: Sequence[str]) -> tuple[int, str, str, str]:
    """Exit code, standard output, standard error and a traceback, of a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    trace = ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: Any = cli.main(list(argv))
        except SystemExit as stop:
            code = stop.code
        except BaseException:
            code, trace = 1, traceback.format_exc()
    if code is not None and not isinstance(code, int):
        trace, code = f"exit code {code!r}", 1
    return int(code or 0), out.getvalue(), err.getvalue(), trace


def outcome(call: Call, things_at: Path, folder: Path) -> Outcome:
    """Run a call in a folder of its own, and say what is wrong about how it ended."""
    prepare(call, folder)
    before, mine, here = snapshot(things_at), snapshot(folder), Path.cwd()
    start = time.monotonic()
    os.chdir(folder)
    try:
        code, out, err, trace = run(call.argv)
    finally:
        os.chdir(here)
    seconds = time.monotonic() - start
    faults = judge(call, code, out, err, trace)
    if snapshot(things_at) != before:
        after = snapshot(things_at)
        faults.append(
            f"changed: {sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))[:5]}"
        )
    faults += _changes(call, code, mine, snapshot(folder))
    named = sum(word == "--out" or word.startswith("--out=") for word in call.argv)  # of several, the last counts
    if code == 0 and call.wants and named == 1 and not _there(folder, call.wants):
        faults.append(f"0 without a result: {call.wants[:60]!r}")
    if seconds > 60:
        faults.append(f"took {seconds:.0f} s")
    return Outcome(code, seconds, trace or err or out, faults)


def judge(call: Call, code: int, out: str, err: str, trace: str) -> list[str]:
    """What is wrong about the exit code and the words."""
    faults = []
    if trace or "Traceback (most recent call last)" in err + out:
        faults.append("traceback")
    asks = {"-h", "--help", "--version"} & set(call.argv)
    allowed = {0, 2} | ({1} if call.argv[0] in PARTLY else set())
    if code not in allowed or (call.refused and code == 0 and not asks):
        faults.append(f"exit code {code}")
    if code == 2 and not trace:
        last = err.rstrip("\n").split("\n")[-1]
        if not last.startswith("gansmith: ") or len(last) < 30:
            faults.append("2 without a paragraph")
        elif len(last) > 1500:
            faults.append(f"a paragraph of {len(last):,} characters")
    if any(not c.isprintable() and c != "\n" for c in err + out):
        faults.append("says what a terminal obeys")
    if re.search(r"\w+Warning: |\.py:\d+", err):
        faults.append("a warning of a library")
    if "--json" in call.argv and code == 0:
        try:
            json.loads(out)
        except ValueError:
            faults.append("--json without JSON")
    return faults


def _changes(call: Call, code: int, before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[str]:
    """Files of the person's that are gone or changed, and what a refused call left behind."""
    asked = any(word.startswith("--overwrite") for word in call.argv) or (
        call.own and "--resume" in call.argv and code != 2
    )
    lost = [name for name in before if name not in after]
    changed = [name for name in before if name in after and before[name] != after[name]]
    new = [name for name in after if name not in before]
    faults = []
    if (lost or changed) and not asked:
        faults.append(f"lost {lost[:4]}, changed {changed[:4]}")
    if new and code == 2:
        faults.append(f"left {new[:4]}")
    if any(".tmp" in name or name.endswith(".old") for name in new):
        faults.append(f"left half-written {[name for name in new if '.tmp' in name or name.endswith('.old')][:4]}")
    return faults


def _there(folder: Path, name: str) -> bool:
    try:
        place = folder / name
        return any(place.iterdir()) if place.is_dir() else place.stat().st_size > 0
    except (OSError, ValueError):
        return False
