"""Ten minutes on a machine with a GPU: its tests, every family's speed, a kill and a resume, two trainings with scores.

    make gpu                               # writes benchmarks/results/gpu.json
    python benchmarks/gpu.py --rehearse    # all of it with tiny settings on a GPU that is not there

Every part is a process of its own with a limit of time. What it found is written as soon as it ends; a part that fails,
or takes too long, says why. ``docs/build.py`` makes the tables of docs/gpu.md from the file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "tests"), str(ROOT / "src")]

Rows = Iterator[dict[str, Any]]

MARKS = re.compile(r"(?:\S+\.py )?([.FEsx]+)(?: +\[ *\d+%\])?$")
"""A line of pytest's progress: a mark for each test."""


@dataclass(frozen=True)
class Task:
    """How a part is played.

    Attributes:
        rehearse: tiny settings, on a GPU that is not there.
        end: ``time.monotonic()`` when it should be done.
        folder: where its runs go.
    """

    rehearse: bool
    end: float
    folder: Path

    def command(self, *argv: str) -> list[str]:
        """``gansmith ARGV``, on this GPU."""
        return [sys.executable, __file__, *(["--rehearse"] if self.rehearse else []), "--run", *argv]

    def call(self, *argv: str) -> str:
        """What a command prints to stdout.

        Raises:
            RuntimeError: it failed; the last line that it wrote.
        """
        left = max(5.0, self.end - time.monotonic())
        done = subprocess.run(self.command(*argv), capture_output=True, text=True, timeout=left, check=False)
        if done.returncode:
            raise RuntimeError(
                f"gansmith {argv[0]} ended with code {done.returncode}: {(done.stderr.strip() or '?').splitlines()[-1]}"
            )
        return done.stdout


def machine(task: Task) -> Rows:
    """What is here."""
    import torch

    from gansmith.bench.measure import gemm_peak

    found = {"gpu": torch.cuda.get_device_name(), "capability": ".".join(map(str, torch.cuda.get_device_capability()))}
    yield found | {"torch": str(torch.__version__), "cuda": str(torch.version.cuda), "GPUs": torch.cuda.device_count()}
    if task.rehearse:
        return
    for precision in ("fp32", "bf16", "fp16"):
        yield {"product": precision, "TFLOP/s": round(gemm_peak(torch.device("cuda"), precision) / 1000, 1)}


def tests(task: Task) -> Rows:
    """The tests of GPUs: every family in every mode, whole runs, every command."""
    some = ["-k", "gan and fp32 and stays"] if task.rehearse else []
    left = max(10.0, task.end - time.monotonic() - 3)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/phantom_gpu",
        "-p",
        "no:cacheprovider",
        "--tb=line",
        "-rfE",
        *some,
    ]
    ended = "no: there was no time left"
    with tempfile.TemporaryFile("w+") as printed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                command, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT, timeout=left, check=False
            )
            ended = "yes" if done.returncode in (0, 1) else f"with code {done.returncode}"
        printed.seek(0)
        lines = printed.read().splitlines()
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            yield {"test": line.split(" ", 1)[1][:300]}
    marks = "".join(found[1] for line in lines if (found := MARKS.match(line)))
    failed = marks.count("F") + marks.count("E")
    yield {"passed": marks.count("."), "failed": failed, "skipped": marks.count("s"), "ended": ended}


def table(task: Task) -> Rows:
    """The speed of every family, against the plain loops."""
    import gpu_table

    yield from gpu_table.rows(task.rehearse, task.end - 5)


def resume(task: Task) -> Rows:
    """A run that is killed goes on."""
    run = task.folder / "killed"
    settings = ["--data", "mnist10k", "--out", str(run), "--batch", "8", "--save-minutes", "0.001"]
    settings += ["--width", "8"] if task.rehearse else []
    steps = 12 if task.rehearse else 2000
    process = subprocess.Popen(
        task.command("train", "dcgan", *settings, "--steps", str(100 * steps)), start_new_session=True
    )
    try:
        while not list((run / "checkpoint").glob("*/*.json")):
            if process.poll() is not None or time.monotonic() > task.end:
                raise RuntimeError("the run ended before its first checkpoint")
            time.sleep(0.2)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = _last_step(run)
    task.call("train", "--resume", "--out", str(run), "--steps", str(before + steps))
    yield {"killed after step": before, "went on to step": _last_step(run)}


def _last_step(run: Path) -> int:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines() if (run / "log.jsonl").is_file() else []
    return max(
        (json.loads(line).get("step", 0) for line in lines if line.startswith("{") and line.endswith("}")), default=0
    )


