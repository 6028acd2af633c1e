"""The classifier that judges synthetic pictures and that the study trains: a small residual network, and its training.

Every training of the study takes the same number of steps from the same start, so that only the pictures differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith.errors import GansmithError
from gansmith.files.pictures import to_float
from gansmith.game import ImageSpec
from gansmith.parallel import seeding

BATCH = 64
SMALL = "small"
OWN = {SMALL: 24, "tiny": 8}
"""Networks of our own by name, and their width."""


def _norm_conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class _Residual(nn.Module):
    """act(shortcut + conv(act(conv x))), each convolution batch-normalised (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = _norm_conv(inputs, outputs, 3, stride), _norm_conv(outputs, outputs, 3)
        self.shortcut = nn.Identity() if inputs == outputs and stride == 1 else _norm_conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


class SmallResNet(nn.Module):
    """A residual network for pictures of 8 to a few hundred px: [N, C, H, W] in [-1, 1] -> logits [N, classes].

    A 5x5 convolution of stride 2, then residual blocks that halve the size until 7 px or less are left. At 28 px and
    width 24 it has 0.17 million weights.
    """

    def __init__(self, spec: ImageSpec, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = [_norm_conv(spec.channels, width, 5, 2), nn.ReLU(), _Residual(width, width, 1)]
        side, channels = math.ceil(min(spec.height, spec.width) / 2), width
        while side > 4 or len(layers) < 5:
            layers.append(_Residual(channels, grown := min(2 * channels, 8 * width), 2))
            side, channels = math.ceil(side / 2), grown
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels, spec.classes)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees, [N, d]."""
        return self.body(x).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class _Zoo(nn.Module):
    """A network of torchvision on grey or RGB pictures, untrained."""

    def __init__(self, name: str, spec: ImageSpec) -> None:
        super().__init__()
        from torchvision import models

        self.network = models.get_model(name, weights=None, num_classes=spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        out = self.network(x[:, :1].expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3])
        return out if isinstance(out, Tensor) else out[0]  # some return their auxiliary heads too, in training


def make_classifier(name: str, spec: ImageSpec) -> nn.Module:
    """An untrained classifier: ``small``, ``tiny`` or the name of a classification network of torchvision.

    Raises:
        GansmithError: no such network, or it does not take pictures of this size.
    """
    if name in OWN:
        return SmallResNet(spec, OWN[name])
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise GansmithError(
            f"There is no classifier '{name}'. Give 'small', 'tiny', or a network of torchvision: {', '.join(known)}."
        )
    network = _Zoo(name, spec)
    try:
        with torch.no_grad():
            network.train()(torch.zeros(2, *spec.shape))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise GansmithError(
            f"'{name}' does not take pictures of {spec.width}x{spec.height} ({str(error).splitlines()[0]}). Use 'small', or a larger --size."
        ) from None
    return network


def classic(images: Tensor, flip: bool = False) -> Tensor:
    """Classic augmentation: every picture turned up to 10 degrees, scaled and shifted by up to 10 %, its light changed.

    Args:
        images: [N, C, H, W] in [-1, 1].
        flip: also mirror every second one, at random.
    """
    n, device = len(images), images.device
    angle = (torch.rand(n, device=device) * 2 - 1) * math.radians(10)
    scale = 1 + (torch.rand(n, device=device) * 2 - 1) * 0.1
    shift = (torch.rand(n, 2, device=device) * 2 - 1) * 0.2  # affine_grid measures in half sides
    mirror = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0) if flip else torch.ones(n, device=device)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    light = (torch.rand(n, 2, 1, 1, 1, device=device) * 2 - 1) * 0.2
    return (moved * (1 + light[:, 0]) + 0.5 * light[:, 1]).clamp(-1, 1)


@dataclass(frozen=True)
class Pool:
    """What a classifier learns from.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        made: bool [N], True for synthetic pictures.
        weights: progress of the training, 0 to 1 -> how often each picture is shown, [N], any scale.
    """

    images: Tensor
    labels: Tensor
    made: Tensor
    weights: Callable[[float], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained.

    Attributes:
        network: ``small``, ``tiny`` or a network of torchvision.
        steps: batches of 64.
        lr: peak of the learning rate (AdamW, one cycle).
        smoothing: label smoothing of synthetic pictures.
        flip: classic augmentation mirrors too.
    """

    network: str = SMALL
    steps: int = 1000
    lr: float = 3e-3
    smoothing: float = 0.0
    flip: bool = False


def usual_steps(pictures: int) -> int:
    """Steps that suit so many real pictures: 100 epochs, between 200 and 2,000 batches."""
    return min(max(100 * pictures // BATCH, 200), 2000)


def order(pool: Pool, draws: int) -> Tensor:
    """Which picture is shown when, [draws]: within a round of N each as often as its weight says, to within one."""
    parts, drawn, n = [], 0, len(pool.labels)
    while drawn < draws:
        weights = pool.weights(drawn / draws).double()
        ends = (weights.cumsum(0) / weights.sum() * n + torch.rand(1, dtype=torch.float64)).floor().long()
        counts = ends.diff(prepend=ends.new_zeros(1))
        chosen = torch.arange(n).repeat_interleave(counts)
        parts.append(chosen[torch.randperm(len(chosen))])
        drawn += len(chosen)
    return torch.cat(parts)[:draws]


def train(
    pool: Pool, spec: ImageSpec, recipe: Recipe, *, augment: bool, seed: int, device: torch.device | str = "cpu"
) -> nn.Module:
    """A trained classifier, in eval mode. The same seed starts from the same weights whatever the pictures are.

    Args:
        augment: with classic augmentation.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seeding.derive(seed, "classifier"))
        network = make_classifier(recipe.network, spec).to(device).to(memory_format=torch.channels_last).train()
        shown = order(pool, recipe.steps * BATCH).view(recipe.steps, BATCH)
        optimizer = torch.optim.AdamW(
            network.parameters(), recipe.lr, weight_decay=0.05, fused=device.type in ("cpu", "cuda")
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, total_steps=recipe.steps + 1, pct_start=0.2
        )
        for rows in shown:
            images = to_float(pool.images[rows], device)
            images = classic(images, recipe.flip) if augment else images
            labels, made = pool.labels[rows].to(device), pool.made[rows].to(device)
            loss = smoothed_loss(
                network(images.contiguous(memory_format=torch.channels_last)), labels, recipe.smoothing * made
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def smoothed_loss(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """Mean cross-entropy with an own label smoothing [N] for every picture (Szegedy et al. 2015, Eq. 3)."""
    log_p = logits.float().log_softmax(1)
    own = -log_p.gather(1, labels[:, None]).squeeze(1)
    return ((1 - smoothing) * own - smoothing * log_p.mean(1)).mean()


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor, batch: int = 250) -> Tensor:
    """Probabilities [N, classes] of uint8 pictures [N, C, H, W], on the CPU."""
    device = next(network.parameters()).device
    return torch.cat([network(to_float(part, device)).float().softmax(1).cpu() for part in images.split(batch)])


@torch.inference_mode()
def describe(network: SmallResNet, images: Tensor, batch: int = 250) -> tuple[Tensor, Tensor]:
    """Probabilities [N, classes] and unit-length features [N, d] of uint8 pictures, on the CPU."""
    device = next(network.parameters()).device
    parts = [network.features(to_float(part, device)) for part in images.split(batch)]
    features = torch.cat(parts) if parts else torch.empty(0, network.head.in_features, device=device)
    return network.head(features).float().softmax(1).cpu(), F.normalize(features.float(), dim=1).cpu()
