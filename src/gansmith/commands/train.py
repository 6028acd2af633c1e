"""Train a family on pictures, or go on with a run."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

from gansmith import config as configs
from gansmith.commands._parse import parse, say
from gansmith.config import TrainSettings
from gansmith.errors import GansmithError
from gansmith.files.yaml_documents import read_settings

AUTO = "auto"
"""In a family's place: one that suits the pictures."""
GOALS = ("images", "steps", "minutes")

HELP = """usage: gansmith train --data SPEC [options]         take the family that suits the pictures, and say why
       gansmith train FAMILY --data SPEC [options]
       gansmith train FAMILY --help                 every option of a family
       gansmith train FAMILY --config file.yaml     settings from a file (flags win)
       gansmith train --resume --out RUN            go on with a run

FAMILY is one of: {families}
or the dotted path of your own module (my_pkg.my_gan)."""


def main(argv: list[str]) -> int:
    """Run ``gansmith train``."""
    from gansmith import registry

    if not argv or argv[0] in ("-h", "--help"):
        print(HELP.format(families=", ".join(registry.families())))
        return 0
    family, argv = (None, argv) if argv[0].startswith("-") else (argv[0], argv[1:])
    path, argv = take_option(argv, "--config")
    processes, argv = take_option(argv, "--processes")
    if processes is not None:
        return launch_processes(processes, [family] if family else [], argv, path)
    family, run_settings, family_config = defaults(family, path, argv)
    argv = [word for word in argv if word != "--resume"]  # already in run_settings
    from gansmith.training.session import train

    arguments = combined(run_settings, family_config)
    chosen: Any = parse(type(arguments), argv, f"train {family}", registry.families().get(family, family), arguments)
    configs.check_numbers(chosen.family)
    finished = train(family, settings=chosen.run, family_config=chosen.family)
    return 130 if finished.interrupted else 0


def take_option(argv: list[str], name: str) -> tuple[str | None, list[str]]:
    """Take ``--name value`` or ``--name=value`` out of the words."""
    for i, word in enumerate(argv):
        if word == name:
            if i + 1 == len(argv):
                raise GansmithError(f"{name} needs a value.")
            return argv[i + 1], argv[:i] + argv[i + 2 :]
        if word.startswith(name + "="):
            return word.split("=", 1)[1], argv[:i] + argv[i + 1 :]
    return None, argv


def launch_processes(count: str, family: list[str], argv: list[str], config_file: str | None) -> int:
    """Start ``count`` processes on this machine that train together."""
    from gansmith.parallel.launch import launch

    most = max(64, 2 * (os.cpu_count() or 1))
    if not re.fullmatch(r"[0-9]{1,6}", count) or not 1 <= int(count) <= most:
        raise GansmithError(f"--processes is a number of processes on this machine, 1 to {most}, not '{count[:40]}'.")
    more = [] if config_file is None else ["--config", config_file]
    return launch(int(count), ["train", *family, *argv, *more])


def defaults(family: str | None, config_file: str | None, argv: list[str]) -> tuple[str, TrainSettings, Any]:
    """The settings before flags: a saved run's when resuming, a file's, or the family's own."""
    from gansmith import registry
    from gansmith.training.settings import saved_settings

    family = None if family == AUTO else family
    if family is not None:
        registry.named(family)  # by the person, not by a file
    if "--resume" in argv:
        out, _ = take_option(argv, "--out")
        if out is None:
            raise GansmithError("--resume needs --out: the run folder to go on with. 'gansmith runs' lists them.")
        saved_family, run_settings, family_config = saved_settings(Path(out))
        if config_file is not None:  # asked for again, and so compared with what the run was started with
            run_settings, family_config = updated(run_settings, family_config, family or saved_family, config_file)
        return family or saved_family, without_old_goal(run_settings, argv), family_config
    run_plain: dict[str, Any] = {}
    family_plain: dict[str, Any] = {}
    if config_file is not None:
        family, run_plain, family_plain = from_file(family, Path(config_file))
    if family is None or family == AUTO:
        family = suited(option_values(argv, "--data") or run_plain.get("data") or TrainSettings.data)
    kind = registry.family(family)
    run_settings = without_old_goal(configs.make(TrainSettings, run_plain, "train"), argv)
    return family, run_settings, configs.make(kind.Config, family_plain, family)


def suited(specs: Any) -> str:
    """The family for some data, said by the first process."""
    from gansmith.parallel import seeds
    from gansmith.training.choosing import choose

    family, why = choose([specs] if isinstance(specs, str) else [str(spec) for spec in specs])
    if seeds.process()[0] == 0:
        say(why)
    return family


def option_values(argv: list[str], name: str) -> list[str]:
    """The values of ``--name a b`` or ``--name=a b``, those of the last where it is given twice; [] where it is not given."""
    found: list[str] = []
    for i, word in enumerate(argv):
        if word == name or word.startswith(name + "="):
            end = next((j for j in range(i + 1, len(argv)) if argv[j].startswith("--")), len(argv))
            found = [*([word.partition("=")[2]] if "=" in word else []), *argv[i + 1 : end]]
    return found


def without_old_goal(run_settings: TrainSettings, argv: list[str]) -> TrainSettings:
    """The same settings; a goal among the flags replaces the one they have."""
    if {f"--{goal}" for goal in GOALS} & {word.split("=")[0] for word in argv}:
        return dataclasses.replace(run_settings, images=None, steps=None, minutes=None)
    return run_settings


def updated(
    run_settings: TrainSettings, family_config: Any, family: str, config_file: str
) -> tuple[TrainSettings, Any]:
    """A saved run's settings with those of a file laid over them."""
    _, run_plain, family_plain = from_file(family, Path(config_file))
    run_plain.pop("out", None)
    saved, saved_family = configs.to_plain(run_settings), configs.to_plain(family_config)
    if run_plain.keys() & set(GOALS):
        saved |= dict.fromkeys(GOALS)
    return (
        configs.make(TrainSettings, saved | run_plain, f"{config_file}: train"),
        configs.make(type(family_config), saved_family | family_plain, f"{config_file}: {family}"),
    )


def from_file(family: str | None, path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Settings from a yaml file: flat ``name: value`` lines, or a run's own config.yaml.

    Returns:
        The family, the run's settings and the family's settings, as plain values.
    """
    content = read_settings(path)
    family = family or content.get("family", AUTO)
    if not isinstance(family, str):
        raise GansmithError(
            f"{path}: 'family' is a name such as dcgan, not {family!r}. Leave it out to take one that suits."
        )
    if isinstance(content.get("settings"), dict) and isinstance(content.get("train"), dict):
        # where that run lies, and whether it was resumed, is its own
        run_plain = {key: value for key, value in content["train"].items() if key != "out"}
        family_plain = content["settings"]
    else:
        flat = {str(key).replace("-", "_"): value for key, value in content.items() if key != "family"}
        names = {f.name for f in dataclasses.fields(TrainSettings)}
        run_plain = {key: value for key, value in flat.items() if key in names}
        family_plain = {key: value for key, value in flat.items() if key not in names}
    return family, {k: v for k, v in run_plain.items() if k != "resume"}, family_plain


def combined(run_settings: TrainSettings, family_config: Any) -> Any:
    """One dataclass with the run's and the family's settings side by side, for one set of flags."""
    both = dataclasses.make_dataclass("Arguments", [("run", TrainSettings), ("family", type(family_config))])
    return both(run_settings, family_config)
