"""Before training: does it fit, how long will it take, what should be changed, what is missing."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from gansmith.commands._parse import parse, say, show_table
from gansmith.commands.train import combined, defaults, take_option
from gansmith.config import TrainSettings
from gansmith.errors import GansmithError

HELP = """usage: gansmith doctor                             what is installed and what is missing
       gansmith doctor FAMILY --data SPEC [options]   measure a few steps of that run

Takes the options of 'gansmith train FAMILY', and --json.
Exit code 0 if the run fits on this device, 1 if it does not."""


def main(argv: list[str]) -> int:
    """Run ``gansmith doctor``."""
    if argv and argv[0] in ("-h", "--help"):
        print(HELP)
        return 0
    as_json = "--json" in argv
    argv = [word for word in argv if word != "--json"]
    from gansmith.bench import doctor

    report: dict[str, Any] = {"versions": doctor.versions(), "missing": doctor.missing_extras()}
    if argv:
        report |= run_report(argv)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        show(report)
    return 1 if report.get("fits") is False else 0


def run_report(argv: list[str]) -> dict[str, Any]:
    """Measure the run that ``gansmith train`` with these words would start."""
    from gansmith import config, devices, registry
    from gansmith.bench import doctor
    from gansmith.data.training import open_training_data
    from gansmith.training.settings import goal_of

    named, words = (None, argv) if argv[0].startswith("-") else (argv[0], argv[1:])
    path, words = take_option(words, "--config")
    if "--resume" in words:
        raise GansmithError("doctor looks at runs before they begin: leave --resume out.")
    family, run_settings, family_config = defaults(named, path, words)
    arguments = combined(run_settings, family_config)
    chosen: Any = parse(type(arguments), words, f"doctor {family}", registry.families().get(family, family), arguments)
    settings: TrainSettings = chosen.run
    config.validate(settings)
    config.check_numbers(chosen.family)
    device = devices.resolve(settings.device, settings.precision)
    kind = registry.family(family)

    def note(message: str) -> None:
        say(f"warning: {message}")

    say("opening the data, then a few steps ...")
    data = open_training_data(kind, settings, chosen.family, note)
    found = doctor.examine(kind, family, data, chosen.family, settings, device)
    goal = goal_of(settings, found.batch)
    images = goal.images or round(60 * goal.minutes * found.images_per_second)
    report = dataclasses.asdict(found) | {
        "family": family,
        "device": str(device),
        "data": data.describe(),
        "images": images,
    }
    return report | {"seconds": images / found.images_per_second}


def show(report: dict[str, Any]) -> None:
    """Print a report for a person."""
    from gansmith.bench.measure import human_bytes
    from gansmith.files.text import clock_text

    rows = [[name, version] for name, version in report["versions"].items()]
    for extra, packages in report["missing"].items():
        rows.append([f"extra '{extra}'", f"not installed ({', '.join(packages)}): pip install 'gansmith[{extra}]'"])
    show_table("installed", ["", ""], rows)
    if "family" not in report:
        return
    fits = {True: "yes", False: "NO", None: "unknown"}[report["fits"]]
    weights = ", ".join(f"{player} {count:,}" for player, count in report["parameters"].items())
    rows = [
        ["data", report["data"]],
        ["device", report["device"]],
        ["weights", weights],
        ["batch", str(report["batch"])],
        ["training", f"{report['images_per_second']:,.1f} images/s, {1000 * report['step_seconds']:,.0f} ms per step"],
        ["data alone", f"{report['loader_images_per_second']:,.0f} images/s"],
        ["whole run", f"{clock_text(report['seconds'])} for {report['images']:,} images"],
        ["memory", f"about {human_bytes(report['memory'])} of {human_bytes(report['available'])} free"],
        ["fits", fits],
    ]
    show_table(f"{report['family']} here", ["", ""], rows)
    for line in report["advice"]:
        say(f"- {line}", sys.stdout)
