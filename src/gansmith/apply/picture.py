"""One picture in memory through a translation model, whatever its mode."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gansmith.apply.deep import Deep, network_pixels, result_of
from gansmith.apply.holes import around
from gansmith.apply.labels import label_array
from gansmith.apply.options import Options
from gansmith.apply.tiles import Progress, translate_picture
from gansmith.errors import GansmithError
from gansmith.files.alpha import hidden, spread
from gansmith.translation import Translation


def translate_image(
    game: Translation,
    upright: Image.Image,
    options: Options,
    mask: np.ndarray | None = None,
    progress: Progress = lambda done, of: None,
) -> Image.Image:
    """Translate a picture in memory, whatever its mode; alpha stays, and colours do where a model only repairs.

    Args:
        mask: bool [H, W], True where to fill, for models that take one. There the result is opaque, unless the model makes
            alpha itself. Elsewhere it is the picture, bit for bit.

    Raises:
        GansmithError: nothing that is seen is left to fill from.
    """
    pixels = network_input(game, upright, options.direction, mask)
    if options.before is not None:
        pixels = options.before(pixels)
    unknown = None if mask is None else _unknown(game, upright, mask)
    result = as_picture(game, translate_pixels(game, pixels, options, unknown, progress), upright)
    return result if mask is None else _filled(game, result, upright, mask)


def translate_labels(
    game: Translation, maps: Image.Image, options: Options, borders: np.ndarray | None, progress: Progress
) -> Image.Image:
    """A picture of a label map, for models that take those.

    Args:
        borders: of instances, bool [H, W]; those between labels where it is None.

    Raises:
        GansmithError: it is no label map of the model's labels.
    """
    pixels = label_array(maps, game.label_maps)[..., None]
    if borders is not None:
        pixels = np.concatenate([pixels, borders[..., None].astype(np.uint8) * 255], 2)
    made = translate_pixels(game, pixels, options, None, progress)
    return Image.fromarray(made[..., 0] if made.shape[2] == 1 else made)


def translate_deep(
    game: Translation, deep: Deep, options: Options, mask: np.ndarray | None, progress: Progress
) -> Deep:
    """:func:`translate_image` for pictures of more than 8 bits a channel, with all their bits."""
    upright = deep.image
    seen = network_input(game, upright, options.direction, mask)
    pixels = network_pixels(deep, seen) if options.before is None else options.before(seen).astype(np.uint16) * 257
    unknown = None if mask is None else _unknown(game, upright, mask)
    return result_of(game, translate_pixels(game, pixels, options, unknown, progress), deep, mask)


def translate_pixels(
    game: Translation, pixels: np.ndarray, options: Options, mask: np.ndarray | None, progress: Progress
) -> np.ndarray:
    """What the model takes, uint8 or uint16 [H, W, C], to what it makes of it, of the same type."""
    # a grey model that repairs does so channel by channel, since colours must stay
    by_plane = game.repairs and pixels.shape[2] > game.inputs == 1
    planes = np.split(pixels, pixels.shape[2], 2) if by_plane else [pixels]
    made = [
        translate_picture(
            game,
            plane,
            direction=options.direction,
            mask=mask,
            tile=options.tile,
            progress=lambda done, of, k=k: progress(k * of + done, len(planes) * of),
        )
        for k, plane in enumerate(planes)
    ]
    return np.concatenate(made, 2) if by_plane else made[0]


def resized(result: Image.Image, given: Image.Image, options: Options) -> Image.Image:
    """A result at ``options.scale`` times the size of what was given."""
    if options.scale is None:
        return result
    size = max(1, round(given.width * options.scale)), max(1, round(given.height * options.scale))
    return result if result.size == size else result.resize(size, Image.Resampling.LANCZOS)


def _unknown(game: Translation, upright: Image.Image, mask: np.ndarray) -> np.ndarray:
    """What a network must not take for known: the hole, and what lies around it and is wholly transparent."""
    unseen = hidden(upright)
    if unseen is None or game.inputs == 4:  # such models know what alpha is
        return mask
    near = np.zeros_like(mask)
    near[around(mask, game.overlap, game.alignment, game.window)] = True
    unknown = mask | (near & (np.asarray(unseen) > 0))
    if unknown[around(mask, game.overlap, game.alignment, game.window)].all():
        raise GansmithError("all that lies around the hole is transparent, and nothing is left to fill it from")
    return unknown


def _filled(game: Translation, result: Image.Image, upright: Image.Image, mask: np.ndarray) -> Image.Image:
    """The picture with the result in its hole."""
    hole = Image.fromarray(mask.astype(np.uint8) * 255)
    if result.mode in ("LA", "RGBA") and game.inputs < 4:
        opaque = result.getchannel("A")
        opaque.paste(255, (0, 0), hole)
        result.putalpha(opaque)
    whole = upright.copy()
    whole.paste(result, (0, 0), hole)
    return whole


def network_input(
    game: Translation, upright: Image.Image, direction: str = "ab", mask: np.ndarray | None = None
) -> np.ndarray:
    """The colours that the model takes, uint8 [H, W, C]; all three for a grey model that repairs.

    Where alpha hides a colour, it is white for models that invent, as in their training, and that of its surroundings for
    models that repair or know alpha, which would draw it into what is seen. What is under the mask spreads nowhere.
    """
    if game.label_maps:
        return label_array(upright, game.label_maps)[..., None]
    inputs = (game.spec.other_channels or game.inputs) if direction == "ba" else game.inputs
    unseen = hidden(upright)
    if unseen is not None and inputs < 4 and not game.repairs:
        upright = upright.convert("RGBA")
        upright.paste((255, 255, 255, 0), (0, 0), unseen)
    elif unseen is not None:
        unknown = np.asarray(unseen) > 0 if mask is None else (np.asarray(unseen) > 0) | mask
        around_it = spread(upright, Image.fromarray(unknown.astype(np.uint8) * 255))
        upright = upright.copy()
        upright.paste(around_it, (0, 0), unseen)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[inputs]
    if game.repairs and mode == "L" and upright.mode in ("RGB", "RGBA"):
        mode = "RGB"
    array = np.asarray(upright.convert(mode))
    return array if array.ndim == 3 else array[..., None]


def as_picture(game: Translation, made: np.ndarray, upright: Image.Image) -> Image.Image:
    """The result with the input's alpha; of the input's kind, grey or colour, where the model only repairs."""
    result = Image.fromarray(made[..., 0] if made.shape[2] == 1 else made)
    alpha = upright.getchannel("A") if upright.mode in ("LA", "RGBA") else None
    if game.repairs and result.mode == "RGBA":
        alpha = None if alpha is None else result.getchannel("A")
        result = result.convert("RGB")
    if game.repairs and upright.mode in ("L", "LA"):
        result = result.convert("L")
    if alpha is not None and result.mode in ("L", "RGB"):
        result.putalpha(alpha if alpha.size == result.size else alpha.resize(result.size, Image.Resampling.BICUBIC))
    return result
