"""A picture of any size through a network, in tiles whose seams cannot be seen and with memory that does not grow.

Tiles overlap; the outer quarter of an overlap is context only and the middle half blends one tile into the next.
Networks with instance norm see the statistics of the whole picture in every tile. They are taken once,
from the whole picture up to two megapixels and from windows spread over it beyond. Holes that are deeper than a tile can
see out of are filled on a smaller picture first.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from gansmith.apply.holes import around, depth, halved
from gansmith.apply.spans import Span, spans
from gansmith.data.depth import centred
from gansmith.errors import GansmithError
from gansmith.files.pictures import to_float, to_uint8
from gansmith.nn.norms import forget_statistics, instance_norms, statistics_mode
from gansmith.nn.overview import box_weights, extent
from gansmith.translation import Translation

STATISTICS_PIXELS = 1 << 21
"""Pictures whose result has up to this many pixels go through whole, and instance-norm statistics are taken from no more, which takes
about 2 GB for a generator of width 64."""
WHOLE_HOLES = 512
"""Of larger pictures with holes, the part around the holes alone goes through the network."""
_WINDOW = 128
_ROWS = 256
_LEAST = 8
"""Networks that mirror the edges of a quarter of the picture need this many pixels."""

Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in all)."""


@torch.inference_mode()
def translate_picture(
    game: Translation,
    pixels: np.ndarray,
    *,
    direction: str = "ab",
    mask: np.ndarray | None = None,
    tile: int | None = None,
    progress: Progress = lambda done, of: None,
) -> np.ndarray:
    """Translate one picture of any size.

    Args:
        game: an eval-mode model.
        pixels: uint8 or uint16 [H, W, C], C the channels the model takes.
        direction: which way.
        mask: bool [H, W], True where to fill, for models that take one. What is False comes back bit for bit.
        tile: pixels of a tile of the input; None takes what suits the model, and a picture whole where that needs little memory.
        progress: told after every tile.

    Returns:
        [H * scale, W * scale, C'], of the type of ``pixels``.
    """
    if game.takes_mask and mask is None:
        raise GansmithError("This model fills holes: give --mask PICTURE (white where to fill) or --box x,y,w,h.")
    if mask is not None and mask.shape != pixels.shape[:2]:
        raise GansmithError(
            f"The mask is {mask.shape[1]}x{mask.shape[0]} and the picture {pixels.shape[1]}x{pixels.shape[0]}; they must be the same size."
        )
    if min(pixels.shape[:2]) < _LEAST:
        return _enlarged_first(game, pixels, direction, mask, progress)
    if game.overview_size and tile is None and math.prod(_overview_extent(game, pixels)) <= STATISTICS_PIXELS:
        return _by_overview(game, pixels, progress)
    if mask is not None and max(mask.shape) > (tile or WHOLE_HOLES):
        part = around(mask, game.overlap, game.alignment, game.window)
        if mask[part].shape != mask.shape:
            whole, (piece, hole) = pixels.copy(), (pixels[part], mask[part])
            whole[part] = translate_picture(game, piece, direction=direction, mask=hole, tile=tile, progress=progress)
            return whole
    rows, columns = _grid(game, pixels.shape[0], pixels.shape[1], tile)
    if mask is not None and (len(rows) * len(columns) > 1 or 0 < 4 * game.reach < max(mask.shape)):
        pixels, mask = _fill_deep(game, pixels, direction, mask, tile)
    if len(rows) == len(columns) == 1:
        result = _run(game, pixels, direction, mask)
        progress(1, 1)
        return _kept(_numbers(result[0], pixels.dtype), pixels, mask)
    try:
        if instance_norms(game):
            _take_statistics(game, pixels, direction)
        with statistics_mode(game, "held"):
            made = _blend(game, pixels, direction, mask, rows, columns, progress)
        return _kept(made, pixels, mask)
    finally:
        forget_statistics(game)


