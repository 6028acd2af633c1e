"""How well pictures follow when a generator's input is moved or turned: EQ-T and EQ-R (arXiv:2106.12423, appendix E).

A generator whose first layer is placed by a transform makes a picture, and another of the moved or turned input. The first
picture, moved or turned as pictures are, is compared with the second: a peak signal-to-noise ratio in decibels.

    EQ = 10 log10(I^2 / E (T[g(z)] - g(z; T))^2)          I = 2, the range of pictures, over pixels that both know
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, grid_sample, pad

from gansmith.abilities import Styled
from gansmith.errors import GansmithError
from gansmith.game import Game
from gansmith.nn.alias_free import FourierFeatures

KINDS = ("EQ-T", "EQ-T_frac", "EQ-R")
"""Moved by whole pixels; by any distance; turned by any angle."""

_FARTHEST = 1 / 8  # of the picture's sides
_LOBES = 3  # of Lanczos' window, on either side
_FINE = 4  # a rotation looks pictures up at this many times their resolution

Synthesis = Callable[[Tensor, Tensor], Tensor]


@torch.inference_mode()
def equivariance(game: Game, *, n: int = 64, batch: int = 8, seed: int = 0) -> dict[str, float]:
    """EQ-T, EQ-T_frac and EQ-R of a model's generator, in decibels; larger is better, infinite where nothing differs.

    Args:
        game: whose generator's ``synthesis`` takes a ``transform``, in eval mode.
        n: pictures, each batch moved and turned otherwise; the paper has 50,000.
        seed: draws latents, distances and angles.

    Raises:
        GansmithError: the model's pictures are not placed by a transform.
    """
    generator: Any = dict(game.named_children()).get("generator")
    if not isinstance(game, Styled) or not any(isinstance(m, FourierFeatures) for m in generator.modules()):
        raise GansmithError("Only models of stylegan3 can be moved and turned inside, which EQ-T and EQ-R measure.")
    if n < 1 or batch < 1:
        raise GansmithError(f"To measure needs at least one picture in a batch of at least one, not {n} and {batch}.")
    dice = torch.Generator().manual_seed(seed)
    sums = {kind: [0.0, 0.0] for kind in KINDS}
    latents = game.seeded_latents(n, seed)
    labels = torch.randint(game.classes, (n,), generator=dice).to(latents.device) if game.classes else None
    for start in range(0, n, batch):
        chosen = slice(start, start + batch)
        styles = game.styles(latents[chosen], None if labels is None else labels[chosen])

        def draw(transform: Tensor, styles: Tensor = styles) -> Tensor:
            return generator.synthesis(styles, transform=transform.to(styles.device)).cpu().double()

        plain = draw(torch.eye(2, 3))
        for kind in KINDS:
            expected, made, known = _pair(kind, plain, draw, dice)
            error = ((expected - made).square() * known).sum()
            sums[kind][0] += float(error)
            sums[kind][1] += float(known.sum()) * plain.shape[0] * plain.shape[1]
    return {kind: _decibels(error / count) if count else math.nan for kind, (error, count) in sums.items()}


def _decibels(error: float) -> float:
    return 10 * math.log10(4 / error) if error > 0 else math.inf


def _pair(
    kind: str, plain: Tensor, draw: Callable[[Tensor], Tensor], dice: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """The picture changed, the picture of the changed input, and which pixels [H, W] both know."""
    height, width = plain.shape[2:]
    longer = max(height, width)
    if kind == "EQ-R":
        angle = float(torch.rand((), generator=dice)) * 2 * math.pi - math.pi
        turned, seen = rotated(plain, angle)
        made = draw(torch.cat([_matrix(-angle).float(), torch.zeros(2, 1)], 1))
        filtered, inside = band_limited(made, angle)
        return turned, filtered, seen * inside
    moves = ((torch.rand(2, generator=dice, dtype=torch.float64) * 2 - 1) * _FARTHEST) * torch.tensor([width, height])
    if kind == "EQ-T":
        moves = moves.round()
    right, down = moves.tolist()
    expected, known = translated(plain, right, down)
    transform = torch.tensor([[1.0, 0.0, -right / longer], [0.0, 1.0, -down / longer]])
    return expected, draw(transform), known


# --- moved ------------------------------------------------------------------------------------------------------------


def translated(images: Tensor, right: float, down: float) -> tuple[Tensor, Tensor]:
    """Pictures [N, C, H, W] moved by pixels, whole ones or not, and which pixels [H, W] are known (appendices E.1 and E.2).

    Between pixels, Lanczos' filter of three lobes says what is there.
    """
    height, width = images.shape[2:]
    known = torch.ones(1, 1, height, width, dtype=images.dtype)
    for axis, move in ((3, right), (2, down)):
        images, known = _shifted(images, move, axis), (_shifted(known, move, axis, sure=True))
    return images, known[0, 0]


def _shifted(images: Tensor, move: float, axis: int, sure: bool = False) -> Tensor:
    """Moved along one axis; ``sure`` marks pixels for which every other that they are made of is there."""
    whole = math.floor(move)
    taps = torch.arange(-_LOBES + 1, _LOBES + 1, dtype=images.dtype) - (move - whole)
    line = torch.sinc(taps) * torch.sinc(taps / _LOBES) if move != whole else (taps == 0).to(images.dtype)
    line = line / line.sum()
    used = line.abs() > 1e-12
    # pixel p of the result is the sum over k of line[k] images[p - whole - taps[k]]
    size, reach = images.shape[axis], abs(whole) + _LOBES
    around = [0, 0, 0, 0]
    around[0 if axis == 3 else 2] = around[1 if axis == 3 else 3] = reach
    wide = pad(images, around)
    parts = []
    for k in range(2 * _LOBES):
        offset = reach - whole - (k - _LOBES + 1)
        parts.append(wide.narrow(axis, offset, size))
    if sure:
        return torch.stack([part for part, use in zip(parts, used.tolist(), strict=True) if use]).amin(0)
    return torch.stack([part * tap for part, tap in zip(parts, line, strict=True)]).sum(0)


# --- turned -----------------------------------------------------------------------------------------------------------


def _matrix(angle: float) -> Tensor:
    """[2, 2]: (x, y) turned by an angle; y points down."""
    return torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)


def band_limit(angle: float, fine: int) -> Tensor:
    """A filter [2 r fine - 1, likewise], r = 6 px, that keeps what both a grid of pixels and one turned by an angle can hold.

    The ideal filter's spectrum is the product of two squares', one turned; its window is made of two windows of Lanczos alike
    (appendix E.3). Every set of taps that are a pixel apart sums to 1.
    """
    reach, extent = 2 * _LOBES, 16 * _LOBES
    place = torch.arange(-extent * fine, extent * fine, dtype=torch.float64) / fine
    y, x = torch.meshgrid(place, place, indexing="ij")
    other = _matrix(-angle)
    across, along = other[0, 0] * x + other[0, 1] * y, other[1, 0] * x + other[1, 1] * y

    def window(u: Tensor, v: Tensor) -> Tensor:
        lines = [torch.sinc(w / _LOBES) * (w.abs() < _LOBES) for w in (u, v)]
        return lines[0] * lines[1]

    def together(one: Tensor, two: Tensor) -> Tensor:
        spectrum = torch.fft.fft2(torch.fft.ifftshift(one)) * torch.fft.fft2(torch.fft.ifftshift(two))
        return torch.fft.fftshift(torch.fft.ifft2(spectrum).real)

    ideal = together(torch.sinc(x) * torch.sinc(y), torch.sinc(across) * torch.sinc(along))
    taps = ideal * together(window(x, y), window(across, along))
    middle = extent * fine
    taps = taps[middle - reach * fine :, middle - reach * fine :][: 2 * reach * fine, : 2 * reach * fine]
    taps[0], taps[:, 0] = 0, 0  # an odd number of taps, around the middle
    phases = taps.view(2 * reach, fine, 2 * reach, fine)
    return (phases / phases.sum((0, 2), keepdim=True)).view_as(taps)[1:, 1:]


def band_limited(images: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Pictures without what they would lose by being turned, but not turned, and which pixels [H, W] are known."""
    taps = band_limit(-angle, 1)
    reach, channels = taps.shape[0] // 2, images.shape[1]
    filtered = conv2d(images, taps.expand(channels, 1, -1, -1), padding=reach, groups=channels)
    known = torch.zeros(images.shape[2:], dtype=images.dtype)
    known[reach : known.shape[0] - reach, reach : known.shape[1] - reach] = 1
    return filtered, known


