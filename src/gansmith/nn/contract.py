"""Networks of a family from outside the package, tried on two pictures before a run begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gansmith.errors import GansmithError, first_line
from gansmith.game import ImageSpec

_COUNT = 2


@dataclass(frozen=True)
class Asked:
    """What a family's flags ask of its networks.

    Attributes:
        family: name of its class, for error messages.
        latent_dim: length of the latents.
        pack: pictures that are judged together.
        classes: 0 where they are unconditional.
        fades: labels may be weights of classes.
    """

    family: str
    latent_dim: int
    pack: int
    classes: int
    fades: bool

    def labels(self) -> list[Tensor | None]:
        """Labels of two pictures, in every form that a family may receive."""
        if not self.classes:
            return [None]
        numbers = torch.arange(_COUNT) % self.classes
        return [numbers, torch.full((_COUNT, self.classes), 1 / self.classes)] if self.fades else [numbers]


def check_generator(network: nn.Module, spec: ImageSpec, asked: Asked) -> None:
    """Raise a GansmithError unless it makes pictures [2, C, H, W] of latents and labels."""
    for labels in asked.labels():
        made = _try(network, torch.zeros(_COUNT, asked.latent_dim), labels, f"The generator of {asked.family}")
        if tuple(made.shape) != (_COUNT, *spec.shape):
            raise GansmithError(
                f"The generator of {asked.family} makes {list(made.shape)} of {_COUNT} latents, and should make {[_COUNT, *spec.shape]}."
            )


def check_discriminator(network: nn.Module, spec: ImageSpec, asked: Asked) -> None:
    """Raise a GansmithError unless it gives a logit each for packs of pictures [2, C * pack, H, W] and labels."""
    channels = spec.channels * asked.pack
    who = f"The discriminator of {asked.family}"
    if asked.pack > 1:
        who += f", which with --pack {asked.pack} judges {channels} channels at once,"
    for labels in asked.labels():
        made = _try(network, torch.zeros(_COUNT, channels, spec.height, spec.width), labels, who)
        if made.numel() != _COUNT:
            raise GansmithError(
                f"{who} gives {list(made.shape)} for {_COUNT} pictures, and should give one logit each."
            )


@torch.no_grad()
def _try(network: nn.Module, given: Tensor, labels: Tensor | None, who: str) -> Tensor:
    training = network.training
    try:
        with torch.random.fork_rng(devices=[]):
            return network.eval()(given, labels)
    except Exception as error:  # another person's network may raise anything
        why = ""
        if labels is not None:
            weights = (
                "weights of classes [N, classes], as --class-fade gives (gansmith.nn.classes.ClassEmbedding takes them)"
            )
            why = f" with {weights if labels.is_floating_point() else 'class numbers [N]'}"
        raise GansmithError(f"{who} failed on {_COUNT} pictures{why}: {first_line(error)}") from error
    finally:
        network.train(training)
