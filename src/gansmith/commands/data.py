"""Check pictures before training on them (check), or pack large sets into tars that stream (pack)."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gansmith.commands._parse import Parser, say
from gansmith.errors import shown

if TYPE_CHECKING:
    from gansmith.data.check import Report

_SHOWN = 12


def main(argv: list[str]) -> int:
    """``gansmith data``."""
    parser = Parser(prog="gansmith data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_check(commands)
    add_pack(commands)
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


def add_check(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare ``gansmith data check``."""
    check = commands.add_parser(
        "check",
        help="decode every picture and report",
        description="Decode every picture and report counts, sizes, modes, classes, duplicates and every broken file.",
        epilog="Exit code 0 if training would accept the set (up to 10 % broken files are left out), 1 if it would "
        "refuse it, 2 if there is nothing to check.",
    )
    check.add_argument(
        "spec", help="folder, zip, .npz, IDX files, hf:NAME[:SPLIT], or a standard name such as mnist10k"
    )
    check.add_argument("--size", type=int, help="say what training with this --size would see")
    check.add_argument("--json", action="store_true", help="print everything as JSON")
    check.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from gansmith.data.check import check

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("Decoding", total=None)
        report = check(
            arguments.spec,
            size=arguments.size,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if arguments.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report)
    return 0 if report.usable else 1


def add_pack(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare ``gansmith data pack``."""
    packing = commands.add_parser(
        "pack",
        help="write pictures into tars that stream well",
        description="Write pictures into WebDataset tars with an index, shuffled and verified, for sets that do not fit into "
        "memory or lie on the net. Train on them with --data FOLDER, or --data 'shards:https://.../{000000..000127}.tar'.",
        epilog="Exit code 0 if all pictures were packed, 1 if some were broken and left out, 2 if nothing was.",
    )
    packing.add_argument("spec", help="folder, zip, .npz, or anything else that --data takes")
    packing.add_argument("--out", required=True, type=Path, help="folder for the tars; must be empty or new")
    packing.add_argument("--per-shard", type=int, default=1000, help="pictures per tar (default 1000)")
    packing.add_argument(
        "--size", type=int, help="resize and cut to this many pixels; by default files keep their bytes"
    )
    packing.set_defaults(run=_pack)


def _pack(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from gansmith.data.pack import pack

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("Packing", total=None)
        packed = pack(
            arguments.spec,
            arguments.out,
            per_shard=arguments.per_shard,
            size=arguments.size,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for file, reason in packed.broken:
        say(f"left out: {file}: {reason}")
    megabytes = packed.bytes / (1 << 20)
    say(
        f"{packed.pictures:,} pictures in {packed.shards:,} tars ({megabytes:,.1f} MB), verified: {packed.folder}",
        sys.stdout,
    )
    return 1 if packed.broken else 0


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gansmith.data.formats import suffix, why_unread

    console = Console(highlight=False)
    table = Table(title=escape(shown(report.name)), show_header=False, title_justify="left", min_width=50)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("pictures", f"{report.pictures:,}")
    table.add_row("sizes", _listed(report.sizes))
    table.add_row("modes", _listed(report.modes))
    table.add_row("classes", escape(shown(_listed(report.classes))) if report.classes else "none (no labels)")
    extra = sum(len(group) - 1 for group in report.duplicates)
    table.add_row("duplicates", f"{extra:,} in {len(report.duplicates):,} groups" if extra else "none")
    table.add_row("broken", f"[red]{len(report.broken):,}[/red]" if report.broken else "none")
    if report.unread:
        table.add_row(
            "passed over", f"[red]{len(report.unread):,}[/red] pictures: {escape(shown(why_unread(report.unread)))}"
        )
    if report.range:
        table.add_row("range", escape(report.range))
    if report.empty:
        table.add_row(
            "empty classes",
            escape(shown(", ".join(report.empty[:_SHOWN]))) + ("..." if len(report.empty) > _SHOWN else ""),
        )
    if report.enlarged:
        table.add_row("enlarged", f"{report.enlarged:,} are smaller than the size asked for")
    if report.ignored:
        endings = _counted(suffix(name) or "no ending" for name in report.ignored)
        table.add_row("no pictures", f"{len(report.ignored):,} other files, ignored: {escape(shown(_listed(endings)))}")
    console.print(table)
    for group in report.duplicates[:_SHOWN]:
        console.print(
            "equal: " + escape(shown(" = ".join(group[:6]))) + (" = ..." if len(group) > 6 else ""), soft_wrap=True
        )
    if len(report.duplicates) > _SHOWN:
        console.print(f"... and {len(report.duplicates) - _SHOWN} more groups (--json lists all)")
    for file, reason in report.broken:
        console.print(f"[red]broken[/red]: {escape(shown(file))}: {escape(shown(reason))}", soft_wrap=True)
    for note in report.notes:
        console.print(f"note: {escape(shown(note))}", soft_wrap=True)
    console.print(escape(shown(report.verdict)), style=None if report.usable else "red", soft_wrap=True)


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _listed(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name} ({n:,})" for name, n in list(counts.items())[:_SHOWN])
    return shown + (f", and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "") if counts else "none"