def trained(task: Task, family: str, data: str, *more: str, tiny: Sequence[str] = ()) -> Rows:
    """Two minutes of a family, and its scores."""
    run = task.folder / family
    words = ["train", family, "--data", data, "--out", str(run), *more]
    words += ["--steps", "3", "--batch", "8", "--snapshots", "1", *tiny] if task.rehearse else ["--minutes", "2"]
    task.call(*words)
    records = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    n = "120" if task.rehearse else "2000"
    printed = task.call(
        "evaluate", str(run), "--data", data, "--n", n, "--metrics", "fid,prdc", "--features", "mnist-cnn", "--json"
    )
    scores = {score["name"]: score["value"] for score in json.loads(printed).get("scores", [])}
    row = {
        "family": family,
        "data": data,
        "images": records[-1]["images"],
        "images/s": records[-1].get("images_per_second", ""),
    }
    yield row | {name: round(value, 4) for name, value in scores.items() if isinstance(value, (int, float))}


def r3gan(task: Task) -> Rows:
    """Two minutes of r3gan with classes on Fashion-MNIST."""
    yield from trained(
        task, "r3gan", "mnist10k" if task.rehearse else "fashion-mnist", "--conditional", tiny=["--width", "16"]
    )


def stylegan2(task: Task) -> Rows:
    """Two minutes of stylegan2 at 64 px, on the digits that the package brings, enlarged."""
    tiny = ["--width", "0.03125", "--latent-dim", "8", "--style-dim", "8"]
    yield from trained(task, "stylegan2", "mnist10k", "--size", "64", "--width", "0.5", tiny=tiny)


PARTS: dict[str, tuple[Callable[[Task], Rows], float]] = {
    "machine": (machine, 15), "tests": (tests, 100), "resume": (resume, 35), "r3gan": (r3gan, 150),
    "stylegan2": (stylegan2, 150), "table": (table, 110),
}  # fmt: skip
"""What is done, and the seconds that each may take: ten minutes in all."""


def play(name: str, rehearse: bool, seconds: float, folder: Path) -> dict[str, Any]:
    """A part in a process of its own: its rows, how long it took, and why it failed, if it did."""
    lines, start = folder / f"{name}.jsonl", time.monotonic()
    command = [
        sys.executable,
        __file__,
        *(["--rehearse"] if rehearse else []),
        "--part",
        name,
        "--seconds",
        str(seconds),
        "--folder",
        str(folder),
    ]
    process, why = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True), ""
    try:
        _, said = process.communicate(timeout=seconds + 5)
        if process.returncode:
            why = (said.strip() or f"code {process.returncode}").splitlines()[-1][:300]
    except subprocess.TimeoutExpired:
        why = f"it took longer than its {seconds:.0f} seconds"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()] if lines.is_file() else []
    return {"part": name, "seconds": round(time.monotonic() - start, 1), "rows": rows} | (
        {"why not": why} if why else {}
    )


def play_here(name: str, task: Task) -> None:
    """A part in this process; each row is written as soon as it is known."""
    with there(), open(task.folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
        for row in PARTS[name][0](task):
            file.write(json.dumps(row) + "\n")
            file.flush()


@contextlib.contextmanager
def there() -> Iterator[None]:
    """Inside, there is a GPU, real or not."""
    from helpers import gpu

    for module in ("session", "outputs"):  # threads of what is imported later would not see one that is not there
        importlib.import_module(f"gansmith.training.{module}")
    with contextlib.nullcontext() if gpu.REAL else gpu.cuda():
        yield


def run(argv: Sequence[str]) -> int:
    """``gansmith ARGV`` on this GPU, real or not there."""
    from gansmith import cli

    with there():
        return cli.main(list(argv))


def main(argv: Sequence[str] | None = None) -> int:
    """All parts, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="tiny settings on a GPU that is not there")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to do")
    parser.add_argument("--out", type=Path, help="the file to write")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0.0, help="limit of each part; 0 has one for each")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--run", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.run is not None:
        return run(args.run)
    if args.part:
        play_here(args.part, Task(args.rehearse, time.monotonic() + args.seconds, args.folder))
        return 0
    import torch

    if not (args.rehearse or torch.cuda.is_available()):
        print("There is no CUDA GPU here. --rehearse plays all of this on one that is not there.", file=sys.stderr)
        return 2
    unknown = set(args.parts.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"There is no part {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}.")
    out = args.out or HERE / "results" / ("gpu-rehearsal.json" if args.rehearse else "gpu.json")
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.parts.split(","):
            print(f"{name}: {(PARTS[name][0].__doc__ or '').splitlines()[0]}", flush=True)
            part = play(name, args.rehearse, args.seconds or PARTS[name][1], Path(folder))
            found.append(part)
            print(f"  {part['seconds']} s, {len(part['rows'])} rows", part.get("why not", ""), flush=True)
            out.write_text(json.dumps({"rehearsed": args.rehearse, "parts": found}, indent=2) + "\n", encoding="utf-8")
    return int(any("why not" in part for part in found))


if __name__ == "__main__":
    sys.exit(main())
