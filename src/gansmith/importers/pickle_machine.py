"""What a pickle's operations would do, as notes: the stack, the memo, and every operation that files of weights use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gansmith.importers.names import Policy
from gansmith.importers.notes import Call, Name, Reference, Refused, printable


class _Mark:
    """Marks a place on the stack."""


_TENSORFLOW = ("dnnlib.tflib.", "tfutil.")
"""Where the networks of the trainers before PyTorch live."""

MAX_PLACE = 2**32
"""Places of the memo are numbered below this."""

MAX_KEY = 2**60
"""Whole numbers that are keys are smaller: larger ones can have equal hashes, and a table of those takes quadratic time."""


class Machine:
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

    def do(self, operation: str, argument: Any) -> None:
        """One operation of the program, any but its end."""
        if operation in _CONSTANTS:
            self.stack.append(_CONSTANTS[operation])
        elif operation in _LITERALS:
            self.stack.append(argument)
        elif operation in _OPERATIONS:
            _OPERATIONS[operation](self, argument)
        elif operation not in ("PROTO", "FRAME"):
            raise self.refuse(f"uses the pickle operation {operation}")


def _tuple(reader: Machine, count: int) -> None:
    values = [reader.pop() for _ in range(count)][::-1]
    reader.stack.append(tuple(values))


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _stack_global(reader: Machine) -> None:
    name, module = reader.pop(), reader.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise reader.refuse("imports something under a name that is not a word")
    reader.stack.append(reader.name(module, name))


def _reduce(reader: Machine) -> None:
    arguments, function = reader.pop(), reader.pop()
    reader.stack.append(reader.call(function, arguments))


def _new_with_keywords(reader: Machine) -> None:
    keywords, arguments, function = reader.pop(), reader.pop(), reader.pop()
    if keywords:
        raise reader.refuse("constructs something with keywords")
    reader.stack.append(reader.call(function, arguments))


def _set_item(reader: Machine) -> None:
    value, key = reader.pop(), reader.pop()
    reader.set_items([(key, value)])


def _append(reader: Machine) -> None:
    value = reader.pop()
    reader.add([value])


def _dictionary(reader: Machine) -> None:
    pairs = _pairs(reader.pop_to_mark())
    reader.stack.append({})
    reader.set_items(pairs)


_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _Mark}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_OPERATIONS: dict[str, Callable[[Machine, Any], Any]] = {
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
