"""Noise to pictures by way of styles: what the StyleGANs share besides their networks and losses."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol, cast

from torch import Tensor, nn

from gansmith.abilities import Styled
from gansmith.game import Clock, Optimizer
from gansmith.generation.game import Generation
from gansmith.generation.settings import GenerationConfigT
from gansmith.nn.equalized import Dense
from gansmith.nn.styled import Mapping, NoiseMode


class Synthesis(Protocol):
    """The part of a generator between styles and pictures."""

    styles: int
    """L, how many styles a picture takes."""

    def affines(self) -> list[Dense]:
        """The maps from w to what it sets, one per style."""
        ...

    def __call__(self, styles: Tensor, noise: NoiseMode = ...) -> Tensor:
        """Styles [N, L, W] -> pictures [N, C, H, W]."""
        ...


class StyleGenerator(nn.Module):
    """z [N, D], labels -> pictures [N, C, H, W]: latents become w, and w becomes the styles of all layers.

    Args:
        mapping: z and labels -> w [N, W].
        synthesis: a :class:`Synthesis`.
    """

    def __init__(self, mapping: Mapping, synthesis: nn.Module) -> None:
        super().__init__()
        self.mapping = mapping
        self.synthesis = synthesis

    def styles(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """z [N, D] -> styles [N, L, W], moved towards the average style: 1 stays, 0 is the average."""
        w = self.mapping(z, labels)
        if truncation != 1:
            w = self.mapping.w_avg.lerp(w, truncation)
        return w[:, None].expand(-1, cast(Synthesis, self.synthesis).styles, -1)


class StyleGeneration(Generation[GenerationConfigT], Styled[GenerationConfigT]):
    """A game whose generator is a :class:`StyleGenerator`, and whose discriminator compares the pictures of a group."""

    default_batch = 32

    @property
    def styled(self) -> StyleGenerator:
        """The generator, known to have a mapping and a synthesis."""
        return cast(StyleGenerator, self.generator)

    @cached_property
    def judges_across_batch(self) -> bool:
        """The discriminator compares the pictures of a group."""
        return True

    # --- what is Styled -------------------------------------------------------------------------------------------

    @property
    def synthesis(self) -> nn.Module:
        return self.styled.synthesis

    @property
    def layers(self) -> int:
        return cast(Synthesis, self.synthesis).styles

    def sample(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        return self.synthesize(self.styles(z, labels, truncation))

    def styles(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        return self.styled.styles(z, self.weights_of(labels), truncation)

    def synthesize(self, styles: Tensor) -> Tensor:
        return self.synthesis(styles, "const")

    def average_style(self) -> Tensor:
        return self.styled.mapping.w_avg.detach().clone().expand(1, self.layers, -1)

    def style_weights(self) -> list[Tensor]:
        return [affine.weight for affine in cast(Synthesis, self.synthesis).affines()]

    # --- schedules ------------------------------------------------------------------------------------------------

    def lazy_every(self, player: str) -> int:
        """A player's regulariser has a turn of its own at every so many steps; 0 where it has none."""
        raise NotImplementedError

    def optimizer(self, player: str, clock: Clock) -> Optimizer:
        """Adam, slowed down by k / (k + 1) for a regulariser's extra step after every k (arXiv:1912.04958, appendix B)."""
        usual, every = super().optimizer(player, clock), self.lazy_every(player)
        share = every / (every + 1) if every else 1.0
        return Optimizer(usual.lr * share, (float(usual.betas[0]) ** share, float(usual.betas[1]) ** share))

    def ema_images(self, batch: int) -> float:
        return batch * 10_000 / 32 if self.config.ema_images is None else self.config.ema_images
