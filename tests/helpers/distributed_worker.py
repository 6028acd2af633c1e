"""What test_distributed starts in two processes: gradients of every family, over two halves of a batch and over all of it."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import torch

from gansmith import config, devices, registry
from gansmith.errors import Diverged, GansmithError
from gansmith.game import Batch, Clock, Game, ImageSpec
from gansmith.parallel import layers, processes, seeding, seeds
from gansmith.training import engine, steps
from gansmith.training.state import Plan, State

BATCH, SIZE = 8, 32
SMALL = {"width": 8, "width_discriminator": 8, "blocks": 1, "growth": 8}
"""Settings that make networks small, for the families that have them and do not say ``tiny`` themselves."""
VARIANTS = {
    "dcgan": [{}, {"r1": 1.0, "augment": "ada"}],
    "gan": [{"conditional": True, "augment": "diffaugment"}],
    "wgan-gp": [{}, {"arch": "resnet32", "conditional": True}],
    "stylegan2": [{}, {"augment": "ada", "pack": 2}],
    "r3gan": [{"augment": "ada", "width": 16}],
    "pix2pix": [{}, {"norm": "instance", "dropout": False}],
}
"""Settings tried per family; the others are tried with none."""


def gradients(name: str, settings: dict) -> dict[str, torch.Tensor]:
    """Every turn's gradients and logs, and what buffers become, from the same start."""
    kind = registry.family(name)
    two_sided = kind.data in ("paired", "unpaired")
    spec = ImageSpec(SIZE, SIZE, 3, classes=3, class_names=("a", "b", "c"), other_channels=3 if two_sided else 0)
    torch.manual_seed(0)
    fields = {f.name for f in dataclasses.fields(kind.Config)}
    small = kind.tiny or {key: value for key, value in SMALL.items() if key in fields}
    game: Game = kind(config.make(kind.Config, {**small, **settings}, name), spec)
    if getattr(game, "augment", None) is not None and hasattr(game.augment, "set_p"):
        game.augment.set_p(0.5)
    layers.synchronise(game)
    rank, world = seeds.process()
    mine = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
    random = torch.Generator().manual_seed(1)
    images, other = (torch.rand(BATCH, 3, SIZE, SIZE, generator=random) * 2 - 1 for _ in range(2))
    labels = torch.arange(BATCH) % 3
    plan = Plan(devices.Device(torch.device("cpu")))
    found = {}
    for step, turn in enumerate(game.turns(), 1):
        seeding.seed_step(0, step)
        optimizer = engine.make_optimizers(game, torch.device("cpu"))[turn.player]
        clock = Clock(BATCH * step, step * turn.every, 0.7)
        batch = Batch(images[mine], labels[mine], other[mine] if two_sided else None, clock, BATCH)
        # gradients only: weights stay, so that rounding is not amplified from turn to turn
        kept = {k: v.clone() for k, v in game.named_parameters()}
        logs = steps.play(game, optimizer, turn, [batch], plan)
        for network in game.players[turn.player]:
            for key, parameter in game.get_submodule(network).named_parameters(network):
                gradient = parameter.grad
                found[f"{turn.loss.__name__}/{key}"] = (
                    torch.full((1,), float("nan")) if gradient is None else gradient.clone()
                )
        found |= {f"{turn.loss.__name__}/log/{key}": value.float() for key, value in logs.items()}
        with torch.no_grad():
            for key, parameter in game.named_parameters():
                parameter.copy_(kept[key])
    return found | {f"buffer/{key}": value.float() for key, value in game.named_buffers()}


def difference(one: torch.Tensor, two: torch.Tensor, scale: float) -> float:
    if one.shape != two.shape or (one.isnan() != two.isnan()).any():
        return float("inf")
    return (one - two).nan_to_num().abs().max().item() / scale


def agreements() -> list[str]:
    """What processes tell each other; gives what went wrong."""
    rank, wrong = seeds.process()[0], []
    state = State(0, seconds=5.0 + rank, stop=rank == 1)
    if not engine.agree(state) or state.seconds != 5.0:
        wrong.append(f"the second process's wish to stop was not heard: {state}")
    try:
        engine.agree(State(0), Diverged("a loss became NaN") if rank == 0 else None)
        wrong.append("nobody minded a failure")
    except GansmithError as error:
        if isinstance(error, Diverged) != (rank == 0):
            wrong.append(f"process {rank} raised {error!r}")
    if processes.from_first(lambda: f"of {rank}") != "of 0":
        wrong.append("the first process was not heard")
    try:
        processes.require_same("The data", f"hash {rank}")
        wrong.append("different data was accepted")
    except GansmithError as error:
        if "differs between the processes" not in str(error):
            wrong.append(str(error))
    rows = torch.arange(3.0) + 10 * rank
    if processes.gather(rows).tolist() != [0, 1, 2, 10, 11, 12] or not torch.equal(
        processes.own(processes.gather(rows)), rows
    ):
        wrong.append("rows were not gathered in order")
    return wrong


def main(out: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    processes.join(torch.device("cpu"))
    rows = []
    for name in names or list(registry.families()):
        for settings in VARIANTS.get(name, [{}]):
            with seeds.alone():
                whole = gradients(name, settings)
            halves = gradients(name, settings)
            turns = {key.split("/")[0] for key in whole}
            largest = {t: max(v.nan_to_num().abs().max().item() for k, v in whole.items() if k.startswith(t + "/") and "/log/" not in k)
                       for t in turns if any(k.startswith(t + "/") and "/log/" not in k and v.numel() for k, v in whole.items())}  # fmt: skip
            worst = max(
                (difference(whole[k], halves[k], max(largest[k.split("/")[0]], 1e-3) if "/log/" not in k else max(1.0, whole[k].abs().item())), k)
                for k in whole if whole[k].numel()
            )  # fmt: skip
            rows.append(
                {"family": name, "settings": settings, "difference": worst[0], "where": worst[1], "tensors": len(whole)}
            )
    wrong = agreements()
    if seeds.process()[0] == 0:
        out.write_text(json.dumps({"gradients": rows, "wrong": wrong}))
    processes.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
