"""How fast the families train beside what one would write or run instead: one table, ratios within one run.

    python benchmarks/speed.py [gan dcgan wgan-gp stylegan2 cyclegan] [--rounds 7] [--keras-python PATH]

``gan`` runs beside the Keras example (keras_example.py; with TensorFlow and tf_keras in this interpreter, the extra
'bench', or in the one that --keras-python names), the others beside plain fp32 PyTorch loops written after the papers.
Our side is the whole training step: data, every turn, optimizers, the weight average, the log. Both sides alternate in
short blocks and the medians are compared, with the same number of threads. Results go to benchmarks/results/speed.json.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
Step = Callable[[], object]
Block = Callable[[int], float]
"""Plays so many steps, returns seconds per step."""


clock = time.perf_counter
"""--cpu-time replaces it by time.process_time."""


def timed(step: Callable[[], object]) -> Block:
    """A block of a step function of this process."""

    def block(steps: int) -> float:
        start = clock()
        for _ in range(steps):
            step()
        return (clock() - start) / steps

    return block


@dataclass
class Sides:
    """How to make a step of each side, what the other is, how many steps a timed block has, and both sides' weights."""

    ours: Callable[[], Step]
    theirs: Callable[[], Step]
    against: str
    steps: int
    weights: Callable[[], tuple[int, int]] = lambda: (0, 0)


class Ours:
    """A family's whole training step, through the engine and the hooks of a run."""

    def __init__(self, family: str, size: int, channels: int, batch: int, **settings: Any) -> None:
        from gansmith import config, devices, registry
        from gansmith.bench.measure import RandomPictures, ready_to_train
        from gansmith.game import Clock, ImageSpec
        from gansmith.parallel import seeding
        from gansmith.training import engine, hooks, steps
        from gansmith.training.state import Plan, State

        device = devices.resolve("cpu")
        kind = registry.family(family)
        spec = ImageSpec(size, size, channels, other_channels=channels if kind.data == "unpaired" else 0)
        game, channels_last = ready_to_train(kind(config.make(kind.Config, settings, family), spec), device)
        device = devices.suited(device, game)
        self.precision = device.precision
        game.train()
        pictures = RandomPictures(spec, batch, device.torch_device, channels_last)
        optimizers = engine.make_optimizers(game, device.torch_device)
        average = hooks.Average(game, batch)
        log = hooks.Log(lambda record: None, lambda state: state.clock.step % 20 == 0)
        state, turns, plan = State(0), game.turns(), Plan(device)
        self.parameters = sum(p.numel() for player in game.players for p in game.player_parameters(player))

        def step() -> None:
            state.clock = Clock(state.clock.images + batch, state.clock.step + 1, 0.1)
            seeding.seed_step(0, state.clock.step)
            logs = steps.step(game, optimizers, pictures, state, turns, plan)
            average(game, state, logs)
            log(game, state, logs)

        self.step = step


