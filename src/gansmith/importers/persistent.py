"""Networks in a pickle of StyleGAN2-ADA's, the StyleGAN3 trainer's or R3GAN's, from the notes of it.

StyleGAN's are persistent objects: the source of the class (never looked at here), the class's name, and the state, which has
the arguments it was built with, tensors, and inner modules that are persistent objects again. R3GAN's are plain modules of
torch with a state alike, but without the arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gansmith.errors import ModelError
from gansmith.importers.notes import Call, Refused, class_of_module, mapping, printable
from gansmith.importers.pickled_tensors import Tensors

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
MAX_DEPTH, MAX_PARTS, MAX_NAME = 64, 5000, 100
"""How deep modules may be nested, how many parts a network may have, and how long their names may be; real ones stay far below."""
FACTS = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")
"""Arguments that a generator also keeps as attributes, by whichever way it was given them."""
ATTRIBUTES = ("conv_clamp", "group_size")
"""What layers know that is not always among the network's arguments, because the two trainers' defaults differ."""


@dataclass
class Network:
    """One network of the file.

    Attributes:
        class_name: of the outermost object.
        arguments: the keyword arguments it was built with.
        reader: decodes tensors.
        tensors: name -> note of the tensor, not yet decoded.
        modules: the names of all inner modules.
        attributes: name -> value of those in ``ATTRIBUTES``.
    """

    class_name: str
    arguments: dict[str, Any]
    reader: Tensors
    tensors: dict[str, Any] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


def persistent(note: Any, source: str, what: str) -> tuple[str, dict[Any, Any]]:
    """Class name and state of the note of a persistent object or a plain module."""
    if isinstance(note, Call) and (class_name := class_of_module(note)):
        return class_name, mapping(note.state) or {}
    meta = None
    if isinstance(note, Call) and note.function.name == PERSISTENT and len(note.arguments) == 1:
        meta = mapping(note.arguments[0])
    state = None if meta is None else mapping(meta.get("state"))
    if meta is None or state is None or meta.get("type") != "class" or not isinstance(meta.get("class_name"), str):
        raise ModelError(f"'{printable(what)}' in {source} is not a network as StyleGAN2-ADA writes them.")
    return meta["class_name"], state


def collect(note: Any, reader: Tensors, what: str) -> Network:
    """Walk through a network's inner modules and gather names."""
    source = reader.source
    class_name, state = persistent(note, source, what)
    arguments = {name: state[name] for name in FACTS if name in state} | (mapping(state.get("_init_kwargs")) or {})
    network = Network(class_name, {k: v for k, v in arguments.items() if isinstance(k, str)}, reader)
    waiting: list[tuple[str, dict[Any, Any], int]] = [("", state, 0)]
    while waiting:
        prefix, state, depth = waiting.pop()
        parts = {kind: mapping(state.get(kind)) or {} for kind in ("_parameters", "_buffers", "_modules")}
        names = [name for part in parts.values() for name in part]
        total = len(network.tensors) + len(network.modules) + len(names)
        if depth > MAX_DEPTH or total > MAX_PARTS or not all(isinstance(n, str) and len(n) <= MAX_NAME for n in names):
            raise Refused(
                f"{source} was not read: '{what}' is nested or inflated beyond reason. Nothing in it was run."
            )
        for name, value in (parts["_parameters"] | parts["_buffers"]).items():
            if value is not None:
                network.tensors[f"{prefix}{name}"] = value
        network.attributes |= {f"{prefix}{name}": state[name] for name in ATTRIBUTES if name in state}
        for name, child in parts["_modules"].items():
            if child is not None:
                inner = persistent(child, source, f"{what}.{prefix}{name}")[1]
                network.modules.append(f"{prefix}{name}")
                waiting.append((f"{prefix}{name}.", inner, depth + 1))
    return network
