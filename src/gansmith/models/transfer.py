"""Start a new run from a model's weights (transfer learning): everything that fits is carried over, and the rest is named.

A model folder holds what makes pictures; what trained it lies beside, in ``discriminator.safetensors``, or in the run's
checkpoint. Tensors are matched by name. Three things may differ and still leave most of the weights in place:

- other classes: the rows of classes with equal names are kept;
- twice the size: a generator's numbered layers are counted from its first, and a discriminator's from its last, so that
  the layers of the sizes that both have meet;
- anything else: whatever has the same name and shape.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gansmith import config as configs
from gansmith import registry
from gansmith.abilities import Sampled
from gansmith.errors import ModelError
from gansmith.game import Game, ImageSpec
from gansmith.generation import GenerationConfig
from gansmith.models.bundle import Model, exported_tensors, load
from gansmith.models.locate import locate
from gansmith.models.networks import is_opponents, opponent_tensors
from gansmith.models.opponent import find_opponent
from gansmith.nn.equalized import Dense

LEAST = 0.05
"""A run does not start from a model of whose generator less than this share of the weights fits."""


@dataclass
class Transfer:
    """What a new game has taken over from a model.

    Attributes:
        source: the model's path, as it was given.
        opponent: where the discriminator was found, or an empty string.
        differences: settings and facts in which the model differs, where that left weights behind; in words.
        left: names of the new game's tensors that were not carried over, or only in part.
        kept: share of the generator's weights that was carried over, 0 to 1.
        kept_opponent: share of the discriminator's.
        augment_p: ADA's probability, where the new game adapts one and the model has one.
    """

    source: str
    opponent: str = ""
    differences: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    kept: float = 0.0
    kept_opponent: float = 0.0
    augment_p: float | None = None

    @property
    def opponent_is_new(self) -> bool:
        """Whether the discriminator has weights that were never trained."""
        return self.kept_opponent < 1

    def lines(self) -> list[str]:
        """What a person should know of it, one fact per line."""
        said = [f"starting from {self.source}: " + ("its discriminator was found in " + self.opponent if self.opponent else
                "no discriminator was found with it, so a new one is trained")]  # fmt: skip
        if self.augment_p is not None:
            said[0] += f"; augmentation goes on from p = {self.augment_p:.2f}"
        if self.left:
            shares = f"{self.kept:.0%} of the generator's weights"
            if self.opponent:
                shares += f" and {self.kept_opponent:.0%} of the discriminator's"
            why = "; ".join(self.differences) or "its tensors have other shapes"
            said.append(f"the model differs ({why}): {shares} were carried over")
            shown = ", ".join(self.left[:6]) + (f" and {len(self.left) - 6} more" if len(self.left) > 6 else "")
            said.append(f"not carried over, or only in part: {shown}")
        return said


def start_from(game: Game, path: str | Path) -> Transfer:
    """Give a new game the weights of a model, to train it further.

    Raises:
        ModelError: the model is of another family, or hardly any of its weights fit; names what differs.
    """
    model = load(path)
    family = registry.name_of(type(game))
    if model.family != family:
        raise ModelError(
            f"{path} is a model of '{model.family}', and this run trains '{family}'. Train '{model.family}', or leave --init out."
        )
    opponent, where = find_opponent(locate(path))
    result = Transfer(str(path), where)
    old = exported_tensors(model.game) | {k: v for k, v in opponent.items() if is_opponents(game, k, v)}
    new = game.state_dict()
    match = _Match(game, model)
    carried: dict[str, Tensor] = {}
    shares: dict[str, float] = {}
    for name, tensor in new.items():
        carried[name], shares[name] = match.tensor(name, tensor, old)
    exported = exported_tensors(game)
    others = [name for name, tensor in opponent_tensors(game).items() if tensor.numel() > 1]
    result.kept = _weighted(shares, new, list(exported))
    result.kept_opponent = _weighted(shares, new, others)
    wanted = [*exported, *(others if opponent else [])]
    result.left = [name for name in wanted if shares[name] < 1]
    if result.left:
        result.differences = differences(game, model)
    if result.kept < LEAST:
        why = "; ".join(result.differences) or "its tensors have other shapes"
        raise ModelError(
            f"Hardly any weight of {path} fits this run: {why}. Give this run the model's settings, or leave --init out."
        )
    game.load_state_dict(carried)
    if opponent and "augment.p" in new and "augment.p" in old:
        result.augment_p = float(carried["augment.p"])
    return result


def _weighted(shares: Mapping[str, float], tensors: Mapping[str, Tensor], names: Sequence[str]) -> float:
    total = sum(tensors[name].numel() for name in names)
    return sum(shares[name] * tensors[name].numel() for name in names) / total if total else 1.0


class _Match:
    """Finds for each tensor of a new game what a model has for it."""

    def __init__(self, game: Game, model: Model) -> None:
        self.game = game
        self.new_classes, self.old_classes = _classes(game.config, game.spec), _classes(model.config, model.spec)
        kind = type(game)
        self.new_dims = class_dimensions(kind, game.config, game.spec)
        self.old_dims = class_dimensions(kind, model.config, model.spec)
        self.rows = _same_classes(game.spec, self.new_classes, model.spec, self.old_classes)
        self.new_lists = _numbered(game)
        self.old_lists = _numbered(_twin(kind, model.config, model.spec))

    def tensor(self, name: str, new: Tensor, old: Mapping[str, Tensor]) -> tuple[Tensor, float]:
        """The tensor to load, and which share of it is the model's."""
        theirs = self.counterpart(name)
        found = None if theirs is None else old.get(theirs)
        if theirs is None or found is None or found.dim() != new.dim():
            return new, 0.0
        found = found.to(new.device, new.dtype)
        dim = self.new_dims.get(name)
        if dim is not None and dim == self.old_dims.get(theirs):
            return self._by_class(new, found, dim)
        if found.shape == new.shape:
            return found, 1.0
        return self._without_class_inputs(name, new, found)

    def _by_class(self, new: Tensor, found: Tensor, dim: int) -> tuple[Tensor, float]:
        """Rows of classes with equal names."""
        rest = [i for i in range(new.dim()) if i != dim]
        if any(new.shape[i] != found.shape[i] for i in rest):
            return new, 0.0
        filled = new.clone()
        for mine, theirs in self.rows:
            filled.select(dim, mine).copy_(found.select(dim, theirs))
        return filled, len(self.rows) / max(self.new_classes, 1)

    def _without_class_inputs(self, name: str, new: Tensor, found: Tensor) -> tuple[Tensor, float]:
        """A generator's first layer, which takes latents with classes behind them on one side and without on the other."""
        other = [i for i in range(new.dim()) if new.shape[i] != found.shape[i]]
        if (
            len(other) != 1
            or bool(self.new_classes) == bool(self.old_classes)
            or not name.startswith(_exported(self.game))
        ):
            return new, 0.0
        dim, latent = other[0], self.game.latent_dim if isinstance(self.game, Sampled) else 0
        if min(new.shape[dim], found.shape[dim]) != latent:
            return new, 0.0
        if isinstance(self.game.get_submodule(name.rpartition(".")[0]), Dense):  # scaled by 1 / sqrt(inputs) as it runs
            found = found * math.sqrt(new.shape[dim] / found.shape[dim])
        filled = torch.zeros_like(new)  # classes begin without effect
        filled.narrow(dim, 0, latent).copy_(found.narrow(dim, 0, latent))
        return filled, 1.0 if self.old_classes else latent / new.shape[dim]

    def counterpart(self, name: str) -> str | None:
        """The name that a tensor has in the model: numbers in lists count from the end in networks that judge."""
        if name.startswith(_exported(self.game)):
            return name
        parts = name.split(".")
        for i, part in enumerate(parts):
            place = ".".join(parts[:i])
            if part.isdecimal() and place in self.new_lists and place in self.old_lists:
                shifted = int(part) + self.old_lists[place] - self.new_lists[place]
                if shifted < 0:
                    return None
                parts[i] = str(shifted)
        return ".".join(parts)


