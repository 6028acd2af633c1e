"""Find the styles with which a StyleGAN2 makes a given picture (projection)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from gansmith.commands._parse import parse
from gansmith.errors import GansmithError


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith invert``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    picture: tyro.conf.Positional[Path]
    """The picture to find; it is cut and resized to the model's size."""
    out: Path = Path("inverted")
    """Folder for w.npz (the styles) and before-after.png."""
    steps: int = 300
    """Steps of descent."""
    space: Literal["w", "w+"] = "w+"
    """w: one style for all layers, easier to edit. w+: a style per layer, closer to the picture."""
    distance: Literal["auto", "lpips", "pixels"] = "auto"
    """lpips needs its package and weights; pixels compares pixels and edges at many scales; auto takes what there is."""
    overwrite: bool = False
    """Write into a folder that is there already."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""


def main(argv: list[str]) -> int:
    """Run ``gansmith invert``."""
    options = parse(Options, argv, "invert", __doc__ or "")
    if options.steps < 1:
        raise GansmithError("--steps is at least 1.")
    if options.out.exists() and not options.overwrite:
        raise GansmithError(f"{options.out} exists. Choose another --out, or add --overwrite.")
    if not options.picture.is_file():
        raise GansmithError(f"There is no picture {options.picture}.")
    import numpy as np
    import torch

    from gansmith import devices, pictures
    from gansmith.apply.styles import Styles, invert, multiscale_distance
    from gansmith.bundle import load
    from gansmith.data.batches import to_float
    from gansmith.metrics.repair import lpips, lpips_weights

    styles = Styles(load(options.model).to(devices.resolve(options.device, "fp32").torch_device))
    target = to_float(read_picture(options.picture, styles.model.spec), styles.model.game.device)
    at_hand = lpips_weights() is not None and min(target.shape[2:]) >= 64
    if options.distance == "lpips" and not at_hand:
        raise GansmithError(
            "LPIPS needs pictures of 64 px or more and AlexNet's weights on this machine, which "
            "torchvision.models.alexnet(weights='DEFAULT') fetches once. Or use --distance pixels."
        )

    def perceived(made: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
        found = lpips(made, true)
        assert found is not None
        return found.mean().float() + 0.1 * multiscale_distance(made, true)

    distance = perceived if at_hand and options.distance != "pixels" else multiscale_distance

    def show(step: int, best: float) -> None:
        if step % 50 == 0 or step == options.steps:
            print(f"{step}/{options.steps}  distance {best:.4f}", file=sys.stderr)

    w, reached = invert(
        styles, target, steps=options.steps, per_layer=options.space == "w+", distance=distance, progress=show
    )
    found = styles.pictures(w)
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez(options.out / "w.npz", w=w.cpu().numpy(), distance=reached)
    both = torch.cat([target.cpu(), found])
    pictures.save(options.out / "before-after.png", pictures.grid(both, 2))
    print(f"{options.out}: w.npz and before-after.png", file=sys.stderr)
    return 0


def read_picture(path: Path, spec: Any) -> Any:
    """One picture as uint8 [1, C, H, W] of the model's size and colours.

    Raises:
        GansmithError: it cannot be read.
    """
    import numpy as np
    import torch
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert({1: "L", 3: "RGB", 4: "RGBA"}[spec.channels])
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise GansmithError(f"{path} cannot be read as a picture: {error}.") from None
    fitted = ImageOps.fit(image, (spec.width, spec.height), Image.Resampling.LANCZOS)
    array = np.asarray(fitted).reshape(spec.height, spec.width, spec.channels)
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None]
