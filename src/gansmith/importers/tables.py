"""The networks in a file of weights: found wherever a trainer put them, and chosen by a key where there are several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from gansmith.errors import ModelError
from gansmith.importers import kinds
from gansmith.importers.notes import Call, class_of_module, mapping, printable
from gansmith.importers.weights import MAX_NAME, Weights

_AROUND = re.compile(r"^((module|_orig_mod|_forward_module)\.)+")
"""What training on several GPUs and torch.compile put in front of every name."""
_BEST = ("params_ema", "g_ema", "ema", "generator_ema", "netG_ema", "model_ema")
"""Names of averaged weights, which are taken before the others of the same network."""
_PLAIN = ("params", "state_dict", "model_state_dict", "model", "generator", "netG", "g", "G", "net", "weights", "")
"""Names that trainers give to the one network of a file."""
_LEVELS = 4
"""How deep networks are looked for, in tables within tables and in what names begin with."""
MOST = 200
"""Tables that are looked at."""


class Unknown(ModelError):
    """Tables of tensors, none of them of a network that is read here."""


class Table:
    """The tensors of a network, not read yet.

    Attributes:
        weights: the file.
        key: where in it they lie: keys of tables, then what the names begin with; parts are joined by dots.
        notes: name -> a tensor's note.
        shapes: name -> its shape.
        kind: which generator it is, of those that are read; else empty.
        other: what it is, and what can be done, where it is a known network that is not read.
    """

    def __init__(self, weights: Weights, key: str, notes: dict[str, Any]) -> None:
        self.weights, self.key = weights, key
        self.notes = {_AROUND.sub("", name): note for name, note in notes.items()}
        self.shapes = {name: weights.shape(note) for name, note in self.notes.items()}
        self.other = kinds.other(self.shapes)
        self.kind = "" if self.other else kinds.generator(self.shapes)

    def read(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {name: self.weights.tensor(note) for name, note in self.notes.items()}

    def inside(self) -> Iterator[Table]:
        """Parts of it whose names begin alike, without that beginning."""
        groups: dict[str, dict[str, Any]] = {}
        for name, note in self.notes.items():
            first, _, rest = name.partition(".")
            if rest and len(groups) < MOST:
                groups.setdefault(first, {})[rest] = note
        for first, notes in groups.items():
            if len(notes) > 1:
                yield Table(self.weights, f"{self.key}.{first}".strip("."), notes)

    def described(self) -> str:
        """A word or two on what it is."""
        what = self.kind or (self.other[0] if self.other else "not known here")
        return f"'{printable(self.key)}' ({len(self.notes)} tensors: {what})"


def tables(weights: Weights) -> list[Table]:
    """Every table of tensors in a file that may be a network; optimizers are none.

    Raises:
        ModelError: a tensor is of a form that is not read.
    """
    found: list[Table] = []
    waiting: list[tuple[str, Any, int]] = [("", weights.root, 0)]
    seen: set[int] = set()
    while waiting and len(found) < MOST:
        key, note, depth = waiting.pop(0)
        content = None if id(note) in seen else mapping(note)
        seen.add(id(note))
        if content is None or {"param_groups", "state"} <= content.keys():
            continue
        notes = weights.table(content)
        if notes:
            found.append(Table(weights, key, notes))
        if depth < _LEVELS:
            inner = [(str(name), value) for name, value in content.items() if isinstance(value, (dict, Call))]
            waiting += [
                (f"{key}.{name}".strip("."), value, depth + 1) for name, value in inner[:MOST] if len(name) <= MAX_NAME
            ]
    several = [table for table in found if len(table.notes) > 1]
    return several or found


def generators(found: Sequence[Table]) -> list[Table]:
    """The generators that are read: among tables, or within those that are no known network themselves; a part of one is asked for by key."""
    level, known = list(found), []
    for _ in range(_LEVELS):
        known += [table for table in level if table.kind]
        level = [inner for table in level if not table.kind and not table.other for inner in table.inside()][:MOST]
    return known


def choose(weights: Weights, key: str = "") -> Table:
    """The generator in a file.

    Args:
        key: where it lies, as an earlier refusal listed it; empty where the file has only one.

    Raises:
        ModelError: none is known, or there are several; says what the file holds and how to choose.
    """
    found = tables(weights)
    if key:
        return _keyed(weights, found, key)
    known = generators(found)
    best = [table for table in known if table.key.rpartition(".")[2] in _BEST]
    single = [table for table in known if table.key.rpartition(".")[2] in _PLAIN]
    if len(known) == 1:
        return known[0]
    if len(best) == 1 and len(single) == len(known) - 1:
        return best[0]
    if known:
        outer = {table.key for table in found}
        listed = ", ".join(table.described() for table in [*found, *(t for t in known if t.key not in outer)][:20])
        keys = [printable(table.key) for table in known]
        both = (
            f", or both directions of a CycleGAN with --key {keys[0]} {keys[1]}"
            if known[0].kind == known[1].kind == kinds.RESNET
            else ""
        )
        raise ModelError(
            f"{weights.name} holds several generators. It holds: {listed}. Choose one with --key, for example --key {keys[0]}{both}."
        )
    raise Unknown(unknown(weights, found))


def candidates(weights: Weights, key: str = "") -> list[Table]:
    """The tables of a file that may be a whole network, averaged ones first; with a key, those that it names."""
    found = sorted(tables(weights), key=lambda table: table.key.rpartition(".")[2] not in _BEST)
    return [table for table in found if f".{table.key}".endswith(f".{key}")] if key else found


def _keyed(weights: Weights, found: Sequence[Table], key: str) -> Table:
    """The table of a key: the whole key, or the end of one where only one ends like it."""
    level, every = list(found), list(found)
    for _ in range(_LEVELS):
        level = [inner for table in level for inner in table.inside()][:MOST]
        every += level
    exact = [table for table in every if table.key == key]
    ending = [table for table in every if f".{table.key}".endswith(f".{key}")]
    chosen = exact or ending
    if not chosen or (len(chosen) > 1 and not exact):
        names = ", ".join(table.described() for table in found if table.key)
        names = names or "one table of tensors, without a key"
        raise ModelError(f"{weights.name} has no '{printable(key)}' for --key. It holds {names}.")
    if not chosen[0].kind:
        raise Unknown(unknown(weights, chosen[:1]))
    return chosen[0]


def unknown(weights: Weights, found: Sequence[Table]) -> str:
    """Why nothing in a file can be read, and what to do."""
    name = weights.name
    read = "Generators of CycleGAN and pix2pix (*_net_G*.pth), RRDBNet and SRVGG of ESRGAN and Real-ESRGAN, and StyleGAN2 are read."
    if whole := whole_modules(weights):
        return (
            f"{name} holds a whole network, pickled with its Python class '{printable(whole)}'; its code would have to be run to read it, "
            "and nothing in it was. Where it was made, save the weights alone: torch.save(model.state_dict(), 'weights.pth')."
        )
    if not found:
        kind = type(weights.root).__name__ if not mapping(weights.root) else "table without tensors"
        return f"{name} holds no tensors (a {kind}), so it is no file of a network's weights. {read}"
    for table in found:
        for part in (table, *table.inside()):
            if part.other:
                return f"{name} holds {part.other[0]}. {part.other[1]}"
    if len(found) > 1:
        listed = ", ".join(table.described() for table in found[:20])
        return f"{name} holds several networks, none of them known here: {listed}. {read}"
    shown = ", ".join(printable(tensor) for tensor in list(found[0].notes)[:3])
    return f"{name} holds a network that is not known here (its tensors: {shown}, ...). {read}"


def whole_modules(weights: Weights) -> str:
    """The class of a network that was pickled whole, by itself or in a table; empty where there is none."""
    content = mapping(weights.root)
    inside = [] if content is None else list(content.values())[:MOST]
    return next((found for note in (weights.root, *inside) if (found := class_of_module(note))), "")
