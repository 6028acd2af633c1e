"""The networks of a model, and of its opponent: which tensors are theirs, how they are built of settings, and filled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gansmith.config import to_plain
from gansmith.errors import GansmithError, ModelError, first_line
from gansmith.game import Game, ImageSpec
from gansmith.models.bounds import check_settings, within


def exported_tensors(game: Game) -> dict[str, Tensor]:
    """The weights and buffers of the networks a model is made of."""
    prefixes = tuple(f"{name}." for name in game.exports)
    return {name: tensor for name, tensor in game.state_dict().items() if name.startswith(prefixes)}


def opponent_tensors(game: Game) -> dict[str, Tensor]:
    """What a game needs to be trained further besides its exported networks: the other players' networks and their state.

    The state is ADA's (``augment.*``) and the game's own numbers, such as an average path length. Pools of earlier pictures
    stay out: they are pictures of other data.
    """
    return {name: tensor for name, tensor in game.state_dict().items() if is_opponents(game, name, tensor)}


def is_opponents(game: Game, name: str, tensor: Tensor) -> bool:
    """Whether a tensor of a game belongs to the networks that judge, or is a number that the game keeps itself."""
    others = tuple(
        f"{network}." for networks in game.players.values() for network in networks if network not in game.exports
    )
    return name.startswith((*others, "augment.")) or ("." not in name and tensor.numel() == 1)


def build_exports(
    family: type[Game], config: Any, spec: ImageSpec, tensors: Mapping[str, Tensor] | None = None
) -> Game:
    """A family's game with the exported networks only.

    Args:
        tensors: of the model that they are built for.
    """
    networks = None if tensors is None else family.restored(config, spec, tensors)
    game = family(config, spec, networks)
    if networks is not None:
        return game
    for name in [name for names in game.players.values() for name in names if name not in game.exports]:
        delattr(game, name)
    return game


def built(family: type[Game], config: Any, spec: ImageSpec, tensors: Mapping[str, Tensor], source: str) -> Game:
    """The networks for these weights, untrained.

    Raises:
        ModelError: the settings make no sense, or ask for far more than the weights explain.
    """
    check_settings(to_plain(config), spec.height, spec.width, source)
    try:
        with within(tensors, source):
            return build_exports(family, config, spec, tensors)
    except GansmithError:
        raise
    except Exception as error:  # torch's layers raise many kinds where a number makes no sense
        raise ModelError(
            f"No networks can be built of what {source} says ({first_line(error)}): it was changed or damaged. Copy or download the model "
            "again."
        ) from None


def fill(game: Game, tensors: Mapping[str, Tensor], source: str) -> None:
    """Give a game's exported networks their tensors.

    Raises:
        ModelError: one is missing, too many, of another shape, or not finite.
    """
    expected = exported_tensors(game)
    wrong = [f"'{n}' is missing" for n in expected if n not in tensors]
    wrong += [f"'{n}' does not belong" for n in tensors if n not in expected]
    wrong += [
        f"'{n}' has shape {list(tensors[n].shape)} instead of {list(t.shape)}"
        for n, t in expected.items()
        if n in tensors and tensors[n].shape != t.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ModelError(
            f"The weights in {source} do not fit the networks that their settings describe: {wrong[0]}{more}."
        )
    spoilt = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if spoilt:
        raise ModelError(
            f"The weights in {source} are not numbers ('{spoilt[0]}' holds NaN or infinity): the model is damaged or its training "
            "diverged. Copy or download it again, or take an earlier one."
        )
    game.load_state_dict(dict(tensors), strict=False)
