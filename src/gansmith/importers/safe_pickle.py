"""Reading a pickle as data: nothing it names is ever imported, called or built.

A pickle is a program. This reader goes through its opcodes with the standard library's disassembler and keeps notes of
what the program *would* do: which name it would import, which call it would make with which arguments. The notes are
inert; the importers read numbers and names off them. A name that the file's kind has no use for (see
:mod:`gansmith.importers.names`) is refused at once, so that a file which holds one is not read at all.

A pickle can also ask for more memory and time than any file of weights needs. So its operations are counted, places of
the memo and numbers that are keys are bounded, and no length is believed that is longer than the file.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from gansmith.errors import ModelError
from gansmith.importers.names import STYLEGAN, Policy
from gansmith.importers.notes import Call, Name, Reference, Refused, printable


class _Mark:
    """Marks a place on the stack."""


_TENSORFLOW = ("dnnlib.tflib.", "tfutil.")
"""Where the networks of the trainers before PyTorch live."""

MAX_OPERATIONS = 1_000_000
"""Steps of a file's pickles before they are taken for an attack; the largest published files take about a hundred thousand."""

MAX_LINE = 2**24
"""Bytes of a line in a pickle; other kinds of files may be one endless line."""

MAX_DIGITS = 1000
"""Bytes of a line that holds a number; to read a number of n digits takes n^2 steps."""

MAX_PLACE = 2**32
"""Places of the memo are numbered below this."""

MAX_KEY = 2**60
"""Whole numbers that are keys are smaller: larger ones can have equal hashes, and a table of those takes quadratic time."""


@dataclass
class Budget:
    """Steps that the pickles of one file may still take together."""

    left: int


def budget() -> Budget:
    """As many steps as one file may take."""
    return Budget(MAX_OPERATIONS)


class _Reader:
    """The stack machine of pickle, building notes instead of objects."""

    def __init__(self, source: str, references: bool, policy: Policy) -> None:
        self.source, self.references, self.policy = source, references, policy
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def refuse(self, what: str) -> Refused:
        return Refused(
            f"{self.source} was not read: it {what}, which {self.policy.what} never does. Nothing in it was run. "
            "It may have been made to attack whoever opens it."
        )

    def inflated(self) -> Refused:
        return Refused(f"{self.source} was not read: it is nested or inflated beyond reason. Nothing in it was run.")

    # --- the stack

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _Mark:
            raise ValueError("unexpected mark")
        return value

    def top(self, kinds: type | tuple[type, ...]) -> Any:
        value = self.stack[-1]
        if not isinstance(value, kinds):
            raise ValueError("wrong kind of container")
        return value

    def pop_to_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _Mark:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise ValueError("no mark")

    # --- what the program would do

    def name(self, module: str, attribute: str) -> Name:
        name = f"{module}.{attribute}"
        if name.startswith(_TENSORFLOW):
            raise Refused(
                f"{self.source} was written by the TensorFlow StyleGAN. Only the PyTorch pickles of StyleGAN2-ADA are read: "
                "convert it with the legacy.py that comes with the PyTorch trainer, then import the result."
            )
        # a dotted attribute reaches into what the module imports
        if "." in attribute or not self.policy.allows(name):
            raise self.refuse(f"asks for '{printable(name)}'")
        return Name(name)

    def reference(self, key: Any) -> Reference | Name:
        if not self.references:
            raise self.refuse("asks for data outside itself")
        kind, named = key[:2] if isinstance(key, tuple) and len(key) > 1 else (None, None)
        if isinstance(kind, str) and kind == "module" and isinstance(named, Name):
            return named  # as torch named the classes of networks that it pickled whole, before 2020
        return Reference(key)

    def call(self, function: Any, arguments: Any) -> Call:
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise self.refuse("calls something it made up as it went along")
        return Call(function, arguments)

    def set_state(self, state: Any) -> None:
        target = self.top((Call, Name, dict, list, tuple, str, bytes, int, float))
        if not isinstance(target, Call):
            raise self.refuse("changes the attributes of something that has none")
        target.state = state

    def set_items(self, pairs: list[tuple[Any, Any]]) -> None:
        target = self.top((dict, Call))
        for key, value in pairs:
            if not isinstance(key, (str, int, float, bool, bytes, type(None))):
                if not self.policy.odd_keys:
                    raise self.refuse("has keys that are neither words nor numbers")
                key = f"\0{id(key)}"  # nothing of a network: only kept apart from the others, as hashing it may take for ever
            if isinstance(key, int) and abs(key) >= MAX_KEY:
                raise self.inflated()
            if isinstance(target, Call):
                if target.pairs is None:
                    target.pairs = []
                target.pairs.append((key, value))
            else:
                target[key] = value

    def add(self, values: list[Any]) -> None:
        target = self.top((list, Call))
        if isinstance(target, Call):
            if target.added is None:
                target.added = []
            target.added.extend(values)
        else:
            target.extend(values)

    def remember(self, place: int) -> None:
        """Put the top of the stack into the memo."""
        if not 0 <= place < MAX_PLACE:
            raise self.inflated()
        self.memo[place] = self.stack[-1]

    def run(self, stream: _Bounded, budget: Budget) -> Any:
        """One pickle from the stream, as notes."""
        for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]
            budget.left -= 1
            if budget.left < 0:
                raise self.inflated()
            if opcode.name == "STOP":
                return self.pop()
            if opcode.name in _CONSTANTS:
                self.stack.append(_CONSTANTS[opcode.name])
            elif opcode.name in _LITERALS:
                self.stack.append(argument)
            elif opcode.name in _OPERATIONS:
                _OPERATIONS[opcode.name](self, argument)
            elif opcode.name not in ("PROTO", "FRAME"):
                raise self.refuse(f"uses the pickle operation {opcode.name}")
        raise ValueError("no end")


