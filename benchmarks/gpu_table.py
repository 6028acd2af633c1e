"""The speed of families on a GPU: a row per family, precision and way of compiling, and plain loops. For ``gpu.py``."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from gansmith import config, devices, registry
from gansmith.bench.measure import peak_memory, ready_to_train
from gansmith.data.batches import Batches
from gansmith.data.pairs import TwoSided
from gansmith.devices import Device
from gansmith.errors import first_line
from gansmith.game import Clock, ImageSpec
from gansmith.parallel import seeding
from gansmith.training import compiling, engine, hooks, scaling, steps
from gansmith.training.graphs import WARM, Graphs
from gansmith.training.state import Plan, State
from helpers import gpu, phantom_rows

Step = Callable[[], object]

SIZES = {
    "gan": (28, 1, 64),
    "dcgan": (32, 3, 64),
    "wgan": (32, 3, 64),
    "wgan-gp": (32, 3, 64),
    "stylegan2": (32, 3, 16),
    "cyclegan": (128, 3, 1),
}
"""Pixels, channels, batch: those of the plain loops, where there is one."""
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
LAUNCH_BOUND = ("gan", "dcgan", "r3gan", "stylegan2", "inpaint")
"""Families whose small networks leave a GPU waiting for the host, for which CUDA graphs are tried."""


def wanted(rehearse: bool) -> Iterator[tuple[str, str, str]]:
    """Family, precision and way of compiling of every row, the most telling first; "plain" is the plain loop."""
    families = ["gan", "dcgan"] if rehearse else list(registry.families())
    plain = [name for name in PLAIN if name in families]
    yield from ((name, "tf32", "plain") for name in plain)
    for precision in ("bf16", "tf32", "fp16", "fp32"):
        yield from ((name, precision, "off") for name in families)
    yield from ((name, "fp32", "plain") for name in plain)
    for way in ("graphs", "auto"):
        yield from ((name, "bf16", way) for name in families if name in LAUNCH_BOUND or way == "auto")


def rows(rehearse: bool, end: float) -> Iterator[dict[str, Any]]:
    """Measured rows; one that fails, or that there is no time for, says why.

    Args:
        end: ``time.monotonic()`` when to stop.
    """
    for family, precision, way in wanted(rehearse):
        row: dict[str, Any] = {"family": family, "precision": precision, "compile": way}
        if time.monotonic() > end:
            yield row | {"why not": "no time left"}
            continue
        try:
            yield row | _measured(family, precision, way, rehearse)
        except Exception as error:
            yield row | {"why not": first_line(error)}
        torch.cuda.empty_cache()


def _measured(family: str, precision: str, way: str, rehearse: bool) -> dict[str, Any]:
    size, channels, batch = (16, 3, 8) if rehearse else SIZES.get(family, (64, 3, 32))
    device = torch.device("cuda")
    with devices.exact() if precision == "fp32" else contextlib.nullcontext(), peak_memory(device) as peak:
        where = Device(device, "fp32" if precision == "tf32" else precision)
        with devices.fixed_shapes(device):
            if way == "plain":
                side = plain(family, device, rehearse)
            else:
                settings = registry.family(family).tiny if rehearse else {}
                side = ours(family, where, (size, channels, batch), way, settings)
            found = timed(side, 0.05 if rehearse else 0.5)
    found |= {"images/s": round(batch / (found["ms"] / 1000), 1), "MB": round((peak.bytes or 0) / 2**20)}
    return {"picture": f"{size} px", "batch": batch} | found | ({"note": side.note} if side.note else {})


@dataclasses.dataclass
class Side:
    """What is timed.

    Attributes:
        cycle: steps after which its schedule of turns begins anew.
        settle: steps before it has settled.
        note: what its compilation says.
    """

    step: Step
    cycle: int = 1
    settle: int = 3
    note: str = ""


def timed(side: Side, seconds: float) -> dict[str, float]:
    """Milliseconds and waits of a step: means over as many whole cycles as fit into the time."""
    device = torch.device("cuda")
    for _ in range(side.settle):
        side.step()
    devices.synchronise(device)
    start, count = time.perf_counter(), 0
    while count == 0 or count % side.cycle or (time.perf_counter() - start < seconds and count < 5000):
        side.step()
        count += 1
    devices.synchronise(device)
    spent = (time.perf_counter() - start) / count
    with gpu.waits() as waits:
        for _ in range(side.cycle):
            side.step()
    return {"ms": round(1000 * spent, 3), "waits": round(len(waits) / side.cycle, 2)}


def ours(family: str, where: Device, shape: tuple[int, int, int], way: str, settings: Mapping[str, Any]) -> Side:
    """A family's whole training step, as a run plays it.

    Args:
        shape: pixels a side, channels, pictures in a batch.
        way: off, auto or graphs, as ``--compile``.
    """
    kind, (size, channels, batch) = registry.family(family), shape
    two = kind.data in ("paired", "unpaired")
    spec = ImageSpec(size, size, channels, other_channels=channels if two else 0)
    game, channels_last = ready_to_train(kind(config.make(kind.Config, dict(settings), family), spec), where)
    game.train()
    device, said = where.torch_device, list[str]()
    sides = [phantom_rows.noise(channels, size, 0) for _ in range(2)]
    source = TwoSided(*sides, aligned=True) if two else sides[0]
    pictures = Batches(source, batch, 0, device=device, channels_last=channels_last, damage=game.damage_on_cpu())
    optimizers = engine.make_optimizers(game, device)
    plan = Plan(where, scalers=scaling.make_scalers(game.players, where))
    if way == "auto":
        compiling.compile_networks(game, compiling.choose(game, pictures, where, said.append))
    elif way == "graphs":
        compiling.choose_graphs(game, pictures, plan, said.append)
        plan = dataclasses.replace(plan, graphs=Graphs(said.append))
    average = hooks.Average(game, batch)
    log = hooks.Log(lambda record: None, lambda state: state.clock.step % 50 == 0)
    state, turns = State(0), game.turns()

    def step() -> None:
        state.clock = Clock(state.clock.images + batch, state.clock.step + 1, 0.3)
        seeding.seed_step(0, state.clock.step)
        logs = steps.step(game, optimizers, pictures, state, turns, plan)
        average(game, state, logs)
        log(game, state, logs)

    cycle = math.lcm(*(turn.every for turn in turns))
    return Side(step, cycle, (WARM + 1) * cycle if way == "graphs" else WARM, " ".join(said))


# --- plain loops --------------------------------------------------------------------------------------------------


def plain(family: str, device: torch.device, rehearse: bool) -> Side:
    """The plain fp32 loop of this folder, all of whose tensors are made on a device."""
    with torch.device(device):
        step, cycle = PLAIN[family](rehearse)

    def there() -> None:
        with torch.device(device):
            step()

    return Side(there, cycle)


def _dcgan(rehearse: bool) -> tuple[Step, int]:
    import plain_gans

    return plain_gans.dcgan(16 if rehearse else 32, 8 if rehearse else 64, width=8 if rehearse else 64)[0], 1


def _wgan_gp(rehearse: bool) -> tuple[Step, int]:
    """One step is a critic's, with the generator's at the fifth: the loop plays five at once."""
    import plain_gans

    five, count = plain_gans.wgan_gp()[0], itertools.count(1)
    return lambda: five() if next(count) % 5 == 0 else None, 5


def _stylegan2(rehearse: bool) -> tuple[Step, int]:
    import stylegan2_plain

    parts, count = stylegan2_plain.plain_step(32, 16), itertools.count(1)

    def step() -> None:
        number = next(count)
        for name, share in stylegan2_plain.SHARE.items():
            if number % round(1 / share) == 0:
                parts[name]()

    return step, 16


def _cyclegan(rehearse: bool) -> tuple[Step, int]:
    import cyclegan_plain

    loop, pair = cyclegan_plain.Plain(9), [torch.rand(1, 3, 128, 128) * 2 - 1 for _ in range(2)]
    return lambda: loop.plain_step(*pair), 1


PLAIN = {"dcgan": _dcgan, "wgan-gp": _wgan_gp, "stylegan2": _stylegan2, "cyclegan": _cyclegan}
"""A step of each, and how many make a cycle."""
