"""Picture files through a translation model: found, read, translated, written back as the kind of file they were."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from gansmith.apply.tiles import Progress, translate_picture
from gansmith.data.decode import EXTENSIONS, FORMATS, Broken, open_file, read_picture
from gansmith.errors import DataError, GansmithError
from gansmith.translation import Translation

_ORIENTATION = 0x0112
_UPRIGHT_TO_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_SAVE: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
_STRIP = 1024


@dataclass(frozen=True)
class Item:
    """One picture to translate.

    Attributes:
        name: how to call it in messages.
        relative: where its result goes below the output folder.
        open: opens its bytes.
    """

    name: str
    relative: PurePosixPath
    open: Callable[[], BinaryIO]


@dataclass
class Report:
    """What became of the pictures: results written, and (name, reason) of those that failed."""

    written: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


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
    """

    direction: str = "ab"
    mask: Path | None = None
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    overwrite: bool = False
    compare: bool = False
    tile: int = 0
    before: Callable[[np.ndarray], np.ndarray] | None = None


def find_pictures(specs: Sequence[str], out: Path | None = None) -> list[Item]:
    """Files, folders (recursive), globs and zips as a list of pictures. What lies in ``out`` is left out.

    Raises:
        DataError: something named is not there, or holds no pictures.
    """
    items: list[Item] = []
    for spec in specs:
        path = Path(spec).expanduser()
        matches = [path] if path.exists() else [Path(m) for m in sorted(glob.glob(str(path), recursive=True))]
        if not matches:
            raise DataError(f"There is no picture, folder or zip '{spec}'.")
        found = [item for match in matches for item in _items(match, len(matches) == 1, out)]
        if not found:
            raise DataError(
                f"'{spec}' has no pictures. JPEG, PNG, WebP, BMP, TIFF and GIF files are read, in sub-folders too."
            )
        items += found
    return items


def _items(path: Path, named: bool, out: Path | None) -> Iterable[Item]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            inside = out is not None and out.resolve() in file.resolve().parents and out.resolve() != path.resolve()
            hidden = any(part.startswith(".") for part in relative.parts)
            if file.is_file() and file.suffix.lower() in EXTENSIONS and not hidden and not inside:
                yield Item(str(file), PurePosixPath(relative.as_posix()), _opener(file))
    elif path.suffix.lower() == ".zip":
        yield from _members(path)
    elif named or path.suffix.lower() in EXTENSIONS:
        yield Item(str(path), PurePosixPath(path.name), _opener(path))


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: open(path, "rb")


def _members(path: Path) -> Iterable[Item]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"'{path}' cannot be read as a zip: {error}.") from None
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        name = PurePosixPath(info.filename.replace("\\", "/"))
        safe = not name.is_absolute() and ".." not in name.parts and ":" not in info.filename
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
        if not info.is_dir() and safe and not hidden and name.suffix.lower() in EXTENSIONS:
            yield Item(f"{path}:{name}", name, _member_opener(archive, info))


