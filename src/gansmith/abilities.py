"""What games can do besides being trained. The class of a game says it by its bases: ``isinstance(game, Sampled)``."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gansmith.errors import GansmithError
from gansmith.game import Batch, ConfigT, Game, Grid


class Sampled(Game[ConfigT]):
    """Makes pictures from noise."""

    @property
    def latent_dim(self) -> int:
        """D, the length of a latent."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """K, the classes that labels choose from; 0 where the game knows none."""
        return 0

    def sample(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Pictures [N, C, H, W] in [-1, 1].

        Args:
            z: latents [N, D].
            labels: class numbers [N], int64; None where ``classes`` is 0.
            truncation: below 1, closer to the average picture: less variety, better quality.
        """
        raise NotImplementedError

    def seeded_latents(self, n: int, seed: int) -> Tensor:
        """The latents that belong to a seed, [n, D]; the first k are the same for every n >= k."""
        generator = torch.Generator().manual_seed(seed)
        # one draw for each: of one draw for all, torch would make the last 16 numbers anew
        rows = [torch.randn(self.latent_dim, generator=generator) for _ in range(n)]
        return torch.stack(rows).to(self.device) if rows else torch.empty(0, self.latent_dim, device=self.device)

    def preview(self, real: Batch, seed: int) -> Grid:
        """64 fixed latents; where there are classes, a row for each of the first ten."""
        columns, rows = 8, 8
        labels = None
        if self.classes:
            columns, rows = 10, min(self.classes, 10)
            labels = torch.arange(rows, device=self.device).repeat_interleave(columns)
        return Grid(self.sample(self.seeded_latents(rows * columns, seed), labels), columns)

    def metrics_images(self, real: Batch, seed: int) -> Tensor:
        return self.sample(self.seeded_latents(len(real), seed), real.labels if self.classes else None)


class Styled(Sampled[ConfigT]):
    """Makes pictures from noise by way of styles, one for each layer (StyleGAN, arXiv:1812.04948)."""

    @property
    def synthesis(self) -> nn.Module:
        """The network between styles and pictures."""
        raise NotImplementedError

    @property
    def layers(self) -> int:
        """L, how many styles a picture takes, from coarse to fine."""
        raise NotImplementedError

    def styles(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Latents [N, D] and class numbers [N] -> styles [N, L, W]."""
        raise NotImplementedError

    def synthesize(self, styles: Tensor) -> Tensor:
        """Styles [N, L, W] -> pictures [N, C, H, W], about [-1, 1]; the same styles are the same picture."""
        raise NotImplementedError

    def average_style(self) -> Tensor:
        """The average style, [1, L, W], towards which truncation moves."""
        raise NotImplementedError

    def style_weights(self) -> list[Tensor]:
        """What every layer multiplies its style by: L matrices [I, W]."""
        raise NotImplementedError


class Translates(Game[ConfigT]):
    """Turns pictures into pictures.

    Attributes:
        directions: which ways it translates.
        recorded: its computation is the same for every picture, so that it can be exported as a program.
        repairs: the result shows the same scene in the same colours, so files keep their mode and colour profile.
        overlap: pixels of the input that neighbouring tiles of a large picture share.
        takes_mask: ``translate`` needs a mask of what to change.
        alignment: tiles start at multiples of this, so that strided layers see the same grid as on the whole.
        scale: how much larger the result is than the input.
        tile: pixels of the input in a tile's side, unless a setting says otherwise; None for a size that suits most networks.
        overview_size: larger pictures are decided on whole, at this size of the shorter side (:meth:`overview`), and
            finished at their own (:meth:`finish`); 0 for models that need no such thing.
        window: the least side of the part around holes that goes through a network that fills them, where the picture has it.
        reach: what lies farther than this from anything known is filled on a smaller picture first, in pixels, even where a
            picture goes through whole; 0 only where it does not.
        label_maps: it takes label maps of this many labels in place of pictures; 0 for pictures.
    """

    directions: ClassVar[tuple[str, ...]] = ("ab",)
    recorded: ClassVar[bool] = True
    repairs: ClassVar[bool] = False
    overlap: int = 64
    takes_mask: bool = False
    alignment: int = 4
    scale: int = 1
    tile: int | None = None
    overview_size: int = 0
    window: int = 0
    reach: int = 0
    label_maps: int = 0

    @property
    def inputs(self) -> int:
        """Channels that ``translate`` takes."""
        return self.spec.channels

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        """Translate pictures of any size.

        Args:
            images: [N, C, H, W] in [-1, 1].
            direction: one of ``directions``.
            mask: [N, 1, H, W], 1 where to change and 0 elsewhere, for games that take one.

        Returns:
            [N, C', H * scale, W * scale] in [-1, 1].

        Raises:
            GansmithError: a direction it does not know, or no mask where one is needed.
        """
        raise NotImplementedError

    def overview(self, images: Tensor) -> Tensor:
        """What a picture made small says about the whole: [1, C, h, w] -> [1, K, h, w]."""
        raise NotImplementedError

    def finish(self, images: Tensor, guide: Tensor) -> Tensor:
        """A part of the picture and the enlarged overview of it -> the result, [1, C', H, W] in [-1, 1]."""
        raise NotImplementedError

    def check_direction(self, direction: str) -> None:
        """Raise a GansmithError unless the game translates this way."""
        if direction not in self.directions:
            raise GansmithError(f"This model translates {' and '.join(self.directions)}, not '{direction}'.")
