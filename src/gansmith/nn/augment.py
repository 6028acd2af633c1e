"""Augmentation of what the discriminator sees: DiffAugment, and ADA's pipeline with its adaptive probability.

Both act on real and generated pictures alike and are differentiable, twice: the generator learns through them and
gradient penalties are taken through them. Every picture draws its own parameters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gansmith.nn.constants import constant
from gansmith.nn.resample import upfirdn
from gansmith.nn.scalars import Scalars
from gansmith.parallel import seeds

# ----------------------------------------------------------------------------------------------------------------------
# DiffAugment


# ----------------------------------------------------------------------------------------------------------------------
# ADA's pipeline (Karras et al. 2020, arXiv:2006.06676, appendix B)

SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
"""Low-pass filter of the sym6 wavelet. Doubling with it and halving with its mirror image gives back the same picture."""

_EDGE = len(SYM6) // 4  # pixels at either side that the two filters reach, at the picture's own resolution


class _Sample(torch.autograd.Function):
    """Bilinear sampling, linear in the picture: its derivative is a scatter, whose derivative is sampling again.

    torch's own grid_sample has no second derivative, and gradient penalties need one. Grids get no gradient.
    """

    @staticmethod
    def forward(ctx, images: Tensor, grid: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return F.grid_sample(images, grid, align_corners=False)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        (grid,) = ctx.saved_tensors
        return _Scatter.apply(gradient, grid, ctx.shape), None


class _Scatter(torch.autograd.Function):
    """The transpose of bilinear sampling."""

    @staticmethod
    def forward(ctx, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(grid)
        with torch.enable_grad():
            images = values.new_zeros(shape, requires_grad=True)
            sampled = F.grid_sample(images, grid, align_corners=False)
        return torch.autograd.grad(sampled, images, values)[0]

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradient, grid), None, None


def sample(images: Tensor, grid: Tensor) -> Tensor:
    """``grid_sample`` (bilinear, zeros outside, corners not aligned), differentiable any number of times in images.

    Args:
        images: [N, C, H, W].
        grid: [N, H', W', 2], x and y in [-1, 1]; gets no gradient.
    """
    return _Sample.apply(images, grid.to(images.dtype))


def _matrix(*rows: tuple[Tensor | float, ...], like: Tensor) -> Tensor:
    """[N, R, C] from rows of numbers and [N] tensors."""
    numbers = [x if isinstance(x, Tensor) else constant(x, like).expand(len(like)) for row in rows for x in row]
    return torch.stack(numbers, -1).unflatten(1, (len(rows), -1))


def _shift(x: Tensor, y: Tensor) -> Tensor:
    return _matrix((1.0, 0.0, x), (0.0, 1.0, y), (0.0, 0.0, 1.0), like=x)


def _scale(x: Tensor, y: Tensor) -> Tensor:
    return _matrix((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, 1.0), like=x)


def _rotate(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return _matrix((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0), like=angle)


class Dice:
    """Per-picture random numbers for one pass: a transform happens with probability p, else its neutral value."""

    def __init__(self, n: int, p: Tensor | float, device: torch.device) -> None:
        self.n, self.p, self.device = n, p, device

    def uniform(self) -> Tensor:
        return seeds.uniform(self.n, device=self.device)

    def normal(self) -> Tensor:
        return seeds.normal(self.n, device=self.device)

    def sometimes(self, value: Tensor, neutral: float, p: Tensor | float | None = None) -> Tensor:
        """``value`` [N] with probability p (the pipeline's), else ``neutral``."""
        return torch.where(self.uniform() < (self.p if p is None else p), value, neutral)


def random_geometry(dice: Dice, height: int, width: int) -> Tensor:
    """Pixel blitting and general geometry: the map from output to input pixels about the centre, [N, 3, 3].

    Flips, quarter turns, whole-pixel shifts up to 1/8; then scale, rotation, anisotropic scale, rotation and
    fractional shifts (Algorithm 1 of the paper, lines 5 to 39).
    """
    one = torch.ones(dice.n, device=dice.device)
    flip = dice.sometimes(1 - 2 * (dice.uniform() * 2).floor(), 1.0)
    turn = dice.sometimes((dice.uniform() * 4).floor(), 0.0) * (math.pi / 2)
    happens = dice.sometimes(one, 0.0)
    whole = [((dice.uniform() * 2 - 1) * (0.125 * size)).round() * happens for size in (width, height)]
    blit = _scale(flip, one) @ _rotate(turn) @ _shift(whole[0], whole[1])

    scale = dice.sometimes((dice.normal() * 0.2).exp2(), 1.0)
    # two rotations, before and after the anisotropic scale: together they happen with probability p
    p_rotate = 1 - (1 - torch.as_tensor(dice.p)).clamp(0, 1).sqrt()
    before, after = (dice.sometimes((dice.uniform() * 2 - 1) * math.pi, 0.0, p_rotate) for _ in range(2))
    stretch = dice.sometimes((dice.normal() * 0.2).exp2(), 1.0)
    happens = dice.sometimes(one, 0.0)
    part = [dice.normal() * (0.125 * size) * happens for size in (width, height)]
    general = _scale(scale * stretch, scale / stretch)
    return blit @ _rotate(before) @ general @ _rotate(after) @ _shift(part[0], part[1])


def _reflect(place: Tensor, size: int, pad: int) -> Tensor:
    """Fold positions in pixels from the centre that lie outside the padded picture back into it, as mirror images."""
    reach = float(size - 1)
    folded = (torch.remainder(place + 1.5 * reach, 2 * reach) - reach).abs() - reach / 2
    return torch.where(place.abs() <= reach / 2 + max(pad - _EDGE, 0), place, folded)


def warp(images: Tensor, inverse: Tensor) -> Tensor:
    """Resample pictures through affine maps without aliasing: twice the pixels, bilinear sampling, and back.

    Args:
        images: [N, C, H, W]; they go on in mirror images where the map looks beyond the border.
        inverse: [N, 3, 3], from output to input pixels, both counted from the centre.
    """
    _, _, height, width = images.shape
    # room for both filters and the largest whole-pixel shift, so that pixel blitting stays exact up to the border
    pad = min(3 * _EDGE + max(height, width) // 8, height - 1, width - 1)
    images = F.pad(images, (pad, pad, pad, pad), mode="reflect")
    near, far = len(SYM6) // 2, len(SYM6) // 2 - 1
    images = upfirdn(images, SYM6, up=2, padding=(near, far, near, far), gain=4)
    # What is sampled: the output and what the second filter reaches around it, at twice the resolution. The filter is
    # of even length, so pixel u (from the centre) went to 2u - 1/2 there, and comes back from there.
    rows, columns = 2 * (height + 2 * _EDGE), 2 * (width + 2 * _EDGE)
    y, x = (
        (torch.arange(size, dtype=inverse.dtype, device=inverse.device) - (size - 1) / 2 + 0.5) / 2
        for size in (rows, columns)
    )
    grid = torch.stack(  # [N, 2H', 2W', 2]
        [
            (_reflect(row[:, 0] * x + row[:, 1] * y[:, None] + row[:, 2], size, pad) - 0.25) * (2 / (size + 2 * pad))
            for row, size in ((inverse[:, 0, :, None, None], width), (inverse[:, 1, :, None, None], height))
        ],
        -1,
    )
    images = sample(images, grid)
    crop = near - 1 - 2 * _EDGE
    return upfirdn(images, SYM6, down=2, padding=(crop, crop, crop, crop), flip=True)


def warp_some(images: Tensor, inverse: Tensor, moved: Tensor) -> Tensor:
    """:func:`warp` of the pictures that are ``moved`` [N]; the others stay as they are, bit for bit.

    A CPU does the work of those alone. To know how many they are the host would have to wait for a GPU, which warps all.
    """
    if images.device.type != "cpu":
        return torch.where(moved[:, None, None, None], warp(images, inverse), images)
    (rows,) = moved.nonzero(as_tuple=True)
    return images.index_copy(0, rows, warp(images[rows], inverse[rows])) if len(rows) else images


def random_colour(dice: Dice, channels: int) -> tuple[Tensor, Tensor]:
    """Brightness, contrast, luma flip, hue and saturation as x -> matrix @ x + offset (Algorithm 1, lines 40 to 56).

    Returns:
        matrix [N, 3, 3] ([N, 1, 1] for grey) and offset [N, 1, 1, 1].
    """
    brightness = dice.sometimes(dice.normal() * 0.2, 0.0)
    contrast = dice.sometimes((dice.normal() * 0.5).exp2(), 1.0)
    flip = dice.sometimes(1 - 2 * (dice.uniform() * 2).floor(), 1.0)
    luma = (contrast * flip)[:, None, None]
    offset = brightness[:, None, None] * luma
    if channels == 1:
        return luma, offset[..., None]
    hue = dice.sometimes((dice.uniform() * 2 - 1) * math.pi, 0.0)
    saturation = dice.sometimes(dice.normal().exp2(), 1.0)
    # colours are a part along the grey axis (1, 1, 1) and a part across it, which hue turns and saturation scales
    grey = luma.new_full((3, 3), 1 / 3)
    across = torch.eye(3, device=luma.device) - grey
    quarter_turn = constant(((0, -1, 1), (1, 0, -1), (-1, 1, 0)), luma) / math.sqrt(3)
    turned = hue.cos()[:, None, None] * across + hue.sin()[:, None, None] * quarter_turn
    return luma * grey + (contrast * saturation)[:, None, None] * turned, offset[..., None]


def augment(images: Tensor, p: Tensor | float) -> Tensor:
    """ADA's pipeline "bgc": blitting, geometry and colour, each transform with probability p for each picture.

    Args:
        images: [N, C, H, W] in [-1, 1]. The colour of a fourth channel (alpha) stays as it is.
        p: probability of each transform, in [0, 1].
    """
    n, channels, height, width = images.shape
    dice = Dice(n, p, images.device)
    inverse = random_geometry(dice, height, width)
    moved = (inverse - torch.eye(3, device=images.device)).abs().amax((1, 2)) > 1e-6
    images = warp_some(images, inverse, moved)
    if channels not in (1, 3, 4):
        return images
    matrix, offset = random_colour(dice, channels)
    colour, alpha = images[:, :3], images[:, 3:]
    columns = matrix.to(images.dtype)[..., None, None].unbind(2)  # spelled out: batched 3x3 products are slow on CPUs
    colour = sum((c * x for c, x in zip(columns, colour.split(1, 1), strict=True)), offset.to(images.dtype))
    return torch.cat([colour, alpha], 1) if channels == 4 else colour


class AdaptiveAugment(Scalars):
    """ADA: the pipeline at a probability p that follows how much the discriminator overfits (arXiv:2006.06676, Eq. 1).

    Args:
        target: p rises while the mean sign of D on real pictures is above this, and falls below it.
        images_per_unit: images it takes p to go from 0 to 1 (500,000; 100,000 when fine-tuning).
        every: batches between adjustments.
        fixed: True leaves p alone; set it with ``set_p``.

    Attributes:
        p: probability of each transform, a scalar buffer in [0, 1].
    """

    p: Tensor
    _signs: Tensor
    _images: Tensor
    _batches: Tensor

    def __init__(
        self, target: float = 0.6, images_per_unit: float = 500_000, every: int = 4, fixed: bool = False, p: float = 0.0
    ) -> None:
        super().__init__()
        self.target, self.images_per_unit, self.every, self.fixed = target, images_per_unit, every, fixed
        self.register_buffer("p", torch.tensor(p))
        for name in ("_signs", "_images", "_batches"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] in [-1, 1] -> augmented, same shape, in float32: what is moved by half a pixel must not be rounded."""
        if self.scalar("p") == 0:
            return images
        with torch.autocast(images.device.type, enabled=False):
            return augment(images.float(), self.p)

    def set_p(self, p: float) -> None:
        """Set the probability, for schedules that are a function of the clock."""
        self.set_scalar("p", min(max(p, 0.0), 1.0))

    @torch.no_grad()
    def update(self, signs: Tensor, images: int) -> None:
        """Look at one batch; every few batches move p a little towards where D overfits as much as the target says.

        Args:
            signs: signs of D's logits on the real pictures of all processes, or their mean (the engine's logs are means
                over all processes).
            images: real pictures in the batch, over all processes.
        """
        self._signs += signs.float().mean()
        self._images += images
        batches = self.scalar("_batches") + 1
        if batches < self.every:
            self.set_scalar("_batches", batches)
            return
        if not self.fixed:
            mean = self._signs / batches
            step = (mean - self.target).sign() * self._images / self.images_per_unit
            self.p.copy_((self.p + step).clamp(0, 1))
            self.changed("p")
        self.set_scalar("_batches", 0.0)
        for accumulator in (self._signs, self._images):
            accumulator.zero_()