def _member_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(archive.read(info))


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
    for number, item in enumerate(items):
        target = out / item.relative
        reason = ""
        try:
            if target in taken:
                raise GansmithError(f"its result would have the same name as that of {taken[target]}")
            if target.exists() and not options.overwrite:
                raise GansmithError(f"{target} exists; --overwrite replaces it")
            _apply(game, item, target, out, options, progress)
            taken[target] = item.name
            report.written.append(target)
        except (Broken, GansmithError, OSError, MemoryError, zipfile.BadZipFile, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            report.failed.append((item.name, reason))
        on_picture(number + 1, item, reason)
    return report


def _apply(game: Translation, item: Item, target: Path, out: Path, options: Options, progress: Progress) -> None:
    with open_file(item.open) as file:
        upright = read_picture(file)
        file.seek(0)
        with Image.open(file, formats=FORMATS) as stored:
            kind, info, exif = stored.format or "PNG", dict(stored.info), stored.getexif()
    pixels = network_input(game, upright)
    if options.before is not None:
        pixels = options.before(pixels)
    mask = mask_for(game, item, upright.size, options)
    made = translate_picture(game, pixels, direction=options.direction, mask=mask, tile=options.tile, progress=progress)
    result = as_picture(game, made, upright)
    del made
    if options.compare:
        strip = comparison(upright, result, mask)
        _write(strip, out / "compare" / item.relative.with_suffix(".png"), "PNG")
    orientation = exif.get(_ORIENTATION, 1)
    if orientation in _UPRIGHT_TO_STORED:  # the file turns its pixels; the result does the same
        result = result.transpose(_UPRIGHT_TO_STORED[orientation])
    _write(
        result,
        target,
        "JPEG" if kind == "MPO" else "BMP" if kind == "DIB" else kind,
        _metadata(kind, info, exif, result),
    )


def network_input(game: Translation, upright: Image.Image) -> np.ndarray:
    """The colours that the model takes, uint8 [H, W, C]. Where alpha hides a colour, it is white for models that invent."""
    if upright.mode in ("LA", "RGBA") and not game.repairs and game.inputs < 4:
        hidden = upright.getchannel("A").point(lambda a: 255 if a == 0 else 0)
        upright = upright.convert("RGBA")
        upright.paste((255, 255, 255, 0), (0, 0), hidden)
    array = np.asarray(upright.convert({1: "L", 3: "RGB", 4: "RGBA"}[game.inputs]))
    return array if array.ndim == 3 else array[..., None]


def as_picture(game: Translation, made: np.ndarray, upright: Image.Image) -> Image.Image:
    """The result with the input's alpha, grey where the input was and the model only repairs."""
    result = Image.fromarray(made[..., 0] if made.shape[2] == 1 else made)
    if game.repairs and upright.mode in ("L", "LA") and result.mode == "RGB":
        result = result.convert("L")
    if upright.mode in ("LA", "RGBA") and result.mode in ("L", "RGB"):
        alpha = upright.getchannel("A")
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
        path = options.mask
        if path.is_dir():
            stems = {f.stem: f for f in sorted(path.iterdir()) if f.suffix.lower() in EXTENSIONS}
            if item.relative.stem not in stems:
                raise GansmithError(f"the folder {path} has no mask named {item.relative.stem}")
            path = stems[item.relative.stem]
        with open_file(lambda: open(path, "rb")) as file:
            drawn = read_picture(file).convert("L")
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


def comparison(before: Image.Image, after: Image.Image, mask: np.ndarray | None = None) -> Image.Image:
    """Before and after side by side, each at most 1024 px; the hole is grey in the first."""
    scale = min(1.0, _STRIP / max(after.size))
    size = max(1, round(after.width * scale)), max(1, round(after.height * scale))
    if mask is not None:
        before = before.convert("RGBA")
        before.paste((128, 128, 128, 255), (0, 0), Image.fromarray(mask.astype(np.uint8) * 255))
    sides = []
    for image in (before, after):  # made small first, for the result may be enormous
        image = image.resize(size, Image.Resampling.BICUBIC) if image.size != size else image
        image = image.convert("RGBA")
        sides.append(Image.alpha_composite(Image.new("RGBA", size, "white"), image).convert("RGB"))
    strip = Image.new("RGB", (2 * size[0] + 8, size[1]), "white")
    strip.paste(sides[0], (0, 0))
    strip.paste(sides[1], (size[0] + 8, 0))
    return strip


def _metadata(kind: str, info: Mapping[Any, Any], exif: Image.Exif, result: Image.Image) -> dict[str, Any]:
    """EXIF, colour profile and resolution to write again, as far as they are still true."""
    kept: dict[str, Any] = {}
    profile = info.get("icc_profile")
    space = {"L": b"GRAY", "LA": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB "}[result.mode]
    if profile and profile[16:20] == space:
        kept["icc_profile"] = profile
    if "dpi" in info and kind in ("JPEG", "PNG", "TIFF", "BMP"):
        kept["dpi"] = info["dpi"]
    if len(exif) and kind in ("JPEG", "MPO", "PNG", "WEBP"):
        kept["exif"] = exif.tobytes()
    elif exif.get(_ORIENTATION, 1) != 1 and kind == "TIFF":  # the other tags describe how the old file was stored
        fresh = Image.Exif()
        fresh[_ORIENTATION] = exif[_ORIENTATION]
        kept["exif"] = fresh
    return kept


def _write(image: Image.Image, target: Path, kind: str, metadata: dict[str, Any] | None = None) -> None:
    """Write a picture so that there is never half a one; the format need not match the name."""
    if kind in ("JPEG", "BMP", "PPM") and image.mode in ("RGBA", "LA"):
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            image.save(file, kind, **_SAVE.get(kind, {}), **(metadata or {}))
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