def _exported(game: Game) -> tuple[str, ...]:
    return tuple(f"{name}." for name in game.exports)


def _classes(config: Any, spec: ImageSpec) -> int:
    return spec.classes if isinstance(config, GenerationConfig) and config.conditional else 0


def _same_classes(new: ImageSpec, new_count: int, old: ImageSpec, old_count: int) -> list[tuple[int, int]]:
    """(number here, number there) of classes with equal names; of equal numbers where one side has no names."""
    if not new.class_names or not old.class_names:
        return [(i, i) for i in range(min(new_count, old_count))]
    there = {name: number for number, name in enumerate(old.class_names[:old_count])}
    return [(i, there[name]) for i, name in enumerate(new.class_names[:new_count]) if name in there]


def _numbered(game: nn.Module) -> dict[str, int]:
    """How many children every list of layers has, by its name."""
    lists = {}
    for name, module in game.named_modules():
        children = [child for child, _ in module.named_children()]
        if children and all(child.isdecimal() for child in children):
            lists[name] = len(children)
    return lists


def _twin(kind: type[Game], config: Any, spec: ImageSpec) -> Game:
    """An untrained game of such settings, without touching torch's random numbers."""
    with torch.random.fork_rng(devices=[]):
        return kind(config, spec)


def class_dimensions(kind: type[Game], config: Any, spec: ImageSpec) -> dict[str, int]:
    """Which dimension of a tensor counts classes, for tensors that have one: the one that grows with one class more."""
    if not _classes(config, spec):
        return {}
    more = dataclasses.replace(spec, classes=spec.classes + 1, class_names=())
    one, two = _twin(kind, config, spec).state_dict(), _twin(kind, config, more).state_dict()
    found = {}
    for name, tensor in one.items():
        grown = (
            [i for i, (a, b) in enumerate(zip(tensor.shape, two[name].shape, strict=True)) if a != b]
            if name in two
            else []
        )
        if len(grown) == 1:
            found[name] = grown[0]
    return found


