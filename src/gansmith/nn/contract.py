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
    """

    family: str
    latent_dim: int
    pack: int
    classes: int

    def labels(self) -> Tensor | None:
        """Labels of two pictures."""
        return torch.full((_COUNT, self.classes), 1 / self.classes) if self.classes else None


def check_generator(network: nn.Module, spec: ImageSpec, asked: Asked) -> None:
    """Raise a GansmithError unless it makes pictures [2, C, H, W] of latents and labels."""
    made = _try(network, torch.zeros(_COUNT, asked.latent_dim), asked.labels(), f"The generator of {asked.family}")
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
    made = _try(network, torch.zeros(_COUNT, channels, spec.height, spec.width), asked.labels(), who)
    if made.numel() != _COUNT:
        raise GansmithError(f"{who} gives {list(made.shape)} for {_COUNT} pictures, and should give one logit each.")


@torch.no_grad()
def _try(network: nn.Module, given: Tensor, labels: Tensor | None, who: str) -> Tensor:
    training = network.training
    try:
        with torch.random.fork_rng(devices=[]):
            return network.eval()(given, labels)
    except Exception as error:  # another person's network may raise anything
        why = " with labels, which are weights of classes [N, K] (gansmith.nn.classes.ClassEmbedding takes them)"
        why = "" if labels is None else why
        raise GansmithError(f"{who} failed on {_COUNT} pictures{why}: {first_line(error)}") from error
    finally:
        network.train(training)
