"""Print a completion script for bash, zsh or fish: commands, families and every flag."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from gansmith import cli, registry
from gansmith.commands._parse import parse


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith completion``."""

    shell: Positional[Literal["bash", "zsh", "fish"]]
    """Write it where your shell looks: gansmith completion bash > ~/.local/share/bash-completion/completions/gansmith."""


def main(argv: list[str]) -> int:
    """Run ``gansmith completion``."""
    options = parse(Options, argv, "completion", __doc__ or "")
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell](), end="")
    return 0


def flags_of(command: str, *more: str) -> list[str]:
    """Every flag of a command, from what its own --help says.

    Args:
        more: words before --help, for commands whose flags depend on them (a family, a sub-command).
    """
    module = importlib.import_module(f"gansmith.commands.{command.replace('-', '_')}")
    shown = io.StringIO()
    width = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "79"  # narrower, and options never stand side by side
    try:
        with (
            contextlib.redirect_stdout(shown),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(SystemExit),
        ):
            module.main([*more, "--help"])
    finally:
        os.environ.pop("COLUMNS") if width is None else os.environ.update(COLUMNS=width)
    # a flag opens its line, maybe after a frame or a short form; '--a, --no-a' are two
    found: list[str] = []
    for line in shown.getvalue().splitlines():
        opening = re.match(r"^[\s│|]*((?:-\w,? ?)?(?:--[a-z][\w-]*(?:[ ,|]+)?)+)", line)
        found += re.findall(r"--[a-z][\w-]*", opening.group(1)) if opening else []
    if command == "train":
        found += ["--config", "--processes"]
    return sorted(set(found))


def flags() -> dict[str, list[str]]:
    """Flags by what stands before them: a command, or ``train FAMILY``."""
    table = {name: flags_of(name) for name in cli.commands() if name not in ("train", "toy")}
    table["data"] = flags_of("data", "check")
    table["toy"] = flags_of("toy", "ring", "--family", "gan")
    return table | {f"train {family}": flags_of("train", family) for family in registry.families()}


def _cases() -> str:
    return "\n".join(f'    "{words}"*) words="{" ".join(names)}" ;;' for words, names in flags().items())


_FUNCTION = """_gansmith() {{
  local current words line
  current="${{COMP_WORDS[COMP_CWORD]}}"
  line="${{COMP_WORDS[*]:1:COMP_CWORD-1}} "
  words=""
  case "$line" in
    " ") words="{commands} --help --version" ;;
    "train ") words="{families} --resume --config" ;;
{cases}
  esac
  if [[ "$current" == -* || "$line" == " " || "$line" == "train " ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}}
complete -o filenames -F _gansmith gansmith
"""


def _bash() -> str:
    return "# bash completion of gansmith\n" + _FUNCTION.format(
        commands=" ".join(cli.commands()), families=" ".join(registry.families()), cases=_cases()
    )


def _zsh() -> str:
    return "#compdef gansmith\nautoload -Uz bashcompinit && bashcompinit\n" + _bash()


def _fish() -> str:
    lines = ["# fish completion of gansmith", "complete -c gansmith -n __fish_use_subcommand -f"]
    for name, doc in cli.commands().items():
        text = doc.replace("'", "")
        lines.append(f"complete -c gansmith -n __fish_use_subcommand -a {name} -d '{text}'")
    for family, doc in registry.families().items():
        text = doc.replace("'", "")
        lines.append(f"complete -c gansmith -n '__fish_seen_subcommand_from train' -a {family} -d '{text}'")
    for words, names in flags().items():
        seen = " ".join(f"; and __fish_seen_subcommand_from {word}" for word in words.split())[6:]
        lines += [f"complete -c gansmith -n '{seen}' -l {name[2:]}" for name in names]
    return "\n".join(lines) + "\n"
