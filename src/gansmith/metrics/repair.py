"""How well a picture was restored: PSNR, SSIM and distances of features, beside what classical methods reach.

LPIPS needs AlexNet's weights, ``distance[effnet-lite0]`` the extra ``features``; each is left out where they are missing.
Pictures are [N, C, H, W] in [-1, 1]; scores are means over pictures, computed in float64.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gansmith.damage import luma
from gansmith.errors import GansmithError
from gansmith.files.pictures import to_uint8
from gansmith.game import Batch
from gansmith.nn import efficientnet
from gansmith.nn.patches import patch_fill
from gansmith.nn.perceptual import FeatureDistance
from gansmith.translation import Pair, Paired, Translation

Scores = dict[str, float]
_LEAST_LPIPS = 32
"""AlexNet leaves nothing of smaller pictures."""
_AT_ONCE = 16
"""Pictures that are compared together."""


def psnr(made: Tensor, true: Tensor, border: int = 0, parts_of: Sequence[int] = ()) -> Tensor:
    """Peak signal-to-noise ratio in dB, [N], on 8-bit values; infinite for equal pictures.

    Args:
        border: pixels left out at every edge (4 is usual for x4 upscaling).
        parts_of: for windows, which photograph each was cut from; windows of one count as one picture, [photographs].
    """
    a, b = _bytes(made, border), _bytes(true, border)
    error = (a - b).square().mean((1, 2, 3))
    if parts_of:
        owner = torch.as_tensor(parts_of)
        error = torch.stack([error[owner == photograph].mean() for photograph in owner.unique()])
    return 10 * torch.log10(255**2 / error)


def ssim(made: Tensor, true: Tensor, border: int = 0) -> Tensor:
    """Structural similarity, [N], with the 11x11 Gaussian window of Wang et al. 2004, on 8-bit values, averaged over channels."""
    from skimage.metrics import structural_similarity

    a, b = _bytes(made, border).numpy(), _bytes(true, border).numpy()
    if min(a.shape[2:]) < 11:
        raise GansmithError(f"SSIM looks through an 11x11 window, and these pictures are {a.shape[3]}x{a.shape[2]}.")
    options = {
        "channel_axis": 0,
        "data_range": 255,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    return torch.tensor(
        [structural_similarity(x, y, **options) for x, y in zip(a, b, strict=True)], dtype=torch.float64
    )


def lpips_weights() -> Path | None:
    """AlexNet's weights, which LPIPS needs, if they are on this machine and the extra ``metrics`` is; nothing is downloaded."""
    from torchvision.models import AlexNet_Weights

    if importlib.util.find_spec("torchmetrics") is None:
        return None
    file = Path(torch.hub.get_dir()) / "checkpoints" / AlexNet_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[1]
    return file if file.is_file() else None


def lpips(made: Tensor, true: Tensor) -> Tensor | None:
    """LPIPS (AlexNet), [N]; None where its weights are not on this machine, or pictures are too small for it."""
    if lpips_weights() is None or min(made.shape[2:]) < _LEAST_LPIPS:
        return None
    distance = lpips_network().to(made.device)
    with torch.no_grad():  # picture by picture, for the network keeps every layer of what it compares
        pairs = zip(_rgb(made).float().clamp(-1, 1), _rgb(true).float().clamp(-1, 1), strict=True)
        return torch.cat([distance(a[None], b[None]).flatten() for a, b in pairs]).cpu().double()


def lpips_network() -> torch.nn.Module:
    """LPIPS as a network (pictures, pictures, both [N, 3, H, W] in [-1, 1]) -> [N, 1, 1, 1], differentiable.

    Raises:
        Exception: whatever torch stumbles over where AlexNet's weights are damaged.
    """
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity(net_type="alex").net


