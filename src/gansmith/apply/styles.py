"""What a generator with styles allows: mixing, editing and inverting (StyleGAN, arXiv:1812.04948 and arXiv:1912.04958)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, l1_loss

from gansmith.abilities import Styled
from gansmith.errors import GansmithError
from gansmith.models.bundle import Model


class Styles:
    """A model's way from latents to styles w, and from styles to pictures.

    Raises:
        GansmithError: the model has no styles.
    """

    def __init__(self, model: Model) -> None:
        if not isinstance(model.game, Styled):
            raise GansmithError(
                f"A {model.family} model has no styles w. Models of the families stylegan2 and stylegan3 have."
            )
        self.model, self.game = model, model.game
        self.layers = model.game.layers
        """How many styles a picture takes, from coarse to fine."""

    @torch.inference_mode()
    def of_seeds(
        self, seeds: Sequence[int], label: int | str | Sequence[int] | None = None, truncation: float = 1.0
    ) -> Tensor:
        """Styles of the pictures that ``sample(1, seed)`` draws, [N, L, D]; labels may be one for each seed."""
        device = self.model.game.device
        z = torch.cat([self.model.latents(1, seed) for seed in seeds]).to(device)
        labels = self.model.labels(len(seeds), 0 if label is None and self.model.classes else label)
        return self.game.styles(z, None if labels is None else labels.to(device), truncation).clone()

    def draw(self, styles: Tensor) -> Tensor:
        """Styles [N, L, D] -> pictures [N, C, H, W], about [-1, 1]; noise is the model's own, so the same every time."""
        return self.game.synthesize(styles)

    @torch.inference_mode()
    def pictures(self, styles: Tensor, batch: int = 16) -> Tensor:
        """Like :meth:`draw`, many at a time, on the CPU."""
        return torch.cat([self.draw(part).float().cpu() for part in styles.split(batch)])

    def average(self) -> Tensor:
        """The average style, [1, L, D]."""
        return self.game.average_style()


def chosen_layers(text: str, count: int) -> list[int]:
    """``coarse``, ``middle``, ``fine``, ``all``, or numbers and ranges such as ``0-3,7`` -> layer numbers.

    Raises:
        GansmithError: it names no layers, or layers that the model does not have.
    """
    third = max(1, round(count / 3))
    named = {
        "all": range(count),
        "coarse": range(third),
        "middle": range(third, min(2 * third, count)),
        "fine": range(min(2 * third, count), count),
    }
    if text in named:
        return list(named[text])
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip(), re.ASCII)
        first, last = (0, -1) if match is None else (int(match[1]), int(match[2] or match[1]))
        if last < first:
            raise GansmithError(
                f"--layers '{text}' is not understood. Write coarse, middle, fine, all, or numbers such as 0-3,7."
            )
        if last >= count:
            raise GansmithError(f"--layers '{text}': this model's layers are 0 to {count - 1}.")
        numbers |= set(range(first, last + 1))
    return sorted(numbers)


def mix(styles: Styles, rows: Tensor, columns: Tensor, layers: Sequence[int]) -> Tensor:
    """Style mixing: every row's picture with the styles of every column's in some layers.

    Args:
        rows, columns: styles [R, L, D] and [K, L, D].
        layers: which layers take the column's style.

    Returns:
        [(R + 1) * (K + 1), C, H, W]: a blank and the column pictures first, then each row's picture and its mixtures.
    """
    mixed = rows[:, None].repeat(1, len(columns), 1, 1)  # [R, K, L, D]
    mixed[:, :, list(layers)] = columns[None, :, list(layers)]
    tops, sides = styles.pictures(columns), styles.pictures(rows)
    inner = styles.pictures(mixed.flatten(0, 1)).unflatten(0, (len(rows), len(columns)))
    blank = torch.ones_like(tops[:1])
    lines = [
        torch.cat([blank, tops]),
        *[torch.cat([side[None], line]) for side, line in zip(sides, inner, strict=True)],
    ]
    return torch.cat(lines)


