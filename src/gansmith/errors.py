"""Errors that a person can act on: the command line prints them as one paragraph and exits with code 2."""

from __future__ import annotations

import re


class GansmithError(Exception):
    """Something the user can put right. The message says what is wrong and what to do about it."""


def first_line(error: BaseException, most: int = 200) -> str:
    """The first line of another library's error, to be quoted in a message; the error's kind if it has no text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most]


def shown(text: object) -> str:
    """A name or words out of a file as they may be shown: what a terminal would obey stands there as ``\\x1b`` and the like.

    Letters of every language stay as they are. Line ends, control characters and marks that turn the direction of writing
    do not, nor do halves of characters, which no terminal can show.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def apple_gpu_lacks(error: BaseException) -> str | None:
    """What to do about an error of torch for something that it cannot compute on Apple's GPUs (MPS); None for any other error."""
    text = first_line(error)
    if "MPS" not in text or not re.search(r"(not|n't|only|un)( currently)? ?(implemented|support)", text, re.I):
        return None
    return (
        f"This torch cannot compute something of this run on Apple's GPU ({text}). Take --device cpu, or a newer torch; or set the "
        "environment variable PYTORCH_ENABLE_MPS_FALLBACK=1, with which torch computes what is missing on the CPU."
    )


def shortened(text: str) -> str:
    """A sentence whose words, names of files above all, are no longer than a person reads: the middle of longer ones is left out."""
    return re.sub(r"\S{300,}", lambda long: f"{long[0][:120]}...{long[0][-60:]}", text)


class DataError(GansmithError):
    """The pictures cannot be used as they are."""


class RunError(GansmithError):
    """A run folder cannot be started, resumed or read."""


class ModelError(GansmithError):
    """A model folder or a file of weights cannot be loaded."""


class Diverged(GansmithError):
    """A loss or a weight became NaN or infinite; the last good state is kept on disk."""


class MissingExtra(GansmithError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}'. Install it with: pip install 'gansmith[{extra}]'")
