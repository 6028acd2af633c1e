"""Runs that start from a model (``--init``): what changes besides the weights they start with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import nn

from gansmith.config import TrainSettings
from gansmith.errors import GansmithError
from gansmith.game import Game
from gansmith.generation import GenerationConfig
from gansmith.models.transfer import Transfer, start_from

ALONE_IMAGES = 60_000
"""Images for which a discriminator without training learns alone, before the generator begins to move: half of the run at most.

Measured on ``gan`` of 5,000 steps (FD[mnist-cnn] of 5,000 samples 38.2), 1,000 steps after that time: 114, 134, 66 and 65 for 0,
20,000, 60,000 and 150,000 images, and 35 with its own discriminator. ``dcgan`` gets to 33 whatever the time, and to 25 with its own.
"""


def of_fine_tuning(config: Any) -> Any:
    """A family's settings for a run that starts from a model. By default ADA moves five times as fast in such a run."""
    open_ = isinstance(config, GenerationConfig) and config.augment_images is None
    return dataclasses.replace(config, augment_images=100_000) if open_ else config


def begin(game: Game, path: str, frozen: int, say: Callable[[str], None]) -> int:
    """Give a game a model's weights, and say what was found.

    Args:
        frozen: how many layers of the discriminator are to stay as they are.

    Returns:
        For how many images the generator waits: 0 where the discriminator is a trained one.

    Raises:
        GansmithError: the model is of another family, hardly any of its weights fit, or it has no discriminator to freeze.
    """
    found = start_from(game, path)
    if frozen and not found.opponent:
        raise GansmithError(
            f"--freeze-d keeps layers of a trained discriminator, and no discriminator was found with {path}."
        )
    alone = ALONE_IMAGES if found.opponent_is_new and may_wait(game) else 0
    for line in lines_of(found, alone):
        say(line)
    return alone


def lines_of(found: Transfer, alone: int) -> list[str]:
    """What a person should know of the start, a line for each fact."""
    lines = found.lines()
    if alone:
        lines.append(
            f"the discriminator learns alone for the first {alone:,} images (at most half of the run), to catch up with the generator"
        )
    return lines


def waiting_players(game: Game) -> list[str]:
    """The players whose networks make up the model; they wait for those who judge."""
    return [player for player, names in game.players.items() if set(names) <= set(game.exports)]


def may_wait(game: Game) -> bool:
    """Whether the others play from the first step on. Families that begin without a discriminator have their own way."""
    waiting = waiting_players(game)
    others = [turn for turn in game.turns() if turn.player not in waiting]
    return bool(others) and all(turn.begins == 0 for turn in others)


def check_freeze(settings: TrainSettings) -> None:
    """Raise a GansmithError where there is nothing trained to freeze."""
    if settings.freeze_d and not settings.init:
        raise GansmithError(
            "--freeze-d keeps layers of a trained discriminator as they are: it goes with --init MODEL."
        )


def freeze_first_layers(game: Game, count: int) -> None:
    """Freeze the first layers with weights of every network that judges, and the norms among them.

    Raises:
        GansmithError: the network has no more layers than that.
    """
    judges = [name for names in game.players.values() for name in names if name not in game.exports]
    for name in judges:
        layers = layers_of(game.get_submodule(name))
        weighty = sum(any(p.dim() > 1 for p in layer) for layer in layers)
        if count >= weighty:
            raise GansmithError(
                f"--freeze-d {count} leaves nothing to train: the {name} has {weighty} layers with weights."
            )
        seen = 0
        for layer in layers:
            seen += any(p.dim() > 1 for p in layer)
            if seen > count:
                break
            for parameter in layer:
                parameter.requires_grad_(False)


def layers_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """A network's parameters by the layer that owns them, from the picture on."""
    layers: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        owner = name.partition(".parametrizations.")[0] if ".parametrizations." in name else name.rpartition(".")[0]
        layers.setdefault(owner, []).append(parameter)
    return list(layers.values())