def _grid(game: Translation, height: int, width: int, tile: int | None) -> tuple[list[Span], list[Span]]:
    """The rows and columns of tiles; one of each where the picture goes through whole."""
    align, scale = game.alignment, game.scale
    overlap = max(game.overlap, 2 * align)  # a U-Net looks about as far as its deepest pixels reach
    if tile is None and height * width * scale**2 <= STATISTICS_PIXELS:
        tile = max(height, width) + align
    tile = tile or game.tile or max(min(1024, max(512, 16 * align)) // scale, 2 * overlap)
    tile = max(tile, 2 * align, -(-overlap // align) * align + align)
    return spans(height, tile, overlap, align, scale), spans(width, tile, overlap, align, scale)


def laid_out(game: Translation) -> Translation:
    """The same game with its convolutions' weights channels-last, which plain networks of convolutions compute faster with."""
    return game if instance_norms(game) else game.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _run(game: Translation, pixels: np.ndarray, direction: str, mask: np.ndarray | None) -> Tensor:
    """One piece: uint8 or uint16 [H, W, C] -> float [1, C', H * scale, W * scale] on the CPU."""
    images = _tensor(pixels, game.device)
    where = None if mask is None else torch.from_numpy(mask)[None, None].to(game.device, torch.float32)
    return game.translate(images, direction=direction, mask=where).float().cpu()


def _tensor(pixels: np.ndarray, device: torch.device) -> Tensor:
    if pixels.dtype == np.uint16:
        pixels = centred(pixels)
    return to_float(torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None], device)


def _numbers(made: Tensor, dtype: np.dtype) -> np.ndarray:
    """Float [C, H, W] in [-1, 1] -> uint8 or uint16 [H, W, C], rounded, values outside cut off."""
    if dtype == np.uint16:
        made = made.float().add(1).mul(32767.5).round().clamp(0, 65535).to(torch.int32)
    else:
        made = to_uint8(made)
    return made.permute(1, 2, 0).numpy().astype(dtype)


def _plane(pixels: np.ndarray) -> Image.Image:
    """One channel [H, W] as a picture that can be resized."""
    return Image.fromarray(pixels.astype(np.float32) if pixels.dtype == np.uint16 else pixels)


def _of_plane(plane: Image.Image, dtype: np.dtype) -> np.ndarray:
    """The inverse of :func:`_plane`."""
    array = np.asarray(plane)
    return np.rint(array.clip(0, 65535)).astype(dtype) if dtype == np.uint16 else array


def _kept(result: np.ndarray, pixels: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return result if mask is None else np.where(mask[..., None], result, pixels)


def _enlarged_first(
    game: Translation, pixels: np.ndarray, direction: str, mask: np.ndarray | None, progress: Progress
) -> np.ndarray:
    """A picture of a few pixels, its last row and column repeated until networks can take it."""
    height, width = pixels.shape[:2]
    more = (0, max(0, _LEAST - height)), (0, max(0, _LEAST - width))
    mask = None if mask is None else np.pad(mask, more, mode="edge")
    padded = np.pad(pixels, (*more, (0, 0)), mode="edge")
    made = translate_picture(game, padded, direction=direction, mask=mask, progress=progress)
    return made[: height * game.scale, : width * game.scale]


def _fill_deep(
    game: Translation, pixels: np.ndarray, direction: str, mask: np.ndarray, tile: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The picture with the depth of its holes filled, and what is left to fill.

    A tile inside a large hole would see nothing at all. So what lies far from anything known is filled on a picture of
    half the size, where it lies half as far, and so on; the rest is then filled at full size, between both.
    """
    deep = depth(mask, game.reach)
    if not deep.any():
        return pixels, mask
    height, width = mask.shape
    small, small_mask = halved(pixels, mask)
    made = translate_picture(game, small, direction=direction, mask=small_mask, tile=tile)
    size = 2 * small.shape[1], 2 * small.shape[0]
    planes = [_plane(made[..., c]).resize(size, Image.Resampling.BICUBIC) for c in range(made.shape[2])]
    enlarged = np.stack([_of_plane(plane, pixels.dtype)[:height, :width] for plane in planes], 2)
    return np.where(deep[..., None], enlarged, pixels), mask & ~deep


def _blend(
    game: Translation,
    pixels: np.ndarray,
    direction: str,
    mask: np.ndarray | None,
    rows: list[Span],
    columns: list[Span],
    progress: Progress,
) -> np.ndarray:
    """Tile after tile; only one row of tiles is ever held in floating point."""
    height, width, scale = pixels.shape[0], pixels.shape[1], game.scale
    output: np.ndarray | None = None
    strip = torch.zeros(0)  # rows of the output from ``row.start`` on that later tiles still add to
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            piece = pixels[row.start : row.stop, column.start : column.stop]
            hole = None if mask is None else mask[row.start : row.stop, column.start : column.stop]
            made = (
                _tensor(piece, torch.device("cpu"))
                if hole is not None and not hole.any()
                else _run(game, piece, direction, hole)
            )
            if output is None:
                output = np.empty((height * scale, width * scale, made.shape[1]), pixels.dtype)
                strip = torch.zeros(made.shape[1], 0, width * scale)
            missing = (row.stop - row.start) * scale - strip.shape[1]
            if missing > 0:
                strip = torch.cat([strip, strip.new_zeros(strip.shape[0], missing, strip.shape[2])], 1)
            strip[:, :, column.start * scale : column.stop * scale] += made[0] * row.share[:, None] * column.share
            progress(i * len(columns) + j + 1, len(rows) * len(columns))
        end = rows[i + 1].start if i + 1 < len(rows) else height
        finished = (end - row.start) * scale
        assert output is not None
        output[row.start * scale : end * scale] = _numbers(strip[:, :finished], pixels.dtype)
        strip = strip[:, finished:].clone()
    assert output is not None
    return output


def _take_statistics(game: Translation, pixels: np.ndarray, direction: str) -> None:
    """Run once in ``pool`` mode, for the instance norms to remember the statistics of the whole picture."""
    height, width = pixels.shape[:2]
    with statistics_mode(game, "pool"):
        if height * width <= STATISTICS_PIXELS:
            _run(game, pixels, direction, None)
            return
        side = max(_WINDOW, 2 * game.alignment) // game.alignment * game.alignment
        tall, wide = min(side, height), min(side, width)
        count = max(1, STATISTICS_PIXELS // (tall * wide))
        across = max(1, min(count, round(math.sqrt(count * (width / wide) * (tall / height)))))
        tops = np.linspace(0, height - tall, max(1, count // across)).astype(int) // game.alignment * game.alignment
        lefts = np.linspace(0, width - wide, across).astype(int) // game.alignment * game.alignment
        windows = [_tensor(pixels[t : t + tall, x : x + wide], game.device) for t in tops for x in lefts]
        game.translate(torch.cat(windows), direction=direction)


def _overview_extent(game: Translation, pixels: np.ndarray) -> tuple[int, int]:
    return extent(pixels.shape[0], pixels.shape[1], game.overview_size)


def _by_overview(game: Translation, pixels: np.ndarray, progress: Progress) -> np.ndarray:
    """Models that decide on the whole picture made small, and finish at full size (colour is coarser than light)."""
    height, width = pixels.shape[:2]
    tall, wide = _overview_extent(game, pixels)
    starts = range(0, height, _ROWS)
    narrow = []  # a strip of rows at a time is in floating point, for the picture may be enormous
    for start in starts:
        piece = _tensor(pixels[start : start + _ROWS], torch.device("cpu"))
        narrow.append(piece @ box_weights(width, wide, piece).transpose(0, 1))
    across = torch.cat(narrow, 2)
    small = box_weights(height, tall, across) @ across
    guide = game.overview(small.to(game.device)).float().cpu()
    guide = interpolate(guide, size=(height, width), mode="bicubic")
    parts = []
    for number, start in enumerate(starts):
        piece = _tensor(pixels[start : start + _ROWS], torch.device("cpu"))
        parts.append(_numbers(game.finish(piece, guide[:, :, start : start + _ROWS])[0], pixels.dtype))
        progress(number + 1, len(starts))
    return np.concatenate(parts)
