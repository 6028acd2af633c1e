"""A thousand bad command lines over all commands: each must end in words, with the right exit code, and change nothing.

    python benchmarks/bad_invocations.py --count 1000 --seed 0 --sample 40

Calls run one after another in a worker process, which is ended where a call takes more than ``--seconds``. ``--sample``
of them run once more as programs of their own (``python -m gansmith ...``) and must end in the same way. Prints a line
per fault and the counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

FAULT_KINDS = ("traceback", "exit code", "took", "lost", "changed")


def environment(root: Path) -> dict[str, str]:
    """Nothing of this person's is read or written, and no network is asked."""
    places = {
        "GANSMITH_CONFIG": "config",
        "GANSMITH_MODELS": "models",
        "GANSMITH_CACHE": "cache",
        "GANSMITH_DATA": "standard",
        "XDG_CACHE_HOME": "xdg",
    }
    return os.environ | {name: str(root / "home" / place) for name, place in places.items()} | {
        "HOME": str(root / "home"), "HF_HUB_OFFLINE": "1", "GANSMITH_FAMILY_MODULES": "{}", "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }  # fmt: skip


def work(root: Path, seed: int, megabytes: int) -> None:
    """The worker: numbers of calls come in, what became of them goes out."""
    import torch

    from helpers.invocations import draw, outcome  # pyright: ignore[reportMissingImports]
    from helpers.zoo import Thing  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints below python's streams
    if megabytes:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, resource.getrlimit(resource.RLIMIT_AS)[1]))
    things = [Thing(word, frozenset(kinds), odd) for word, kinds, odd in json.loads((root / "things.json").read_text())]
    for line in sys.stdin:
        number = int(line)
        call = draw(seed, number, things)
        folder = root / "calls" / f"{seed}-{number}"
        shutil.rmtree(folder, ignore_errors=True)  # of a call that was ended
        found = outcome(call, root / "zoo", folder)
        shutil.rmtree(folder, ignore_errors=True)
        answers.write(
            json.dumps({"argv": call.argv, "about": call.about, "refused": call.refused, **found.__dict__}) + "\n"
        )
        answers.flush()


class Worker:
    """A process that runs calls, started anew where one took too long."""

    def __init__(self, root: Path, seed: int, megabytes: int) -> None:
        options = {"--work": root, "--seed": seed, "--megabytes": megabytes}
        self.command = [sys.executable, __file__, *(str(word) for pair in options.items() for word in pair)]
        self.root, self.process = root, None

    def ask(self, number: int, seconds: float) -> dict | None:
        """What became of call ``number``; None where the worker did not answer."""
        import select

        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(self.root)
            )
            seconds += 60  # it imports torch first
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.close()
        return None

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def as_program(root: Path, seed: int, number: int) -> tuple[int, str, list[str]]:
    """The same call as a program of its own: exit code, what it said, what is wrong about that."""
    from helpers.invocations import draw, judge, prepare, snapshot  # pyright: ignore[reportMissingImports]
    from helpers.zoo import Thing  # pyright: ignore[reportMissingImports]

    things = [Thing(word, frozenset(kinds), odd) for word, kinds, odd in json.loads((root / "things.json").read_text())]
    call = draw(seed, number, things)
    folder = root / "calls" / f"program-{number}"
    prepare(call, folder)
    before = snapshot(root / "zoo")
    argv = [os.fsencode(word) for word in [sys.executable, "-m", "gansmith", *call.argv]]
    done = subprocess.run(
        argv, cwd=folder, env=environment(root), capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
    shutil.rmtree(folder)
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    faults = judge(call, done.returncode, out, err, "")
    if snapshot(root / "zoo") != before:
        faults.append("changed")
    return done.returncode, err or out, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=40, help="how many run once more as programs")
    parser.add_argument("--seconds", type=float, default=60, help="after which a call hangs")
    parser.add_argument("--megabytes", type=int, default=12_000, help="the worker's address space; 0 for any")
    parser.add_argument("--out", type=Path, help="write what became of every call here, as json lines")
    parser.add_argument("--root", type=Path, help="make the things for commands here, or take those that are here")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.seed, options.megabytes)
        return 0
    if options.root:
        options.root.mkdir(parents=True, exist_ok=True)
        return play(options, options.root.resolve())
    with tempfile.TemporaryDirectory() as place:
        return play(options, Path(place).resolve())


def play(options: argparse.Namespace, root: Path) -> int:
    """Make the things, run the calls, count."""
    if not (root / "things.json").is_file():
        os.environ.update(environment(root))
        from helpers.zoo import build  # pyright: ignore[reportMissingImports]

        (root / "zoo").mkdir()
        things = build(root / "zoo")
        rows = [(thing.word, sorted(thing.kinds), thing.odd) for thing in things]
        (root / "things.json").write_text(json.dumps(rows))
    start, codes, faults = time.monotonic(), Counter(), Counter()
    slowest: list[tuple[float, str]] = []
    worker = Worker(root, options.seed, options.megabytes)
    log = options.out.open("w", encoding="utf-8", errors="surrogateescape") if options.out else None
    kept = {}
    numbers = range(options.first, options.first + options.count)
    for number in numbers:
        found = worker.ask(number, options.seconds)
        if found is None:
            fault = f"took over {options.seconds:.0f} s, or the process ended"
            found = {"code": None, "faults": [fault], "said": "", "seconds": options.seconds}
        kept[number] = found
        codes[found["code"]] += 1
        slowest.append((found["seconds"], str(number)))
        for fault in found["faults"]:
            faults[next((kind for kind in FAULT_KINDS if fault.startswith(kind)), fault)] += 1
            words = " ".join(ascii(word)[:70] for word in found.get("argv", []))
            print(f"{number}: {fault}\n    {words}\n    {found['said'][-300:]!a}", flush=True)
        if log:
            log.write(json.dumps({"number": number, **found}) + "\n")
    worker.close()
    seconds = time.monotonic() - start
    step = max(1, options.count // max(1, options.sample))
    programs = list(numbers)[::step][: options.sample]
    for number in programs:
        if "--remove" in kept[number].get("argv", []):  # what is there to remove depends on what other calls fetched
            continue
        code, said, wrong = as_program(root, options.seed, number)
        if code != kept[number]["code"] or wrong:
            faults["as a program"] += 1
            print(f"{number} as a program: {code}, was {kept[number]['code']} {wrong}\n    {said[-300:]!a}", flush=True)
    slow = ", ".join(f"{taken:.1f} s" for taken, _ in sorted(slowest)[-3:])
    print(
        f"{options.count} calls of seed {options.seed} in {seconds:.0f} s, {len(programs)} of them as programs too; "
        f"exit codes {dict(codes)}; slowest {slow}; faults: {dict(faults) or 'none'}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
