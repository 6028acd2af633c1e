"""The plain discriminator: shapes, the size of its numbers, and that labels do not drown the picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from gansmith.api import build
from gansmith.game import ImageSpec
from gansmith.gans import gan
from gansmith.nn import dcgan
from gansmith.nn.classes import class_weights
from gansmith.nn.dcgan import PlainDiscriminator


@pytest.mark.parametrize(
    ("height", "width", "channels"),
    [(16, 16, (1, 8, 16)), (28, 28, (1, 8, 16, 32)), (40, 24, (1, 8, 16, 32)), (80, 64, (1, 8, 16, 32, 64))],
)
def test_the_map_is_halved_to_at_most_four_pixels(height: int, width: int, channels: tuple[int, ...]) -> None:
    network = PlainDiscriminator(8, ImageSpec(height, width, 1), 0, pack=1)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert (convolutions[0].in_channels, *(c.out_channels for c in convolutions)) == channels
    assert network(torch.randn(5, 1, height, width)).shape == (5, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda spec: PlainDiscriminator(32, spec, 10, pack=1),
        lambda spec: dcgan.Discriminator(32, spec, 10, 1, batch_norm=True),
        lambda spec: gan.Discriminator(256, spec, 10, 1),
        lambda spec: build("wgan-gp", size=28, channels=1, classes=10, conditional=True).discriminator,
    ],
    ids=["plain", "dcgan", "gan", "wgan-gp"],
)
def test_the_label_is_as_strong_as_the_picture(make: Callable[[ImageSpec], nn.Module]) -> None:
    """Both parts of the logit begin at about the same size: a label that is stronger decides before D has seen the pictures."""
    torch.manual_seed(0)
    network = make(ImageSpec(28, 28, 1, 10))
    images, labels = torch.randn(256, 1, 28, 28), class_weights(torch.arange(256) % 10, 10)
    with torch.no_grad():
        both = network(images, labels)
        picture = network(images, torch.zeros_like(labels))
    ratio = float((both - picture).std() / picture.std())
    assert 0.2 < ratio < 2


def test_packs_are_judged_together() -> None:
    assert PlainDiscriminator(8, ImageSpec(16, 16, 3), 0, pack=2)(torch.randn(4, 6, 16, 16)).shape == (4, 1)
