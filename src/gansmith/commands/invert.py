"""Find the styles with which a StyleGAN2 makes a given picture (projection)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from gansmith.commands._parse import parse, say
from gansmith.commands.sample import filling
from gansmith.errors import GansmithError, first_line
from gansmith.files.paths import check_writable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gansmith.game import ImageSpec


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
    check_writable(options.out)
    if options.out.exists() and not options.out.is_dir():
        raise GansmithError(f"--out {options.out} is a file, not a folder. Choose another --out.")
    if options.out.exists() and not options.overwrite:
        raise GansmithError(f"{options.out} exists. Choose another --out, or add --overwrite.")
    if not options.picture.is_file():
        raise GansmithError(f"There is no picture {options.picture}.")
    import numpy as np
    import torch

    from gansmith import devices
    from gansmith.apply.styles import Styles, invert, multiscale_distance
    from gansmith.files import pictures
    from gansmith.files.pictures import to_float
    from gansmith.metrics.repair import lpips_weights
    from gansmith.models.bundle import load

    styles = Styles(load(options.model).to(devices.resolve(options.device, "fp32").torch_device))
    target = to_float(read_picture(options.picture, styles.model.spec), styles.model.game.device)
    at_hand = lpips_weights() is not None and min(target.shape[2:]) >= 64
    if options.distance == "lpips" and not at_hand:
        raise GansmithError(
            "LPIPS needs pictures of 64 px or more and AlexNet's weights on this machine, which "
            "torchvision.models.alexnet(weights='DEFAULT') fetches once. Or use --distance pixels."
        )
    distance = multiscale_distance
    if at_hand and options.distance != "pixels":
        distance = perceptual_distance(styles.model.game.device)

    def show(step: int, best: float) -> None:
        if step % 50 == 0 or step == options.steps:
            say(f"{step}/{options.steps}  distance {best:.4f}")

    w, reached = invert(
        styles, target, steps=options.steps, per_layer=options.space == "w+", distance=distance, progress=show
    )
    both = torch.cat([target.cpu(), styles.pictures(w)])
    with filling(options.out) as folder:
        np.savez(folder / "w.npz", w=w.cpu().numpy(), distance=reached)
        pictures.save(folder / "before-after.png", pictures.grid(both, 2))
    say(f"{options.out}: w.npz and before-after.png")
    return 0


def perceptual_distance(device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """LPIPS, and a little of the distance of pixels, for what LPIPS does not see. Its network is read once for all steps.

    Raises:
        GansmithError: AlexNet's weights are damaged.
    """
    from torch.nn.functional import interpolate

    from gansmith.apply.styles import multiscale_distance
    from gansmith.metrics.repair import lpips_network

    try:
        network = lpips_network().to(device)
    except Exception as error:  # torch raises whatever its readers stumble over
        raise GansmithError(
            f"AlexNet's weights cannot be read ({first_line(error)}). Delete them in torch's folder hub/checkpoints and fetch "
            "them again, or use --distance pixels."
        ) from None

    def seen(images: Tensor) -> Tensor:
        images = images[:, :3] if images.shape[1] > 1 else images.expand(-1, 3, -1, -1)
        shrink = min(images.shape[2:]) / 256  # it was made for pictures of about this size
        images = images if shrink <= 1 else interpolate(images, scale_factor=1 / shrink, mode="area")
        return images.clamp(-1, 1)

    def distance(made: Tensor, true: Tensor) -> Tensor:
        return network(seen(made), seen(true)).mean() + 0.1 * multiscale_distance(made, true)

    return distance


def read_picture(path: Path, spec: ImageSpec) -> Tensor:
    """One picture as uint8 [1, C, H, W] of the model's size and colours, read as training pictures are.

    Raises:
        GansmithError: it cannot be read.
    """
    import numpy as np
    import torch

    from gansmith.data import decode

    try:
        with decode.open_file(lambda: open(path, "rb")) as file:
            image = decode.read_picture(file)
    except decode.Broken as reason:
        raise GansmithError(f"{path} cannot be read as a picture: {reason}.") from None
    array = np.array(decode.fit(image, spec.channels, (spec.height, spec.width)))  # a copy, which torch may write to
    return torch.from_numpy(array).permute(2, 0, 1)[None]