def _tuple(reader: _Reader, count: int) -> None:
    values = [reader.pop() for _ in range(count)][::-1]
    reader.stack.append(tuple(values))


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _stack_global(reader: _Reader) -> None:
    name, module = reader.pop(), reader.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise reader.refuse("imports something under a name that is not a word")
    reader.stack.append(reader.name(module, name))


def _reduce(reader: _Reader) -> None:
    arguments, function = reader.pop(), reader.pop()
    reader.stack.append(reader.call(function, arguments))


def _new_with_keywords(reader: _Reader) -> None:
    keywords, arguments, function = reader.pop(), reader.pop(), reader.pop()
    if keywords:
        raise reader.refuse("constructs something with keywords")
    reader.stack.append(reader.call(function, arguments))


def _set_item(reader: _Reader) -> None:
    value, key = reader.pop(), reader.pop()
    reader.set_items([(key, value)])


def _append(reader: _Reader) -> None:
    value = reader.pop()
    reader.add([value])


def _dictionary(reader: _Reader) -> None:
    pairs = _pairs(reader.pop_to_mark())
    reader.stack.append({})
    reader.set_items(pairs)


_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _Mark}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_OPERATIONS: dict[str, Callable[[_Reader, Any], Any]] = {
    "POP": lambda reader, _: reader.stack.pop(),
    "POP_MARK": lambda reader, _: reader.pop_to_mark(),
    "DUP": lambda reader, _: reader.stack.append(reader.stack[-1]),
    "PUT": lambda reader, index: reader.remember(int(index)),
    "BINPUT": lambda reader, index: reader.remember(index),
    "LONG_BINPUT": lambda reader, index: reader.remember(index),
    "MEMOIZE": lambda reader, _: reader.remember(len(reader.memo)),
    "GET": lambda reader, index: reader.stack.append(reader.memo[int(index)]),
    "BINGET": lambda reader, index: reader.stack.append(reader.memo[index]),
    "LONG_BINGET": lambda reader, index: reader.stack.append(reader.memo[index]),
    "EMPTY_LIST": lambda reader, _: reader.stack.append([]),
    "EMPTY_DICT": lambda reader, _: reader.stack.append({}),
    "EMPTY_SET": lambda reader, _: reader.stack.append(Call(Name("builtins.set"), ())),
    "LIST": lambda reader, _: reader.stack.append(reader.pop_to_mark()),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.pop_to_mark())),
    "TUPLE1": lambda reader, _: _tuple(reader, 1),
    "TUPLE2": lambda reader, _: _tuple(reader, 2),
    "TUPLE3": lambda reader, _: _tuple(reader, 3),
    "DICT": lambda reader, _: _dictionary(reader),
    "FROZENSET": lambda reader, _: reader.stack.append(Call(Name("builtins.frozenset"), (reader.pop_to_mark(),))),
    "APPEND": lambda reader, _: _append(reader),
    "APPENDS": lambda reader, _: reader.add(reader.pop_to_mark()),
    "ADDITEMS": lambda reader, _: reader.add(reader.pop_to_mark()),
    "SETITEM": lambda reader, _: _set_item(reader),
    "SETITEMS": lambda reader, _: reader.set_items(_pairs(reader.pop_to_mark())),
    "GLOBAL": lambda reader, name: reader.stack.append(reader.name(*name.split(" ", 1))),
    "STACK_GLOBAL": lambda reader, _: _stack_global(reader),
    "REDUCE": lambda reader, _: _reduce(reader),
    "NEWOBJ": lambda reader, _: _reduce(reader),
    "NEWOBJ_EX": lambda reader, _: _new_with_keywords(reader),
    "BUILD": lambda reader, _: reader.set_state(reader.pop()),
    "BINPERSID": lambda reader, _: reader.stack.append(reader.reference(reader.pop())),
    "PERSID": lambda reader, key: reader.stack.append(reader.reference(key)),
}


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
        self.last = self.stream.read(max(0, min(count, self.end - self.stream.tell())))
        return self.last

    def readline(self) -> bytes:
        return self.stream.readline(MAX_DIGITS if self.last in _NUMBERS else MAX_LINE)

    def tell(self) -> int:
        return self.stream.tell()


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
    reader = _Reader(source, references, policy)
    try:
        return reader.run(_Bounded(stream), steps or budget())
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
        raise reader.inflated() from None
