"""Ways of damaging a picture that a network learns to undo.

Pictures are [N, C, H, W] in [-1, 1]. What is random is drawn through :mod:`gansmith.parallel.seeds`, for the whole global batch.
"""

from __future__ import annotations

import io
import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from gansmith.errors import GansmithError
from gansmith.nn.constants import constant
from gansmith.parallel import seeds

EdgeName = Literal["canny", "sobel", "mixed"]


# --- colour -------------------------------------------------------------------------------------------------------


def luma(images: Tensor) -> Tensor:
    """Luma Y' of RGB pictures by ITU-R BT.601, the weights of Pillow's and JPEG's grey: [N, 1, H, W] in the same range."""
    weights = constant((0.299, 0.587, 0.114), images)[:, None, None]
    return (images[:, :3] * weights).sum(1, keepdim=True) if images.shape[1] >= 3 else images[:, :1]


# --- size ---------------------------------------------------------------------------------------------------------


def downscale(images: Tensor, factor: int) -> Tensor:
    """Bicubic with antialiasing, rounded to 8 bits like a file: [N, C, H / factor, W / factor].

    Raises:
        GansmithError: the size is no multiple of the factor.
    """
    height, width = images.shape[2:]
    if height % factor or width % factor:
        raise GansmithError(
            f"Pictures of {width}x{height} px cannot be made {factor} times smaller: choose a --size that is a multiple of {factor}."
        )
    small = interpolate(images.float(), size=(height // factor, width // factor), mode="bicubic", antialias=True)
    return round_to_bytes(small)


def upscale(images: Tensor, factor: int) -> Tensor:
    """Bicubic: [N, C, H * factor, W * factor]; the classical way, and the floor for any network."""
    return interpolate(images, scale_factor=factor, mode="bicubic").clamp(-1, 1)


def round_to_bytes(images: Tensor) -> Tensor:
    """To the nearest of the 256 values that a picture file can hold."""
    return images.add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)


def degrade(images: Tensor, factor: int) -> Tensor:
    """What pictures from the wild went through: blur, resize, noise and JPEG, twice (Real-ESRGAN, arXiv:2107.10833, section 3).

    One blur in ten is a sinc filter, whose edges ring, and four in five pictures go through one at the end, before the
    last JPEG or after it (section 3.4). Every picture of the batch takes a course of its own. Ends at
    [N, C, H / factor, W / factor].
    """
    height, width = images.shape[2] // factor, images.shape[3] // factor
    draws = seeds.uniform(len(images), 24).tolist()
    noises = seeds.normal(len(images), 2, *images.shape[1:])
    done = []
    for image, draw, noise in zip(images.float().cpu(), draws, noises, strict=True):
        image = image[None]
        rings, *sinc = draw[16:]
        if rings < 0.1:
            image = _sinc(image, sinc[0], sinc[1])
        else:
            image = _blur(image, 0.2 + 2.3 * draw[0], 0.2 + 2.3 * draw[1], math.pi * draw[2])
        size = 1 / factor + (1.1 - 1 / factor) * draw[3]
        image = _resize(image, max(4, round(images.shape[2] * size)), max(4, round(images.shape[3] * size)), draw[4])
        image = _noise(image, noise[0], 0.12 * draw[5], grey=draw[6] < 0.4)
        image = _jpeg(image, int(35 + 60 * draw[7]))
        if rings > 0.9:
            image = _sinc(image, sinc[2], sinc[3])
        elif draw[8] < 0.8:
            image = _blur(image, 0.2 + 1.3 * draw[9], 0.2 + 1.3 * draw[10], math.pi * draw[11])
        image = _resize(image, height, width, draw[12])
        image = _noise(image, noise[1], 0.08 * draw[13], grey=draw[14] < 0.4)
        last = sinc[4] < 0.8
        image = _sinc(image, sinc[5], sinc[6]) if last and sinc[4] < 0.4 else image
        image = _jpeg(image, int(40 + 55 * draw[15]))
        done.append(_sinc(image, sinc[5], sinc[6]) if last and sinc[4] >= 0.4 else image)
    return torch.cat(done).to(images.device, images.dtype)


def sinc_kernel(cutoff: float, radius: int) -> Tensor:
    """A two-dimensional low-pass filter that cuts off sharply, and so rings: [2 radius + 1, 2 radius + 1], its sum 1.

    k(r) = cutoff / (2 pi r) J1(cutoff r), J1 being Bessel's function (arXiv:2107.10833, Eq. 6).

    Args:
        cutoff: frequency in radians per pixel, up to pi.
    """
    line = torch.arange(-radius, radius + 1, dtype=torch.float64)
    r = torch.sqrt(line[:, None] ** 2 + line**2)
    kernel = cutoff * torch.special.bessel_j1(cutoff * r) / (2 * math.pi * r.clamp(min=1e-12))
    kernel[radius, radius] = cutoff**2 / (4 * math.pi)  # the limit at r = 0
    return (kernel / kernel.sum()).float()


def _sinc(image: Tensor, size: float, cutoff: float) -> Tensor:
    """A sinc filter by two draws: 7 to 21 pixels wide, and a cut-off from pi / 3 (pi / 5 where it is wide) to pi."""
    radius = 3 + int(8 * size)
    least = math.pi / (3 if radius < 6 else 5)
    return _filtered(image, sinc_kernel(least + (math.pi - least) * cutoff, radius))


def _filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """A picture [1, C, H, W] through a filter, its edges mirrored; the filter's rim is cut off where the picture is too small."""
    cut = max(0, kernel.shape[0] // 2 - min(image.shape[2:]) + 1)
    if cut:
        kernel = kernel[cut:-cut, cut:-cut]
        kernel = kernel / kernel.sum()
    weights = kernel[None, None].repeat(image.shape[1], 1, 1, 1)
    return conv2d(pad(image, (kernel.shape[0] // 2,) * 4, mode="reflect"), weights, groups=image.shape[1])


def _blur(image: Tensor, along: float, across: float, angle: float, radius: int = 7) -> Tensor:
    """An anisotropic Gaussian blur with deviations ``along`` and ``across`` pixels."""
    radius = min(radius, image.shape[2] - 1, image.shape[3] - 1)
    line = torch.arange(-radius, radius + 1, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = torch.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return _filtered(image, kernel / kernel.sum())


def _resize(image: Tensor, height: int, width: int, draw: float) -> Tensor:
    mode = ("bilinear", "bicubic", "area")[int(draw * 3)]
    if mode == "area":
        return interpolate(image, size=(height, width), mode="area")
    return interpolate(image, size=(height, width), mode=mode, antialias=True)


def _noise(image: Tensor, noise: Tensor, strength: float, grey: bool) -> Tensor:
    height, width = image.shape[2:]
    reach = noise.repeat(1, -(-height // noise.shape[1]), -(-width // noise.shape[2]))[:, :height, :width]
    return image + strength * (reach[:1] if grey else reach)


def _jpeg(image: Tensor, quality: int) -> Tensor:
    """Through a real JPEG encoder; alpha stays as it is."""
    from PIL import Image

    pixels = image[0, :3].add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as file:
        back = torch.from_numpy(np.array(file)).float().div(127.5).sub(1)
    back = back[None, None] if back.ndim == 2 else back.permute(2, 0, 1)[None]
    return torch.cat([back, image[:, 3:]], 1)


# --- holes --------------------------------------------------------------------------------------------------------


def holes(n: int, height: int, width: int, share: tuple[float, float] = (0.1, 0.4)) -> Tensor:
    """Masks of what is lost: [N, 1, H, W] of 0 and 1 (lost), half of them free-form strokes and half boxes and strokes.

    Strokes are walks with a thick brush (Yu et al. 2018, arXiv:1806.03589, section 3.4).

    Args:
        share: the lost part of each picture is drawn from this range.
    """
    draws = seeds.integers(2**31 - 1, n).tolist()
    masks = [_hole(np.random.Generator(np.random.Philox(draw)), height, width, share) for draw in draws]
    return torch.from_numpy(np.stack(masks)).float()[:, None]


def _hole(random: np.random.Generator, height: int, width: int, share: tuple[float, float]) -> np.ndarray:
    from PIL import Image, ImageDraw

    wanted = random.uniform(*share) * height * width
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    side = min(height, width)
    if random.random() < 0.5:
        h, w = (max(1, int(random.uniform(0.4, 0.9) * math.sqrt(wanted))) for _ in range(2))
        top, left = int(random.integers(0, max(1, height - h))), int(random.integers(0, max(1, width - w)))
        draw.rectangle((left, top, left + w - 1, top + h - 1), fill=1)
    for _ in range(64):  # strokes until enough is lost
        if np.asarray(mask).sum() >= wanted:
            break
        x, y = random.uniform(0, width), random.uniform(0, height)
        angle, brush = random.uniform(0, 2 * math.pi), max(2, int(side * random.uniform(0.03, 0.12)))
        points = [(x, y)]
        for _ in range(int(random.integers(1, 7))):
            angle += random.uniform(-1.2, 1.2)
            step = random.uniform(0.05, 0.25) * side
            x, y = x + step * math.cos(angle), y + step * math.sin(angle)
            points.append((x, y))
        draw.line(points, fill=1, width=brush, joint="curve")
        for x, y in points:
            draw.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=1)
    return np.array(mask)


# --- edges --------------------------------------------------------------------------------------------------------


def edges(images: Tensor, kind: EdgeName = "mixed") -> Tensor:
    """A drawing of a picture's edges by a classical detector: [N, 1, H, W], dark lines (-1) on white (1).

    Args:
        kind: ``canny`` thin lines of one strength, ``sobel`` lines as dark as the edge is strong, ``mixed`` one of the
            two with a random amount of detail for every picture, so that hand drawings of many kinds are understood.
    """
    draws = (
        seeds.uniform(len(images), 2).tolist()
        if kind == "mixed"
        else [(0.0 if kind == "canny" else 1.0, 0.5)] * len(images)
    )
    greys = luma(images).float().add(1).div(2).clamp(0, 1).cpu().numpy()[:, 0]
    drawn = [
        _edges(grey, "canny" if which < 0.5 else "sobel", detail)
        for grey, (which, detail) in zip(greys, draws, strict=True)
    ]
    return torch.from_numpy(np.stack(drawn)[:, None]).to(images.device, images.dtype).mul(-2).add(1)


def _edges(grey: np.ndarray, kind: str, detail: float) -> np.ndarray:
    from skimage import feature, filters

    sigma = 0.6 + 0.8 * (1 - detail)
    if kind == "canny":
        return feature.canny(grey, sigma=sigma, low_threshold=0.04, high_threshold=0.12, mode="reflect").astype(
            np.float32
        )
    strength = filters.sobel(filters.gaussian(grey, sigma))
    return np.clip(strength * (3 + 6 * detail), 0, 1).astype(np.float32)
