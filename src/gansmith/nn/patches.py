"""Fill holes with patches of the picture itself: nothing is learned (Wexler et al. 2007, "Space-Time Completion of Video";
Barnes et al. 2009, "PatchMatch").

Every patch that touches a hole gets the most similar patch of what is known, and every lost pixel the weighted mean of what
these patches say about it. Both are repeated, on small pictures first. Nearest patches are searched by PatchMatch: a good
match of a neighbour is tried one step further, and random places are tried around the best one. Here all patches are
searched at once, so neighbours are taken at several distances (as in jump flooding), which replaces the scan order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from gansmith.nn.inpainting import smooth_fill

SIDE = 5
"""Pixels a side of a patch."""
REACH = SIDE // 2
STEPS = 8, 4, 2, 1
"""Distances of the neighbours whose matches are tried."""
ROUNDS = 3, 4, 6, 10
"""Rounds of search and vote at full size, at half the size, and so on; the last stands for all smaller ones."""
FADING = 2.5
"""The weight of a lost pixel falls by this factor with every pixel of depth in the hole."""
SHIFT = 0.3
"""A match may be made lighter, darker or of another tint by this much, of values from -1 to 1, so that skies have no seams."""
_AT_ONCE = 1 << 15
"""Patches compared at once, which bounds memory."""


@dataclass
class Level:
    """A picture at one resolution.

    Attributes:
        pixels: [H * W, C], lost ones filled for the time being.
        lost: bool [H, W].
        height, width: H and W.
        places: rows of ``pixels`` that are centres of patches to be matched, [P].
        matches: the row that each is matched with, [P].
        distances: mean squared differences of these matches, [P].
        sources: rows that may be matches, [S].
        allowed: bool [H * W], whether a row is among ``sources``.
        weights: how much the pixels of each patch count, [H * W].
    """

    pixels: Tensor
    lost: Tensor
    places: Tensor
    matches: Tensor
    distances: Tensor
    sources: Tensor
    allowed: Tensor
    weights: Tensor

    @property
    def height(self) -> int:
        return self.lost.shape[0]

    @property
    def width(self) -> int:
        return self.lost.shape[1]

    @property
    def offsets(self) -> Tensor:
        """Rows of a patch's pixels beside its centre's, [SIDE * SIDE]."""
        across = torch.arange(-REACH, REACH + 1, device=self.pixels.device)
        return (across[:, None] * self.width + across).flatten()


def patch_fill(images: Tensor, mask: Tensor) -> Tensor:
    """Fill holes with patches of each picture itself. The same picture gives the same result.

    Args:
        images: [N, C, H, W] in [-1, 1]; what is under the mask is not looked at.
        mask: [N, 1, H, W], 1 where lost.

    Returns:
        [N, C, H, W], the known pixels unchanged. A picture of which no patch is known is filled smoothly.
    """
    filled = [_fill(image[None].float(), hole[None] > 0.5) for image, hole in zip(images, mask, strict=True)]
    return torch.cat(filled).to(images.dtype) if filled else images


@torch.no_grad()
def _fill(image: Tensor, hole: Tensor) -> Tensor:
    """One picture [1, C, H, W] and its hole, bool [1, 1, H, W]."""
    guess = smooth_fill(image, hole.float())
    if not bool(hole.any()):
        return guess
    pyramid = _pyramid(image, hole)
    if pyramid is None:
        return guess
    random = torch.Generator().manual_seed(0)
    filled, level = guess, None
    for depth in reversed(range(len(pyramid))):
        known, lost = pyramid[depth]
        if level is None:
            filled = smooth_fill(known, lost.float())
            current = _level(filled, lost)
            current.matches = _drawn(current, random)
        else:
            current = _level(known, lost)
            current.matches = _finer(level, current, random)
            vote(current, None)
        for _ in range(ROUNDS[min(depth, len(ROUNDS) - 1)]):
            search(current, random)
            vote(current, current.distances)
        level = current
    assert level is not None
    made = level.pixels.T.reshape(image.shape)
    return torch.where(hole, made, image)


def _pyramid(image: Tensor, hole: Tensor) -> list[tuple[Tensor, Tensor]] | None:
    """The picture and its hole at full size, half the size, ..., down to where a patch reaches across the hole.

    None where no patch of the picture is known.
    """
    levels = [(image, hole)]
    while True:
        _, lost = levels[-1]
        if not bool(_whole(lost).any()):
            break
        depth = _depth(lost[0, 0])
        if float(depth.max()) <= REACH or min(lost.shape[2:]) < 4 * SIDE:
            return levels
        image, lost = levels[-1]
        known = (~lost).float()
        share = interpolate(known, scale_factor=0.5, mode="area")
        small = interpolate(image * known, scale_factor=0.5, mode="area") / share.clamp(min=1e-6)
        levels.append((small, share < 0.5))
    return levels[:-1] or None


def _whole(lost: Tensor) -> Tensor:
    """Centres of patches inside the picture of which nothing is lost: bool [1, 1, H, W]."""
    near = max_pool2d(lost.float(), SIDE, 1, REACH) > 0
    inside = torch.zeros_like(near)
    inside[:, :, REACH:-REACH, REACH:-REACH] = True
    return inside & ~near


def _depth(lost: Tensor) -> Tensor:
    """How far every lost pixel is from what is known, in pixels along rows, columns and diagonals: [H, W]."""
    depth, left = torch.zeros(lost.shape, device=lost.device), lost.float()
    while bool(left.any()) and bool((left < 1).any()):
        depth += left
        left = 1 - max_pool2d((1 - left)[None, None], 3, 1, 1)[0, 0]
    return depth + left


def _level(filled: Tensor, hole: Tensor) -> Level:
    channels, lost = filled.shape[1], hole[0, 0]
    near = max_pool2d(hole.float(), SIDE, 1, REACH)[0, 0] > 0
    near[:REACH], near[-REACH:], near[:, :REACH], near[:, -REACH:] = False, False, False, False
    places, allowed = near.flatten().nonzero()[:, 0], _whole(hole).flatten()
    return Level(
        filled.reshape(channels, -1).T.clone(memory_format=torch.contiguous_format), lost, places, places.clone(), torch.empty(0),
        allowed.nonzero()[:, 0], allowed, FADING ** -_depth(lost).flatten().clamp(max=20),
    )  # fmt: skip


def _drawn(level: Level, random: torch.Generator) -> Tensor:
    """A random match for every patch."""
    drawn = torch.randint(len(level.sources), (len(level.places),), generator=random)
    return level.sources[drawn.to(level.sources.device)]


def _finer(coarse: Level, fine: Level, random: torch.Generator) -> Tensor:
    """Matches of the level of half the size, twice as far away; random ones where they are not allowed."""
    shift = torch.zeros(coarse.height * coarse.width, 2, dtype=torch.int64, device=coarse.places.device)
    shift[coarse.places] = _at(coarse.matches, coarse) - _at(coarse.places, coarse)
    at = _at(fine.places, fine)
    rows = (at[:, 0] // 2).clamp(max=coarse.height - 1) * coarse.width + (at[:, 1] // 2).clamp(max=coarse.width - 1)
    found, fits = _row(at + 2 * shift[rows], fine)
    return torch.where(fits, found, _drawn(fine, random))


def _at(rows: Tensor, level: Level) -> Tensor:
    """Rows of the picture as (y, x), [P, 2]."""
    return torch.stack([rows // level.width, rows % level.width], 1)


def _row(at: Tensor, level: Level) -> tuple[Tensor, Tensor]:
    """(y, x) [P, 2] as rows, and whether a match may be there."""
    inside = (at >= 0).all(1) & (at[:, 0] < level.height) & (at[:, 1] < level.width)
    rows = torch.where(inside, at[:, 0] * level.width + at[:, 1], 0)
    return rows, inside & level.allowed[rows]


def search(level: Level, random: torch.Generator) -> None:
    """Better matches for every patch: those of neighbours, and random ones nearer and nearer to the best."""
    level.distances = compare(level, torch.arange(len(level.places), device=level.places.device), level.matches)
    at = _at(level.places, level)
    number = torch.full((level.height * level.width,), -1, dtype=torch.int64, device=at.device)
    number[level.places] = torch.arange(len(at), device=at.device)
    for step in STEPS:
        for y, x in ((-step, 0), (step, 0), (0, -step), (0, step)):
            beside = at + torch.tensor([y, x], device=at.device)
            inside = (beside >= 0).all(1) & (beside[:, 0] < level.height) & (beside[:, 1] < level.width)
            rows = torch.where(inside, beside[:, 0] * level.width + beside[:, 1], 0)
            neighbour = torch.where(inside, number[rows], -1)
            has = neighbour >= 0
            moved = _at(level.matches[neighbour.clamp(min=0)], level) - torch.tensor([y, x], device=at.device)
            _try(level, moved, has)
    radius = max(level.height, level.width)
    while radius >= 1:
        drawn = torch.rand(len(at), 2, generator=random).to(at.device) * 2 - 1
        _try(level, _at(level.matches, level) + (drawn * radius).round().long(), None)
        radius //= 2


def _try(level: Level, at: Tensor, which: Tensor | None) -> None:
    """Take these matches (y, x) where they are allowed and better."""
    rows, fits = _row(at, level)
    fits &= rows != level.matches
    numbers = (fits if which is None else fits & which).nonzero()[:, 0]
    found = compare(level, numbers, rows[numbers])
    better = found < level.distances[numbers]
    chosen = numbers[better]
    level.matches[chosen], level.distances[chosen] = rows[numbers][better], found[better]


def compare(level: Level, numbers: Tensor, rows: Tensor) -> Tensor:
    """Weighted mean squared differences of patches by their numbers, and of the patches around other rows: [len(numbers)].

    Matches are compared once they are shifted (:data:`SHIFT`), and the shift counts by half.
    """
    offsets, parts = level.offsets, []
    for some, others in zip(numbers.split(_AT_ONCE), rows.split(_AT_ONCE), strict=True):
        places = level.places[some][:, None] + offsets
        weights = level.weights[places]
        weights = (weights / weights.sum(1, keepdim=True))[..., None]
        difference = level.pixels[places] - level.pixels[others[:, None] + offsets]
        mean = (difference * weights).sum(1)
        shift = mean.clamp(-SHIFT, SHIFT)
        squares = (difference.square() * weights).sum(1) - (2 * mean - shift) * shift
        parts.append((squares + 0.5 * shift.square()).mean(1))
    return torch.cat(parts) if parts else torch.empty(0, device=level.pixels.device)


def shifts(level: Level, places: Tensor, sources: Tensor) -> Tensor:
    """What is added to the pixels of matches [P, SIDE * SIDE] to be near those of the patches: [P, 1, C]."""
    weights = level.weights[places]
    difference = level.pixels[places] - level.pixels[sources]
    mean = (difference * (weights / weights.sum(1, keepdim=True))[..., None]).sum(1, keepdim=True)
    return mean.clamp(-SHIFT, SHIFT)


def vote(level: Level, distances: Tensor | None) -> None:
    """Every lost pixel becomes the weighted mean of what the matches of all patches around it say."""
    if not len(level.places):
        return
    weights = torch.ones(len(level.places), device=level.pixels.device)
    if distances is not None:
        usual = float(distances.sort().values[math.ceil(0.75 * (len(distances) - 1))].clamp(min=1e-6))
        weights = (-distances / (2 * usual)).exp()
    total = torch.zeros_like(level.pixels)
    counts = torch.zeros(len(level.pixels), device=level.pixels.device)
    for some in torch.arange(len(level.places), device=level.pixels.device).split(_AT_ONCE):
        places = level.places[some][:, None] + level.offsets
        sources = level.matches[some][:, None] + level.offsets
        said = level.pixels[sources] + (0 if distances is None else shifts(level, places, sources))
        share = (weights[some] * level.weights[level.places[some]])[:, None].expand(-1, SIDE * SIDE)
        total.index_add_(0, places.flatten(), (said * share[..., None]).flatten(0, 1))
        counts.index_add_(0, places.flatten(), share.flatten())
    where = level.lost.flatten() & (counts > 0)
    level.pixels[where] = total[where] / counts[where][:, None]
