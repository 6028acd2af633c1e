"""Reading a pickle as data: nothing it names is ever imported, called or built.

A pickle is a program. This reader goes through its opcodes with the standard library's disassembler and keeps notes of
what the program *would* do (:mod:`gansmith.importers.pickle_machine`): which name it would import, which call it would make
with which arguments. The notes are inert; the importers read numbers and names off them. A name that the file's kind has no
use for (see :mod:`gansmith.importers.names`) is refused at once, so that a file which holds one is not read at all.

A pickle can also ask for more memory and time than any file of weights needs. So its operations are counted, places of
the memo and numbers that are keys are bounded, and no length is believed that is longer than the file.
"""

from __future__ import annotations

import io
import pickletools
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from gansmith.errors import ModelError
from gansmith.importers.names import STYLEGAN, Policy
from gansmith.importers.notes import Refused, printable
from gansmith.importers.pickle_machine import Machine

MAX_OPERATIONS = 1_000_000
"""Steps of a file's pickles before they are taken for an attack; the largest published files take about a hundred thousand."""

MAX_LINE = 2**24
"""Bytes of a line in a pickle; other kinds of files may be one endless line."""

MAX_DIGITS = 1000
"""Bytes of a line that holds a number; to read a number of n digits takes n^2 steps."""


@dataclass
class Budget:
    """Steps that the pickles of one file may still take together."""

    left: int


def budget() -> Budget:
    """As many steps as one file may take."""
    return Budget(MAX_OPERATIONS)


_SHORT = 256
"""So many bytes may be asked of any file."""

_NUMBERS = (b"I", b"L", b"F", b"p", b"g")
"""Operations whose line is a number."""


class _Bounded:
    """A stream that asks the file for no more than it has: lengths in a pickle can be lies."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        here = stream.tell()
        self.end = stream.seek(0, io.SEEK_END)
        self.last = b""  # what was read last: before a line it is the operation that the line belongs to
        stream.seek(here)

    def read(self, count: int) -> bytes:
        if not 0 <= count <= _SHORT:  # to ask where the stream is takes longer than to read an operation
            count = max(0, min(count, self.end - self.stream.tell()))
        self.last = self.stream.read(count)
        return self.last

    def readline(self) -> bytes:
        return self.stream.readline(MAX_DIGITS if self.last in _NUMBERS else MAX_LINE)


def _played(machine: Machine, stream: _Bounded, budget: Budget) -> Any:
    """What one pickle of the stream leaves on the stack."""
    for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]
        budget.left -= 1
        if budget.left < 0:
            raise machine.inflated()
        if opcode.name == "STOP":
            return machine.pop()
        machine.do(opcode.name, argument)
    raise ValueError("no end")


def read_notes(
    stream: BinaryIO,
    source: str,
    references: bool = False,
    policy: Policy = STYLEGAN,
    steps: Budget | None = None,
) -> Any:
    """One pickle as notes: plain values, :class:`Name`, :class:`Call` and :class:`Reference`.

    Args:
        stream: a binary file at the start of a pickle; left behind its end.
        source: what to call it in messages.
        references: whether it may point at data that lies outside the pickle.
        policy: which names it may hold.
        steps: how many steps it may take, which are taken off; None allows it all that a file may take.

    Raises:
        Refused: it names something that the policy does not allow, or does what no file of weights does.
        ModelError: it is not a pickle, or it is damaged.
    """
    machine = Machine(source, references, policy)
    try:
        return _played(machine, _Bounded(stream), steps or budget())
    except Refused:
        raise
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        AssertionError,
        EOFError,
        struct.error,
    ) as error:
        what = "a StyleGAN2 pickle" if policy is STYLEGAN else "a file of weights"
        raise ModelError(
            f"{source} is not {what}, or it is damaged or incomplete ({printable(str(error))}). Download it again."
        ) from None
    except (RecursionError, MemoryError):
        raise machine.inflated() from None