class Keras:
    """The Keras example in a process of its own."""

    def __init__(self, python: str, threads: int) -> None:
        command = [python, str(HERE / "keras_example.py"), "--serve", "--threads", str(threads)]
        command += ["--cpu-time"] if clock is time.process_time else []
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        line = self._line()
        if not line:
            raise RuntimeError(
                f"{python} cannot run the Keras example. Install it with pip install 'gansmith[bench]', or name an "
                "interpreter that has tensorflow-cpu and tf_keras with --keras-python."
            )
        self.facts = json.loads(line)
        assert min(self.facts["moved"].values()) > 0, f"one of its networks does not train: {self.facts}"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def __call__(self, steps: int) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return json.loads(self._line())["seconds"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def keras3_movement(python: str) -> dict[str, Any] | None:
    """What one step moves with Keras 3, where the same example freezes its discriminator; None where it is missing."""
    command = [python, str(HERE / "keras_example.py"), "--keras3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else None


def alternate(ours: Block, theirs: Block, rounds: int, steps: int) -> dict[str, Any]:
    """Blocks of both in turn, each after untimed steps; medians, and the ratio of the medians.

    The untimed steps bring caches and memory back to where they are within a run. Ours keeps its memory within a block,
    as in a run; theirs has the system's own way.
    """
    from gansmith.devices import kept_memory

    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    untimed = max(1, steps // 4)
    for _ in range(rounds):
        theirs(untimed)
        times["theirs"].append(theirs(steps))
        with kept_memory(torch.device("cpu")):
            ours(untimed)
            times["ours"].append(ours(steps))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "ours_ms": round(1000 * medians["ours"], 3),
        "theirs_ms": round(1000 * medians["theirs"], 3),
        "ratio": round(medians["theirs"] / medians["ours"], 3),
        "ratio_of_the_fastest": round(min(times["theirs"]) / min(times["ours"]), 3),
        "rounds": rounds,
        "steps_per_round": steps,
    }


def bench_gan(args: argparse.Namespace) -> dict[str, Any]:
    keras = Keras(args.keras_python, args.threads)
    try:
        ours = Ours("gan", 28, 1, 64)
        assert sum(keras.facts["parameters"].values()) == ours.parameters
        found = alternate(timed(ours.step), keras, args.rounds, 40)
    finally:
        keras.close()
    return found | {"against": f"Keras {keras.facts['keras']} example, batch 64", "moved": keras.facts["moved"],
                    "moved_with_keras_3": keras3_movement(args.keras_python)}  # fmt: skip


def dcgan_sides() -> Sides:
    import plain_gans

    def theirs() -> Step:
        return plain_gans.dcgan()[0]

    against = "plain fp32 loop, 32 px, ngf 64, batch 64"
    weights = lambda: (Ours("dcgan", 32, 3, 64).parameters, plain_gans.dcgan()[1])
    return Sides(lambda: Ours("dcgan", 32, 3, 64).step, theirs, against, 2, weights)


def wgan_gp_sides() -> Sides:
    import plain_gans

    def ours() -> Step:
        step = Ours("wgan-gp", 32, 3, 64).step
        for _ in range(4):
            step()  # so that every block of five ends with the generator's turn
        return lambda: [step() for _ in range(5)]  # critic steps, with the generator's turn at the fifth

    against = "plain fp32 loop, 32 px, batch 64, 5 critic steps"
    weights = lambda: (Ours("wgan-gp", 32, 3, 64).parameters, plain_gans.wgan_gp()[1])
    return Sides(ours, lambda: plain_gans.wgan_gp()[0], against, 1, weights)


def cyclegan_sides() -> Sides:
    import cyclegan_plain

    pair = [torch.rand(1, 3, 128, 128) * 2 - 1 for _ in range(2)]

    def ours() -> Step:
        step = cyclegan_plain.ours(128, 9)
        return lambda: step(*pair)

    def theirs() -> Step:
        plain = cyclegan_plain.Plain(9)
        return lambda: plain.plain_step(*pair)

    return Sides(ours, theirs, "plain fp32 loop, 128 px, 9 blocks, batch 1", 1)


SIDES = {"dcgan": dcgan_sides, "wgan-gp": wgan_gp_sides, "cyclegan": cyclegan_sides}


def bench_sides(family: str, args: argparse.Namespace) -> dict[str, Any]:
    """A family against its plain loop: time, and the memory of a process of each."""
    sides = SIDES[family]()
    mine, theirs = sides.weights()
    assert mine == theirs, "the two sides are not the same networks"
    found = alternate(timed(sides.ours()), timed(sides.theirs()), args.rounds, sides.steps)
    memory = {f"{side}_mb": peak_memory(family, side, args.threads) for side in ("ours", "theirs")}
    return found | memory | {"against": sides.against}


def peak_memory(family: str, side: str, threads: int) -> int:
    """Peak memory in MB that three steps of one side take in a process of their own."""
    command = [sys.executable, __file__, family, "--side", side, "--threads", str(threads)]
    return round(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def play_side(family: str, side: str) -> float:
    """Three steps of one side in this process: the peak of its memory in MB, above the libraries that it has loaded."""
    from gansmith.devices import kept_memory

    sides = SIDES[family]()
    if side == "ours":
        from gansmith import registry

        registry.family(family)
        for module in ("gansmith.training.hooks", "gansmith.bench.measure"):
            importlib.import_module(module)
    libraries = resident_mb("VmRSS")
    with kept_memory(torch.device("cpu")) if side == "ours" else contextlib.nullcontext():
        step = sides.ours() if side == "ours" else sides.theirs()
        for _ in range(3):
            step()
    # ru_maxrss of a child starts at its parent's; the kernel's own high-water mark does not
    return resident_mb("VmHWM") - libraries


def resident_mb(which: str) -> float:
    """This process's memory (VmRSS) or the peak of it (VmHWM) in MB, as Linux tells."""
    return int(Path("/proc/self/status").read_text(encoding="ascii").split(f"{which}:")[1].split()[0]) / 1024


def bench_stylegan2(args: argparse.Namespace) -> dict[str, Any]:
    import stylegan2_plain as plain

    sides = {"ours": plain.our_step(32, 16), "theirs": plain.plain_step(32, 16)}
    parts = plain.measure(sides, max(2, args.rounds // 3), clock, keeps="ours")
    step = {side: sum(plain.SHARE[part] * value for part, value in found.items()) for side, found in parts.items()}
    options = ["--size=32", "--batch=16", f"--threads={args.threads}"]
    return {
        "ours_ms": round(1000 * step["ours"], 1),
        "theirs_ms": round(1000 * step["theirs"], 1),
        "ratio": round(step["theirs"] / step["ours"], 3),
        "ours_mb": round(plain.peak_memory("gansmith", options)),
        "theirs_mb": round(plain.peak_memory("plain", options)),
        "against": "plain fp32 loop, 32 px small, batch 16",
    }


def table_row(family: str, found: dict[str, Any]) -> dict[str, Any]:
    """A family's line of the table in docs/results/speed.md."""
    return {
        "family": f"`{family}`",
        "against": found["against"],
        "ours, ms": f"{found['ours_ms']:.1f}",
        "theirs, ms": f"{found['theirs_ms']:.1f}",
        "ratio": f"{found['ratio']:.2f}",
        "ours, MB": found.get("ours_mb", ""),
        "theirs, MB": found.get("theirs_mb", ""),
    }


def save(report: dict[str, Any], out: Path) -> None:
    """Write what is measured so far, beside what an earlier run measured of other families."""
    out.parent.mkdir(parents=True, exist_ok=True)
    old = json.loads(out.read_text()) if out.is_file() else {}
    families = old.get("families", {}) | report["families"]
    rows = [table_row(family, families[family]) for family in BENCHES if family in families]
    out.write_text(json.dumps(report | {"families": families, "rows": rows}, indent=2) + "\n")


BENCHES = {
    "gan": bench_gan,
    "dcgan": functools.partial(bench_sides, "dcgan"),
    "wgan-gp": functools.partial(bench_sides, "wgan-gp"),
    "stylegan2": bench_stylegan2,
    "cyclegan": functools.partial(bench_sides, "cyclegan"),
}


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=list(BENCHES), help="which to measure; all by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--keras-python", default=sys.executable, help="an interpreter with tensorflow-cpu and tf_keras"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "speed.json")
    parser.add_argument("--cpu-time", action="store_true", help="with --threads 1: processor time, on a busy machine")
    parser.add_argument("--side", choices=("ours", "theirs"), help="play one side and print its peak memory in MB")
    args = parser.parse_args()
    if args.cpu_time:
        assert args.threads == 1, "processor time counts all threads: use --threads 1"
        global clock
        clock = time.process_time
    torch.set_num_threads(args.threads)
    sys.path.insert(0, str(HERE))
    if args.side:
        print(play_side(args.families[0], args.side))
        return 0
    from gansmith.bench.measure import gemm_peak

    cpu = torch.device("cpu")
    report: dict[str, Any] = {
        "torch": torch.__version__,
        "threads": args.threads,
        "machine": platform.machine(),
        "clock": clock.__name__,
    }
    report["families"] = {}
    for family in args.families:
        torch.manual_seed(0)
        try:
            report["families"][family] = found = BENCHES[family](args)
        except RuntimeError as error:
            print(f"{family}: not measured: {error}", file=sys.stderr)
            continue
        peak = gemm_peak(cpu, "fp32")
        found["load"] = round(os.getloadavg()[0], 1)
        found["gemm_fp32_gflop_per_second"] = round(peak, 1)
        sides = f"{found['ours_ms']} ms against {found['theirs_ms']} ms; {found['against']}"
        print(f"{family:10s} {found['ratio']:6.2f}x as fast   ({sides})", flush=True)
        save(report, args.out)
    return 0 if report["families"] else 1


if __name__ == "__main__":
    sys.exit(main())
