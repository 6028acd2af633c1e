"""Picture files through a translation model: found, read, translated, written back as the kind of file they were."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from gansmith.apply.deep import KINDS, Deep, network_pixels, range_of, result_of
from gansmith.apply.finding import STRIPS, Item, find_pictures
from gansmith.apply.storing import Stored, check_size, comparison, read_stored, store, store_deep, write
from gansmith.apply.tiles import Progress, translate_picture
from gansmith.data.decode import Header, open_file, read_deep, read_header, read_picture
from gansmith.data.depth import Range
from gansmith.data.formats import EXTENSIONS
from gansmith.data.planning import default_memory_limit
from gansmith.data.threads import Broken
from gansmith.errors import GansmithError
from gansmith.files.paths import check_writable
from gansmith.translation import Translation

__all__ = ["Item", "Options", "Report", "apply_to_pictures", "check_out", "comparison", "find_pictures"]

_USUAL_PIXELS = 89_478_485
"""Pillow takes larger pictures for attacks. A panorama is none, so they are taken where they fit into memory."""
MOST_PIXELS = 1 << 29
"""Still larger pictures are refused before they are decoded."""


@dataclass
class Report:
    """What became of the pictures: results written, and (name, words) of those that failed or lost something."""

    written: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """How to translate.

    Attributes:
        direction: of the model's directions.
        mask: a mask picture for all (white where to fill), or a folder with one of each picture's name.
        boxes: rectangles (x, y, width, height) to fill, in pixels of the upright picture.
        overwrite: replace results that are already there.
        compare: also write before/after strips, to ``compare/``.
        tile: pixels of a tile; 0 chooses.
        before: applied to the uint8 [H, W, C] pixels first.
        trained: black and white of the pictures that the model was trained on, where they had more than 8 bits.
    """

    direction: str = "ab"
    mask: Path | None = None
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    overwrite: bool = False
    compare: bool = False
    tile: int = 0
    before: Callable[[np.ndarray], np.ndarray] | None = None
    trained: Range | None = None


def check_out(out: Path) -> None:
    """Raise a GansmithError unless results can be written below this folder, which need not exist."""
    if os.path.lexists(out) and not out.is_dir():
        raise GansmithError(f"Results go into a folder, and '{out}' is none. Choose another --out.")
    check_writable(out)


def apply_to_pictures(
    game: Translation,
    items: Sequence[Item],
    out: Path,
    options: Options,
    *,
    on_picture: Callable[[int, Item, str], None] = lambda number, item, reason: None,
    progress: Progress = lambda done, of: None,
) -> Report:
    """Translate pictures and write the results; a picture that fails is reported and the rest go on.

    Args:
        on_picture: called after each with (number done, item, reason it failed or '').
        progress: called after each tile of the current picture.
    """
    report = Report()
    taken: dict[Path, str] = {}
    with _large_pictures():
        for number, item in enumerate(items):
            target, strip = out / item.relative, out / STRIPS / item.relative.with_suffix(".png")
            if strip in taken:  # of a picture whose name differs in its ending only
                strip = strip.with_name(f"{item.relative.name}.png")
            wanted = [target, strip] if options.compare else [target]
            reason = ""
            try:
                _check_free(wanted, taken, options.overwrite)
                note = _apply(game, item, wanted, options, progress)
                taken |= dict.fromkeys(wanted, item.name)
                report.written.append(target)
                report.notes += [(item.name, note)] if note else []
            except (Broken, GansmithError, OSError, MemoryError, zipfile.BadZipFile, RuntimeError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                report.failed.append((item.name, reason))
            on_picture(number + 1, item, reason)
    return report


@contextmanager
def _large_pictures() -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # odd metadata
        Image.MAX_IMAGE_PIXELS = MOST_PIXELS
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_free(wanted: Sequence[Path], taken: dict[Path, str], overwrite: bool) -> None:
    for path in wanted:
        if path in taken:
            raise GansmithError(f"its result would have the same name as that of {taken[path]}")
        if path.is_dir():
            raise GansmithError(f"{path} is a folder, and its result would have that name")
        if os.path.lexists(path) and not overwrite:
            raise GansmithError(f"{path} exists; --overwrite replaces it")


def _apply(game: Translation, item: Item, wanted: Sequence[Path], options: Options, progress: Progress) -> str:
    """Write the result, and the strip where one is wanted; returns what a person should know, or ''."""
    with open_file(item.open) as file:
        header = read_header(file)
        stored = read_stored(file)
        check_size(stored, header.width * game.scale, header.height * game.scale)
        _check_memory(game, header)
        deep = _deep(file, header, stored, options)
        upright = read_picture(file) if deep is None else deep.image
    mask = mask_for(game, item, upright.size, options)
    if deep is None:
        result = translate_image(game, upright, options, mask, progress)
        store(result, wanted[0], stored)
    else:
        pixels = network_input(game, upright, options.direction)
        pixels = (
            network_pixels(deep, pixels) if options.before is None else options.before(pixels).astype(np.uint16) * 257
        )
        made = result_of(game, translate_pixels(game, pixels, options, mask, progress), deep, mask)
        store_deep(made, wanted[0], stored)
        result = made.image
    for strip in wanted[1:]:
        write(comparison(upright, result, mask), strip, "PNG", {})
    notes = ["its CMYK colours became sRGB"] if header.mode == "CMYK" else []
    notes += [f"the first of its {stored.frames} pictures was taken"] if stored.frames > 1 else []
    return "; ".join(notes)


def _deep(file: BinaryIO, header: Header, stored: Stored, options: Options) -> Deep | None:
    """The picture with all its bits, where it has more than 8 and its kind of file takes them back."""
    pixels = read_deep(file) if header.bits > 8 and stored.kind in KINDS else None
    return None if pixels is None else Deep(pixels, range_of(pixels, header.tagged, options.trained))


def translate_image(
    game: Translation,
    upright: Image.Image,
    options: Options,
    mask: np.ndarray | None = None,
    progress: Progress = lambda done, of: None,
) -> Image.Image:
    """Translate a picture in memory, whatever its mode; alpha stays, and colours do where a model only repairs.

    Args:
        mask: bool [H, W], True where to fill, for models that take one.
    """
    pixels = network_input(game, upright, options.direction)
    if options.before is not None:
        pixels = options.before(pixels)
    return as_picture(game, translate_pixels(game, pixels, options, mask, progress), upright)


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


def _check_memory(game: Translation, header: Header) -> None:
    """Raise a GansmithError where a picture and its result, as bytes, would not fit into the memory that is free."""
    pixels = header.width * header.height * (1 + (header.bits > 8))
    needed, free = pixels * (8 + 9 * game.scale**2), 2 * default_memory_limit()
    if pixels > _USUAL_PIXELS and needed > free:
        raise GansmithError(
            f"{header.width}x{header.height} pixels and their result need about {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free; cut the picture into parts"
        )


def network_input(game: Translation, upright: Image.Image, direction: str = "ab") -> np.ndarray:
    """The colours that the model takes, uint8 [H, W, C]; all three for a grey model that repairs.

    Where alpha hides a colour, it is white for models that invent, and that of its surroundings for models that enlarge,
    which would draw it into what is seen.
    """
    inputs = (game.spec.other_channels or game.inputs) if direction == "ba" else game.inputs
    if upright.mode in ("LA", "RGBA") and inputs < 4:
        hidden = upright.getchannel("A").point(lambda a: 255 if a == 0 else 0)
        if not game.repairs:
            upright = upright.convert("RGBA")
            upright.paste((255, 255, 255, 0), (0, 0), hidden)
        elif game.scale > 1 and hidden.getbbox() is not None:
            upright = _spread(upright, hidden)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[inputs]
    if game.repairs and mode == "L" and upright.mode in ("RGB", "RGBA"):
        mode = "RGB"
    array = np.asarray(upright.convert(mode))
    return array if array.ndim == 3 else array[..., None]


def _spread(image: Image.Image, hidden: Image.Image) -> Image.Image:
    """The colours that are seen, spread into the pixels that are not: averages of what lies near."""
    image = image.copy()
    image.putalpha(hidden.point(lambda h: 255 - h))
    if hidden.getextrema()[0] == 255:  # nothing is seen at all
        return image
    smaller = image.reduce(2)  # by alpha, as Pillow reduces all pictures that have one
    unseen = smaller.getchannel("A").point(lambda a: 255 if a == 0 else 0)
    if unseen.getbbox() is not None:
        smaller = _spread(smaller, unseen)
    around = smaller.resize((2 * smaller.width, 2 * smaller.height), Image.Resampling.NEAREST)
    image.paste(around.crop((0, 0, *image.size)), (0, 0), hidden)
    return image


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


def mask_for(game: Translation, item: Item, size: tuple[int, int], options: Options) -> np.ndarray | None:
    """What to fill, bool [H, W], from the mask and the boxes.

    Raises:
        GansmithError: of another size than the picture, outside it, empty, or for a model that takes none.
    """
    if not game.takes_mask:
        if options.mask is not None or options.boxes:
            raise GansmithError("this model takes no mask; --mask and --box are for models that fill holes")
        return None
    mask = np.zeros(size[::-1], bool)
    if options.mask is not None:
        drawn = _drawn(_mask_file(options.mask, item.relative) if options.mask.is_dir() else options.mask)
        if drawn.size != size:
            raise GansmithError(
                f"the mask is {drawn.width}x{drawn.height} and the picture {size[0]}x{size[1]}; they must be the same size"
            )
        mask |= np.asarray(drawn) > 127
    for x, y, width, height in options.boxes:
        if x < 0 or y < 0 or width < 1 or height < 1 or x + width > size[0] or y + height > size[1]:
            raise GansmithError(
                f"the box {x},{y},{width},{height} does not lie in the picture of {size[0]}x{size[1]} px"
            )
        mask[y : y + height, x : x + width] = True
    if options.mask is None and not options.boxes:
        raise GansmithError("this model fills holes: give --mask PICTURE (white where to fill) or --box x,y,w,h")
    if not mask.any():
        raise GansmithError("the mask is black everywhere; white is what gets filled")
    return mask


def _mask_file(folder: Path, relative: PurePosixPath) -> Path:
    """The picture's mask: in the same sub-folder below the masks' folder, or right in that."""
    for place in dict.fromkeys((folder / relative.parent, folder)):
        files = sorted(place.iterdir()) if place.is_dir() else []
        masks = [f for f in files if f.stem == relative.stem and f.suffix.lower() in EXTENSIONS]
        if masks:
            return masks[0]
    raise GansmithError(f"the folder {folder} has no mask named {relative.stem}")


def _drawn(path: Path) -> Image.Image:
    """A mask picture as grey; what is transparent in it was not drawn on."""
    try:
        with open_file(lambda: open(path, "rb")) as file:
            drawn = read_picture(file)
    except Broken as reason:
        raise GansmithError(f"the mask {path} cannot be used: {reason}") from None
    if drawn.mode in ("LA", "RGBA"):
        drawn = Image.alpha_composite(Image.new("RGBA", drawn.size, "black"), drawn.convert("RGBA"))
    return drawn.convert("L")
