"""Translate, upscale, colour or repair pictures of any size, films and animations with a trained model."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction

from gansmith.commands._parse import parse, say
from gansmith.config import Bounds, check_numbers
from gansmith.errors import GansmithError


@dataclass(frozen=True)
class Apply:
    """What to apply to what."""

    model: Positional[str]
    """A run folder, a model folder, a name of gansmith models, or a Hub id."""
    pictures: Positional[tuple[str, ...]]
    """Picture files, folders, globs or zips; films (.mp4, .mov, .mkv, .webm, ...)."""
    out: Path
    """Folder for the results; they keep the pictures' names and formats."""
    direction: Literal["ab", "ba"] = "ab"
    """Which way, for models that translate both ways."""
    mask: Path | None = None
    """Picture that is white where to fill, or a folder with one for each picture: NAME.png, NAME_mask.png or NAME_mask001.png."""
    mask_above: int | None = None
    """Fill what is brighter than this in the mask, 0 to 255, whatever its colours: 0 for masks of 0 and 1 or of colours on black."""
    mask_invert: bool = False
    """The mask is black (or transparent) where to fill."""
    box: Annotated[tuple[str, ...], UseAppendAction] = ()
    """Rectangle to fill, as x,y,width,height in pixels of the picture as it is seen; several may be given."""
    instances: Path | None = None
    """For models that draw pictures of label maps: a map of instances, or a folder with one for each label map, of the same name."""
    draw_edges: bool = False
    """For sketch models: the pictures are photographs, so draw their edges first."""
    compare: bool = False
    """Also write before/after strips, to OUT/compare."""
    overwrite: bool = False
    """Replace results that are already there."""
    norm: Literal["trained", "batch"] = "trained"
    """batch takes each picture's own statistics in batch norms and leaves dropout on, as the testers of pix2pix and CycleGAN do without --eval."""
    tile: Annotated[int | None, Bounds(1, unit="pixels", was=0)] = None
    """Side of a tile; by default what suits the model, with pictures of up to two megapixels whole. Larger tiles need more memory."""
    scale: Annotated[float | None, Bounds(0.05, was=0)] = None
    """Make results this many times larger than the pictures, where the model makes them larger still; by default what it makes."""
    no_steady: bool = False
    """Do not damp what flickers from frame to frame of films and animations."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""


def main(argv: list[str]) -> int:
    """Run the command; 0 when every picture was done, 1 when some failed, 2 when nothing could be done."""
    args = parse(Apply, spread_boxes(argv), "apply", __doc__ or "")
    if not args.pictures:
        raise GansmithError("Name the pictures: files, folders, globs or zips.")
    check_numbers(args)
    if args.mask_above is not None and not 0 <= args.mask_above <= 254:
        raise GansmithError(f"--mask-above is a brightness from 0 to 254, not {args.mask_above}.")
    boxes = tuple(parse_box(text) for text in args.box)
    from gansmith import devices
    from gansmith.apply.deep import trained_range
    from gansmith.apply.files import Options, apply_to_pictures, check_out, find_pictures
    from gansmith.apply.masks import masks_beside
    from gansmith.apply.tiles import laid_out
    from gansmith.commands._moving import animations_among, apply_to_moving
    from gansmith.files.film import films_among
    from gansmith.models import bundle
    from gansmith.nn.norms import as_in_training
    from gansmith.translation import Translation

    check_out(args.out)
    films, named = films_among(args.pictures)
    items = find_pictures(named, args.out) if named else []
    if args.mask is not None and not args.mask.exists():
        raise GansmithError(f"There is no mask '{args.mask}'.")
    device = devices.resolve(args.device, "fp32").torch_device
    model = bundle.load(args.model, str(device))
    game = model.game
    if not isinstance(game, Translation):
        raise GansmithError(f"A {model.family} model makes pictures from noise. Use: gansmith sample {args.model}")
    game = laid_out(game)
    game.check_direction(args.direction)
    if game.takes_mask and args.mask is None and not boxes:
        beside = masks_beside(items)
        hint = f" Masks lie beside the pictures, such as {beside}: give their folder as --mask." if beside else ""
        raise GansmithError(
            f"This model fills holes: give --mask PICTURE (white where to fill) or --box x,y,w,h.{hint}"
        )
    if not game.takes_mask and (args.mask is not None or boxes):
        raise GansmithError(f"A {model.family} model takes no mask; --mask and --box are for models that fill holes.")
    if args.instances is not None and not (game.label_maps and game.config.instances):
        raise GansmithError(
            f"This {model.family} model takes no maps of instances; --instances is for imported ones of pix2pixHD that do."
        )
    if args.instances is not None and not args.instances.exists():
        raise GansmithError(f"There is no map of instances, and no folder of them, at '{args.instances}'.")
    if args.draw_edges and model.family != "sketch":
        raise GansmithError(f"--draw-edges is for sketch models; this is a {model.family} model.")
    if args.norm == "batch" and not as_in_training(game):
        say("note: this model has neither batch norm nor dropout, so --norm batch changes nothing")
    if args.scale is not None and args.scale > game.scale:
        raise GansmithError(f"--scale is at most what the model does, {game.scale}, not {args.scale:g}.")
    before = edges_of if args.draw_edges else None
    options = Options(
        args.direction,
        args.mask,
        boxes,
        args.overwrite,
        args.compare,
        args.tile,
        before,
        trained_range(model.info),
        args.mask_above,
        args.mask_invert,
        args.scale,
        args.instances,
    )
    items, masks = options.masks.pictures_among(items)
    if masks:
        say(f"note: {len(masks)} masks among the pictures, such as {masks[0].name}, are masks only")
    animated, items = animations_among(items)
    with _Progress(len(items)) as shown:
        report = apply_to_pictures(game, items, args.out, options, on_picture=shown.picture, progress=shown.tile)
    apply_to_moving(game, films, animated, args.out, options, not args.no_steady, report)
    count = len(items) + len(films) + len(animated)
    what = "pictures and films" if films or animated else "pictures"
    say(f"{len(report.written)} of {count} {what} written to {args.out}", sys.stdout)
    for name, note in report.notes:
        say(f"note: {name}: {note}")
    if len(report.failed) == count == 1:
        raise GansmithError("{}: {}".format(*report.failed[0]))
    if report.failed:
        say(f"{len(report.failed)} failed:")
        for name, reason in report.failed:
            say(f"  {name}: {reason}")
    if report.failed and not report.written:
        raise GansmithError(f"Nothing was written to {args.out}: the reasons, one for each of the {what}, stand above.")
    return 1 if report.failed else 0


def spread_boxes(argv: list[str]) -> list[str]:
    """``--box a b`` as ``--box a --box b``, so that both are understood and a picture may follow a box."""
    words: list[str] = []
    for word in argv:
        if words[-2:-1] == ["--box"] and re.fullmatch(r"\d+(,\d+){3}", word):
            words.append("--box")
        words.append(word)
    return words


def parse_box(text: str) -> tuple[int, int, int, int]:
    """'x,y,w,h' as whole numbers.

    Raises:
        GansmithError: it is not four whole numbers, or no rectangle of any picture.
    """
    parts = text.split(",")
    try:
        x, y, width, height = (int(part) for part in parts)
    except ValueError:
        raise GansmithError(f"--box is x,y,width,height in whole pixels, not '{text}'.") from None
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise GansmithError(
            f"--box is x,y,width,height: the left and upper edge, from 0 on, and a size of at least 1x1, not '{text}'."
        )
    return x, y, width, height


def edges_of(pixels: Any) -> Any:
    """A drawing of a photograph's edges: uint8 [H, W, 1] -> uint8 [H, W, 1]."""
    import torch

    from gansmith.damage import edges
    from gansmith.files.pictures import to_float, to_uint8

    drawn = edges(to_float(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]), "canny")
    return to_uint8(drawn)[0].permute(1, 2, 0).numpy()


class _Progress:
    """A bar of pictures and tiles in a terminal, a line per picture elsewhere."""

    def __init__(self, pictures: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.pictures, self.done = pictures, 0
        console = Console(stderr=True)
        self.live = Progress(console=console) if console.is_terminal else None

    def __enter__(self) -> _Progress:
        if self.live is not None:
            self.live.start()
            self.task = self.live.add_task(f"picture 1 of {self.pictures}", total=float(self.pictures))
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def tile(self, done: int, of: int) -> None:
        if self.live is not None:
            text = f"picture {min(self.done + 1, self.pictures)} of {self.pictures}, tile {done} of {of}"
            self.live.update(self.task, completed=self.done + done / of, description=text)
        elif of > 8 and (done == of or done * 10 // of > (done - 1) * 10 // of):
            say(f"  tile {done} of {of}")

    def picture(self, number: int, item: Any, reason: str) -> None:
        self.done = number
        if self.live is None:
            say(f"{number}/{self.pictures} {item.name}{': ' + reason if reason else ''}")