def factorise(styles: Styles, layers: Sequence[int], count: int, first: int = 0) -> Tensor:
    """Directions in w along which pictures change most, [count, D], the strongest first (SeFa, arXiv:2007.06600, Eq. 4).

    They are the eigenvectors of A^T A, A being the affine maps from w to the styles of the chosen layers.

    Args:
        first: leave out this many of the strongest.

    Raises:
        GansmithError: the model has not so many.
    """
    own = styles.game.style_weights()
    weights = torch.cat([own[layer].detach().float().cpu() for layer in layers])  # [sum I, D]
    weights = weights / weights.norm(dim=1, keepdim=True).clamp_min(1e-8)
    if count < 1 or not 0 <= first <= weights.shape[1] - count:
        asked = f"--directions {count}" + (f" after --first {first}" if first else "")
        raise GansmithError(f"{asked}: this model has directions 1 to {weights.shape[1]}.")
    _, vectors = torch.linalg.eigh(weights.T @ weights)
    directions = vectors.flip(1).T[first : first + count]
    # an eigenvector has no sign of its own: let the largest entry be positive, so that results repeat
    largest = directions.abs().argmax(1, keepdim=True)
    return directions * directions.gather(1, largest).sign()


def edit(styles: Styles, w: Tensor, directions: Tensor, strengths: Sequence[float], layers: Sequence[int]) -> Tensor:
    """One picture moved along directions: a row per direction, a column per strength.

    Args:
        w: styles [1, L, D].
        directions: [K, D], of length 1.
        strengths: how far, in units of w.

    Returns:
        [K * len(strengths), C, H, W].
    """
    moved = []
    for direction in directions.to(w.device):
        for strength in strengths:
            one = w.clone()
            one[:, list(layers)] += strength * direction
            moved.append(one)
    return styles.pictures(torch.cat(moved))


def multiscale_distance(made: Tensor, true: Tensor) -> Tensor:
    """Mean absolute difference of pixels and of edges at every scale down to 8 px: a perceptual distance without weights."""
    total = made.new_zeros(())
    scales = max(1, int(math.log2(min(made.shape[2:]) / 8)) + 1)
    for _ in range(scales):
        total = total + l1_loss(made, true)
        for dim in (2, 3):
            total = total + 2 * l1_loss(made.diff(dim=dim), true.diff(dim=dim))
        made, true = avg_pool2d(made, 2), avg_pool2d(true, 2)
    return total / scales


def invert(
    styles: Styles,
    target: Tensor,
    *,
    steps: int = 300,
    per_layer: bool = True,
    lr: float = 0.05,
    distance: Callable[[Tensor, Tensor], Tensor] = multiscale_distance,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[Tensor, float]:
    """Find styles whose picture is like a given one: projection (arXiv:1912.04958, section 5; per layer arXiv:1904.03189).

    Starts from the average style of all pictures and of the best of 64 random ones, and descends by Adam with a
    learning rate that rises over the first 5 % and falls over the last half.

    Args:
        target: [1, C, H, W] in [-1, 1], of the model's size.
        per_layer: let every layer have its own style (W+): closer to the picture, further from what the model knows.
        distance: (made, true) -> scalar.

    Returns:
        Styles [1, L, D] and the distance reached.

    Raises:
        GansmithError: the model's pictures are not finite.
    """
    with torch.inference_mode():
        classes = [seed % styles.model.classes for seed in range(64)] if styles.model.classes else None
        candidates = torch.cat([styles.average(), styles.of_seeds(range(64), classes, truncation=0.7)])
        far = torch.stack([distance(styles.draw(c[None]), target) for c in candidates])
        start = candidates[far.argmin()][None]
    w = (start if per_layer else start[:, :1]).clone().requires_grad_()
    optimizer = torch.optim.Adam([w], lr)
    best, found = float("inf"), start.clone()
    for step in range(steps):
        done = step / steps
        optimizer.param_groups[0]["lr"] = (
            lr * min(1.0, done / 0.05 + 1e-3) * min(1.0, 0.5 - 0.5 * math.cos(2 * math.pi * min(1 - done, 0.5)))
        )
        full = w.expand(1, styles.layers, -1)
        loss = distance(styles.draw(full), target)
        if loss.item() < best:
            best, found = loss.item(), full.detach().clone()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress is not None:
            progress(step + 1, best)
    if not math.isfinite(best):
        raise GansmithError("This model makes pictures that are not finite numbers, so that none can be found in it.")
    return found, best
