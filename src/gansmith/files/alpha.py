"""Colours under transparency: what is wholly transparent is not seen, so its colour is unknown."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def on_white(image: Image.Image) -> Image.Image:
    """A picture with alpha, laid on white: RGB."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def batch_on_white(images: Tensor) -> Tensor:
    """Pictures with alpha, laid on white: uint8 [N, 2 or 4, H, W] -> uint8 [N, 1 or 3, H, W]; others stay as they are."""
    if images.shape[1] not in (2, 4):
        return images
    colours, share = images[:, :-1].float(), images[:, -1:].float() / 255
    return (colours * share + 255 * (1 - share)).round().to(torch.uint8)


def hidden(image: Image.Image) -> Image.Image | None:
    """Where a picture is wholly transparent, mode L, 255 there; None where nothing is."""
    if image.mode not in ("LA", "RGBA"):
        return None
    where = image.getchannel("A").point(lambda a: 255 if a == 0 else 0)
    return None if where.getbbox() is None else where


def spread(image: Image.Image, unknown: Image.Image) -> Image.Image:
    """The known colours of a picture with alpha, spread into the unknown pixels: averages of what lies near.

    Args:
        image: mode LA or RGBA.
        unknown: mode L, 255 where the colour is not known and 0 elsewhere.

    Returns:
        The picture with its own alpha. Nothing changes where nothing is known at all.
    """
    coloured = _spread(image, unknown)
    coloured.putalpha(image.getchannel("A"))
    return coloured


def _spread(image: Image.Image, unknown: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(unknown.point(lambda u: 255 - u))
    if unknown.getextrema()[0] == 255:
        return image
    smaller = image.reduce(2)  # by alpha, as Pillow reduces all pictures that have one
    unseen = smaller.getchannel("A").point(lambda a: 255 if a == 0 else 0)
    if unseen.getbbox() is not None:
        smaller = _spread(smaller, unseen)
    around = smaller.resize((2 * smaller.width, 2 * smaller.height), Image.Resampling.NEAREST)
    image.paste(around.crop((0, 0, *image.size)), (0, 0), unknown)
    return image


def fit_by_alpha(pixels: np.ndarray, size: tuple[int, int], full: int) -> np.ndarray:
    """``ImageOps.fit``, of RGBA in premultiplied colours: what is transparent has no weight, and no colour of its own after it.

    Pillow premultiplies too, but in 8 bits, which leaves hardly any colour where alpha is low.

    Args:
        pixels: [H, W, C] of whole numbers from 0.
        size: (height, width), the middle cut out.
        full: the number that is opaque.

    Returns:
        float32 [height, width, C]; it may reach a little beyond 0 and ``full``.
    """
    array = pixels.astype(np.float32)
    with_alpha = array.shape[2] == 4 and array[..., 3].min() < full
    if with_alpha:
        array[..., :3] *= array[..., 3:] / full
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(array, 2, 0)]
    made = np.stack([np.asarray(ImageOps.fit(p, (size[1], size[0]), Image.Resampling.LANCZOS)) for p in planes], 2)
    if not with_alpha:
        return made
    alpha = torch.from_numpy(made[..., 3].copy())[None, None]
    seen = (alpha >= 0.5).float()
    colours = torch.from_numpy(made[..., :3].copy()).permute(2, 0, 1)[None] * full / alpha.clamp(min=0.5)
    colours = _pull(colours * seen, seen)[0].permute(1, 2, 0).numpy()
    return np.concatenate([colours, made[..., 3:]], 2)


def spread_batch(images: Tensor) -> Tensor:
    """The colours that are seen, spread into the wholly transparent pixels, for networks to learn from.

    Args:
        images: [N, 4, H, W] of whole numbers, alpha last; the least number of their type is black and transparent.
    """
    unseen = images[:, 3:] == torch.iinfo(images.dtype).min
    if not bool(unseen.any()):
        return images
    seen = (~unseen).float()
    colours = _pull(images[:, :3].float() * seen, seen).round().to(images.dtype)
    return torch.cat([torch.where(unseen, colours, images[:, :3]), images[:, 3:]], 1)


def _pull(sums: Tensor, weights: Tensor) -> Tensor:
    """[N, C, H, W] sums of what is known and [N, 1, H, W] how much is -> averages, those of larger areas where nothing is."""
    averages = sums / weights.clamp(min=1e-6)
    if max(sums.shape[2:]) == 1 or bool((weights > 0).all()):
        return averages
    larger = _pull(*(avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) for x in (sums, weights)))
    return torch.where(
        weights > 0, averages, interpolate(larger, scale_factor=2)[..., : sums.shape[2], : sums.shape[3]]
    )
