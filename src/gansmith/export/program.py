"""What a model computes, as one module with named tensors in and one out: what every kind of export writes.

    generator:   (z [N, D], label [N] int64 where conditional, truncation [], noise [N, P] where asked for) -> picture
    translator:  (picture [N, C, H, W], mask [N, 1, H, W] where it fills holes) -> picture

Pictures are [N, C, H, W] in [-1, 1], float32.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from gansmith.abilities import Sampled, Styled
from gansmith.errors import GansmithError
from gansmith.models.bundle import Model
from gansmith.nn.fit import Padded
from gansmith.nn.styled import StyledConv
from gansmith.translation import Translation

NoiseInput = Literal["const", "input"]


@dataclass
class Program:
    """A module to export and what is known of its tensors.

    Attributes:
        kind: whether it makes pictures from noise or changes pictures.
        module: takes the tensors of ``inputs`` in their order; returns one tensor, the pictures.
        inputs: example tensors by name.
        free: for each input, its axes of any length: axis number -> name. Axes of one name are equally long.
        smallest: the least H and W of a translator's pictures.
        facts: what a program that uses the export wants to know, json-able.
    """

    kind: Literal["generator", "translator"]
    module: nn.Module
    inputs: dict[str, Tensor]
    free: dict[str, dict[int, str]]
    smallest: int = 1
    facts: dict[str, Any] = field(default_factory=dict)

    def example(self, batch: int, seed: int = 0, size: tuple[int, int] | None = None) -> dict[str, Tensor]:
        """Other inputs of the same kind: ``batch`` of them, and of another size where the size is free."""
        generator = torch.Generator().manual_seed(seed)
        made = {}
        for name, tensor in self.inputs.items():
            shape = list(tensor.shape)
            for axis, called in self.free[name].items():
                if called == "batch":
                    shape[axis] = batch
                elif size is not None:
                    shape[axis] = size[0] if called == "height" else size[1]
            made[name] = _values(name, shape, generator, self.facts)
        return made


class GeneratorProgram(nn.Module):
    """(z, label, truncation, noise) -> pictures, as ``Model.decode`` makes them."""

    def __init__(self, game: Sampled[Any], noise: NoiseInput) -> None:
        super().__init__()
        self.conditional = bool(game.classes)
        self.noise = noise == "input"
        self.game = copy.deepcopy(game) if self.noise else game
        self.noisy = [module for module in self.game.modules() if isinstance(module, StyledConv)]
        self.sizes = [layer.size for layer in self.noisy]
        if self.noise:
            for layer in self.noisy:
                del layer.noise_const  # what the layer adds comes in from outside

    @property
    def noise_length(self) -> int:
        """Numbers of noise a picture takes: one per pixel of every layer."""
        return sum(height * width for height, width in self.sizes)

    def forward(self, z: Tensor, *rest: Tensor) -> Tensor:
        values = list(rest)
        label = values.pop(0) if self.conditional else None
        truncation = values.pop(0)
        game = self.game
        if not isinstance(game, Styled):
            return game.sample(z * truncation, label).float()
        average = game.average_style()
        styles = average + truncation * (game.styles(z, label) - average)
        if not self.noise:
            return game.synthesize(styles)
        parts = values.pop(0).split([height * width for height, width in self.sizes], 1)
        for layer, part, size in zip(self.noisy, parts, self.sizes, strict=True):
            object.__setattr__(layer, "noise_const", part.unflatten(1, (1, *size)))  # no buffer here: see __init__
        pictures = game.synthesize(styles)
        for layer in self.noisy:
            object.__delattr__(layer, "noise_const")
        return pictures


class TranslatorProgram(nn.Module):
    """(picture, mask) -> picture, as ``Translation.translate`` makes it."""

    def __init__(self, game: Translation, direction: str) -> None:
        super().__init__()
        self.game, self.direction = game, direction

    def forward(self, picture: Tensor, *rest: Tensor) -> Tensor:
        mask = rest[0] if rest else None
        return self.game.translate(picture, direction=self.direction, mask=mask).float()


def program_of(
    model: Model, *, direction: str = "ab", noise: NoiseInput = "const", free_size: bool = True, size: int | None = None
) -> Program:
    """The program of a model, on the CPU.

    Args:
        direction: which way, for translators that know two.
        noise: StyleGAN2's per-pixel noise: the model's own, or an input ``noise`` [N, P].
        free_size: pictures of any H and W, for translators.
        size: side of the pictures where it is not free; None takes what the model learned from.

    Raises:
        GansmithError: no such direction, or noise asked of a model that has none.
    """
    model.to("cpu")
    if isinstance(model.game, Translation):
        if noise == "input":
            raise GansmithError(f"A {model.family} model changes pictures and takes no noise: leave out --noise input.")
        return _translator(model, direction, free_size, size)
    return _generator(model, noise, direction)


def _generator(model: Model, noise: NoiseInput, direction: str) -> Program:
    game = model.game
    if not isinstance(game, Sampled):
        raise GansmithError(
            f"A {model.family} model neither makes pictures from noise nor changes pictures; it cannot be exported."
        )
    if direction != "ab":
        raise GansmithError(
            f"A {model.family} model makes pictures from noise and has no directions: leave out --direction."
        )
    module = GeneratorProgram(game, noise)
    facts = _facts(model) | {"latent_dim": game.latent_dim, "classes": model.classes}
    shapes: dict[str, list[int]] = {"z": [2, game.latent_dim]}
    if model.classes:
        shapes["label"] = [2]
    shapes["truncation"] = []
    if noise == "input":
        if not module.sizes:
            raise GansmithError(
                f"A {model.family} model takes no noise beside its latents, so leave out --noise input."
            )
        shapes["noise"] = [2, module.noise_length]
        facts["noise_length"] = module.noise_length
    generator = torch.Generator().manual_seed(0)
    inputs = {name: _values(name, shape, generator, facts) for name, shape in shapes.items()}
    free = {name: {0: "batch"} if shape else {} for name, shape in shapes.items()}
    return Program("generator", module.eval(), inputs, free, facts=facts)


def _translator(model: Model, direction: str, free_size: bool, size: int | None) -> Program:
    game = cast(Translation, model.game)
    game.check_direction(direction)
    smallest = max((m.multiple for m in game.modules() if isinstance(m, Padded)), default=1)
    smallest = max(8, smallest)
    channels = model.spec.channels if game.inputs == model.spec.channels else game.inputs
    if direction == "ba":
        channels = model.spec.other_channels or channels
    facts = _facts(model) | {
        "direction": direction,
        "inputs": channels,
        "scale": game.scale,
        "mask": game.takes_mask,
        "smallest": smallest,
        "sketch": model.family == "sketch",
    }
    height, width = model.spec.height // game.scale, model.spec.width // game.scale
    height, width = (-(-size // smallest) * smallest,) * 2 if size else (height, width)
    # an example of unequal sides, so that no axis is taken for another
    height, width = (max(height, 2 * smallest), max(width, 2 * smallest) + smallest) if free_size else (height, width)
    shapes = {"picture": [2, channels, height, width]}
    if game.takes_mask:
        shapes["mask"] = [2, 1, height, width]
    generator = torch.Generator().manual_seed(0)
    inputs = {name: _values(name, shape, generator, facts) for name, shape in shapes.items()}
    axes = {0: "batch", 2: "height", 3: "width"} if free_size else {0: "batch"}
    return Program(
        "translator",
        TranslatorProgram(game, direction).eval(),
        inputs,
        {name: dict(axes) for name in shapes},
        smallest,
        facts,
    )


def _facts(model: Model) -> dict[str, Any]:
    spec = model.spec
    return {
        "family": model.family,
        "height": spec.height,
        "width": spec.width,
        "channels": spec.channels,
        "class_names": list(spec.class_names),
        "data": (model.info.get("data") or {}).get("name", ""),
        "images": model.info.get("images", 0),
        "gansmith": model.info.get("gansmith", ""),
    }


def _values(name: str, shape: list[int], generator: torch.Generator, facts: dict[str, Any]) -> Tensor:
    """Plausible values of an input."""
    if name == "label":
        return torch.randint(facts["classes"], shape, generator=generator)
    if name == "truncation":
        return torch.tensor(0.7)
    if name == "picture":
        return torch.rand(shape, generator=generator) * 2 - 1
    if name == "mask":  # a box of a third of each side
        mask = torch.zeros(shape)
        mask[:, :, shape[2] // 4 : shape[2] // 4 + shape[2] // 3, shape[3] // 3 : 2 * shape[3] // 3] = 1
        return mask
    return torch.randn(shape, generator=generator)