def rotated(images: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Pictures turned around their middle by an angle, and which pixels [H, W] are known."""
    taps = band_limit(angle, _FINE)
    reach, (height, width), channels = taps.shape[0] // 2, images.shape[2:], images.shape[1]
    # pixel q's value lies at fine sample FINE q + reach, in a map that reaches past the picture on every side
    fine = conv_transpose2d(images, taps.expand(channels, 1, -1, -1), stride=_FINE, groups=channels)
    y, x = (torch.arange(n, dtype=images.dtype) - (n - 1) / 2 for n in (height, width))
    back = _matrix(-angle).to(images.dtype)
    from_x = back[0, 0] * x + back[0, 1] * y[:, None] + (width - 1) / 2
    from_y = back[1, 0] * x + back[1, 1] * y[:, None] + (height - 1) / 2
    grid = torch.stack(
        [
            2 * (_FINE * place + reach) / (size - 1) - 1
            for place, size in zip((from_x, from_y), fine.shape[:1:-1], strict=True)
        ],
        2,
    )
    turned = grid_sample(fine, grid.expand(len(images), -1, -1, -1), mode="bilinear", align_corners=True)
    edge = 2 * _LOBES + 1
    known = (from_x >= edge) & (from_x <= width - 1 - edge) & (from_y >= edge) & (from_y <= height - 1 - edge)
    return turned, known.to(images.dtype)
