"""Count mode collapse in a toy world: ring, grid (points in the plane) or stacked-mnist (1,000 modes)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from gansmith.commands._parse import parse, say, show_table
from gansmith.commands.train import take_option
from gansmith.config import Bounds
from gansmith.errors import GansmithError, shown
from gansmith.files.paths import check_free

if TYPE_CHECKING:
    from gansmith.toy.worlds import World
    from gansmith.training.engine import Goal, Hook

HELP = """usage: gansmith toy ring|grid --family F [--seeds 5] [--images N | --minutes M] [--json] [--out DIR]
       gansmith toy stacked-mnist --family F [--minutes M] [--json] [--out DIR]
       gansmith toy ring --family F --help     every option, the family's own among them

ring: 8 Gaussians on a circle. grid: 25 Gaussians. stacked-mnist: three digits as colours, 1,000 modes."""


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith toy``."""

    world: tyro.conf.Positional[str]
    """ring, grid or stacked-mnist."""
    family: str
    """Which family plays; its own settings are options too."""
    seeds: Annotated[int | None, Bounds(1, was=0)] = None
    """How many runs, with seeds 0, 1, ...; by default 5 (ring, grid) or 1 (stacked-mnist)."""
    seed: Annotated[int, Bounds(0)] = 0
    """The first seed."""
    images: Annotated[int | None, Bounds(1, unit="images", was=0)] = None
    """Points or pictures seen by each run; by default the family's usual number."""
    minutes: Annotated[float | None, Bounds(above=0, unit="minutes", was=0)] = None
    """Stop each run after this many minutes instead; 55 for stacked-mnist where neither is given."""
    batch: Annotated[int | None, Bounds(1, was=0)] = None
    """Points or pictures per step; by default the family's usual number."""
    json: bool = False
    """Print plain JSON instead of a table."""
    out: Path | None = None
    """Write result.json and pictures here: samples, D's landscape, and a film of both; the model of stacked-mnist."""
    overwrite: bool = False
    """Replace the results that are in the folder already."""
    device: str = "auto"
    """cuda, mps, cpu, or auto; points always take the CPU."""
    threads: Annotated[int | None, Bounds(1, was=0)] = None
    """CPU threads; by default torch chooses. Points are quickest with 1 or 2."""


def main(argv: list[str]) -> int:
    """Run ``gansmith toy``."""
    asked = {"-h", "--help"} & set(argv)
    if not argv or (asked and take_option(argv, "--family")[0] is None):
        print(HELP)
        return 0 if asked else 2
    options, config = read(argv)
    check(options, config)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    result = stacked(options, config) if options.world == "stacked-mnist" else points(options, config)
    if options.out is not None:
        from gansmith.files.atomic import write_atomically

        write_atomically(options.out / "result.json", (json.dumps(result, indent=2) + "\n").encode())
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    return 0


def check(options: Options, config: Any) -> None:
    """Refuse what cannot be played, before anything is; make the folder of the results."""
    from gansmith.config import check_numbers
    from gansmith.toy.networks import LATENT
    from gansmith.training.settings import check_divides

    check_numbers(options)
    check_numbers(config)
    check_divides(batch_of(options), 1, 1, config.pack)
    if options.images and options.minutes:
        raise GansmithError("Give one of --images and --minutes, not both.")
    if options.world != "stacked-mnist":
        if config.augment != "none":
            raise GansmithError("Points in the plane are no pictures to augment: leave --augment out.")
        if config.latent_dim != LATENT:
            raise GansmithError(f"The networks for points take noise of length {LATENT}: leave --latent-dim out.")
    if options.out is not None:
        if options.out.exists() and not options.out.is_dir():
            raise GansmithError(f"--out {options.out} is a file; it must be a folder.")
        check_free(options.out, options.overwrite)
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GansmithError(f"--out {options.out} cannot be made: {error.strerror}. Choose another.") from None


def batch_of(options: Options) -> int:
    """Points or pictures per step: as asked, else what is usual for the family in this world."""
    from gansmith.toy import points, stacked
    from gansmith.toy.worlds import make_world

    if options.batch:
        return options.batch
    if options.world == "stacked-mnist":
        return points.playable(options.family).usual_batch(stacked.SPEC)
    return points.preset(options.family, make_world(options.world)).batch


def read(argv: list[str]) -> tuple[Options, Any]:
    """Options, and the family's settings: its preset for the world, then flags."""
    from gansmith import config as configs
    from gansmith import registry
    from gansmith.toy.points import playable, preset
    from gansmith.toy.stacked import SETTINGS
    from gansmith.toy.worlds import WORLDS, make_world

    named, rest = take_option(argv, "--family")
    family = named or ""
    known = [word for word in rest if word in (*WORLDS, "stacked-mnist")]
    world = next(iter([*known, *(word for word in rest if not word.startswith("-"))]), "")
    if not family:
        raise GansmithError(f"Name a family: gansmith toy {world or 'ring'} --family r3gan.")
    kind = playable(family)
    usual = SETTINGS.get(family, {}) if world == "stacked-mnist" else preset(family, make_world(world)).settings
    both = dataclasses.make_dataclass("Arguments", [("toy", Options), ("settings", kind.Config)])
    default = both(Options(world, family), configs.make(kind.Config, usual, family))
    chosen: Any = parse(both, argv, f"toy {world}", registry.families().get(family, family), default)
    return chosen.toy, chosen.settings


