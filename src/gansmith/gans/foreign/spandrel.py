"""Upscalers and restorers of some 40 architectures (SwinIR, HAT, DAT, SPAN, ...), read and built by the package spandrel.

The file's tensors are read by us, so nothing in it is executed; spandrel tells the architecture from their names.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from gansmith import damage
from gansmith.config import Count
from gansmith.errors import GansmithError, MissingExtra, ModelError, first_line
from gansmith.game import ImageSpec, Turn
from gansmith.nn import fit
from gansmith.nn.bounded import bounded, check_names
from gansmith.translation import Pair, Paired, PairedConfig


@dataclass(frozen=True)
class Config(PairedConfig):
    """Settings of a model that spandrel built."""

    architecture: str = ""
    """As spandrel calls it."""
    scale: Count = 1
    """How many times larger the result is."""


@dataclass(frozen=True)
class Found:
    """A network and what spandrel knows of it.

    Attributes:
        descriptor: spandrel's; computes pictures [1, C, H, W] in [0, 1].
        architecture: its name.
        scale: how many times larger the result is.
        inputs, outputs: channels.
        multiple: sides are multiples of this.
        smallest: the least side.
        masked: it fills holes.
    """

    descriptor: Any
    architecture: str
    scale: int
    inputs: int
    outputs: int
    multiple: int
    smallest: int
    masked: bool


class Unknown(ModelError):
    """Tensors of a network that spandrel does not know."""


def find(tensors: Mapping[str, Tensor], source: str) -> Found:
    """The network that some tensors belong to, built and loaded.

    Raises:
        MissingExtra: spandrel is not installed.
        Unknown: it knows no such network.
        ModelError: the tensors do not fit the network, or it is not for whole pictures.
    """
    try:
        import spandrel  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise MissingExtra("spandrel", "upscalers", "Reading this kind of network") from None
    check_names(tensors, source)
    numbers = sum(tensor.numel() for tensor in tensors.values())
    try:
        with warnings.catch_warnings():  # of layers without numbers, and of torch's old functions
            warnings.simplefilter("ignore")
            built = bounded(lambda: spandrel.ModelLoader().load_from_state_dict(dict(tensors)), numbers, source)
        descriptor = cast("object", built)
    except spandrel.UnsupportedModelError:
        shown = ", ".join(list(tensors)[:3])
        raise Unknown(
            f"{source} holds a network that neither gansmith nor spandrel knows (its tensors: {shown}, ...)."
        ) from None
    except ModelError:
        raise
    except Exception as error:  # whatever spandrel's networks stumble over where tensors do not fit
        raise ModelError(f"{source} does not fit the network that spandrel takes it for: {first_line(error)}") from None
    if not isinstance(descriptor, (spandrel.ImageModelDescriptor, spandrel.MaskedImageModelDescriptor)):
        raise ModelError(f"{source} is a network that does not turn one picture into another.")
    masked = isinstance(descriptor, spandrel.MaskedImageModelDescriptor)
    found = cast("Any", descriptor)
    size = found.size_requirements
    if size.square or found.purpose == "FaceSR":
        raise ModelError(
            f"{source} is a {found.architecture.name} network, which takes cut-out, upright faces of one size; such pictures are not "
            "found and cut out here. Restorers and upscalers of whole pictures are read."
        )
    return Found(
        found, found.architecture.name, found.scale, found.input_channels, found.output_channels, size.multiple_of,
        size.minimum, masked,
    )  # fmt: skip


class Network(fit.Padded):
    """[N, C, H, W] -> [N, C', H * scale, W * scale], both in [0, 1]; with a mask [N, 1, H, W] where it fills holes."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found
        self.network = found.descriptor.model
        self.multiple = max(found.multiple, found.smallest)

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        height, width = images.shape[2:]
        scale, found = self.found.scale, self.found
        given = images, *(() if mask is None else (mask,))
        padded = [_at_least(fit.pad_to_multiple(tensor, found.multiple), found.smallest) for tensor in given]
        if mask is None:
            made = found.descriptor(padded[0])
        else:  # spandrel takes one picture and its mask at a time
            pictures, masks = padded
            pieces = [found.descriptor(pictures[i : i + 1], masks[i : i + 1]) for i in range(len(pictures))]
            made = torch.cat(pieces)
        return made[:, :, : height * scale, : width * scale]


def _at_least(images: Tensor, smallest: int) -> Tensor:
    """Pictures whose sides are at least ``smallest``, their last row and column repeated."""
    bottom, right = max(0, smallest - images.shape[2]), max(0, smallest - images.shape[3])
    return nn.functional.pad(images, (0, right, 0, bottom), mode="replicate") if bottom or right else images


class Spandrel(Paired[Config]):
    """A network of spandrel's: pictures in, pictures out, larger where it enlarges, filled where it takes a mask."""

    Config = Config
    data = "crops"
    repair = "upscale"
    repairs = True
    overlap = 32

    def __init__(self, config: Config, spec: ImageSpec, networks: Mapping[str, nn.Module] | None = None) -> None:
        if networks is None:
            raise GansmithError(
                "Models that spandrel builds are used as they are, not trained. RRDBNet and the compact SRVGG are: gansmith train "
                "upscale --network full, or compact."
            )
        super().__init__(config, spec, networks)
        found = self.network.found
        self.scale, self.alignment, self.takes_mask = config.scale, max(2, found.multiple), found.masked

    @property
    def network(self) -> Network:
        """The generator, which :meth:`restored` makes."""
        assert isinstance(self.generator, Network)
        return self.generator

    @classmethod
    def restored(cls, config: Config, spec: ImageSpec, tensors: Mapping[str, Tensor]) -> Mapping[str, nn.Module]:
        names = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
        found = find(names, f"this model ({config.architecture})")
        if (found.scale, found.architecture) != (config.scale, config.architecture) or found.inputs != spec.channels:
            raise ModelError(
                f"The model's config.json says {config.architecture} at scale {config.scale} for {spec.channels} channels, and its "
                f"tensors are {found.architecture} at scale {found.scale} for {found.inputs}. Import the original file again."
            )
        return {"generator": Network(found)}

    def turns(self) -> tuple[Turn, ...]:
        return ()

    def pair(self, images: Tensor, other: Tensor | None = None) -> Pair:
        if self.scale == 1:
            raise GansmithError(
                f"A {self.config.architecture} model that keeps a picture's size says not which damage it undoes, so nothing can be "
                "measured on whole pictures alone. Damage some, run gansmith apply on them, and compare the folders."
            )
        return Pair(damage.downscale(images, self.scale), images)

    def restore(self, pair: Pair) -> Tensor:
        return self.translate(pair.given)

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        if not self.takes_mask:
            return self.generator((images.float() + 1) / 2) * 2 - 1
        if mask is None:
            raise GansmithError("This model fills holes: give it a mask of what to fill.")
        return torch.where(mask > 0.5, self.generator((images.float() + 1) / 2, (mask > 0.5).float()) * 2 - 1, images)


PREFIX = "generator.network."
"""In front of spandrel's names in a model's tensors."""


def imported(tensors: Mapping[str, Tensor], source: str) -> tuple[Config, ImageSpec, dict[str, Tensor]]:
    """Settings, facts about the pictures, and tensors by our names, of somebody's file.

    Raises:
        MissingExtra: spandrel is not installed.
        ModelError: it knows no such network, or the network takes other pictures than grey, RGB and RGBA.
    """
    found = find(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}, source
    )
    if not {found.inputs, found.outputs} <= {1, 3, 4}:
        raise ModelError(
            f"{source} turns pictures of {found.inputs} channels into pictures of {found.outputs}; 1 (grey), 3 (RGB) and 4 (RGB with "
            "alpha) are supported."
        )
    state = found.descriptor.model.state_dict()
    again = find(state, source)  # what is saved must be found again by the names it is saved under
    if (again.architecture, again.scale) != (found.architecture, found.scale):
        raise ModelError(f"{source} is a {found.architecture} network in a form that cannot be saved here.")
    other = found.outputs if found.outputs != found.inputs else 0
    spec = ImageSpec(128, 128, found.inputs, other_channels=other)
    return (
        Config(architecture=found.architecture, scale=found.scale),
        spec,
        {f"{PREFIX}{n}": t for n, t in state.items()},
    )