def differences(game: Game, model: Model) -> list[str]:
    """In which facts and settings a model differs from a game, of those that change the networks; in words."""
    kind, mine, theirs = type(game), game.spec, model.spec
    said = []
    if (mine.height, mine.width) != (theirs.height, theirs.width):
        said.append(f"pictures of {theirs.width}x{theirs.height}, here {mine.width}x{mine.height}")
    colours = {1: "grey", 3: "RGB", 4: "RGBA"}
    for ours, other in ((mine.channels, theirs.channels), (mine.other_channels, theirs.other_channels)):
        if ours != other:
            said.append(f"{colours.get(other, other)} pictures, here {colours.get(ours, ours)}")
    here, there = _classes(game.config, mine), _classes(model.config, theirs)
    if here != there:
        said.append(f"{there or 'no'} classes, here {here or 'none'}")
    elif here and mine.class_names != theirs.class_names:
        said.append("classes of other names or in another order")
    before = _shapes(kind, model.config, theirs)
    for item in dataclasses.fields(model.config):
        ours, other = getattr(game.config, item.name), getattr(model.config, item.name)
        if ours == other or item.name == "conditional":
            continue
        if _shapes(kind, dataclasses.replace(model.config, **{item.name: ours}), theirs) != before:
            said.append(f"{configs.flag(item.name)} {other}, here {ours}")
    return said


def _shapes(kind: type[Game], config: Any, spec: ImageSpec) -> dict[str, torch.Size] | None:
    """Shapes of all tensors of a game; None where the settings do not go together."""
    try:
        return {name: tensor.shape for name, tensor in _twin(kind, config, spec).state_dict().items()}
    except Exception:  # settings that exclude each other, or that make no networks
        return None
