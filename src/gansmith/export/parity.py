"""Is an exported translator what ``gansmith apply`` computes, and what does apply do around it?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from gansmith.apply.tiles import STATISTICS_PIXELS, WHOLE_HOLES, translate_picture
from gansmith.export.onnx import Check
from gansmith.export.program import Program
from gansmith.files.pictures import to_float, to_uint8
from gansmith.models.bundle import Model
from gansmith.nn.norms import instance_norms
from gansmith.translation import Translation

Run = Callable[[dict[str, Tensor]], Any]


def around_it(game: Translation) -> str:
    """What ``gansmith apply`` does around the program, in words; ends with a full stop."""
    words = [
        "Pictures are read without alpha and given as the program's channels; apply lays them on white or keeps alpha beside."
    ]
    if game.takes_mask:
        words.append(
            f"Where a side has more than {WHOLE_HOLES} pixels, apply gives it the part around the holes alone, with "
            f"{game.overlap} pixels on every side."
        )
    large = f"Where the result has more than {STATISTICS_PIXELS:,} pixels, apply gives it tiles that overlap by {game.overlap} pixels and blends them"
    if game.overview_size:
        large = ""
    elif instance_norms(game):
        large += ", normalised by the statistics of the whole picture, which the program cannot do: give it the picture whole"
    return " ".join([*words, large + "." if large else ""]).strip()


def compare_with_apply(run: Run, program: Program, model: Model) -> list[Check]:
    """Compare ``run(inputs by name) -> pictures`` with what ``apply`` makes of 8-bit pictures beyond the model's own size.

    Each check goes the way that a person's picture goes: through the program alone where apply takes a picture whole, and
    through the program in apply's own machinery where that cuts holes or tiles out.
    """
    if program.kind != "translator":
        return []
    game = cast(Translation, model.game)
    fixed = not any(axis in axes for axes in program.free.values() for axis in (2, 3))
    if fixed:
        height, width = program.inputs["picture"].shape[2:]
        return [_whole(run, program, game, height, width)]
    least = max(program.smallest, game.overview_size, *program.inputs["picture"].shape[2:])
    checks = [_whole(run, program, game, least + 21, least + 46)]
    if game.takes_mask:
        checks.append(
            _inside(run, program, game, program.smallest + 41, WHOLE_HOLES + 90, 0, "apply, around the holes")
        )
    if not game.overview_size and not instance_norms(game):
        tile = max(2 * game.overlap, 2 * game.alignment) + game.alignment
        checks.append(_inside(run, program, game, program.smallest + 41, 2 * tile, tile, "apply, in tiles"))
    return checks


def _whole(run: Run, program: Program, game: Translation, height: int, width: int) -> Check:
    """A picture that apply takes whole, given to the program by itself."""
    pixels, mask = _picture(program, game, height, width)
    expected = translate_picture(game, pixels, direction=program.facts["direction"], mask=mask)
    return _check(_made(run, pixels, mask), expected, pixels, mask, "apply")


def _inside(run: Run, program: Program, game: Translation, height: int, width: int, tile: int, against: str) -> Check:
    """A picture that apply cuts up, with the program in the model's place."""
    pixels, mask = _picture(program, game, height, width)
    how = {"direction": program.facts["direction"], "mask": mask, "tile": tile}
    stand_in = copy.copy(game)
    object.__setattr__(stand_in, "translate", lambda images, *, direction="ab", mask=None: _given(run, images, mask))
    return _check(
        translate_picture(stand_in, pixels, **how), translate_picture(game, pixels, **how), pixels, mask, against
    )


def _picture(program: Program, game: Translation, height: int, width: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Large shapes and fine texture, uint8 [H, W, C], and a hole for models that fill some."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.random((1, program.facts["inputs"], 5, 7)))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    smooth[:, width // 2 :] += random.normal(0, 0.1, (height, width - width // 2, 1))
    mask = None
    if game.takes_mask:
        mask = np.zeros((height, width), bool)
        mask[height // 4 : height // 2, width // 3 : width // 3 + height // 3] = True
    return (smooth.clip(0, 1) * 255).astype(np.uint8), mask


def _made(run: Run, pixels: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    images = to_float(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    made = _given(run, images, None if mask is None else torch.from_numpy(mask)[None, None].float())
    return to_uint8(made)[0].permute(1, 2, 0).numpy()


def _given(run: Run, images: Tensor, mask: Tensor | None) -> Tensor:
    inputs = {"picture": images} if mask is None else {"picture": images, "mask": mask}
    return torch.as_tensor(np.asarray(run(inputs)))


def _check(made: np.ndarray, expected: np.ndarray, pixels: np.ndarray, mask: np.ndarray | None, against: str) -> Check:
    """Differences of 8-bit values, on the scale of -1 to 1."""
    if mask is not None and made.shape == pixels.shape:
        made = np.where(mask[..., None], made, pixels)
    size = expected.shape[0], expected.shape[1]
    difference = np.abs(made.astype(float) - expected).max() / 127.5 if made.shape == expected.shape else np.inf
    return Check(1, size, float(difference), against)
