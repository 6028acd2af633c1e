"""Small models of every family."""

from __future__ import annotations

import pytest
import torch

from gansmith import config, registry
from gansmith.game import ImageSpec
from gansmith.models import bundle

pytest.importorskip("onnx", reason="the extra 'export' is not installed")


SMALL = {"width": 8, "width_discriminator": 8, "blocks": 1, "latent_dim": 8}


def tiny_model(name: str, classes: int = 0, size: int = 32, channels: int = 3, **settings) -> bundle.Model:
    """An untrained small model with weights of ordinary size, so that a mistake cannot hide in values near 0."""
    kind = registry.family(name)
    names = kind.Config.__dataclass_fields__
    plain = dict(kind.tiny) or {key: value for key, value in SMALL.items() if key in names}
    if name == "r3gan":
        plain["width"] = 32
    if classes:
        plain["conditional"] = True
    two_sided = kind.data in ("paired", "unpaired")
    spec = ImageSpec(size, size, channels, classes, other_channels=channels if two_sided else 0)
    torch.manual_seed(0)
    game = (
        bundle.build_exports(kind, config.make(kind.Config, plain | settings, name), spec).eval().requires_grad_(False)
    )
    for tensor in [*game.parameters(), *game.buffers()]:
        if tensor.is_floating_point() and tensor.numel() > 1 and tensor.std() < 0.03:
            tensor.add_(0.03 * torch.randn_like(tensor))
    for norm in [m for m in game.modules() if isinstance(m, torch.nn.BatchNorm2d)]:
        norm.running_var.uniform_(0.5, 1.5)
    return bundle.Model(name, game, {"data": {"name": "discs"}, "images": 1234})
