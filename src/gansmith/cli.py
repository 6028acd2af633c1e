"""The command line: ``gansmith COMMAND ...``. Every file in ``commands/`` is a command; nothing heavy is imported to list them."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import io
import os
import re
import sys
from pathlib import Path

from gansmith.errors import GansmithError, apple_gpu_lacks, first_line, shortened, shown
from gansmith.version import __version__

COMMANDS = Path(__file__).parent / "commands"
FAMILY_MODULE = "--family-module"


def commands() -> dict[str, str]:
    """Every command's name and its one-line help."""
    found = {}
    for file in sorted(COMMANDS.glob("*.py")):
        if not file.stem.startswith("_"):
            doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            found[file.stem.replace("_", "-")] = doc.split("\n", 1)[0]
    return found


def usage() -> str:
    """The text of ``gansmith --help``."""
    from gansmith.registry import families

    rows = commands()
    width = max(map(len, rows))
    listed = "\n".join(f"  {name:<{width}}  {doc}" for name, doc in rows.items())
    return (
        f"gansmith {__version__}: generative adversarial networks that anyone can train, trust and use\n\n"
        f"usage: gansmith COMMAND [options]     (gansmith COMMAND --help tells a command's options)\n\n"
        f"commands:\n{listed}\n\n"
        f"families: {', '.join(families())}\n\n"
        "options:\n  --help, --version\n  --debug  show the full traceback of an error\n"
        "  --family-module MODULE  trust a family of your own, so that its models and runs can be read; remembered\n\n"
        "start here: gansmith train gan --data mnist10k --steps 2000"
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code. 0 done, 1 partly done or a check that says no, 2 the user can put something right, 130 interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    argv = [word for word in argv if word != "--debug"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] in ("-V", "--version"):
        print(__version__)
        return 0
    try:
        check_out_name(argv)
        code = _command(argv[0]).main(_with_own_families(argv[1:]))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("gansmith: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough; what is still buffered would only raise again
        with contextlib.suppress(OSError, ValueError):  # no real file, in tests
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        said = in_words(error)
        if debug or said is None:
            raise
        print(f"gansmith: {shortened(shown(' '.join(said.split())))}", file=sys.stderr)
        return 2


def _with_own_families(argv: list[str]) -> list[str]:
    """Take ``--family-module MODULE`` out of the words of any command; what it names may then stand in models and runs."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name != FAMILY_MODULE:
            kept.append(word)
            continue
        from gansmith.registry import use_family

        value = value if equals else next(words, "")
        if not value:
            raise GansmithError(f"{FAMILY_MODULE} needs the dotted path of a module, such as my_pkg.my_gan.")
        use_family(value)
    return kept


def check_out_name(argv: list[str]) -> None:
    """Raise a GansmithError where ``--out`` is no text: it is written into configurations, logs and reports."""
    from gansmith.files.paths import check_is_text

    for flag, word in zip(["", *argv], argv, strict=False):
        if word.startswith("--out=") or flag == "--out":
            check_is_text(word.removeprefix("--out="))


def in_words(error: Exception) -> str | None:
    """What a person can do about an error, or None for one that is a fault of the program."""
    if isinstance(error, GansmithError):
        return str(error)
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        name = error.object[:200].encode("ascii", "backslashreplace").decode()
        return f"'{name}' has a byte that is no UTF-8, which cannot be written down. Rename it, or choose another name."
    if isinstance(error, OSError) and error.errno is not None:
        where = f"'{error.filename}': " if error.filename is not None else ""
        return f"{where}{error.strerror or error}. Look at the path, its permissions and the space on the disk."
    if re.search(
        r"Overflow when unpacking|size calculation overflowed|multiplication overflow|too large to convert", str(error)
    ):
        return "A number among the settings is far too large for any picture or network. Choose a smaller one."
    lack = isinstance(error, RuntimeError) and re.search(r"out of memory|can't allocate memory", str(error))
    if isinstance(error, MemoryError) or lack:
        return (
            f"There is not enough memory ({first_line(error)}). Try a smaller --batch, --accumulate 2 or more where there is "
            "one, a smaller --size, or fewer other programs."
        )
    return apple_gpu_lacks(error)


def _command(name: str):
    known = commands()
    if name not in known:
        close = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise GansmithError(f"There is no command '{name}'.{hint} The commands are: {', '.join(known)}.")
    return importlib.import_module(f"gansmith.commands.{name.replace('-', '_')}")


def entry() -> None:
    """What the ``gansmith`` program runs."""
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text that the terminal can show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