def feature_distance(made: Tensor, true: Tensor, mask: Tensor | None = None) -> Tensor | None:
    """The LPIPS-like distance of EfficientNet-Lite0's features, [N]; None where the extra ``features`` is not installed.

    See :class:`gansmith.nn.perceptual.FeatureDistance`.

    Args:
        mask: [N, 1, H, W], 1 where to compare; None compares everywhere.
    """
    if efficientnet.weights_file() is None:
        return None
    distance = FeatureDistance(made.device)
    parts = []
    with torch.no_grad():
        for rows in torch.arange(len(made)).split(_AT_ONCE):
            a, b = (_rgb(images[rows]).float().clamp(-1, 1) for images in (made, true))
            parts.append(distance(a, b, None if mask is None else mask[rows]))
    return torch.cat(parts).cpu().double() if parts else torch.zeros(0, dtype=torch.float64)


def _bytes(images: Tensor, border: int) -> Tensor:
    images = to_uint8(images.detach()).cpu().double()
    return images[:, :, border : images.shape[2] - border, border : images.shape[3] - border] if border else images


def _rgb(images: Tensor) -> Tensor:
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3]


# --- the classical floors -----------------------------------------------------------------------------------------


def bicubic(pair: Pair) -> Tensor:
    """Enlarged by bicubic interpolation."""
    return interpolate(pair.given, size=pair.target.shape[2:], mode="bicubic").clamp(-1, 1)


def lanczos(pair: Pair) -> Tensor:
    """Enlarged by Pillow's Lanczos filter."""
    from PIL import Image

    size = pair.target.shape[3], pair.target.shape[2]
    planes = to_uint8(pair.given).cpu().numpy()
    made = [[np.asarray(Image.fromarray(c).resize(size, Image.Resampling.LANCZOS)) for c in image] for image in planes]
    return torch.from_numpy(np.array(made)).float() / 127.5 - 1


def telea(pair: Pair) -> Tensor:
    """Filled by Telea's fast marching, OpenCV's classic.

    Raises:
        ImportError: OpenCV is not installed.
    """
    import cv2

    assert pair.mask is not None
    made = []
    for image, mask in zip(to_uint8(pair.given).cpu().numpy(), pair.mask.cpu().numpy(), strict=True):
        hole = (mask[0] > 0.5).astype(np.uint8)
        pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
        channels = [
            cv2.inpaint(np.ascontiguousarray(pixels[..., c]), hole, 3, cv2.INPAINT_TELEA)
            for c in range(3, pixels.shape[2])
        ]
        first = cv2.inpaint(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0], hole, 3, cv2.INPAINT_TELEA)
        made.append(
            np.concatenate([first.reshape(*hole.shape, -1), *[c[..., None] for c in channels]], 2).transpose(2, 0, 1)
        )
    return torch.from_numpy(np.stack(made)).float() / 127.5 - 1


def biharmonic(pair: Pair) -> Tensor:
    """Filled by biharmonic functions, scikit-image's classic."""
    from skimage.restoration import inpaint_biharmonic

    assert pair.mask is not None
    made = []
    for image, mask in zip(pair.given.cpu().double().numpy(), pair.mask.cpu().numpy(), strict=True):
        made.append(inpaint_biharmonic(image, mask[0] > 0.5, channel_axis=0))
    return torch.from_numpy(np.stack(made)).float().clamp(-1, 1)


def patches(pair: Pair) -> Tensor:
    """Filled with patches of the picture itself, by search and vote (:mod:`gansmith.nn.patches`)."""
    assert pair.mask is not None
    return patch_fill(pair.given.float().cpu(), pair.mask.float().cpu())


def unchanged(pair: Pair) -> Tensor:
    """What was given, as it is: grey for colouring, the other side for translation."""
    given, channels = pair.given, pair.target.shape[1]
    if channels == 1:
        return luma(given)
    colours = given.expand(-1, 3, -1, -1) if given.shape[1] == 1 else given
    if channels == 4 > colours.shape[1]:  # opaque
        return torch.cat([colours, torch.ones_like(colours[:, :1])], 1)
    return colours[:, :channels]