def points(options: Options, config: Any) -> dict[str, Any]:
    """Play every seed in a world of points; the result as json-able values."""
    from gansmith.toy import points as toy
    from gansmith.toy.worlds import make_world

    world, batch = make_world(options.world), batch_of(options)
    preset = toy.preset(options.family, world)
    runs = []
    for seed in range(options.seed, options.seed + (options.seeds or 5)):
        with Watch(f"seed {seed}", goal_of(options, preset.images)) as watch:
            frames = 60 if options.out is not None else 0
            run = toy.play(
                options.family, world, config, seed, goal=watch.goal, batch=batch, frames=frames, watch=watch.hook
            )
            watch.say(f"{run.score.modes}/{run.score.of} modes, {run.score.good:.1%} good, {run.seconds:.0f} s")
        runs.append(run)
    if options.out is not None:
        save_pictures(runs, world, options)
    return {**header(options, config, batch), "runs": [toy.to_plain(run) for run in runs], "summary": toy.summary(runs)}


def save_pictures(runs: list[Any], world: World, options: Options) -> None:
    """The picture and the film."""
    from gansmith.toy import drawing

    assert options.out is not None
    for path in drawing.save(runs, world, options.family, options.out):
        say(f"written: {path}")


def stacked(options: Options, config: Any) -> dict[str, Any]:
    """Train on stacked digits; the result as json-able values."""
    from gansmith import devices
    from gansmith.models.bundle import Model
    from gansmith.toy import stacked as toy
    from gansmith.training.engine import Goal

    device, batch = devices.resolve(options.device), batch_of(options)
    runs = []
    for seed in range(options.seed, options.seed + (options.seeds or 1)):
        goal = goal_of(options, 0) if options.images or options.minutes else Goal(minutes=55)
        with Watch(f"seed {seed}", goal) as watch:
            run, game = toy.play(options.family, config, seed, goal=goal, batch=batch, device=device, watch=watch.hook)
            watch.say(f"{run.modes} of {toy.MODES} modes, KL {run.kl:.3f}, {run.seconds / 60:.1f} minutes")
        runs.append(dataclasses.asdict(run))
        if options.out is not None:
            info = {
                "images": run.images,
                "seed": seed,
                "data": {"name": "stacked-mnist"},
                "modes": run.modes,
                "kl": run.kl,
            }
            Model(options.family, game.cpu(), info).save(options.out / f"model-{seed}")
    return {
        **header(options, config, batch),
        "note": "digits of the embedded 10,000, not of the full 60,000",
        "runs": runs,
    }


def header(options: Options, config: Any, batch: int) -> dict[str, Any]:
    """What was played, for result.json."""
    from gansmith.config import to_plain

    return {"world": options.world, "family": options.family, "batch": batch, "settings": to_plain(config)}


def goal_of(options: Options, images: int) -> Goal:
    """When a run is over."""
    from gansmith.training.engine import Goal

    return Goal(minutes=options.minutes) if options.minutes else Goal(options.images or images)


class Watch:
    """A progress line on standard error."""

    def __init__(self, title: str, goal: Goal) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.title, self.goal = title, goal
        self.console = Console(stderr=True, highlight=False)
        columns = (TextColumn(title), BarColumn(20), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
        self.progress = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task = self.progress.add_task("", total=1.0)

    def __enter__(self) -> Watch:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    @property
    def hook(self) -> Hook:
        """To be called after every step."""
        return lambda game, state, logs: self.progress.update(self.task, completed=state.clock.progress)

    def say(self, message: str) -> None:
        """A line that stays."""
        self.console.print(shown(f"{self.title}: {message}"), markup=False)


def show(result: dict[str, Any]) -> None:
    """Print the result as a table."""
    title = f"{result['family']} in {result['world']}"
    if "summary" not in result:
        rows = [[str(r["seed"]), f"{r['modes']} of 1000", f"{r['kl']:.3f}", f"{r['images']:,}"] for r in result["runs"]]
        show_table(title, ["seed", "modes", "KL", "images"], rows)
        return
    rows = [
        [
            str(r["seed"]),
            f"{r['modes']}/{r['of']}",
            f"{r['good']:.1%}",
            f"{r['reverse_kl']:.4f}",
            f"{r['seconds']:.0f} s",
        ]
        for r in result["runs"]
    ]
    s = result["summary"]
    mean = [
        "mean",
        f"{s['modes']['mean']:.1f} ± {s['modes']['stderr']:.1f}",
        f"{s['good']['mean']:.1%} ± {s['good']['stderr']:.1%}",
        f"{s['reverse_kl']['mean']:.4f} ± {s['reverse_kl']['stderr']:.4f}",
        f"{s['seconds']['mean']:.0f} s",
    ]
    show_table(title, ["seed", "modes", "good samples", "reverse KL", "time"], [*rows, mean])