FLOORS: dict[str, dict[str, Callable[[Pair], Tensor]]] = {
    "upscale": {"bicubic": bicubic, "lanczos": lanczos},
    "inpaint": {"telea": telea, "biharmonic": biharmonic, "patches": patches},
    "colour": {"grey": unchanged},
    "translate": {"unchanged": unchanged},
}
"""What a kind of repair is measured against."""


def score(
    made: Tensor, true: Tensor, mask: Tensor | None = None, border: int = 0, parts_of: Sequence[int] = ()
) -> Scores:
    """All scores of restored pictures; with a mask, ``l1`` (on the scale 0 to 1) and ``distance[effnet-lite0]`` are over the hole only."""
    made, true = made.detach().cpu().float().clamp(-1, 1), true.detach().cpu().float()
    difference = (made.double() - true.double()).abs() / 2
    if mask is None:
        l1 = difference.mean()
    else:
        hole = mask.cpu().double().expand_as(difference)
        l1 = (difference * hole).sum() / hole.sum().clamp(min=1)
    scores = {
        "psnr": psnr(made, true, border, parts_of).clamp(max=100).mean().item(),  # one may be met exactly
        "ssim": ssim(made, true, border).mean().item(),
        "l1": l1.item(),
    }
    perceived = {"lpips": lpips(made, true), "distance[effnet-lite0]": feature_distance(made, true, mask)}
    return scores | {name: found.mean().item() for name, found in perceived.items() if found is not None}


@torch.no_grad()
def evaluate_repair(
    game: Paired,
    images: Tensor,
    other: Tensor | None = None,
    seed: int = 0,
    batch: int = 16,
    parts_of: Sequence[int] = (),
) -> dict[str, Scores]:
    """A table of a model and of its floors on the same damaged pictures.

    Args:
        game: a paired model in eval mode.
        images: true pictures (side A of pairs), [N, C, H, W] in [-1, 1].
        other: side B of pairs.
        seed: which damage.
        parts_of: which photograph each picture is a window of, for :func:`psnr`.

    Returns:
        method -> scores; ``model`` first. Methods whose package is not installed are left out.
    """
    made: dict[str, list[Tensor]] = {}
    pairs: list[Pair] = []
    for start in range(0, len(images), batch):
        part = Batch(
            images[start : start + batch].to(game.device),
            other=None if other is None else other[start : start + batch].to(game.device),
        )
        pair = game.seeded_pair(part, seed + start)
        pairs.append(pair)
        made.setdefault("model", []).append(game.restore(pair).cpu())
        for name, method in FLOORS[game.repair].items():
            try:
                made.setdefault(name, []).append(method(pair).cpu())
            except ImportError:
                made.pop(name, None)
    true = torch.cat([pair.target.cpu() for pair in pairs])
    masks = [pair.mask.cpu() for pair in pairs if pair.mask is not None]
    mask = torch.cat(masks) if masks else None
    border = 4 if game.repair == "upscale" else 0
    return {name: score(torch.cat(parts), true, mask, border, parts_of) for name, parts in made.items()}


@torch.no_grad()
def evaluate_translation(game: Translation, a: Tensor, b: Tensor, batch: int = 16) -> dict[str, Scores]:
    """How near translations come to their true counterparts, beside leaving the pictures as they are.

    Args:
        game: a model that learned without pairs, in eval mode.
        a, b: the two sides of true pairs, [N, C, H, W] in [-1, 1].

    Returns:
        ``A to B``, ``A unchanged``, and the other way round -> scores.
    """
    table: dict[str, Scores] = {}
    for direction, given, true in (("ab", a, b), ("ba", b, a)):
        if direction in game.directions:
            source, target = direction.upper()
            parts = [
                game.translate(part.to(game.device), direction=direction).float().cpu() for part in given.split(batch)
            ]
            table[f"{source} to {target}"] = score(torch.cat(parts), true)
            table[f"{source} unchanged"] = score(unchanged(Pair(given, true)), true)
    return table
